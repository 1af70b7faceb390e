"""What a watch delivers on a bad day: the same events fewer, more often, or in another order."""

from reconciler.shell.cluster import WatchEvent
from simulator.faults import FaultKind
from simulator.ports import Call
from simulator.universe import Universe

#: How many events of before come again.
REPLAYED = 50


def delivered(fault: FaultKind, seen: list[WatchEvent], call: Call, universe: Universe) -> list[WatchEvent]:
    """What arrives of what was to be seen."""
    match fault:
        case FaultKind.COALESCE:
            return _coalesced(seen)
        case FaultKind.REPEAT:
            return [*seen, *seen]
        case FaultKind.REORDER:
            # The last one stays: it is the bookmark, and says how far this came.
            return [*reversed(seen[:-1]), *seen[-1:]]
        case FaultKind.REPLAY:
            return [*_before(call, universe)[-REPLAYED:], *seen]
        case FaultKind.LOSE_EVENTS:
            return [event for event in seen if event.type == "BOOKMARK"]
    return seen


def _coalesced(seen: list[WatchEvent]) -> list[WatchEvent]:
    """Of each object only what came last."""
    last: dict[str, WatchEvent] = {}
    for event in seen:
        key = str(event.object["metadata"].get("uid", ""))
        last.pop(key, None)
        last[key] = event
    return list(last.values())


def _before(call: Call, universe: Universe) -> list[WatchEvent]:
    """Every event of this kind since the beginning, or since the history begins."""
    assert call.resource is not None
    since = str(max(1, universe.model.store.compacted))
    seen = universe.cluster.watch(call.resource, since, None, str(call.sent or ""))
    return [event for event in seen if event.type != "BOOKMARK"]
