"""Makes faults come to pass at the calls they are meant for."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar, cast

from eventstore.events import Policy
from eventstore.vocabulary import ErrorCategory
from reconciler.shell.cluster import ClusterError, ResourceExpiredError, WatchEvent
from reconciler.shell.leadership import MARGIN
from reconciler.shell.watches import WatchTimes
from simulator.answers import conflict, forbidden, odd_answer, took_effect
from simulator.deliveries import delivered
from simulator.faults import Fault, FaultKind, ProcessDiedError
from simulator.interference import fight_back, interfere
from simulator.ports import Call, unreachable
from simulator.replica import RENEW_SECONDS, TTL_SECONDS, Duty, Replica, Timing

if TYPE_CHECKING:
    from simulator.scheduler import Simulation

_Answer = TypeVar("_Answer")
Lost = Callable[[Call], Exception]
#: How long a server is away, and how far a clock is set.
OUTAGE_SECONDS, CLOCK_STEP_SECONDS = 300.0, 30.0
#: A watch that says nothing is given up after so long.
SILENCE_SECONDS = 90.0
#: How long a call takes that does not come back before its deadline.
HANG_SECONDS = 90.0
#: How often somebody is faster in a row, and how often somebody edits an object again.
CONFLICTS, FIGHTS = 3, 4
#: Another release: it says so, and has other times.
OTHER_BUILD = Timing(policy=Policy(retry_initial_seconds=11.0, health_grace_seconds=31.0), version="simulated-next")
#: These happen once the call has taken effect.
_AFTERWARDS = frozenset({FaultKind.POST, FaultKind.DIE_AFTER, FaultKind.HANG})
#: So long nobody can be expected to lead, or to see what is wanted.
_TROUBLE_SECONDS = {
    FaultKind.STORE_DOWN: OUTAGE_SECONDS,
    FaultKind.API_DOWN: OUTAGE_SECONDS,
    FaultKind.FORBIDDEN: OUTAGE_SECONDS,
    FaultKind.HANG: HANG_SECONDS,
    FaultKind.STEAL: TTL_SECONDS,
    FaultKind.LOSE_EVENTS: WatchTimes().relist_seconds,
}
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
        #: Verb and kind -> until when it is forbidden.
        self._forbidden: dict[tuple[str, str], float] = {}
        #: Process, verb and key -> what its next calls like that get.
        self._coming: dict[tuple[str, str, str], list[Lost]] = {}
        #: Process and kind -> the version up to which the server has forgotten what happened, until the next list.
        self._forgotten: dict[tuple[str, str], int] = {}
        #: `Service/prod-prometheus` -> how often somebody will still edit it after us.
        self._fights: dict[str, int] = {}
        #: Name of a process -> revision of the cluster that its successor will see first.
        self.stale: dict[str, int] = {}
        self._acts: dict[FaultKind, Callable[[Replica, Call, Lost], None]] = {
            FaultKind.PRE: _lose,
            FaultKind.POST: _nothing,
            FaultKind.DIE_AFTER: self._kill,
            FaultKind.COALESCE: _nothing,
            FaultKind.REPEAT: _nothing,
            FaultKind.REORDER: _nothing,
            FaultKind.REPLAY: _nothing,
            FaultKind.LOSE_EVENTS: _nothing,
            FaultKind.DIE_BEFORE: self._kill,
            FaultKind.DIE_STALE: self._kill_and_lag,
            FaultKind.TAKEOVER: self._let_another_act,
            FaultKind.TAKEOVER_EDIT: self._edit_and_let_another_act,
            FaultKind.DEPOSE: self._depose,
            FaultKind.STEAL: self._steal,
            FaultKind.USURP: self._usurp,
            FaultKind.OTHER_BUILD: self._kill_and_build,
            FaultKind.GONE: self._expire,
            FaultKind.GONE_TWICE: self._expire_twice,
            FaultKind.WATCH_BUG: _raise_a_surprise,
            FaultKind.ODD_ANSWER: self._answer_oddly,
            FaultKind.CONFLICTS: self._be_faster,
            FaultKind.FORBIDDEN: self._forbid,
            FaultKind.HANG: self._hang,
            FaultKind.FIGHT: self._fight,
            FaultKind.RESTORED: self._restore_cluster,
            FaultKind.SILENT: self._say_nothing,
            FaultKind.STORE_DOWN: self._take_store_away,
            FaultKind.API_DOWN: self._take_api_away,
            FaultKind.CLOCK_BACK: self._set_clock_back,
            FaultKind.CLOCK_FORWARD: self._set_clock_forward,
            FaultKind.CLOCK_HOUR_BACK: self._set_clock_an_hour_back,
            FaultKind.CLOCK_YEARS_AHEAD: self._set_clock_years_ahead,
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
            universe = simulation.universe
            universe.trouble_until = max(universe.trouble_until, self._now() + _TROUBLE_SECONDS.get(fault, 0.0))
            act = self._acts.get(fault)
            if act is None:
                interfere(fault, simulation.universe)
            elif fault not in _AFTERWARDS:
                act(replica, call, lost)
            if not replica.alive:
                raise ProcessDiedError
        if any(call.verb.startswith(verbs) and self._now() < until for verbs, until in self._away.items()):
            raise lost(call)
        checked(replica, call)
        refused = self._refusal(replica, call)
        if refused is not None:
            raise refused
        answer = self._answer(replica, call, do)
        if fault in _AFTERWARDS:
            simulation.took_effect(replica, call)
            self._acts[fault](replica, call, lost)
            raise lost(call) if replica.alive else ProcessDiedError
        if fault is FaultKind.ODD_ANSWER:
            raise odd_answer(call)
        if call.verb == "cluster.watch":
            seen = cast("list[WatchEvent]", answer)
            call.heard = sum(event.type != "BOOKMARK" for event in seen)
            return cast("_Answer", delivered(fault, seen, call, simulation.universe) if fault else seen)
        self._answer_back(replica, call)
        return answer

    def _refusal(self, replica: Replica, call: Call) -> Exception | None:
        """What this call gets for something that happened at an earlier one."""
        if call.resource is not None and self._now() < self._forbidden.get((call.verb, call.resource.kind), 0.0):
            return forbidden(call)
        if 0 <= call.since <= self._forgotten.get((replica.name, call.key), -1):
            return _expired(call)
        coming = self._coming.get((replica.name, call.verb, call.key))
        return coming.pop()(call) if coming else None

    def _answer(self, replica: Replica, call: Call, do: Callable[[], _Answer]) -> _Answer:
        universe = self._simulation.universe
        if call.verb == "cluster.list" and replica.lags():
            self._forgotten.pop((replica.name, call.key), None)
            return cast("_Answer", universe.old_list(call, replica.lists_from))
        if call.verb == "cluster.watch" and replica.lags():
            return cast("_Answer", [])
        with universe.written_by(replica.name):
            answer = do()
        if call.verb == "cluster.list":
            self._forgotten.pop((replica.name, call.key), None)
        return answer

    def _answer_back(self, replica: Replica, call: Call) -> None:
        """Somebody who fights for an object has his turn after each of our writes to it."""
        if call.verb in ("cluster.apply", "cluster.apply_new") and self._fights.get(call.key, 0):
            self._fights[call.key] -= 1
            fight_back(self._simulation.universe, call.key)

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
        self._other(replica)
        with suppress(TimeoutError):
            # Which of the others does not matter.
            self._simulation.rest(until=self._is_led_by_one_who_moves)
        replica.stalled = False

    def _is_led_by_one_who_moves(self) -> bool:
        return any(one.leads() and not one.stalled for one in self._simulation.replicas)

    def _depose(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        """The process stands still until another one has the lease."""
        replica.stalled = True
        clock = self._simulation.universe.clock
        clock.advance(TTL_SECONDS)
        other = self._other(replica)
        with suppress(ProcessDiedError):
            while not other.leads() and (duty := _next_of(other)) is not None:
                clock.advance_to(duty.due_at)
                duty.do()
        replica.stalled = False

    def _other(self, replica: Replica) -> Replica:
        """Another process; one that stands still itself does nothing for anybody."""
        replicas = self._simulation.replicas
        moving = [one for one in replicas if one is not replica and not one.stalled]
        names = {one.name for one in replicas}
        free = next(name for number in count(1) if (name := f"replica-{number}") not in names)
        return moving[0] if moving else self._simulation.start(free)

    def _kill_and_build(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        """The next process of this name is of another build, the one after it of the first one again."""
        simulation = self._simulation
        before = simulation.timings.pop(replica.name, None)
        if before is None:
            simulation.timings[replica.name] = OTHER_BUILD
        simulation.kill(replica)

    def _steal(self, _replica: Replica, _call: Call, _lost: Lost) -> None:
        """The row is somebody else's all at once."""
        lease = self._simulation.universe.log.lease
        current = lease.current()
        if current is not None:
            lease.release(current)
        lease.acquire("somebody-else", TTL_SECONDS)

    def _usurp(self, replica: Replica, call: Call, _lost: Lost) -> None:
        """The row runs out before its time, and another process has it and acts; this one's clock says nothing."""
        universe = self._simulation.universe
        interfere(FaultKind.EDIT, universe)
        current = universe.log.lease.current()
        if current is None:
            return
        replica.stalled, replica.slept_at = True, call.index
        self._other(replica)
        universe.log.lease.release(current)
        # Shorter than what is left of the time that it was granted, however long ago it asked.
        self._simulation.wait(TTL_SECONDS * (1 - MARGIN) - RENEW_SECONDS - 2.0)
        replica.stalled = False

    # -- servers and clocks ----------------------------------------------------------------------------------------

    def _take_store_away(self, _replica: Replica, _call: Call, _lost: Lost) -> None:
        self._away[_STORE] = self._now() + OUTAGE_SECONDS

    def _take_api_away(self, _replica: Replica, _call: Call, _lost: Lost) -> None:
        self._away[_CLUSTER] = self._now() + OUTAGE_SECONDS

    def _set_clock_back(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        replica.clock.wrong_by_seconds -= CLOCK_STEP_SECONDS

    def _set_clock_forward(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        replica.clock.wrong_by_seconds += CLOCK_STEP_SECONDS

    def _set_clock_an_hour_back(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        replica.clock.wrong_by_seconds -= 3600.0

    def _set_clock_years_ahead(self, replica: Replica, _call: Call, _lost: Lost) -> None:
        replica.clock.wrong_by_seconds += 10 * 365 * 86400.0

    def _restore_cluster(self, _replica: Replica, _call: Call, _lost: Lost) -> None:
        """A backup from before the last wish is put back, and every connection is cut."""
        simulation = self._simulation
        simulation.universe.restore(simulation.wished_at)
        for replica in simulation.replicas:
            for kind in replica.cut_watches():
                self._coming[replica.name, "cluster.watch", kind] = [unreachable]

    def _forbid(self, _replica: Replica, call: Call, _lost: Lost) -> None:
        if call.resource is not None:
            self._forbidden[call.verb, call.resource.kind] = self._now() + OUTAGE_SECONDS

    def _answer_oddly(self, replica: Replica, call: Call, lost: Lost) -> None:
        if call.resource is None:
            _lose(replica, call, lost)
        elif not took_effect(call):
            raise odd_answer(call)

    def _be_faster(self, replica: Replica, call: Call, lost: Lost) -> None:
        if call.resource is None and call.verb != "log.append":
            _lose(replica, call, lost)
        self._coming[replica.name, call.verb, call.key] = [conflict] * CONFLICTS

    def _hang(self, replica: Replica, call: Call, _lost: Lost) -> None:
        """No answer comes; whoever waits for it waits, and the rest of the process goes on."""
        waits = "lease" if call.verb.startswith("lease.") else "work" if replica.working_on else "announce"
        replica.hung.add(waits)
        self._simulation.wait(HANG_SECONDS)
        replica.hung.discard(waits)

    def _fight(self, _replica: Replica, call: Call, _lost: Lost) -> None:
        self._fights[call.key] = FIGHTS

    def _expire_twice(self, replica: Replica, call: Call, lost: Lost) -> None:
        """The next watch, from the list that follows on this 410, gets another."""
        self._coming[replica.name, call.verb, call.key] = [lambda later: self._forget(replica, later)]
        self._expire(replica, call, lost)

    def _expire(self, replica: Replica, call: Call, _lost: Lost) -> None:
        raise self._forget(replica, call)

    def _forget(self, replica: Replica, call: Call) -> ClusterError:
        """From that version on nothing can be watched any more: only a list helps."""
        self._forgotten[replica.name, call.key] = call.since
        return _expired(call)

    def _say_nothing(self, replica: Replica, call: Call, _lost: Lost) -> None:
        """A half-open connection: the watch hears nothing until it is given up. The process goes on meanwhile."""
        replica.hold_watch(call.key, SILENCE_SECONDS)
        raise ClusterError(ErrorCategory.TRANSIENT, "WatchStalled", f"the watch of {call.key} was silent")


def _nothing(_replica: Replica, _call: Call, _lost: Lost) -> None:
    """It happens after the call."""


def _lose(_replica: Replica, call: Call, lost: Lost) -> None:
    raise lost(call)


def _expired(call: Call) -> ClusterError:
    return ResourceExpiredError(ErrorCategory.TRANSIENT, "Expired", f"410 for {call.key}")


def _raise_a_surprise(replica: Replica, call: Call, lost: Lost) -> None:
    if call.verb != "cluster.watch":
        _lose(replica, call, lost)
    raise RuntimeError(f"nobody thought of this in {call.verb} of {call.key}")


def _next_of(replica: Replica) -> Duty | None:
    """What a replica does on its way to the lease."""
    duties = [duty for duty in replica.duties() if duty.name == "lease" or duty.name.startswith("watch")]
    lists = [duty for duty in duties if duty.name != "lease" and not duty.periodic]
    return min(lists or duties, key=lambda duty: duty.due_at, default=None)
