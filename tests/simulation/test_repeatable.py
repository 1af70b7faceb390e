"""One seed, one run: the same to the last byte of the log, in this process and in another one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.sqlite_log import SqliteEventLog
from simulator.clock import VirtualClock
from simulator.faults import Fault, FaultKind, parse_faults
from tests.simulation.exhaustive import single_faults
from tests.simulation.forking import Told, told_of, walk
from tests.simulation.runs import run
from tests.simulation.sampling import sampled
from tests.simulation.workloads import WORKLOADS

_PRINT = (
    "from tests.simulation.runs import run; from tests.simulation.workloads import WORKLOADS;"
    "from simulator.faults import parse_faults;"
    "print(run(WORKLOADS['scale'], seed={seed}, faults=parse_faults('40:die-after,70:takeover')).digest)"
)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_is_the_same_run_in_another_process(seed: int) -> None:
    here = run(WORKLOADS["scale"], seed=seed, faults=parse_faults("40:die-after,70:takeover"))
    # The order of sets is another one there.
    environment = {**os.environ, "PYTHONHASHSEED": "4711"}
    there = subprocess.run(
        [sys.executable, "-c", _PRINT.format(seed=seed)], capture_output=True, text=True, env=environment, check=True
    )
    assert there.stdout.strip() == here.digest


@pytest.mark.parametrize("seed", [0, 3])
def test_a_run_that_goes_on_from_another_one_is_the_run_from_the_beginning(seed: int) -> None:
    reference = run(WORKLOADS["upgrade"], seed=seed)
    plans: list[tuple[Fault, ...]] = []
    for at, kind in enumerate(FaultKind):
        single = [(fault,) for fault in single_faults(reference, kind)]
        plans.append(single[at * 7 % len(single)])
    plans += [sampled(reference, 3, seed, which) for which in range(6)]
    told: list[Told] = []
    walk(reference, plans, take=told.append, processes=1)
    assert len(told) == len(plans)
    for one in told:
        again = told_of(run(WORKLOADS["upgrade"], seed=seed, faults=one.faults, reference=reference))
        assert (one.digest, one.steps, one.violation) == (again.digest, again.steps, again.violation), one.command


def test_another_seed_is_another_run() -> None:
    assert len({run(WORKLOADS["create"], seed=seed).digest for seed in range(4)}) == 4


def test_a_log_on_disk_holds_the_same_run_as_one_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    open_log(f"sqlite:///{path}", create=True).close()

    def on_disk(clock: VirtualClock) -> EventLog:
        return SqliteEventLog(str(path), clock.now)

    found = run(WORKLOADS["recreate"], log=on_disk)
    assert found.violation is None
    assert found.digest == run(WORKLOADS["recreate"]).digest
