"""A checker that never fired proves nothing: each planted mistake must be caught by the checker that is for it."""

import pytest

from tests.simulation.exhaustive import single_faults, undisturbed
from tests.simulation.planted.mutations import PLANTED, Planted
from tests.simulation.runs import Violation, run
from tests.simulation.workloads import WORKLOADS


def caught(one: Planted) -> tuple[Violation | None, str]:
    """What was noticed first, and the command of the run that showed it."""
    reference = undisturbed(one.workload)
    workload = WORKLOADS[one.workload]
    with one.plant():
        found = run(workload, reference=reference)
        if found.violation is not None:
            return found.violation, found.command
        for kind in one.kinds:
            for fault in single_faults(reference, kind):
                found = run(workload, faults=[fault], reference=reference)
                if found.violation is not None:
                    return found.violation, found.command
    return None, ""


@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.name)
def test_a_planted_mistake_is_caught_by_its_checker(one: Planted) -> None:
    violation, command = caught(one)
    assert violation is not None, f"nobody noticed: {one.plant.__doc__}"
    assert violation.checker in one.caught_by, f"{violation.checker}: {violation.message}\n{command}"
