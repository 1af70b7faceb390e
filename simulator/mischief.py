"""Makes faults come to pass at the calls they are meant for."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.cluster import ClusterError, ResourceExpiredError, WatchEvent
from simulator.faults import Fault, FaultKind, ProcessDiedError
from simulator.interference import interfere
from simulator.ports import Call
from simulator.replica import TTL_SECONDS, Duty, Replica

if TYPE_CHECKING:
    from simulator.scheduler import Simulation

_Answer = TypeVar("_Answer")
Lost = Callable[[Call], Exception]
#: How long a server is away, and how far a clock is set.
OUTAGE_SECONDS, CLOCK_STEP_SECONDS = 300.0, 30.0
#: A watch that says nothing is given up after so long.
SILENCE_SECONDS = 90.0
_CLUSTER, _STORE = ("cluster.",), ("log.", "lease.", "outbox.")


class Mischief:
    """The faults of one run."""

    def __init__(self, simulation: "Simulation", faults: Iterable[Fault]) -> None:
        self._simulation = simulation
        self._faults = {fault.call: fault.kind for fault in faults}
        #: What goes wrong in this run.
        self.kinds = frozenset(self._faults.values())
        #: Beginning of verbs -> until when their server is away.
        self._away: dict[tuple[str, ...], float] = {}
        #: Name of a process -> revision of the cluster that its successor will see first.
        self.stale: dict[str, int] = {}
        self._acts: dict[FaultKind, Callable[[Replica, Call, Lost], None]] = {
            FaultKind.PRE: _lose,
            FaultKind.POST: _nothing,
            FaultKind.DIE_AFTER: _nothing,
            FaultKind.COALESCE: _nothing,
            FaultKind.REPEAT: _nothing,
            FaultKind.DIE_BEFORE: self._kill,
            FaultKind.DIE_STALE: self._kill_and_lag,
            FaultKind.TAKEOVER: self._let_another_act,
            FaultKind.TAKEOVER_EDIT: self._edit_and_let_another_act,
            FaultKind.DEPOSE: self._depose,
            FaultKind.GONE: _expire,
            FaultKind.SILENT: self._say_nothing,
            FaultKind.STORE_DOWN: self._take_store_away,
            FaultKind.API_DOWN: self._take_api_away,
            FaultKind.CLOCK_BACK: self._set_clock_back,
            FaultKind.CLOCK_FORWARD: self._set_clock_forward,
        }

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All of them, by their calls."""
        return tuple(Fault(call, kind) for call, kind in sorted(self._faults.items()))

    def add(self, fault: Fault) -> None:
        """One more thing that goes wrong, at a call that has not been carried out yet."""
        self._faults[fault.call] = fault.kind
        self.kinds = frozenset(self._faults.values())

    def perform(self, replica: Replica, call: Call, do: Callable[[], _Answer], lost: Lost, checked: Any) -> _Answer:
        """The call, with what goes wrong at it; `checked` is told before it takes effect.

        Raises:
            ProcessDiedError: the process ends here.
        """
        simulation = self._simulation
        fault = self._faults.get(call.index) if simulation.armed else None
        if fault is not None:
            act = self._acts.get(fault)
            if act is None:
                interfere(fault, simulation.universe)
            else:
                act(replica, call, lost)
            if not replica.alive:
                raise ProcessDiedError
        if any(call.verb.startswith(verbs) and self._now() < until for verbs, until in self._away.items()):
            raise lost(call)
        checked(replica, call)
        answer = self._answer(replica, call, do)
        if fault is FaultKind.POST:
            simulation.took_effect(replica, call)
            raise lost(call)
        if fault is FaultKind.DIE_AFTER:
            simulation.took_effect(replica, call)
            self._kill(replica, call, lost)
            raise ProcessDiedError
        if fault in (FaultKind.COALESCE, FaultKind.REPEAT) and call.verb == "cluster.watch":
            seen = cast("list[WatchEvent]", answer)
            return cast("_Answer", _coalesced(seen) if fault is FaultKind.COALESCE else _repeated(seen))
        return answer

    def _answer(self, replica: Replica, call: Call, do: Callable[[], _Answer]) -> _Answer:
        universe = self._simulation.universe
        if replica.lists_from and call.verb == "cluster.list":
            return cast("_Answer", universe.old_list(call, replica.lists_from))
        if call.verb == "cluster.watch" and replica.lags():
            return cast("_Answer", [])
        with universe.written_by(replica.name):
            return do()

    def _now(self) -> float:
        return self._simulation.universe.clock.monotonic()

    # -- processes -------------------------------------------------------------------------------------------------

    def _kill(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        self._simulation.kill(replica)

    def _kill_and_lag(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        self._simulation.kill(replica)
        self.stale[replica.name] = self._simulation.wished_at

    def _edit_and_let_another_act(self, replica: Replica, call: Call, lost: Lost) -> None:
        interfere(FaultKind.EDIT, self._simulation.universe)
        self._let_another_act(replica, call, lost)

    def _let_another_act(self, replica: Replica, call: Call, _lost: Lost) -> None:
        """The process stands still until its lease is over and another one has done all there is to do."""
        replica.stalled, replica.slept_at = True, call.index
        other = self._other(replica)
        with suppress(TimeoutError):
            self._simulation.rest(until=other.leads)
        replica.stalled = False

    def _depose(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        """The process stands still until another one has the lease."""
        clock = self._simulation.universe.clock
        clock.advance(TTL_SECONDS)
        other = self._other(replica)
        with suppress(ProcessDiedError):
            while not other.leads() and (duty := _next_of(other)) is not None:
                clock.advance_to(duty.due_at)
                duty.do()

    def _other(self, replica: Replica) -> Replica:
        others = [one for one in self._simulation.replicas if one is not replica]
        return others[0] if others else self._simulation.start("replica-1")

    # -- servers and clocks ----------------------------------------------------------------------------------------

    def _take_store_away(self, _replica: Replica, _call: Call, _lost: Lost) -> None:
        self._away[_STORE] = self._now() + OUTAGE_SECONDS

    def _take_api_away(self, _replica: Replica, _call: Call, _lost: Lost) -> None:
        self._away[_CLUSTER] = self._now() + OUTAGE_SECONDS

    def _set_clock_back(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        replica.clock.wrong_by_seconds -= CLOCK_STEP_SECONDS

    def _set_clock_forward(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        replica.clock.wrong_by_seconds += CLOCK_STEP_SECONDS

    def _say_nothing(self, replica: Replica, call: Call, _lost: Lost) -> None:
        """A half-open connection: the watch hears nothing until it is given up. The process goes on meanwhile."""
        replica.hold_watch(call.key, SILENCE_SECONDS)
        raise ClusterError(ErrorCategory.TRANSIENT, "WatchStalled", f"the watch of {call.key} was silent")


def _nothing(_replica: Replica, _call: Call, _lost: Lost) -> None:
    """It happens after the call."""


def _lose(_replica: Replica, call: Call, lost: Lost) -> None:
    raise lost(call)


def _expire(_replica: Replica, call: Call, _lost: Lost) -> None:
    raise ResourceExpiredError(ErrorCategory.TRANSIENT, "Expired", f"410 for {call.key}")


def _coalesced(seen: list[WatchEvent]) -> list[WatchEvent]:
    """Of each object only what came last."""
    last: dict[str, WatchEvent] = {}
    for event in seen:
        key = str(event.object["metadata"].get("uid", ""))
        last.pop(key, None)
        last[key] = event
    return list(last.values())


def _repeated(seen: list[WatchEvent]) -> list[WatchEvent]:
    """Everything once more, from the beginning."""
    return [*seen, *seen]


def _next_of(replica: Replica) -> Duty | None:
    """What a replica does on its way to the lease."""
    duties = [duty for duty in replica.duties() if duty.name == "lease" or duty.name.startswith("watch")]
    lists = [duty for duty in duties if duty.name != "lease" and not duty.periodic]
    return min(lists or duties, key=lambda duty: duty.due_at, default=None)
