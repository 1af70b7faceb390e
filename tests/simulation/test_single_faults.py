"""Every workload with a single fault, at every call and of every kind: it ends as if nothing had happened.

There are more than 13,000 of them, and `make faults THIN=1` tries all those of ten workloads (plain `make faults`: of
the rarer kinds one in three). Here one in so many is tried, of every workload others. A run that fails prints the
command that repeats it.
"""

import pytest

from simulator.faults import FaultKind
from tests.simulation.exhaustive import single_faults, undisturbed
from tests.simulation.forking import Told, walk
from tests.simulation.many import report
from tests.simulation.workloads import WORKLOADS

STRIDE = 32


@pytest.mark.parametrize("workload", WORKLOADS)
def test_an_undisturbed_run_keeps_every_invariant(workload: str) -> None:
    assert undisturbed(workload).violation is None


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_single_fault_changes_nothing_in_the_end(workload: str) -> None:
    reference = undisturbed(workload)
    # Each workload begins at another one, so that all together have seen most calls under most kinds of fault.
    faults = [(fault,) for kind in FaultKind for fault in single_faults(reference, kind)]
    tried = faults[list(WORKLOADS).index(workload) * 3 :: STRIDE]
    told: list[Told] = []
    walk(reference, tried, take=told.append, processes=1)
    assert len(told) == len(tried)
    failed = [report(one) for one in told if one.violation is not None]
    assert not failed, "\n".join(failed)
