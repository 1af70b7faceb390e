"""Lists over HTTP: what the options mean together, pages, and lists of the past."""

import base64
import json
from typing import NamedTuple

from sandbox import routing
from sandbox.errors import (
    Cause,
    bad_request,
    forbidden_field,
    inconsistent_continue,
    list_too_old,
    options_invalid,
    too_large,
    unsupported,
)
from sandbox.kinds import Kind
from sandbox.model import ClusterModel
from sandbox.parts import selected, storage_key
from sandbox.store import path_of
from sandbox.values import Object

Query = dict[str, str]
_MATCHES = ("Exact", "NotOlderThan")
_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105  the version of the format, no password


class Page(NamedTuple):
    """Stored objects and the metadata of their list; the objects must not be changed."""

    items: list[Object]
    meta: Object


def listed(model: ClusterModel, kind: Kind, namespace: str | None, query: Query) -> Page:
    """The page of a list that a query asks for; `namespace` is None for all of them.

    Raises:
        StatusError: 400 and 422 for options that make no sense, 410 and 504 for a resourceVersion that is gone or to
            come.
    """
    check_options(query)
    labels, fields = query.get("labelSelector", ""), query.get("fieldSelector", "")
    matches = selected(kind, labels, fields)
    limit, token = routing.number_of(query, "limit"), query.get("continue", "")
    wanted, exact = routing.revision_of(query) or 0, query.get("resourceVersionMatch") == "Exact"
    start = ""
    if token:
        if wanted:
            raise bad_request("specifying resource version is not allowed when using continue")
        wanted, start = _continued(token)
        exact = wanted > 0
    elif wanted and limit and "resourceVersionMatch" not in query:
        exact = True
    store = model.store
    with store.lock:
        if wanted > store.revision:
            raise too_large(wanted, store.revision)
        if exact and wanted < store.compacted:
            raise inconsistent_continue(_continue_token(-1, start)) if token else list_too_old()
        found = store.items_at(storage_key(kind), namespace, wanted if exact else store.revision)
        revision = wanted if exact else store.revision
    # The token's start is the last name and a zero byte: paths up to it were on the pages before.
    items = [item for item in found if matches(item) and (not start or _start_of(item, namespace) > start)]
    meta: Object = {"resourceVersion": str(revision)}
    if limit and len(items) > limit:
        meta["continue"] = _continue_token(revision, _start_of(items[limit - 1], namespace))
        if not labels and not fields:
            meta["remainingItemCount"] = len(items) - limit
        items = items[:limit]
    return Page(items, meta)


def check_options(query: Query) -> None:
    """Refuse options that do not go together.

    Raises:
        StatusError: 422.
    """
    causes = _watch_causes(query) if query.get("watch") in ("1", "true", "True") else _list_causes(query)
    if causes:
        raise options_invalid(causes)


def _list_causes(query: Query) -> list[Cause]:
    causes: list[Cause] = []
    match, revision = query.get("resourceVersionMatch"), query.get("resourceVersion", "")
    field = "resourceVersionMatch"
    if match:
        if not revision:
            causes.append(forbidden_field(field, f"{field} is forbidden unless resourceVersion is provided"))
        if query.get("continue"):
            causes.append(forbidden_field(field, f"{field} is forbidden when continue is provided"))
        if match not in _MATCHES:
            causes.append(unsupported(field, match, [*_MATCHES, ""]))
        if match == "Exact" and revision == "0":
            causes.append(forbidden_field(field, f'{field} "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in query:
        causes.append(forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return causes


def _watch_causes(query: Query) -> list[Cause]:
    causes: list[Cause] = []
    match, initial = query.get("resourceVersionMatch"), "sendInitialEvents" in query
    field = "resourceVersionMatch"
    if initial and match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        causes.append(forbidden_field(field, text))
    if match:
        if not initial:
            causes.append(
                forbidden_field(field, f"{field} is forbidden for watch unless sendInitialEvents is provided")
            )
        if match != "NotOlderThan":
            causes.append(unsupported(field, match, ["NotOlderThan"]))
        if query.get("continue"):
            causes.append(forbidden_field(field, f"{field} is forbidden when continue is provided"))
    return causes


def _start_of(item: Object, namespace: str | None) -> str:
    """Path of an object below what is listed, and a zero byte, which sorts before anything a name goes on with."""
    meta = item["metadata"]
    return (path_of((meta.get("namespace", ""), meta["name"])) if namespace is None else meta["name"]) + "\0"


def _continue_token(revision: int, start: str) -> str:
    content = json.dumps({"v": _TOKEN_VERSION, "rv": revision, "start": start}, separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _continued(token: str) -> tuple[int, str]:
    try:
        content = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, revision, start = content["v"], content["rv"], content["start"]
        if version != _TOKEN_VERSION or not isinstance(revision, int) or not isinstance(start, str):
            raise ValueError(token)
    except (ValueError, KeyError, TypeError):
        raise bad_request("continue key is not valid") from None
    return revision, start
