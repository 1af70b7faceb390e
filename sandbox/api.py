"""The Kubernetes API as a function from request to response; `sandbox.server` adds the sockets."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from sandbox import deletion, discovery, listing, openapi, patching, routing, tables
from sandbox.errors import (
    StatusError,
    method_not_allowed,
    no_such_resource,
    not_acceptable,
    not_implemented,
    too_large,
)
from sandbox.errors import unauthorized as not_authorized
from sandbox.faults import DroppedConnectionError, FaultPlan
from sandbox.kinds import Kind, Version
from sandbox.model import ClusterModel
from sandbox.parts import storage_key
from sandbox.routing import Request, Target
from sandbox.scaling import read_scale, write_scale
from sandbox.values import Object, clone
from sandbox.watching import Seen, Watch

BODY_MAX = 3 * 1024 * 1024
_WATCH_SECONDS = 1800.0
_BOOKMARK_SECONDS = 10.0
_PLAIN = "text/plain; charset=utf-8"
_TYPE_META = ("apiVersion", "kind")
_NOT_DONE = ("exec", "attach", "portforward", "proxy", "eviction", "binding", "log")


@dataclass
class Response:
    """An answer; `stream` yields lines for a watch and takes the place of `body`."""

    status: int = 200
    body: Any = None
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: Iterator[Any] | None = None


class Api:
    """Answers requests from the model."""

    def __init__(self, model: ClusterModel, faults: FaultPlan, token: str = "") -> None:
        self.model, self.faults, self.token = model, faults, token

    def handle(self, request: Request) -> Response:
        """The answer to a request; refusals become `Status` bodies.

        Raises:
            DroppedConnectionError: the connection is to be closed without an answer.
        """
        try:
            if len(request.body) > BODY_MAX:
                text = f"Request entity too large: limit is {BODY_MAX}"
                raise StatusError(413, "RequestEntityTooLarge", text)
            if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
                raise not_authorized()
            return self._plain(request) or self._resource(request)
        except StatusError as error:
            if error.message == no_such_resource().message and not self._is_builtin(request.path):
                return Response(status=404, body=b"404 page not found\n", content_type=_PLAIN)
            return refusal(error)
        except DroppedConnectionError:
            raise
        except Exception as error:  # a fault of the sandbox must look like one, not like a closed connection
            text = f"Internal error occurred: the sandbox failed: {type(error).__name__}: {error}"
            return refusal(StatusError(500, "InternalError", text))

    def _is_builtin(self, path: str) -> bool:
        """Whether a path leads into a built-in group: what is not there is then said in a `Status`."""
        parts = [part for part in path.split("/") if part]
        group = parts[1] if parts[:1] == ["apis"] and len(parts) > 1 else None if parts[:1] != ["api"] else ""
        return any(kind.group == group and not kind.custom for kind in self.model.registry.all())

    # -- paths that are no resources -------------------------------------------------------------------------------

    def _plain(self, request: Request) -> Response | None:
        parts = [part for part in request.path.split("/") if part]
        registry = self.model.registry
        head = parts[0] if parts else ""
        if head in ("healthz", "livez", "readyz"):
            return Response(body=b"ok", content_type=_PLAIN)
        if parts == ["version"]:
            return Response(body=discovery.VERSION)
        if head == "openapi":
            return self._openapi(request, parts)
        if head in ("api", "apis") and len(parts) == 1:
            if "as=APIGroupDiscoveryList" in request.headers.get("accept", ""):
                body = discovery.aggregated(registry, core=head == "api")
                return Response(body=body, content_type=discovery.AGGREGATED)
            host = request.headers.get("host", "")
            return Response(body=discovery.api_versions(host) if head == "api" else discovery.group_list(registry))
        groups = registry.groups()
        if head == "api" and parts[1:] == ["v1"]:
            return Response(body=discovery.resource_list(registry, "", "v1"))
        if head == "apis" and len(parts) == 2 and parts[1] in groups:
            return Response(body=discovery.group(registry, parts[1]))
        if head == "apis" and len(parts) == 3 and parts[2] in groups.get(parts[1], ()):
            return Response(body=discovery.resource_list(registry, parts[1], parts[2]))
        return None

    def _openapi(self, request: Request, parts: list[str]) -> Response:
        registry = self.model.registry
        if parts[1:] == ["v3"]:
            return Response(body=openapi.index(registry))
        groups = registry.groups()
        if parts[1:3] == ["v3", "api"] and parts[3:] == ["v1"]:
            return Response(body=openapi.document(registry, "", "v1"))
        if parts[1:3] == ["v3", "apis"] and len(parts) == 5 and parts[4] in groups.get(parts[3], ()):
            return Response(body=openapi.document(registry, parts[3], parts[4]))
        if parts[1:] == ["v2"]:
            # kubectl falls back to version 2 where version 3 does not know a kind, and wants to find nothing there.
            if "proto" in request.headers.get("accept", ""):
                return Response(body=openapi.EMPTY_V2_PROTOBUF, content_type=openapi.V2_PROTOBUF)
            return Response(body=openapi.EMPTY_V2)
        raise no_such_resource()

    # -- resources -------------------------------------------------------------------------------------------------

    def _resource(self, request: Request) -> Response:
        target = routing.target_of(request.path)
        kind, version = self.model.resource(target.group, target.version, target.plural)
        if target.subresource in _NOT_DONE:
            raise not_implemented(f"pods/{target.subresource}: no container runs here")
        if target.subresource and target.subresource not in kind.subresources:
            raise no_such_resource()
        verb = routing.verb_of(request.method, target, request.query)
        if verb not in (kind.subresource_verbs(target.subresource) if target.subresource else kind.verbs):
            raise method_not_allowed()
        shown = target.plural + (f"/{target.subresource}" if target.subresource else "")
        fault = self.faults.check(verb, target.group, shown, target.namespace or "", target.name)
        call = _Call(self, request, target, kind, version)
        response: Response = getattr(call, verb)()
        if call.speaks_yaml and response.stream is None:
            text = yaml.safe_dump(response.body, allow_unicode=True)
            response = replace(response, body=text.encode(), content_type="application/yaml")
        if fault is not None:
            raise DroppedConnectionError
        return response


def refusal(error: StatusError) -> Response:
    """A `Status` as a response."""
    headers = {} if error.retry_after_seconds is None else {"Retry-After": str(error.retry_after_seconds)}
    return Response(status=error.code, body=error.body(), headers=headers)


class _Call:
    """One request for a resource; a method for each verb."""

    def __init__(self, api: Api, request: Request, target: Target, kind: Kind, version: Version) -> None:
        self._api, self._model, self._request, self._target = api, api.model, request, target
        self._kind, self._version, self._query = kind, version, request.query
        self._namespace = (target.namespace or "") if kind.namespaced else ""
        #: Whether a watch of tables has named its columns: it does so once.
        self._headless = False
        form = routing.accepted_form(request, kind)
        self._form, self.speaks_yaml = form.view, form.media_type == "application/yaml"

    def _shown(self, item: Object) -> Object:
        return self._model.view(self._kind, self._version.name, item)

    def _one(self, item: Object, status: int = 200, warnings: list[str] | None = None) -> Response:
        body = self._formed(self._shown(item))
        headers = {"Warning": ", ".join(f"299 - {json.dumps(text)}" for text in warnings)} if warnings else {}
        return Response(status=status, body=body, headers=headers)

    def _formed(self, shown: Object) -> Object:
        if self._form == "Table":
            meta = {"resourceVersion": shown["metadata"].get("resourceVersion", "")}
            return self._table([shown], meta)
        self._check_partial("PartialObjectMetadata")
        return tables.partial(shown) if self._form else shown

    def _check_partial(self, offered: str) -> None:
        if not self._form.startswith("Partial") or self._form == offered:
            return
        many = offered.endswith("List")
        if self._kind.custom and not many:
            raise StatusError(500, "", "content is not a list")
        group = self._kind.group.partition(".")[0] or "core"
        typed = "unstructured.Unstructured" if self._kind.custom else f"{group}.{self._kind.kind}"
        found = f"a list (*{typed}List)" if many else f"not a list (*{typed})"
        raise not_acceptable(f"you requested {self._form}, but the requested object is {found}")

    def _table(self, items: list[Object], meta: Object) -> Object:
        include = self._query.get("includeObject", "Metadata")
        made = tables.table(self._kind, self._version, items, self._model.now(), include, meta)
        return {**made, "columnDefinitions": None} if self._headless else made

    def get(self) -> Response:
        """GET of one object."""
        if self._target.subresource == "scale":
            return Response(body=read_scale(self._model, self._kind, self._namespace, self._target.name))
        at_least = routing.revision_of(self._query)
        if at_least and at_least > self._model.store.revision:
            raise too_large(at_least, self._model.store.revision)
        return self._one(self._model.read(self._kind, self._namespace, self._target.name))

    def list(self) -> Response:
        """GET of a collection, in pages where `limit` asks for them."""
        namespace = self._target.namespace if self._kind.namespaced else None
        items, meta = listing.listed(self._model, self._kind, namespace, self._query)
        shown = [self._shown(item) for item in items]
        if self._form == "Table":
            return Response(body=self._table(shown, meta))
        self._check_partial("PartialObjectMetadataList")
        if self._form:
            parts = [tables.partial(item) for item in shown]
            head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return Response(body={**head, "metadata": meta, "items": parts})
        if not self._kind.custom:
            # Go's typed lists leave out what the list itself says.
            shown = [{key: part for key, part in item.items() if key not in _TYPE_META} for item in shown]
        else:
            meta = {"continue": "", **meta}
        head = {"kind": f"{self._kind.kind}List", "apiVersion": self._kind.api_version(self._version.name)}
        return Response(body={**head, "metadata": meta, "items": shown})

    def watch(self) -> Response:
        """GET with `watch=true`."""
        query = self._query
        listing.check_options(query)
        namespace = self._target.namespace if self._kind.namespaced else None
        selectors = query.get("labelSelector", ""), query.get("fieldSelector", "")
        revision, initial = routing.revision_of(query, watching=True), _initial_events(query)
        try:
            watch = Watch(self._model, self._kind, namespace, revision, *selectors, initial)
        except StatusError as error:
            if error.code not in (410, 504):
                raise
            # Like a real server: 200, and the refusal as the first event.
            return Response(stream=iter([{"type": "ERROR", "object": error.body()}]))
        return Response(stream=self._lines(watch, self._api.faults.watch_generation))

    def _lines(self, watch: Watch, generation: int) -> Iterator[Any]:
        faults = self._api.faults
        seconds = routing.seconds_of(self._query.get("timeoutSeconds"), _WATCH_SECONDS)
        bookmarks = self._query.get("allowWatchBookmarks") in ("true", "1", "True")
        due = time.monotonic() + _BOOKMARK_SECONDS
        try:
            for batch in watch.stream(seconds, lambda: faults.watch_generation == generation):
                if faults.watches_silent:
                    yield None
                    continue
                for seen in batch:
                    yield self._line(seen)
                    self._headless = True
                if bookmarks and (watch.owes_end_of_list or (not batch and time.monotonic() >= due)):
                    due = time.monotonic() + _BOOKMARK_SECONDS
                    yield self._line(watch.bookmark())
                yield None
        except StatusError as error:
            yield {"type": "ERROR", "object": error.body()}
            return
        if bookmarks and faults.watch_generation == generation and not faults.watches_silent:
            yield self._line(watch.bookmark())

    def _line(self, seen: Seen) -> Object:
        if seen.type == "BOOKMARK":
            item = {**seen.item, "apiVersion": self._kind.api_version(self._version.name)}
            if self._form == "Table":
                meta = {"resourceVersion": item["metadata"]["resourceVersion"]}
                return {"type": seen.type, "object": self._table([], meta)}
            return {"type": seen.type, "object": item}
        return {"type": seen.type, "object": self._formed(self._shown(seen.item))}

    def create(self) -> Response:
        """POST."""
        if self._target.name and not self._target.subresource:
            raise method_not_allowed()
        write = routing.write_of(self._request)
        body = routing.decoded_body(self._request)
        stored = self._model.create(self._kind, self._version, self._namespace, body, write)
        return self._one(stored, 201, write.warnings)

    def _check_named(self) -> None:
        if not self._target.name:
            raise method_not_allowed()

    def update(self) -> Response:
        """PUT."""
        self._check_named()
        write, body = routing.write_of(self._request), routing.decoded_body(self._request)
        if self._target.subresource == "scale":
            answer = write_scale(self._model, self._kind, self._namespace, self._target.name, body, write)
            return Response(body=answer)
        stored = self._model.replace(
            self._kind, self._version, self._namespace, self._target.name, body, write, self._target.subresource
        )
        return self._one(stored, 200, write.warnings)

    def patch(self) -> Response:
        """PATCH."""
        self._check_named()
        write, body = routing.write_of(self._request), routing.decoded_body(self._request)
        patch_type, name = routing.media_type(self._request), self._target.name
        if self._target.subresource == "scale":
            scale = read_scale(self._model, self._kind, self._namespace, name)
            return Response(body=self._patched_scale(scale, patch_type, body, write))
        existed = self._model.store.get(storage_key(self._kind), (self._namespace, name)) is not None
        stored = self._model.patch(
            self._kind, self._version, self._namespace, name, patch_type, body, write, self._target.subresource
        )
        return self._one(stored, 200 if existed else 201, write.warnings)

    def _patched_scale(self, scale: Object, patch_type: str, body: Any, write: Any) -> Object:
        patched = patching.json_patch(scale, body) if "json-patch" in patch_type else patching.merge_patch(scale, body)
        return write_scale(self._model, self._kind, self._namespace, self._target.name, patched, write)

    def delete(self) -> Response:
        """DELETE of one object."""
        options = self._delete_options()
        deleted = deletion.delete(self._model, self._kind, self._namespace, self._target.name, options)
        if not deleted.gone or self._kind.kind == "Pod":
            return self._one(deleted.item)
        details = {"name": self._target.name, "kind": self._kind.plural, "uid": deleted.item["metadata"]["uid"]}
        if self._kind.group:
            details["group"] = self._kind.group
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return Response(body=body)

    def _delete_options(self) -> deletion.Options:
        return deletion.options_of(routing.decoded_body(self._request), self._query)

    def deletecollection(self) -> Response:
        """DELETE of a collection: this is what a client gets that sends an empty name."""
        items = deletion.delete_collection(
            self._model,
            self._kind,
            self._namespace,
            self._query.get("labelSelector", ""),
            self._query.get("fieldSelector", ""),
            self._delete_options(),
        )
        head = {"kind": f"{self._kind.kind}List", "apiVersion": self._kind.api_version(self._version.name)}
        meta = {"resourceVersion": str(self._model.store.revision)}
        return Response(body={**head, "metadata": meta, "items": [clone(self._shown(item)) for item in items]})


def _initial_events(query: dict[str, str]) -> bool | None:
    """`sendInitialEvents`, which makes a watch begin with a list; None if nothing is said."""
    sent = query.get("sendInitialEvents")
    return None if sent is None else sent in ("true", "1", "True")
