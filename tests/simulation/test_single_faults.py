"""Every workload with a single fault, at every call and of every kind: it ends as if nothing had happened.

There are 8,000 of them. A plain run tries every sixteenth, others for each workload and kind;
`STACKLEDGER_FAULT_STRIDE=1` or `python -m tests.simulation --every` tries all. A run that fails prints the command
that repeats it.
"""

import os
from itertools import islice

import pytest

from simulator.faults import FaultKind
from tests.simulation.exhaustive import single_faults, try_faults, undisturbed
from tests.simulation.many import report
from tests.simulation.workloads import TEN, WORKLOADS

STRIDE = int(os.environ.get("STACKLEDGER_FAULT_STRIDE", "16"))
_CASES = [(workload, kind) for workload in TEN for kind in FaultKind]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_an_undisturbed_run_keeps_every_invariant(workload: str) -> None:
    assert undisturbed(workload).violation is None


@pytest.mark.parametrize(("workload", "kind"), _CASES, ids=lambda value: str(value))
def test_a_single_fault_changes_nothing_in_the_end(workload: str, kind: FaultKind) -> None:
    # Each case begins at another call, so that a plain run has seen every call under some kind of fault.
    first = _CASES.index((workload, kind)) % STRIDE
    failed = []
    for fault in islice(single_faults(undisturbed(workload), kind), first, None, STRIDE):
        found = try_faults(WORKLOADS[workload], fault)
        if found.violation is not None:
            failed.append(report(found))
    assert not failed, "\n".join(failed)
