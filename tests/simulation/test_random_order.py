"""Everybody does what is due in an order that a seed draws, and faults come at calls that it draws as well.

`make soak SEEDS=500` tries more.
"""

import pytest

from tests.simulation.forking import Told, walk
from tests.simulation.many import report
from tests.simulation.runs import run
from tests.simulation.sampling import sampled
from tests.simulation.workloads import WORKLOADS

SEEDS = (1, 2)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_two_faults_in_any_order_keep_every_invariant(workload: str) -> None:
    told: list[Told] = []
    for seed in SEEDS:
        reference = run(WORKLOADS[workload], seed=seed)
        assert reference.violation is None, report(reference)
        walk(reference, [sampled(reference, 2, seed, which) for which in range(2)], take=told.append, processes=1)
    assert len(told) == 2 * len(SEEDS)
    failed = [report(one) for one in told if one.violation is not None]
    assert not failed, "\n".join(failed)
