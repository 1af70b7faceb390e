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
from simulator.faults import ON_CHILDREN, OPEN_END, OUTAGES, SAME_DEEDS, Fault, FaultKind, format_faults
from simulator.interference import remove_foreign
from simulator.mischief import OUTAGE_SECONDS
from simulator.mischief import SILENCE_SECONDS as WATCH_SILENCE_SECONDS
from simulator.ports import Call
from simulator.quiet import silent_logs
from simulator.replica import RESYNC_SECONDS
from simulator.scheduler import STAGE_SECONDS_MAX, Simulation, Step
from simulator.universe import GRACE_SECONDS, Universe
from tests.simulation.checkers.all import all_checkers
from tests.simulation.deeds import Deeds, End, end_of
from tests.simulation.workloads import Stage, Workload

#: After the last fault and the last wish: so long nothing may be written any more.
SILENCE_SECONDS = 600.0
#: When everything is listed anew, whatever the watches say.
RELIST_SECONDS = WatchTimes().relist_seconds


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
    if on_call:
        simulation.on_call = lambda call: on_call(simulation, call)
    violation = None
    with silent_logs(), _replaced_secrets(seed):
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
        calls_total=len(simulation.calls),
        steps=simulation.steps,
        seconds=universe.clock.monotonic(),
        digest=_digest(simulation),
        end=end_of(universe, workload.wanted),
        deeds=deeds,
    )


def _replaced_secrets(seed: int) -> Any:
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
    if simulation.mischief.kinds & ON_CHILDREN:
        # Secrets are not watched: a hand on one of them is noticed at the second resync at the latest.
        simulation.wait(2 * RESYNC_SECONDS)
    if simulation.mischief.kinds & OUTAGES:
        # What was put off has its time.
        simulation.wait(2 * OUTAGE_SECONDS)
    if FaultKind.SILENT in simulation.mischief.kinds:
        # What such a watch did not tell comes when it is given up.
        simulation.wait(WATCH_SILENCE_SECONDS)
    if FaultKind.LOSE_EVENTS in simulation.mischief.kinds:
        # What no watch tells comes with the next list.
        simulation.wait(RELIST_SECONDS)
    if FaultKind.RESTORED in simulation.mischief.kinds:
        # Nothing is taken for gone before that.
        simulation.wait(GRACE_SECONDS)
    universe.make_namespace()
    remove_foreign(universe)
    # What was refused because of a foreign object is tried again when somebody asks for it.
    workload.reassert(universe, retry=FaultKind.REPLACE_CHILD in simulation.mischief.kinds)
    _rest(simulation, workload.stages[-1])
    _check_silence(simulation)
    simulation.end()


def _rest(simulation: Simulation, stage: Stage) -> None:
    def patience() -> float:
        # A hand on a Secret is noticed with the resync only.
        seconds = STAGE_SECONDS_MAX + (2 * RESYNC_SECONDS if simulation.mischief.kinds & ON_CHILDREN else 0.0)
        seconds += RELIST_SECONDS if FaultKind.LOSE_EVENTS in simulation.mischief.kinds else 0.0
        # What was to come at an instant comes when the clock is there again.
        seconds += 3600.0 if FaultKind.CLOCK_HOUR_BACK in simulation.mischief.kinds else 0.0
        # After an outage the longest waits of all begin anew.
        return seconds + (2 * OUTAGE_SECONDS if simulation.mischief.kinds & OUTAGES else 0.0)

    try:
        simulation.rest(patience, until=lambda: stage.until(simulation.universe))
    except TimeoutError:
        # Another hand may have changed what this stage was to come to; the end is what counts then.
        excused = simulation.mischief.kinds & OPEN_END or (not stage.robust and simulation.mischief.kinds - SAME_DEEDS)
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
    if simulation.mischief.kinds <= SAME_DEEDS:
        difference = reference.deeds.difference(deeds)
        if difference:
            return Violation("O3", f"other deeds than undisturbed: {difference}")
    return None


def _digest(simulation: Simulation) -> str:
    digest = hashlib.sha256()
    for stream in simulation.facts.streams.values():
        for recorded in stream.recorded:
            digest.update(recorded.hash)
    digest.update(str((simulation.universe.model.store.revision, len(simulation.calls))).encode())
    return digest.hexdigest()
