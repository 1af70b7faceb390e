"""Many runs, on several processors."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import msgspec

from simulator.faults import Fault
from tests.simulation.exhaustive import try_faults, undisturbed
from tests.simulation.runs import Run
from tests.simulation.sampling import sampled
from tests.simulation.shrinking import shrink
from tests.simulation.workloads import WORKLOADS


class Task(msgspec.Struct, frozen=True):
    """A run to be made."""

    workload: str
    seed: int = 0
    faults: tuple[Fault, ...] = ()
    #: So many faults are drawn by the seed.
    drawn: int = 0


def make(task: Task) -> Run:
    """The run; if it failed, with as few faults as fail."""
    faults = task.faults
    if task.drawn:
        faults = sampled(undisturbed(task.workload, task.seed), task.drawn, task.seed)
    found = try_faults(WORKLOADS[task.workload], *faults, seed=task.seed)
    return shrink(found) if found.violation is not None else found


def report(found: Run) -> str:
    """What came of it, and the command that repeats it."""
    verdict = f"{found.violation.checker}: {found.violation.message}" if found.violation else "every invariant held"
    return (
        f"{found.workload}: {found.calls_total} calls, {found.steps} steps, {found.seconds:.0f} virtual seconds, "
        f"{found.digest[:12]}: {verdict}\n  {found.command}"
    )


def go_through(tasks: Sequence[Task], processes: int) -> int:
    """Make all runs and print those that failed; the exit code."""
    began, failed, steps, calls = time.monotonic(), 0, 0, 0
    # Forked: what was compiled and rendered once is there for all.
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        for found in pool.map(make, tasks, chunksize=8):
            steps, calls = steps + found.steps, calls + found.calls_total
            if found.violation is not None:
                failed += 1
                print(report(found), flush=True)
    seconds = max(time.monotonic() - began, 1e-9)
    print(
        f"{len(tasks)} runs, {failed} failed, {seconds:.0f} s, "
        f"{steps / seconds:.0f} steps/s, {calls / seconds:.0f} calls/s",
        file=sys.stderr,
    )
    return int(failed > 0)
