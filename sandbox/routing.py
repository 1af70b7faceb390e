"""URLs and content negotiation: from an HTTP request to what is asked of the model."""

from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox import bodies
from sandbox.errors import (
    Cause,
    StatusError,
    bad_request,
    dry_run_causes,
    forbidden_field,
    invalid_options,
    no_such_resource,
    not_acceptable,
    required,
)
from sandbox.kinds import Kind
from sandbox.model import APPLY, Write

#: Bytes of a field manager's name.
_MANAGER_MAX = 128
_MODES = ("", "Ignore", "Strict", "Warn")
_SUBRESOURCES = ("status", "scale", "finalize", "log", "exec", "attach", "portforward", "proxy", "eviction", "binding")


class Request(NamedTuple):
    """An HTTP request without the socket."""

    method: str
    #: With the query.
    target: str
    #: Lower-case names.
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path, decoded."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; the last of several counts."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


class Target(NamedTuple):
    """What a resource URL points at. `namespace` is None for "all namespaces"; `name` is "" for a collection."""

    group: str
    version: str
    plural: str
    namespace: str | None
    name: str
    subresource: str


def target_of(path: str) -> Target:
    """The resource behind a path.

    Raises:
        StatusError: 404, no resource path.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise no_such_resource()
    namespace: str | None = None
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        raise no_such_resource()
    plural, name, subresource = (*rest, "", "")[:3]
    if subresource and subresource not in _SUBRESOURCES:
        raise no_such_resource()
    return Target(group, version, plural, namespace, name, subresource)


def verb_of(method: str, target: Target, query: dict[str, str]) -> str:
    """`get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`."""
    if method == "GET":
        if target.name:
            # One object is watched as a collection with a field selector; asked for by its path it is read.
            return "get"
        return "watch" if query.get("watch") in ("1", "true", "True") else "list"
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    return {"POST": "create", "PUT": "update", "PATCH": "patch"}[method]


def decoded_body(request: Request) -> Any:
    """The body as JSON or YAML; None if there is none.

    Raises:
        StatusError: 400, it does not parse; 415, a format that is not spoken here.
    """
    kind = media_type(request)
    if request.method in ("POST", "PUT"):
        bodies.check_plain(kind)
    return bodies.decode(request.body, kind)


def media_type(request: Request) -> str:
    """Content-Type without parameters."""
    return request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()


class Form(NamedTuple):
    """How a client wants an answer."""

    #: `Table`, `PartialObjectMetadata`, `PartialObjectMetadataList`, or "" for the object itself.
    view: str = ""
    media_type: str = "application/json"


_VIEWS = ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
_SPOKEN = ("application/json", "application/yaml")


def accepted_form(request: Request, kind: Kind) -> Form:
    """The first form the client accepts that is spoken here.

    Raises:
        StatusError: 406, there is none.
    """
    accept = request.headers.get("accept", "") or "*/*"
    for part in accept.split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        given = dict(piece.partition("=")[::2] for piece in parameters)
        view = given.get("as", "")
        if view and (view not in _VIEWS or given.get("g") != "meta.k8s.io" or given.get("v") not in ("v1", "v1beta1")):
            continue
        if media_type in ("*/*", "application/*"):
            return Form(view)
        if media_type in _SPOKEN:
            return Form(view, media_type)
    listed = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    if kind.custom:
        raise not_acceptable(f"only the following media types are accepted: {listed}")
    streams = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    raise not_acceptable(f"406: Not Acceptable\n\nAvailable representations: {listed}, {streams}")


def write_of(request: Request) -> Write:
    """Who writes and how.

    Raises:
        StatusError: 422, options that are not known or do not fit.
    """
    query = request.query
    check_write_options(request.method, query, applying=media_type(request) == APPLY)
    agent = request.headers.get("user-agent", "unknown").partition("/")[0][:128]
    return Write(
        manager=query.get("fieldManager", "") or agent or "unknown",
        dry_run=query.get("dryRun", "") == "All",
        field_validation=query.get("fieldValidation") or "Warn",
        force=query.get("force", "") not in ("", "false", "0"),
    )


_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}


def check_write_options(method: str, query: dict[str, str], *, applying: bool) -> None:
    """Refuse what a write cannot be asked for.

    Raises:
        StatusError: 422, every option that is wrong.
    """
    causes: list[Cause] = []
    manager = query.get("fieldManager", "")
    if method == "PATCH" and applying and not manager:
        causes.append(required("fieldManager", "is required for apply patch"))
    if method == "PATCH" and not applying and "force" in query:
        causes.append(forbidden_field("force", "may not be specified for non-apply patch"))
    if len(manager.encode()) > _MANAGER_MAX:
        text = f"Too long: may not be more than {_MANAGER_MAX} bytes"
        causes.append(("FieldValueTooLong", text, "fieldManager"))
    causes += dry_run_causes(query.get("dryRun", ""))
    mode = query.get("fieldValidation", "")
    if mode not in _MODES:
        listed = ", ".join(f'"{known}"' for known in _MODES)
        text = f'Unsupported value: "{mode}": supported values: {listed}'
        causes.append(("FieldValueNotSupported", text, "fieldValidation"))
    if causes:
        raise invalid_options(_OPTIONS[method], causes)


def seconds_of(text: str | None, default: float) -> float:
    """A timeout in the query."""
    try:
        return float(text) if text else default
    except ValueError:
        return default


def number_of(query: dict[str, str], name: str) -> int:
    """A count in the query; 0 if it is not given.

    Raises:
        StatusError: 400, not a number.
    """
    text = query.get(name, "")
    if text and not text.isdigit():
        raise bad_request(f'{name}: Invalid value: "{text}": strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text or 0)


def revision_of(query: dict[str, str], *, watching: bool = False) -> int | None:
    """`resourceVersion` as a number; None if it is not given.

    Raises:
        StatusError: 400 (500 for a watch), not a number.
    """
    text = query.get("resourceVersion", "")
    if text == "":
        return None
    if text.isdigit():
        return int(text)
    wrong = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    raise StatusError(500, "", wrong) if watching else bad_request(f"invalid resource version: {wrong}")
