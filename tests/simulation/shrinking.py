"""From a run that failed to the shortest list of faults that fails in the same way."""

from tests.simulation.exhaustive import try_faults
from tests.simulation.runs import Run
from tests.simulation.workloads import WORKLOADS


def shrink(failed: Run) -> Run:
    """The same run with as few faults as still break the same invariant."""
    assert failed.violation is not None
    smallest = failed
    for fault in failed.faults:
        fewer = tuple(one for one in smallest.faults if one != fault)
        if not fewer:
            break
        again = try_faults(WORKLOADS[failed.workload], *fewer, seed=failed.seed)
        if again.violation is not None and again.violation.checker == failed.violation.checker:
            smallest = again
    return smallest
