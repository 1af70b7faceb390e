"""Decides what happens next. One seed, one run: nothing here asks a clock, a thread or a generator of the system."""

import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

import msgspec

from reconciler.shell.cluster import KubernetesObject
from sandbox.kinds import Kind
from simulator.checking import Checker, Written
from simulator.facts import Facts, InvariantError
from simulator.faults import Fault, ProcessDiedError
from simulator.mischief import Mischief
from simulator.ports import Call
from simulator.replica import Replica, Timing
from simulator.universe import Universe

_Answer = TypeVar("_Answer")
#: How long a call takes.
CALL_SECONDS = 0.001
#: How long a dead process stays away.
RESTART_SECONDS = 1.0
#: So long without any change, and things are at rest.
REST_SECONDS = 60.0
#: A stage of a workload is over by then: longer than any wait of the operator but the resync, which must not be needed.
STAGE_SECONDS_MAX = 420.0
STEPS_MAX = 50_000
_NEVER = float("inf")


class Step(msgspec.Struct, frozen=True):
    """Something that may happen now."""

    who: str
    what: str
    do: Callable[[], object]
    replica: Replica | None = None


class Simulation:
    """A universe with replicas in it, moved step by step."""

    def __init__(
        self,
        universe: Universe,
        *,
        seed: int = 0,
        faults: Iterable[Fault] = (),
        checkers: Iterable[Callable[[Facts], Checker]] = (),
    ) -> None:
        """Seed 0 is the unhurried order in which everybody does at once what is due; others are at random."""
        self.universe, self.seed = universe, seed
        self._random = Random(f"{seed}/order")
        self.mischief = Mischief(self, faults)
        self.facts = Facts(universe)
        self._checkers = [checker(self.facts) for checker in checkers]
        self._on_sent = self._that_override("sent")
        self._on_wrote = self._that_override("wrote")
        self._on_appended = self._that_override("appended")
        self._on_stepped = self._that_override("stepped")
        universe.on_write.append(self._wrote)
        self.replicas: list[Replica] = []
        self._incarnations = 0
        #: Name of a process -> the build and policy of those that are started under it; the usual ones if absent.
        self.timings: dict[str, Timing] = {}
        #: (when, name) of processes that come back.
        self._restarts: list[tuple[float, str]] = []
        #: Revision of the cluster before the user last did something.
        self.wished_at = 0
        self.calls: list[Call] = []
        self.steps = 0
        #: While this holds, faults come to pass.
        self.armed = True
        self.armed_calls = 0
        #: Called with each step before it is done, for whoever wants to see them.
        self.on_step: Callable[[Step], None] | None = None
        #: Called with each call that a fault may hit, before anything happens at it.
        self.on_call: Callable[[Call], None] | None = None
        self._changed_at = 0.0

    def _that_override(self, method: str) -> list[Any]:
        return [
            getattr(checker, method)
            for checker in self._checkers
            if getattr(type(checker), method) is not getattr(Checker, method)
        ]

    # -- replicas --------------------------------------------------------------------------------------------------

    def start(self, name: str) -> Replica:
        """Start a process."""
        self._incarnations += 1
        cell: list[Replica] = []

        def gate(call: Call, do: Callable[[], _Answer], lost: Callable[[Call], Exception]) -> _Answer:
            return self._call(cell[0], call, do, lost)

        replica = Replica(self.universe, name, f"{self.seed}/{name}/{self._incarnations}", gate, self.timings.get(name))
        cell.append(replica)
        self.replicas.append(replica)
        return replica

    def kill(self, replica: Replica) -> None:
        """End a process; one of the same name comes back a little later."""
        self.stop(replica)
        self._restarts.append((self.universe.clock.monotonic() + RESTART_SECONDS, replica.name))

    def stop(self, replica: Replica) -> None:
        """End a process for good."""
        replica.alive = False
        self.replicas.remove(replica)

    def restarts(self) -> list[tuple[float, str]]:
        """(monotonic time, name) of the processes that come back."""
        return sorted(self._restarts)

    def _call(
        self, replica: Replica, call: Call, do: Callable[[], _Answer], lost: Callable[[Call], Exception]
    ) -> _Answer:
        """Every call of every port comes through here."""
        if not replica.alive:
            raise ProcessDiedError
        self.calls.append(call)
        call.index = len(self.calls)
        if self.on_call and self.armed:
            self.on_call(call)
        self.universe.clock.advance(CALL_SECONDS)
        answer = self.mischief.perform(replica, call, do, lost, lambda *what: self._ask_checkers(self._on_sent, *what))
        self.took_effect(replica, call)
        return answer

    def took_effect(self, replica: Replica, call: Call) -> None:
        """A call was carried out, whatever its caller hears of it."""
        if call.verb == "log.append":
            self._take_in_news(replica.name)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _due(self, now: float) -> Iterable[Step]:
        """What may happen now."""
        universe = self.universe
        for at, name in list(self._restarts):
            if at <= now:
                yield Step("world", f"restart {name}", lambda at=at, name=name: self._restart(at, name))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        if universe.world.is_due(universe.clock.now()):
            yield Step("world", "step", lambda: universe.world.step(universe.clock.now()))
        for replica in list(self.replicas):
            if not replica.stalled:
                for duty in replica.duties():
                    if duty.due_at <= now:
                        yield Step(replica.name, duty.name, duty.do, replica)

    def _restart(self, at: float, name: str) -> None:
        self._restarts.remove((at, name))
        replica = self.start(name)
        replica.lists_from = self.mischief.stale.pop(name, 0)

    def _step(self) -> bool:
        """Do one thing that is due; False if nothing is."""
        now = self.universe.clock.monotonic()
        steps = self._due(now)
        if self.seed:
            choices = list(steps)
            step = self._random.choice(choices) if choices else None
        else:
            step = next(iter(steps), None)
        if step is None:
            return False
        self._perform(step)
        return True

    def _perform(self, step: Step) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise InvariantError("E8", f"still busy after {STEPS_MAX} steps: {step.who} {step.what}")
        if self.on_step:
            self.on_step(step)
        with suppress(ProcessDiedError):
            step.do()
        self._ask_checkers(self._on_stepped, self.replicas)

    def _next_due(self, *, periodic: bool) -> float:
        """When something is due next; without what comes back for ever, unless `periodic`."""
        universe = self.universe
        due = [at for at, _ in self._restarts]
        world = universe.world.next_due()
        if world is not None:
            due.append(universe.clock.at(world))
        for replica in self.replicas:
            if not replica.stalled:
                due += [duty.due_at for duty in replica.duties() if periodic or not duty.periodic]
        return min(due, default=_NEVER)

    # -- time ------------------------------------------------------------------------------------------------------

    def rest(
        self, patience: Callable[[], float] = lambda: STAGE_SECONDS_MAX, until: Callable[[], bool] = lambda: True
    ) -> None:
        """Go on until it is so and nothing is left to do, or nothing changed for a while.

        Args:
            patience: seconds after which it is too late; asked again and again, for what goes wrong meanwhile counts.
            until: what it is to come to.

        Raises:
            TimeoutError: it did not come to that in time.
        """
        clock = self.universe.clock
        began = self._changed_at = clock.monotonic()
        while True:
            while self._step():
                if clock.monotonic() > began + patience():
                    break
            now, deadline = clock.monotonic(), began + patience()
            if until() and (
                self._next_due(periodic=False) > now + REST_SECONDS or now - self._changed_at > REST_SECONDS
            ):
                return
            if now >= deadline:
                raise TimeoutError
            clock.advance_to(min(self._next_due(periodic=True), deadline))

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let so much time pass, with all that happens in it.

        Args:
            seconds: virtual ones.
            until: ends it earlier; asked when nothing is left to do at an instant.

        Returns:
            Whether it came to that.
        """
        clock = self.universe.clock
        deadline = clock.monotonic() + seconds
        while True:
            while self._step():
                pass
            if until():
                return True
            if clock.monotonic() >= deadline:
                return False
            clock.advance_to(min(self._next_due(periodic=True), deadline))

    def is_idle(self) -> bool:
        """Whether nothing is due for a while but what comes back for ever."""
        return self._next_due(periodic=False) > self.universe.clock.monotonic() + REST_SECONDS

    def step(self) -> Step | None:
        """Do what is due next, after the time until then; None if nothing ever is."""
        done: list[Step] = []
        before, self.on_step = self.on_step, done.append
        try:
            clock = self.universe.clock
            while not self._step():
                due = min(self._next_due(periodic=False), self._next_due(periodic=True))
                if due == _NEVER:
                    return None
                clock.advance_to(due)
        finally:
            self.on_step = before
        return done[0]

    # -- what the checkers see -------------------------------------------------------------------------------------

    def _ask_checkers(self, hooks: list[Any], *what: Any) -> None:
        try:
            for hook in hooks:
                hook(*what)
        except Exception as error:  # a mistake in a checker must not pass for one of the operator
            raise InvariantError("checker", traceback.format_exc(limit=-3)) from error

    def _take_in_news(self, replica: str) -> None:
        self._changed_at = self.universe.clock.monotonic()
        for news in self.facts.news(replica):
            self._ask_checkers(self._on_appended, news)

    def _wrote(self, writer: str, kind: Kind, before: KubernetesObject | None, after: KubernetesObject | None) -> None:
        self._changed_at = self.universe.clock.monotonic()
        if self._on_wrote:
            self._ask_checkers(self._on_wrote, Written(writer, kind, before, after))

    def disarm(self) -> None:
        """From here on all goes well."""
        self.armed, self.armed_calls = False, len(self.calls)

    def describe(self) -> str:
        """Where every platform stands, in a few words."""
        states = [stream.state for stream in self.facts.streams.values()]
        return "; ".join(
            f"{state.name} {state.phase or '-'} ({state.phase_reason}), failure {state.failure}, "
            f"paused {state.paused}, closed {state.closed}, retry {state.retry.attempt} at {state.retry.due_at}"
            for state in states
        )

    def end(self) -> None:
        """Ask every checker for its last word."""
        for checker in self._checkers:
            checker.ended()
