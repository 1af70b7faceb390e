"""`SandboxCluster`: the operator's port to a cluster, on a model in the same process. What the simulator runs on.

Refusals go through the operator's own table (`reconciler.shell.api_errors`), so that reasons are those of the HTTP
client; names are checked like there, objects are copies.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from eventstore.vocabulary import STATUS_FIELD_MANAGER, ErrorCategory
from reconciler.shell.api_errors import classify, is_object_absent
from reconciler.shell.api_refusal import Call
from reconciler.shell.cluster import ClusterError, KubernetesObject, ListPage, Resource, WatchEvent
from reconciler.shell.kubernetes_cluster import NO_OBJECTS_VERSION
from reconciler.shell.object_names import InvalidNameError, check_name, check_namespace, name_of_body
from sandbox import deletion
from sandbox.errors import StatusError
from sandbox.faults import DroppedConnectionError, FaultPlan
from sandbox.kinds import Kind, Version
from sandbox.model import APPLY, MERGE, ClusterModel, Write
from sandbox.values import copy_of
from sandbox.watching import Seen, Watch

_Answer = TypeVar("_Answer")
_GONE = ("NotFound", "UidMismatch", "NamespaceGone")


class SandboxCluster:
    """The `Cluster` port over a `ClusterModel`.

    A watch yields what is there and ends (`follow_seconds=0`, for a stepped simulator), or follows for that long.
    """

    def __init__(
        self,
        model: ClusterModel,
        faults: FaultPlan | None = None,
        *,
        follow_seconds: float = 0.0,
        field_manager: str = "stackledger",
    ) -> None:
        self._model, self._faults = model, faults
        self._follow_seconds, self._manager = follow_seconds, field_manager

    # -- the port --------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> KubernetesObject | None:
        """The object, or None if it does not exist."""
        call = _call("get", resource, namespace, name)
        try:
            return self._ask(
                call, lambda kind, version: self._shown(kind, version, self._model.read(kind, namespace, name))
            )
        except ClusterError as error:
            if is_object_absent(error):
                return None
            raise

    def list_all(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> ListPage:
        """All objects of a kind in a namespace, or in all of them."""

        def listed(kind: Kind, version: Version) -> ListPage:
            listing = self._model.list_all(kind, namespace, label_selector)
            return ListPage([self._shown(kind, version, item) for item in listing.items], str(listing.revision))

        return self._ask(_call("list", resource, namespace or ""), listed)

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        *,
        seconds: float | None = None,
    ) -> Iterator[WatchEvent]:
        """Changes since the resourceVersion; ends when nothing more is there, or after `follow_seconds` or `seconds`.

        Raises:
            ResourceExpiredError: list again.
        """
        call = _call("watch", resource, namespace or "")
        if not resource_version.isdigit():
            text = "no resourceVersion to watch from: list first"
            raise ClusterError(ErrorCategory.TRANSIENT, "BadResponse", text)
        revision = int(resource_version)
        watch, kind, version = self._ask(
            call, lambda kind, version: (Watch(self._model, kind, namespace, revision, label_selector), kind, version)
        )
        try:
            yield from self._events(watch, kind, version, seconds)
        except StatusError as error:
            raise _classified(error, call) from None
        mark = watch.bookmark()
        yield WatchEvent("BOOKMARK", {**mark.item, "apiVersion": kind.api_version(version.name)})

    def apply(self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str) -> KubernetesObject:
        """Server-side apply, forcing ownership of the fields in `body`; the object as it is afterwards."""
        return self._apply(resource, namespace, body, manager, "")

    def apply_new(
        self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str
    ) -> KubernetesObject | None:
        """Server-side apply of what must not be there yet; None, and nothing changed, if something of this name is."""
        metadata = {**body["metadata"], "resourceVersion": NO_OBJECTS_VERSION}
        try:
            return self._apply(resource, namespace, {**body, "metadata": metadata}, manager, "")
        except ClusterError as error:
            if error.reason in ("Conflict", "AlreadyExists"):
                return None
            raise

    def create(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """Create; an existing object is a ClusterError with reason `AlreadyExists`."""
        name = name_of_body(resource, check_namespace(namespace), body)
        write = Write(manager=self._manager)

        def created(kind: Kind, version: Version) -> KubernetesObject:
            return self._shown(kind, version, self._model.create(kind, version, namespace, body, write))

        return self._ask(_call("create", resource, namespace, name), created)

    def apply_status(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """Server-side apply on the status subresource under its own field manager."""
        return self._apply(resource, namespace, body, STATUS_FIELD_MANAGER, "status")

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        """Delete with a uid precondition, in the background; an absent object or another uid is success."""
        if not uid:
            raise InvalidNameError("uid of an object to delete", uid)
        options = deletion.Options(uid=uid)

        def deleted(kind: Kind, _: Version) -> None:
            deletion.delete(self._model, kind, namespace, name, options)

        try:
            self._ask(_call("delete", resource, namespace, name), deleted)
        except ClusterError as error:
            if error.reason not in _GONE:
                raise

    def set_finalizers(
        self, resource: Resource, namespace: str, name: str, finalizers: list[str], *, uid: str, resource_version: str
    ) -> KubernetesObject | None:
        """Replace metadata.finalizers, preconditioned on uid and resourceVersion; None if the object is gone."""
        if not uid or not resource_version:
            raise InvalidNameError("uid or resourceVersion of an object to change", uid or resource_version)
        body = {"metadata": {"uid": uid, "resourceVersion": resource_version, "finalizers": list(finalizers)}}
        write = Write(manager=f"{self._manager}-finalizer")

        def patched(kind: Kind, version: Version) -> KubernetesObject:
            stored = self._model.patch(kind, version, namespace, name, MERGE, body, write)
            return self._shown(kind, version, stored)

        try:
            return self._ask(_call("patch", resource, namespace, name), patched)
        except ClusterError as error:
            if error.reason in _GONE:
                return None
            raise

    # -- parts -----------------------------------------------------------------------------------------------------

    def _apply(
        self, resource: Resource, namespace: str, body: KubernetesObject, manager: str, subresource: str
    ) -> KubernetesObject:
        name = name_of_body(resource, check_namespace(namespace), body)
        write = Write(manager=manager, force=True)

        def applied(kind: Kind, version: Version) -> KubernetesObject:
            stored = self._model.patch(kind, version, namespace, name, APPLY, body, write, subresource)
            return self._shown(kind, version, stored)

        return self._ask(_call("patch", resource, namespace, name, subresource), applied)

    def _shown(self, kind: Kind, version: Version, item: KubernetesObject) -> KubernetesObject:
        copied: KubernetesObject = copy_of(self._model.view(kind, version.name, item))
        return copied

    def _events(self, watch: Watch, kind: Kind, version: Version, seconds: float | None) -> Iterator[WatchEvent]:
        def event(seen: Seen) -> WatchEvent:
            return WatchEvent(seen.type, self._shown(kind, version, seen.item))

        longest = self._follow_seconds if seconds is None else min(seconds, self._follow_seconds)
        if not longest:
            yield from map(event, watch.poll())
            return
        for batch in watch.stream(longest, lambda: True):
            yield from map(event, batch)

    def _ask(self, call: Call, answer: Callable[[Kind, Version], _Answer]) -> _Answer:
        group, _, version_name = call.api_version.rpartition("/")
        resource = f"{call.plural}/{call.subresource}" if call.subresource else call.plural
        try:
            fault = self._faults and self._faults.check(call.verb, group, resource, call.namespace, call.name)
            found = answer(*self._model.resource(group, version_name, call.plural))
        except StatusError as error:
            raise _classified(error, call) from None
        except DroppedConnectionError:
            raise _lost(call) from None
        if fault:
            # It took effect, and nobody was told.
            raise _lost(call)
        return found


def _call(verb: str, resource: Resource, namespace: str, name: str | None = None, subresource: str = "") -> Call:
    """A call for an object (its name is checked, an empty one too), or for a collection (None)."""
    if name is not None:
        check_namespace(namespace)
        check_name(name)
    return Call(
        verb=verb,
        api_version=resource.api_version,
        kind=resource.kind,
        plural=resource.plural,
        subresource=subresource,
        namespace=namespace,
        name=name or "",
    )


def _classified(error: StatusError, call: Call) -> ClusterError:
    retry: dict[str, Any] = {} if error.retry_after_seconds is None else {"retry-after": str(error.retry_after_seconds)}
    return classify(error.code, json.dumps(error.body()).encode(), retry, call)


def _lost(call: Call) -> ClusterError:
    text = f"the connection to the API server was lost during {call.verb} of {call.subject}"
    return ClusterError(ErrorCategory.TRANSIENT, "Unreachable", text)
