"""What is sent and what comes back, checked before it counts as a fact. Pure.

A 200 proves nothing: proxies answer with login pages, cut connections end in the middle of a document.
"""

import json
from typing import Any

import msgspec

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_errors import classify, classify_status_object
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_streams import bad_response
from reconciler.shell.api_transport import Answer
from reconciler.shell.cluster import ClusterError, KubernetesObject, Resource, WatchEvent

REQUEST_BYTES_MAX = 3 * 1024 * 1024
_WATCH_TYPES = ("ADDED", "MODIFIED", "DELETED", "BOOKMARK")


def encode_body(body: dict[str, Any], call: Call) -> bytes:
    """JSON as UTF-8 bytes.

    Raises:
        ClusterError: a value that JSON or UTF-8 cannot carry (NaN, lone surrogates), or too much of it.
    """
    try:
        data = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):
        # The exception is not chained: its text may hold the value.
        raise ClusterError(
            ErrorCategory.CONFIGURATION, "Rejected", f"{call.subject} holds a value that JSON cannot carry"
        ) from None
    if len(data) > REQUEST_BYTES_MAX:
        raise ClusterError(
            ErrorCategory.CONFIGURATION,
            "ConfigTooLarge",
            f"{call.subject} is {len(data)} bytes, more than the {REQUEST_BYTES_MAX} that the API accepts",
        )
    return data


def json_object(answer: Answer, call: Call) -> dict[str, Any]:
    if not 200 <= answer.status < 300:
        raise classify(answer.status, answer.body, answer.headers, call)
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        kind = answer.headers.get("content-type", "no content type")[:60]
        raise bad_response(call, f"{len(answer.body)} bytes of {kind} that are not JSON") from None
    if not isinstance(found, dict):
        raise bad_response(call, "JSON that is not an object")
    return found


def checked_object(answer: Answer, api_version: str, kind: str, call: Call) -> KubernetesObject:
    found = json_object(answer, call)
    if found.get("kind") != kind or found.get("apiVersion") != api_version:
        other = f"{found.get('apiVersion')!s:.60} {found.get('kind')!s:.60}"
        raise bad_response(call, f"a {other} where a {api_version} {kind} was asked for")
    return found


def check_identity(found: KubernetesObject, call: Call) -> None:
    metadata = found.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("uid") or not metadata.get("resourceVersion"):
        raise bad_response(call, "an object without uid or resourceVersion")
    if call.name and metadata.get("name") != call.name:
        raise bad_response(call, f"another object ({metadata.get('name')!s:.80})")
    if call.namespace and metadata.get("namespace") != call.namespace:
        raise bad_response(call, f"an object of another namespace ({metadata.get('namespace')!s:.80})")


def list_items(page: KubernetesObject, resource: Resource, call: Call) -> list[KubernetesObject]:
    items = page.get("items")
    # Go servers write an empty list as null.
    if items is None:
        return []
    if not isinstance(items, list):
        raise bad_response(call, "a list without items")
    for item in items:
        if not isinstance(item, dict):
            raise bad_response(call, "a list with an item that is not an object")
        # Items of a list of a built-in kind do not say what they are.
        item["apiVersion"], item["kind"] = resource.api_version, resource.kind
        check_identity(item, call)
    return items


def watch_event(line: bytes, resource: Resource, call: Call) -> WatchEvent:
    try:
        event = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_response(call, "a line that is not JSON") from None
    found = event.get("object") if isinstance(event, dict) else None
    if not isinstance(found, dict):
        raise bad_response(call, "a line that is not a watch event")
    if event.get("type") == "ERROR":
        raise classify_status_object(found, call)
    if event.get("type") not in _WATCH_TYPES:
        raise bad_response(call, f"a watch event of type {event.get('type')!s:.40}")
    if found.get("kind") != resource.kind or found.get("apiVersion") != resource.api_version:
        raise bad_response(call, f"a watch event about a {found.get('kind')!s:.60}")
    metadata = found.get("metadata")
    if event["type"] == "BOOKMARK":
        if not isinstance(metadata, dict) or not metadata.get("resourceVersion"):
            raise bad_response(call, "a bookmark without resourceVersion")
    else:
        check_identity(found, call)
    return WatchEvent(event["type"], found)
