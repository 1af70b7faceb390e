"""The `Cluster` port over HTTP: every call the operator makes to an API server is made here.

Bodies are sent as UTF-8 bytes (the stock client's escapes of characters outside the BMP are refused by the server's
YAML parser), names are checked before they reach a URL, answers are checked before they count as facts.
"""

import math
import random
from collections.abc import Callable, Iterator

from eventstore.vocabulary import STATUS_FIELD_MANAGER
from reconciler.shell.api_answers import (
    check_identity,
    checked_object,
    encode_body,
    json_object,
    list_items,
    watch_event,
)
from reconciler.shell.api_errors import classify, is_object_absent
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_streams import Limits, LineStream, bad_response
from reconciler.shell.api_transport import Answer, ApiTransport, Question
from reconciler.shell.cluster import (
    Cluster,
    ClusterError,
    KubernetesObject,
    ListPage,
    Resource,
    ResourceExpiredError,
    WatchEvent,
)
from reconciler.shell.object_names import (
    InvalidNameError,
    check_name,
    check_namespace,
    collection_path,
    name_of_body,
    object_path,
)

APPLY_PATCH = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
JSON_BODY = "application/json"

PAGE_SIZE = 500
#: A version that no object has: etcd's revision 1 is the empty store. An apply that asks for it makes what is absent,
#: and is refused as a conflict by whatever is there (tests/contract/test_apply_new.py).
NO_OBJECTS_VERSION = "1"
#: 410 in the middle of a list: so often the pages are begun again, then everything is asked for at once.
LIST_RESTARTS_MAX = 2
LIST_LIMITS = Limits(read_seconds=30.0, total_seconds=120.0, bytes_max=256 * 1024 * 1024)
#: The server ends a watch after this time (spread by up to a quarter); the next one goes on where it ended.
WATCH_SECONDS = 300.0
#: Bookmarks come about once a minute: a longer silence is a dead connection.
WATCH_STALL_SECONDS = 90.0
WATCH_LINE_BYTES_MAX = 8 * 1024 * 1024


class KubernetesCluster(Cluster):
    """An API server, seen through one `ApiTransport`. Safe for many threads."""

    def __init__(
        self,
        transport: ApiTransport,
        *,
        page_size: int = PAGE_SIZE,
        watch_seconds: float = WATCH_SECONDS,
        stall_seconds: float = WATCH_STALL_SECONDS,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._transport, self._page_size = transport, page_size
        self._watch_seconds, self._stall_seconds, self._jitter = watch_seconds, stall_seconds, jitter

    def get(self, resource: Resource, namespace: str, name: str) -> KubernetesObject | None:
        """The object, or None if it does not exist.

        Raises:
            ClusterError: classified; reason `InvalidName` if nothing was sent.
        """
        call = _call("get", resource, namespace, name)
        answer = self._transport.ask(Question(call=call, method="GET", path=object_path(resource, namespace, name)))
        try:
            return self._object_in(answer, resource, call)
        except ClusterError as error:
            if is_object_absent(error):
                return None
            raise

    def list_all(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> ListPage:
        """All objects of a kind in a namespace, or in all of them, read in pages.

        Raises:
            ClusterError: classified.
        """
        for _ in range(LIST_RESTARTS_MAX):
            try:
                return self._list_pages(resource, namespace, label_selector, self._page_size)
            except ResourceExpiredError:
                # The snapshot that the pages were read from is gone: what was read of it is not a whole.
                continue
        return self._list_pages(resource, namespace, label_selector, 0)

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        *,
        seconds: float | None = None,
    ) -> Iterator[WatchEvent]:
        """Changes since the resourceVersion; ends when the server closes the stream, which is asked to by `seconds`.

        The first is a bookmark of that version: the watch is open.

        Raises:
            ResourceExpiredError: list again.
            ClusterError: reason `WatchStalled` after a silence, `BadResponse` for a line that is no watch event: what
                it held is unknown, so list again.
        """
        call = _call("watch", resource, namespace or "", "")
        if not resource_version:
            raise bad_response(call, "no resourceVersion to watch from: list first")
        usual = self._watch_seconds * (1 - self._jitter() / 4)
        server_seconds = max(1, int(usual if seconds is None else min(usual, math.ceil(seconds))))
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(server_seconds),
        }
        if label_selector:
            query["labelSelector"] = label_selector
        question = Question(call=call, method="GET", path=collection_path(resource, namespace), query=query)
        limits = Limits(read_seconds=self._stall_seconds, bytes_max=WATCH_LINE_BYTES_MAX)
        stream = self._transport.stream_lines(question, limits)
        try:
            yield from _watch_events(stream, resource, call, resource_version)
        finally:
            stream.close()

    def apply(self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str) -> KubernetesObject:
        """Server-side apply, forcing ownership of the fields in `body`; the object as it is afterwards.

        Raises:
            ClusterError: classified; reason `InvalidName` if nothing was sent.
        """
        return self._apply(resource, namespace, body, manager, "")

    def apply_new(
        self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str
    ) -> KubernetesObject | None:
        """Server-side apply of what must not be there yet; None, and nothing changed, if something of this name is.

        One call, and no moment between a look and the write in which somebody else's object could be taken over.

        Raises:
            ClusterError: classified; reason `InvalidName` if nothing was sent.
        """
        metadata = {**body["metadata"], "resourceVersion": NO_OBJECTS_VERSION}
        try:
            return self._apply(resource, namespace, {**body, "metadata": metadata}, manager, "")
        except ClusterError as error:
            if error.reason in ("Conflict", "AlreadyExists"):
                return None
            raise

    def apply_status(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """Server-side apply on the status subresource under its own field manager.

        Raises:
            ClusterError: classified; reason `NotFound` if the object is gone.
        """
        return self._apply(resource, namespace, body, STATUS_FIELD_MANAGER, "status")

    def create(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """Create; an existing object is a ClusterError with reason `AlreadyExists`.

        Raises:
            ClusterError: classified; reason `InvalidName` if nothing was sent.
        """
        name = name_of_body(resource, check_namespace(namespace), body)
        call = _call("create", resource, namespace, name)
        question = Question(
            call=call,
            method="POST",
            path=collection_path(resource, namespace),
            query={"fieldManager": "stackledger"},
            content_type=JSON_BODY,
            body=encode_body(body, call),
        )
        return self._object_in(self._transport.ask(question), resource, call)

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        """Delete with a uid precondition, in the background; an absent object or another uid is success.

        Raises:
            ClusterError: classified; reason `InvalidName` if nothing was sent.
        """
        if not uid:
            raise InvalidNameError("uid of an object to delete", uid)
        call = _call("delete", resource, namespace, name)
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        question = Question(
            call=call,
            method="DELETE",
            path=object_path(resource, namespace, name),
            content_type=JSON_BODY,
            body=encode_body(options, call),
        )
        answer = self._transport.ask(question)
        if 200 <= answer.status < 300:
            json_object(answer, call)
            return
        error = classify(answer.status, answer.body, answer.headers, call)
        # A namespace that is gone took the object with it.
        if error.reason not in ("NotFound", "UidMismatch", "NamespaceGone"):
            raise error

    def set_finalizers(
        self, resource: Resource, namespace: str, name: str, finalizers: list[str], *, uid: str, resource_version: str
    ) -> KubernetesObject | None:
        """Replace metadata.finalizers, preconditioned on uid and resourceVersion; None if the object is gone.

        Raises:
            ClusterError: classified; reason `Conflict` if the object changed since, `BeingDeleted` if a finalizer
                was to be added to an object on its way out.
        """
        if not uid or not resource_version:
            raise InvalidNameError("uid or resourceVersion of an object to change", uid or resource_version)
        call = _call("patch", resource, namespace, name)
        metadata = {"uid": uid, "resourceVersion": resource_version, "finalizers": finalizers}
        question = Question(
            call=call,
            method="PATCH",
            path=object_path(resource, namespace, name),
            query={"fieldManager": "stackledger-finalizer"},
            content_type=MERGE_PATCH,
            body=encode_body({"metadata": metadata}, call),
        )
        try:
            return self._object_in(self._transport.ask(question), resource, call)
        except ClusterError as error:
            if error.reason in ("NotFound", "UidMismatch", "NamespaceGone"):
                return None
            raise

    def serves(self, resource: Resource) -> bool:
        """Whether the API server knows the kind in this version: False before its definition is installed.

        Raises:
            ClusterError: classified.
        """
        call = _call("get", resource, "", "")
        path = collection_path(resource, None).rpartition("/")[0]
        answer = self._transport.ask(Question(call=call, method="GET", path=path))
        if answer.status == 404:
            return False
        kinds = json_object(answer, call).get("resources")
        found = kinds if isinstance(kinds, list) else []
        return any(isinstance(one, dict) and one.get("name") == resource.plural for one in found)

    def interrupt_watches(self) -> None:
        """End every open watch now, so that its thread can stop."""
        self._transport.interrupt_streams()

    def close(self) -> None:
        """End the watches and drop the connections."""
        self._transport.close()

    def _apply(
        self, resource: Resource, namespace: str, body: KubernetesObject, manager: str, subresource: str
    ) -> KubernetesObject:
        name = name_of_body(resource, check_namespace(namespace), body)
        call = _call("patch", resource, namespace, name, subresource)
        question = Question(
            call=call,
            method="PATCH",
            path=object_path(resource, namespace, name) + (f"/{subresource}" if subresource else ""),
            query={"fieldManager": manager, "force": "true"},
            content_type=APPLY_PATCH,
            body=encode_body(body, call),
        )
        return self._object_in(self._transport.ask(question), resource, call)

    def _list_pages(self, resource: Resource, namespace: str | None, label_selector: str, page_size: int) -> ListPage:
        call = _call("list", resource, namespace or "", "")
        query = {"limit": str(page_size)} if page_size else {}
        if label_selector:
            query["labelSelector"] = label_selector
        path, items = collection_path(resource, namespace), []
        while True:
            answer = self._transport.ask(Question(call=call, method="GET", path=path, query=query), LIST_LIMITS)
            page = checked_object(answer, resource.api_version, f"{resource.kind}List", call)
            items += list_items(page, resource, call)
            metadata = page.get("metadata")
            version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
            if not isinstance(metadata, dict) or not isinstance(version, str) or not version:
                raise bad_response(call, "a list without resourceVersion")
            following = metadata.get("continue")
            if not following:
                return ListPage(items, version)
            if query.get("continue") == following:
                raise bad_response(call, "a list whose next page is the page itself")
            query = {**query, "continue": str(following)}

    def _object_in(self, answer: Answer, resource: Resource, call: Call) -> KubernetesObject:
        found = checked_object(answer, resource.api_version, resource.kind, call)
        check_identity(found, call)
        return found


def _call(verb: str, resource: Resource, namespace: str, name: str, subresource: str = "") -> Call:
    if name:
        check_namespace(namespace)
        check_name(name)
    return Call(
        verb=verb,
        api_version=resource.api_version,
        kind=resource.kind,
        plural=resource.plural,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def _watch_events(stream: LineStream, resource: Resource, call: Call, begins_at: str) -> Iterator[WatchEvent]:
    if stream.status != 200:
        raise classify(stream.status, stream.read_body(), stream.headers, call)
    # The server's own first word may be a minute away; that it took the watch is known now.
    yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": begins_at}})
    for line in stream.lines():
        yield watch_event(line, resource, call)
