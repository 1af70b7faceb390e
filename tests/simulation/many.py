"""Many runs, several at a time: progress while they go on, a table in the end, the command of each that failed."""

import os
import time
from collections.abc import Iterable, Sequence

from simulator.faults import Fault, FaultKind
from simulator.ports import Call
from tests.simulation.exhaustive import AT_EVERY_CALL, can_be_at, means_something, single_faults, undisturbed
from tests.simulation.forking import Faults, Told, told_of, walk
from tests.simulation.runs import Run, run
from tests.simulation.sampling import sampled
from tests.simulation.workloads import WORKLOADS

#: How often progress is told.
_PROGRESS_SECONDS = 10.0
#: They change what a watch was about to tell: only once it is answered is it known whether there was anything.
_OF_NEWS = frozenset({FaultKind.COALESCE, FaultKind.REPEAT, FaultKind.REORDER, FaultKind.REPLAY, FaultKind.LOSE_EVENTS})
#: At other calls than theirs nothing comes of these, or what another kind stands for.
_OF_FEW_CALLS = _OF_NEWS | {
    FaultKind.GONE,
    FaultKind.GONE_TWICE,
    FaultKind.SILENT,
    FaultKind.WATCH_BUG,
    FaultKind.FIGHT,
    FaultKind.FORBIDDEN,
}


def report(found: Run | Told) -> str:
    """What came of it, and the command that repeats it."""
    told = found if isinstance(found, Told) else told_of(found)
    verdict = f"{told.violation.checker}: {told.violation.message}" if told.violation else "every invariant held"
    return (
        f"{told.workload}: {told.calls} calls, {told.steps} steps, {told.seconds:.0f} virtual seconds, "
        f"{told.digest[:12]}: {verdict}\n  {told.command}"
    )


def why_it_never_came(fault: Fault, calls: Sequence[Call]) -> str:
    """Why a fault that was asked for did nothing in the run of these calls; "" if it did."""
    if not 1 <= fault.call <= len(calls):
        return f"{fault} never came to pass: the calls of this run are 1 to {len(calls)}"
    call = calls[fault.call - 1]
    if fault.kind not in _OF_FEW_CALLS or (means_something if fault.kind in _OF_NEWS else can_be_at)(call, fault.kind):
        return ""
    heard = f", which told {call.heard} events" if call.verb == "cluster.watch" else ""
    return f"{fault} never came to pass: at call {call}{heard}, {fault.kind} means nothing"


class _Row:
    """What is told of one workload."""

    def __init__(self) -> None:
        self.calls = self.runs = self.steps = self.violations = 0
        self.seconds = 0.0


class Tally:
    """Counts runs, tells how far they are, and keeps those that failed."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._rows: dict[str, _Row] = {}
        self._began = self._told_at = time.monotonic()
        self.failed: list[Told] = []

    def row(self, workload: str) -> _Row:
        """That of a workload."""
        return self._rows.setdefault(workload, _Row())

    def take(self, told: Told) -> None:
        """One more run."""
        row = self.row(told.workload)
        row.runs, row.steps = row.runs + 1, row.steps + told.steps
        if told.violation is not None:
            row.violations += 1
            self.failed.append(told)
            print(report(told), flush=True)
        now = time.monotonic()
        if now - self._told_at >= _PROGRESS_SECONDS:
            self._told_at = now
            runs = sum(one.runs for one in self._rows.values())
            done = f"{runs} of {self._expected} runs, {len(self.failed)} failed; at {told.workload}"
            print(f"{now - self._began:4.0f} s: {done}", flush=True)

    def end(self) -> int:
        """Print the table and the commands of what failed; the exit code."""
        print(f"\n{'workload':<18}{'calls':>7}{'runs':>8}{'seconds':>9}{'violations':>12}")
        for name, row in self._rows.items():
            print(f"{name:<18}{row.calls:>7}{row.runs:>8}{row.seconds:>9.1f}{row.violations:>12}")
        seconds = max(time.monotonic() - self._began, 1e-9)
        runs, steps = (sum(getattr(row, name) for row in self._rows.values()) for name in ("runs", "steps"))
        calls = sum(row.calls for row in self._rows.values())
        print(f"{'all':<18}{calls:>7}{runs:>8}{seconds:>9.1f}{len(self.failed):>12}")
        rate = f"{steps / seconds:,.0f} platform-steps per second on {os.cpu_count()} processors"
        print(f"{rate}, the common beginning counted with each run")
        for told in self.failed:
            print(f"  {told.command}")
        return int(bool(self.failed))


def every_fault(
    names: Sequence[str],
    kinds: Iterable[FaultKind],
    *,
    seed: int = 0,
    processes: int = 2,
    stride: int = 1,
    thin: int = 1,
    part: int = 1,
) -> int:
    """Every single fault of these kinds at every call of these workloads, or of so many one; the exit code.

    Of the kinds outside of `AT_EVERY_CALL`, one in `thin` only; each workload begins with another one, and so does
    each `part`: those from 1 to `thin` are all there are, and the next one is the first again.
    """
    plans = planned(names, list(kinds), seed=seed, stride=stride, thin=thin, part=part)
    tally = Tally(sum(map(len, plans.values())))
    for name in names:
        _walk_through(tally, undisturbed(name, seed), plans[name], processes)
    return tally.end()


def planned(
    names: Sequence[str], kinds: Sequence[FaultKind], *, seed: int = 0, stride: int = 1, thin: int = 1, part: int = 1
) -> dict[str, list[Faults]]:
    """The faults of each workload that `every_fault` tries."""
    often, rare = ([kind for kind in kinds if (kind in AT_EVERY_CALL) is wanted] for wanted in (True, False))
    return {
        name: _single(name, often, seed)[::stride]
        + _single(name, rare, seed)[(place + part - 1) % thin :: stride * thin]
        for place, name in enumerate(names)
    }


def _single(name: str, kinds: Iterable[FaultKind], seed: int) -> list[Faults]:
    return [(fault,) for kind in kinds for fault in single_faults(undisturbed(name, seed), kind)]


def soak(names: Sequence[str], seeds: Sequence[int], *, lists: int = 6, faults_max: int = 3, processes: int = 2) -> int:
    """Everybody in an order that a seed draws, with so many lists of two faults or more for each; the exit code."""
    tally = Tally(len(seeds) * len(names) * (lists + 1))
    for seed in seeds:
        for name in names:
            reference = run(WORKLOADS[name], seed=seed)
            tally.take(told_of(reference))
            if reference.violation is None:
                counts = range(2, faults_max + 1) if faults_max > 1 else [1]
                plans = [sampled(reference, counts[which % len(counts)], seed, which) for which in range(lists)]
                _walk_through(tally, reference, plans, processes)
    return tally.end()


def _walk_through(tally: Tally, reference: Run, plans: Sequence[Faults], processes: int) -> None:
    row, began = tally.row(reference.workload), time.monotonic()
    walk(reference, plans, take=tally.take, processes=processes)
    row.calls = len(reference.calls)
    row.seconds += time.monotonic() - began
