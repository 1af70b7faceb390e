"""Answers of an API server that are no good: what the operator's own table makes of them."""

from collections.abc import Mapping

import msgspec

from eventstore.errors import StreamConflictError
from eventstore.vocabulary import ErrorCategory
from reconciler.shell import api_refusal
from reconciler.shell.api_errors import classify
from reconciler.shell.cluster import ClusterError
from simulator.ports import Call

_RBAC_VERBS = {
    "cluster.apply": "patch",
    "cluster.apply_new": "patch",
    "cluster.status": "patch",
    "cluster.finalizers": "patch",
    "cluster.create": "create",
    "cluster.delete": "delete",
    "cluster.get": "get",
    "cluster.list": "list",
    "cluster.watch": "watch",
}


class _Odd(msgspec.Struct, frozen=True):
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}
    #: The server did it, and the answer got lost on the way.
    took_effect: bool = False


_HTML = b"<html><head><title>Bad Gateway</title></head><body>proxy</body></html>"
_ODD = (
    _Odd(429, headers={"retry-after": "0"}),
    _Odd(429, headers={"retry-after": "-1"}),
    _Odd(503, headers={"retry-after": "99999"}),
    _Odd(503, headers={"retry-after": "Mon, 23 Nov 2026 09:00:30 GMT"}),
    _Odd(500, b'{"kind":"Status","status":"Failure","message":"etcdserver: leader changed","code":500}'),
    _Odd(504, b'{"kind":"Status","status":"Failure","message":"request did not complete","code":504}', {}, True),
    _Odd(502, _HTML),
    _Odd(502, _HTML, {}, True),
    _Odd(401, b'{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}'),
    #: 200, and then the connection broke in the middle of the object.
    _Odd(200, b'{"kind":"Stat', {}, True),
)


def took_effect(call: Call) -> bool:
    """Whether the server did what it was asked before it answered like that."""
    return _odd(call).took_effect


def odd_answer(call: Call) -> ClusterError:
    """The error that the answer at this call stands for; another one at each call."""
    odd = _odd(call)
    if odd.status == 200:
        return ClusterError(ErrorCategory.TRANSIENT, "BadResponse", f"the answer to {call.verb} breaks off")
    return classify(odd.status, odd.body, odd.headers, _asked(call))


def forbidden(call: Call) -> ClusterError:
    """The role of the operator does not hold this verb any more."""
    asked = _asked(call)
    text = f'cannot {asked.verb} resource "{asked.plural}" in API group "{asked.group}" in the namespace "demo"'
    body = {"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": text}
    return classify(403, msgspec.json.encode(body), {}, asked)


def conflict(call: Call) -> Exception:
    """Somebody else was faster."""
    if call.verb.startswith("log."):
        return StreamConflictError(call.key, 0, 1)
    body = {
        "kind": "Status",
        "status": "Failure",
        "reason": "Conflict",
        "code": 409,
        "message": "the object has been modified; please apply your changes to the latest version and try again",
    }
    return classify(409, msgspec.json.encode(body), {}, _asked(call))


def _odd(call: Call) -> _Odd:
    return _ODD[call.index % len(_ODD)]


def _asked(call: Call) -> api_refusal.Call:
    assert call.resource is not None
    return api_refusal.Call(
        verb=_RBAC_VERBS[call.verb],
        api_version=call.resource.api_version,
        kind=call.resource.kind,
        plural=call.resource.plural,
        subresource="status" if call.verb == "cluster.status" else "",
        namespace=call.namespace,
        name=call.key.partition("/")[2],
    )
