"""From a long list of faults to the one that matters."""

from simulator.faults import FaultKind, format_faults, parse_faults
from tests.simulation.exhaustive import undisturbed
from tests.simulation.planted.mutations import planted_by_name
from tests.simulation.runs import run
from tests.simulation.shrinking import shrink
from tests.simulation.workloads import WORKLOADS


def test_only_the_fault_that_breaks_it_is_left() -> None:
    reference = undisturbed("upgrade")
    faults = parse_faults("12:pre,20:pre,27:depose,60:spoil-status")
    with planted_by_name("epoch_not_checked"):
        failed = run(WORKLOADS["upgrade"], faults=faults, reference=reference)
        assert failed.violation is not None
        smallest = shrink(failed)
    assert format_faults(smallest.faults) == "27:depose"
    assert smallest.command == "python -m tests.simulation --workload upgrade --seed 0 --fault 27:depose"


def test_faults_are_read_as_they_are_written() -> None:
    text = ",".join(f"{call}:{kind}" for call, kind in enumerate(FaultKind, 1))
    assert format_faults(parse_faults(text)) == text
