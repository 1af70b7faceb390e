"""What goes wrong in a session: outages that last, refusals that last, and faults at a call that is still to come."""

import json
from typing import Any

import msgspec

from reconciler.shell import api_refusal
from reconciler.shell.api_errors import classify
from reconciler.shell.cluster import ClusterError
from sandbox.errors import StatusError, forbidden_by_rbac
from sandbox.faults import USER, Injection, error_of
from simulator.faults import Fault, FaultKind
from simulator.ports import Call, store_unavailable, unreachable
from simulator.scheduler import Simulation

CLUSTER, STORE = "api", "store"
_PORTS = {CLUSTER: ("cluster.",), STORE: ("log.", "lease.", "outbox.")}
#: Verb of the port -> verb of the API, as permissions name them.
_API_VERBS = {"apply": "patch", "apply_new": "patch", "status": "patch", "finalizers": "patch"}


class Order(msgspec.Struct, kw_only=True):
    """What is to happen at the next calls of a kind."""

    #: `apply`, `delete`, `append`, `renew`, ...; `*` for any call.
    verb: str
    #: Kind or `Kind/name`; "" for any.
    what: str
    #: A fault, or the status that the API server answers with.
    how: FaultKind | int
    left: int = 1

    def meets(self, call: Call) -> bool:
        """Whether the call is one of them."""
        verb = call.verb.partition(".")[2]
        same = self.verb in ("*", verb) or (self.verb == "apply" and verb == "apply_new")
        return same and self.what.lower() in ("", call.key.lower(), call.key.partition("/")[0].lower())


class Denial(msgspec.Struct, frozen=True, order=True):
    """A permission that was taken away: RBAC verb and plural."""

    verb: str
    resource: str


class Trouble:
    """Stands at every call of the operator."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        simulation.on_call = self._at
        #: `api`, `store`.
        self.away: set[str] = set()
        self.denied: set[Denial] = set()
        self.orders: list[Order] = []

    def _at(self, call: Call) -> None:
        if CLUSTER in self.away and call.verb.startswith(_PORTS[CLUSTER]):
            raise unreachable(call)
        if STORE in self.away and call.verb.startswith(_PORTS[STORE]):
            raise store_unavailable(call)
        order = next((one for one in self.orders if one.meets(call)), None)
        if order is not None:
            self._carry_out(order, call)
        if call.resource is not None:
            self._ask_permission(call)

    def _carry_out(self, order: Order, call: Call) -> None:
        order.left -= 1
        if not order.left:
            self.orders.remove(order)
        if isinstance(order.how, FaultKind):
            self._simulation.mischief.add(Fault(call.index, order.how))
        else:
            raise _refused(error_of(Injection(status=order.how)), call)

    def _ask_permission(self, call: Call) -> None:
        asked = _asked(call)
        for denial in self.denied:
            if denial.verb in ("*", asked.verb) and denial.resource in ("*", asked.plural):
                group = asked.api_version.rpartition("/")[0]
                resource = f"{asked.plural}/{asked.subresource}" if asked.subresource else asked.plural
                error = forbidden_by_rbac(USER, asked.verb, resource, group, asked.namespace, asked.name)
                raise _refused(error, call)


def _asked(call: Call) -> api_refusal.Call:
    assert call.resource is not None
    verb = call.verb.partition(".")[2]
    return api_refusal.Call(
        verb=_API_VERBS.get(verb, verb),
        api_version=call.resource.api_version,
        kind=call.resource.kind,
        plural=call.resource.plural,
        subresource="status" if verb == "status" else "",
        namespace=call.namespace,
        name=call.key.partition("/")[2],
    )


def _refused(error: StatusError, call: Call) -> ClusterError:
    headers: dict[str, Any] = {}
    if error.retry_after_seconds is not None:
        headers["retry-after"] = str(error.retry_after_seconds)
    return classify(error.code, json.dumps(error.body()).encode(), headers, _asked(call))
