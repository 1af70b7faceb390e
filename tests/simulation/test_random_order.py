"""Everybody does what is due in an order that a seed draws, and faults come at calls that it draws as well.

`STACKLEDGER_SIMULATION_SEEDS=500` tries more; `python -m tests.simulation --seeds 500` does so on all processors.
"""

import os

import pytest

from tests.simulation.many import Task, make, report
from tests.simulation.workloads import WORKLOADS

SEEDS = int(os.environ.get("STACKLEDGER_SIMULATION_SEEDS", "3"))


@pytest.mark.parametrize("workload", WORKLOADS)
def test_two_faults_in_any_order_keep_every_invariant(workload: str) -> None:
    failed = []
    for seed in range(1, SEEDS + 1):
        found = make(Task(workload, seed, drawn=2))
        if found.violation is not None:
            failed.append(report(found))
    assert not failed, "\n".join(failed)
