"""Every single fault of a workload: each call of the undisturbed run, with each kind of fault that can be there."""

from collections.abc import Iterator
from functools import cache
from itertools import groupby

from simulator.faults import Fault, FaultKind
from simulator.ports import Call
from tests.simulation.runs import Run, run
from tests.simulation.workloads import WORKLOADS, Workload

#: To a call that changes nothing, an error before and an error after are the same, and so is a death.
_ONLY_WRITES = frozenset({FaultKind.POST, FaultKind.DIE_BEFORE, FaultKind.DIE_AFTER, FaultKind.DIE_STALE})
#: Only a watch can have these.
_ONLY_WATCHES = frozenset({FaultKind.GONE, FaultKind.SILENT})
#: With fewer events there is nothing to leave out, to repeat or to put in another order.
_EVENTS_LEAST = {FaultKind.COALESCE: 2, FaultKind.REPEAT: 1, FaultKind.REORDER: 2}
#: Between two writes nobody can tell when another hand came: once is enough.
_OTHER_HANDS = frozenset(
    {
        FaultKind.EDIT,
        FaultKind.DELETE,
        FaultKind.LOSE_CHILD,
        FaultKind.EDIT_CHILD,
        FaultKind.REPLACE_CHILD,
        FaultKind.SPOIL_STATUS,
        FaultKind.TAKEOVER,
        FaultKind.TAKEOVER_EDIT,
        FaultKind.DEPOSE,
        FaultKind.STORE_DOWN,
        FaultKind.API_DOWN,
        FaultKind.CLOCK_BACK,
        FaultKind.CLOCK_FORWARD,
    }
)
#: Of these, what others do to the platform and its children.
_HANDS = frozenset(
    {
        FaultKind.EDIT,
        FaultKind.DELETE,
        FaultKind.LOSE_CHILD,
        FaultKind.EDIT_CHILD,
        FaultKind.REPLACE_CHILD,
        FaultKind.SPOIL_STATUS,
    }
)
#: An error before, an error after it took effect, the death of the process, another actor first: at whatever call.
AT_EVERY_CALL = _HANDS | {
    FaultKind.PRE,
    FaultKind.POST,
    FaultKind.DIE_BEFORE,
    FaultKind.DIE_AFTER,
    FaultKind.DIE_STALE,
    FaultKind.TAKEOVER,
    FaultKind.TAKEOVER_EDIT,
    FaultKind.DEPOSE,
}
#: Only a watch that tells something can tell it otherwise.
_ONLY_NEWS = frozenset({FaultKind.GONE_TWICE, FaultKind.WATCH_BUG, FaultKind.REPLAY, FaultKind.LOSE_EVENTS})
_CHILDREN = frozenset({"cluster.apply", "cluster.apply_new", "cluster.delete"})
_OF_US = _CHILDREN | {"cluster.finalizers", "cluster.status"}
#: Kind -> the calls at which it means something that no other kind means.
_ONLY_AT = {
    FaultKind.ODD_ANSWER: _OF_US | {"cluster.get"},
    FaultKind.FORBIDDEN: _OF_US,
    FaultKind.CONFLICTS: frozenset({"cluster.apply", "cluster.status", "cluster.finalizers", "log.append"}),
    FaultKind.HANG: _OF_US | {"lease.renew", "lease.acquire"},
    FaultKind.STEAL: frozenset({"log.append", "lease.renew"}),
    FaultKind.USURP: _OF_US | {"log.append"},
    FaultKind.OTHER_BUILD: frozenset({"log.append"}),
    FaultKind.RESTORED: _OF_US,
    FaultKind.CLOCK_HOUR_BACK: frozenset({"log.append"}),
    FaultKind.CLOCK_YEARS_AHEAD: frozenset({"log.append"}),
    FaultKind.END_NAMESPACE: _OF_US - {"cluster.delete"},
    FaultKind.FIGHT: _CHILDREN - {"cluster.delete"},
}


@cache
def undisturbed(workload: str, seed: int = 0) -> Run:
    """The run that others are compared with."""
    found = run(WORKLOADS[workload], seed=seed)
    if found.violation is not None:
        raise AssertionError(f"{found.command}: {found.violation.checker}: {found.violation.message}")
    return found


def single_faults(reference: Run, kind: FaultKind) -> Iterator[Fault]:
    """The faults of a kind, one for each call at which it means something."""
    steps = {
        step: list(calls) for step, calls in groupby(reference.calls, lambda call: reference.step_of[call.index - 1])
    }
    for calls in steps.values():
        for at, call in enumerate(calls):
            if means_something(call, kind) and not _is_another(kind, calls, at):
                yield Fault(call.index, kind)


def _is_another(kind: FaultKind, calls: list[Call], at: int) -> bool:
    """Whether a fault at one of the calls of a step comes to the same as that kind, or another, at another of them.

    Within a step nobody but its process does anything.
    """
    call, more_to_come = calls[at], at + 1 < len(calls)
    if kind is FaultKind.DIE_BEFORE:
        # What it learned from its calls dies with it: it could as well have died after the last one that did anything.
        return any(earlier.writes for earlier in calls[:at])
    of_cluster = call.verb.startswith("cluster.")
    if kind is FaultKind.STORE_DOWN:
        # The cluster does not notice that the database is away; and the other way round.
        return of_cluster and more_to_come
    if kind is FaultKind.API_DOWN:
        return not of_cluster and more_to_come
    if kind in _HANDS:
        # The database sees no hand on the cluster, nor does it matter to an Event: the next call is soon enough.
        return (not of_cluster or call.key.startswith("Event/")) and more_to_come
    return False


def means_something(call: Call, kind: FaultKind) -> bool:
    """Whether a fault of this kind can be at the call, and is not one that another call or kind stands for."""
    if kind in _ONLY_WRITES:
        return call.writes
    if kind in _EVENTS_LEAST:
        return call.heard >= _EVENTS_LEAST[kind]
    if kind in _ONLY_WATCHES:
        return call.verb == "cluster.watch"
    if kind in _ONLY_NEWS:
        return call.heard > 0
    if kind in _ONLY_AT:
        return call.verb in _ONLY_AT[kind]
    if kind in _OTHER_HANDS:
        # What a watch will tell is the same whether it happened just before it or somewhat earlier.
        return call.writes or call.verb == "cluster.get"
    return True


def can_be_at(call: Call, kind: FaultKind) -> bool:
    """The same of a call that has not been answered yet."""
    if kind in _ONLY_NEWS or kind in _EVENTS_LEAST:
        return call.verb == "cluster.watch"
    return means_something(call, kind)


def try_faults(workload: Workload, *faults: Fault, seed: int = 0) -> Run:
    """The workload with these faults, compared with the same without."""
    return run(workload, seed=seed, faults=faults, reference=undisturbed(workload.name, seed))
