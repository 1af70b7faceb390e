"""What `make faults` and `make soak` print, and the code they end with."""

import pytest

from simulator.faults import FaultKind
from tests.simulation.many import every_fault, soak
from tests.simulation.planted.mutations import planted_by_name


def test_a_violation_is_printed_with_the_command_that_repeats_it(capsys: pytest.CaptureFixture[str]) -> None:
    with planted_by_name("epoch_not_checked"):
        code = every_fault(["upgrade"], [FaultKind.DEPOSE], processes=1, stride=13)
    printed = capsys.readouterr().out
    assert code == 1
    assert "S9: " in printed
    assert "python -m tests.simulation --workload upgrade --seed 0 --fault " in printed.splitlines()[-1]


def test_the_table_has_a_line_for_each_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert every_fault(["edit", "upgrade"], [FaultKind.PRE], processes=1, stride=40) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line[:1].isalpha()}
    assert {"edit", "upgrade", "all"} <= rows.keys()
    assert int(rows["all"][1]) == int(rows["edit"][1]) + int(rows["upgrade"][1]) == 6
    assert "platform-steps per second" in lines[-1]


def test_a_soak_makes_the_undisturbed_run_and_so_many_others_for_each_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert soak(["edit"], [1, 2], lists=2, processes=1) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("edit"))
    assert row.split()[2] == "6"
