"""Faults that once broke something, kept for ever: each was found by going through all of them."""

import pytest

from simulator.faults import parse_faults
from tests.simulation.exhaustive import try_faults
from tests.simulation.many import report
from tests.simulation.workloads import WORKLOADS

FOUND = [
    # Somebody replaced a child just before it was written to: it was taken over on the word of an old cache.
    ("edit", 0, "61:replace-child"),
    # What stood in the way was gone, and was still taken for there on the word of an old cache: Failed for good.
    ("upgrade", 1, "84:replace-child"),
    ("create", 0, "31:replace-child"),
    # A process that had stood still went on with what it had planned, over what its successor had done since.
    ("edit", 0, "30:takeover-edit"),
    ("edit", 0, "33:takeover-edit"),
    ("edit", 0, "36:takeover-edit"),
    # The same with the one write that was already on its way: it undid a rollback, and nobody noticed.
    ("failing-upgrade", 0, "62:takeover"),
    ("edit", 0, "62:takeover-edit"),
    # A stored state has its keys in another order than a folded one: what was superseded, in another order.
    ("scale", 0, "121:takeover-edit"),
]


@pytest.mark.parametrize(("workload", "seed", "faults"), FOUND, ids=[f"{one[0]}-{one[2]}" for one in FOUND])
def test_what_broke_once_holds(workload: str, seed: int, faults: str) -> None:
    found = try_faults(WORKLOADS[workload], *parse_faults(faults), seed=seed)
    assert found.violation is None, report(found)
