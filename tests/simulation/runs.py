"""One run from beginning to end, and the command that repeats it."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any

import msgspec

from eventstore.log import EventLog
from reconciler.shell import executor
from reconciler.shell.watches import WatchTimes
from simulator.checking import Checker
from simulator.clock import VirtualClock
from simulator.facts import Facts, InvariantError
from simulator.faults import (
    ASKED_AGAIN,
    ON_CHILDREN,
    OPEN_END,
    OUTAGES,
    SAME_DEEDS,
    SAME_DEEDS_ONCE,
    Fault,
    FaultKind,
    format_faults,
)
from simulator.interference import remove_foreign
from simulator.mischief import CONFLICTS, OUTAGE_SECONDS
from simulator.mischief import SILENCE_SECONDS as WATCH_SILENCE_SECONDS
from simulator.ports import Call
from simulator.quiet import kept_logs
from simulator.replica import RESYNC_SECONDS, TTL_SECONDS
from simulator.scheduler import STAGE_SECONDS_MAX, Simulation, Step
from simulator.universe import GRACE_SECONDS, Universe
from tests.simulation.checkers.all import all_checkers
from tests.simulation.deeds import Deeds, End, end_of
from tests.simulation.workloads import Stage, Workload

#: After the last fault and the last wish: so long nothing may be written any more.
SILENCE_SECONDS = 600.0
_RELIST_SECONDS = WatchTimes().relist_seconds
#: So much longer a stage may take after such a fault.
PATIENCE_SECONDS = {
    # Secrets are not watched: a hand on one of them is noticed at the second resync at the latest.
    **dict.fromkeys(ON_CHILDREN, 2 * RESYNC_SECONDS),
    # Each hand of a fight over one of them is noticed on its own.
    FaultKind.FIGHT: 8 * RESYNC_SECONDS,
    # After an outage the longest waits of all begin anew.
    **dict.fromkeys(OUTAGES, 2 * OUTAGE_SECONDS),
    # What no watch tells comes with the next list.
    FaultKind.LOSE_EVENTS: _RELIST_SECONDS,
    # What was to come at an instant comes when the clock is there again.
    FaultKind.CLOCK_HOUR_BACK: 3600.0,
}
#: So long the faults have their time before the last wish is repeated.
SETTLING_SECONDS = {
    **PATIENCE_SECONDS,
    # What such a watch did not tell comes when it is given up.
    FaultKind.SILENT: WATCH_SILENCE_SECONDS,
    # Nothing is taken for gone before that.
    FaultKind.RESTORED: GRACE_SECONDS,
    # Nobody leads until that lease has run out.
    FaultKind.STEAL: 2 * TTL_SECONDS,
    FaultKind.USURP: 2 * TTL_SECONDS,
}


class Violation(msgspec.Struct, frozen=True):
    """What did not hold."""

    checker: str
    message: str


class Run(msgspec.Struct, kw_only=True):
    """What came of a run."""

    workload: str
    seed: int
    faults: tuple[Fault, ...]
    violation: Violation | None
    #: Those that a fault can hit; after them the run only ends.
    calls: list[Call]
    #: The step in which each of them was made.
    step_of: list[int]
    calls_total: int
    steps: int
    #: Virtual seconds.
    seconds: float
    #: Hash over every event of the log and the last revision of the cluster: equal for equal runs.
    digest: str
    end: End
    deeds: Deeds

    @property
    def command(self) -> str:
        """What repeats it."""
        return command_of(self.workload, self.seed, self.faults)


def command_of(workload: str, seed: int, faults: Iterable[Fault]) -> str:
    """What repeats a run."""
    listed = format_faults(faults)
    return f"python -m tests.simulation --workload {workload} --seed {seed}{f' --fault {listed}' if listed else ''}"


class _Secrets:
    """Stands for the module `secrets` in the executor."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed}/secrets")

    def token_urlsafe(self, length: int) -> str:
        """Text that is the same in each run of the seed."""
        return self._random.randbytes(length).hex()


def run(
    workload: Workload,
    *,
    seed: int = 0,
    faults: Iterable[Fault] = (),
    reference: Run | None = None,
    checkers: Sequence[Callable[[Facts], Checker]] | None = None,
    log: Callable[[VirtualClock], EventLog] | None = None,
    on_step: Callable[[Simulation, Step], None] | None = None,
    on_call: Callable[[Simulation, Call], None] | None = None,
) -> Run:
    """Tell the story of a workload; compared with `reference`, the same story undisturbed, if that is given."""
    universe = Universe(seed, log)
    deeds = Deeds()
    universe.on_write.append(deeds.wrote)
    chosen = all_checkers() if checkers is None else checkers
    simulation = Simulation(universe, seed=seed, faults=faults, checkers=chosen)
    if on_step:
        simulation.on_step = lambda step: on_step(simulation, step)
    step_of: list[int] = []

    def before(call: Call) -> None:
        step_of.append(simulation.steps)
        if on_call:
            on_call(simulation, call)

    simulation.on_call = before
    violation = None
    with kept_logs(simulation.facts.log_lines), replaced_secrets(seed):
        try:
            _tell(simulation, workload)
            violation = _compare(workload, simulation, deeds, reference)
        except InvariantError as error:
            violation = Violation(error.checker, error.message)
        finally:
            universe.log.close()
    return Run(
        workload=workload.name,
        seed=seed,
        faults=simulation.mischief.faults,
        violation=violation,
        calls=simulation.calls[: simulation.armed_calls],
        step_of=step_of,
        calls_total=len(simulation.calls),
        steps=simulation.steps,
        seconds=universe.clock.monotonic(),
        digest=_digest(simulation),
        end=end_of(universe, workload.wanted),
        deeds=deeds,
    )


def replaced_secrets(seed: int) -> Any:
    return _Replaced(executor, "secrets", _Secrets(seed))


class _Replaced:
    """An attribute of a module is something else for a while."""

    def __init__(self, module: Any, name: str, value: Any) -> None:
        self._module, self._name, self._value = module, name, value

    def __enter__(self) -> None:
        self._before = getattr(self._module, self._name)
        setattr(self._module, self._name, self._value)

    def __exit__(self, *_: object) -> None:
        setattr(self._module, self._name, self._before)


def _tell(simulation: Simulation, workload: Workload) -> None:
    universe = simulation.universe
    simulation.start("replica-0")
    for stage in workload.stages:
        simulation.wished_at = universe.model.store.revision
        universe.make_namespace()
        stage.do(universe)
        _rest(simulation, stage)
    simulation.disarm()
    simulation.wait(sum(SETTLING_SECONDS.get(kind, 0.0) for kind in simulation.mischief.kinds))
    universe.make_namespace()
    remove_foreign(universe)
    workload.reassert(universe, retry=bool(simulation.mischief.kinds & ASKED_AGAIN))
    _rest(simulation, workload.stages[-1])
    _check_silence(simulation)
    simulation.end()


def _rest(simulation: Simulation, stage: Stage) -> None:
    def patience() -> float:
        kinds = simulation.mischief.kinds
        seconds = STAGE_SECONDS_MAX + stage.seconds_more + sum(PATIENCE_SECONDS.get(kind, 0.0) for kind in kinds)
        # Whoever loses a race after an outage waits that long once more, each time.
        return seconds + (CONFLICTS * OUTAGE_SECONDS if kinds & OUTAGES and FaultKind.CONFLICTS in kinds else 0.0)

    try:
        simulation.rest(patience, until=lambda: stage.until(simulation.universe))
    except TimeoutError:
        # Another hand may have changed what this stage was to come to; the end is what counts then.
        excused = simulation.mischief.kinds & OPEN_END or (not stage.robust and not _does_the_same(simulation))
        if simulation.armed and excused:
            return
        raise InvariantError("E1", f"{stage.words}: not come to that: {simulation.describe()}") from None


def _check_silence(simulation: Simulation) -> None:
    universe = simulation.universe
    before = (universe.log.head_position(), universe.model.store.revision)
    simulation.wait(SILENCE_SECONDS)
    after = (universe.log.head_position(), universe.model.store.revision)
    if before != after:
        newest = [recorded.type for recorded in universe.log.read_all(before[0])]
        raise InvariantError("E1", f"not silent at the end: {newest}, revision {before[1]} to {after[1]}")


def _compare(workload: Workload, simulation: Simulation, deeds: Deeds, reference: Run | None) -> Violation | None:
    if reference is None:
        return None
    difference = reference.end.difference(end_of(simulation.universe, workload.wanted))
    if difference:
        return Violation("O2", f"another end than undisturbed: {difference}")
    if _does_the_same(simulation):
        # An outage is as long as a teardown may take: what is left then is deleted by the cluster, not by us.
        given_up = workload.deletes and bool(simulation.mischief.kinds & OUTAGES)
        difference = reference.deeds.difference(deeds, fewer_deletes=given_up)
        if difference:
            return Violation("O3", f"other deeds than undisturbed: {difference}")
    return None


def _does_the_same(simulation: Simulation) -> bool:
    """Whether all must be done as if nothing had gone wrong."""
    others = [fault.kind for fault in simulation.mischief.faults if fault.kind not in SAME_DEEDS]
    return len(others) <= 1 and SAME_DEEDS_ONCE.issuperset(others)


def _digest(simulation: Simulation) -> str:
    digest = hashlib.sha256()
    for stream in simulation.facts.streams.values():
        for recorded in stream.recorded:
            digest.update(recorded.hash)
    digest.update(str((simulation.universe.model.store.revision, len(simulation.calls))).encode())
    return digest.hexdigest()
