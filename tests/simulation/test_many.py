"""What `make faults` and `make soak` print, and the code they end with."""

import re

import pytest

from simulator.faults import FaultKind
from tests.simulation.__main__ import main
from tests.simulation.exhaustive import AT_EVERY_CALL, undisturbed
from tests.simulation.many import every_fault, planned, soak
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


# -- the command line ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--workload nobody", "no workload 'nobody'; there are: all, create"),
        ("--every --processes 0", "'0' is no number from 1 on"),
        ("--every --thin 0", "'0' is no number from 1 on"),
        ("--every --kinds foo", "no kind of fault 'foo'; there are: pre"),
        ("--seeds -1", "is no number from 1 on"),
        ("--seeds 0", "is no number from 1 on"),
        ("--seeds 1 --faults 0", "is no number from 1 on"),
        ("--fault x", "'x' is no fault: write CALL:KIND"),
        ("--fault 0:pre", "calls begin at 1"),
        ("--fault 5:nokind", "no kind of fault 'nokind'"),
        ("--fault 5:pre,5:post", "one fault only"),
        ("--fault 5:pre --every", "exclude each other"),
        ("--every --seeds 3", "exclude each other"),
        ("--kinds pre", "--kinds is for --every"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out) == (2, "")
    assert said in shown.err.splitlines()[-1]


def call_of(verb: str) -> int:
    return next(call.index for call in undisturbed("create").calls if call.verb == verb)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("99999:pre", r"99999:pre never came to pass: the calls of this run are 1 to \d+"),
        ("apply:coalesce", r"at call \d+ replica-0 cluster.apply_new \S+, coalesce means nothing"),
        ("list:gone", r"at call \d+ replica-0 cluster.list \S+, gone means nothing"),
        ("1:pre,99999:pre", "99999:pre never came to pass"),
    ],
)
def test_a_fault_that_never_came_to_pass_is_no_success(
    fault: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = fault.replace("apply", str(call_of("cluster.apply_new"))).replace("list", str(call_of("cluster.list")))
    assert main(["--workload", "create", "--fault", fault]) == 2
    shown = capsys.readouterr().err
    assert re.search(said, shown)
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("kind", ["gone", "gone-twice", "watch-bug", "silent", "coalesce", "replay", "edit", "hang"])
def test_a_fault_that_came_to_pass_is_not_said_to_be_missing(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    call = max(undisturbed("create").calls, key=lambda one: one.heard)
    assert call.heard > 1
    assert main(["--workload", "create", "--fault", f"{call.index}:{kind}"]) == 0
    assert capsys.readouterr().err == ""


def test_the_parts_are_all_there_is_of_the_rarer_kinds_and_have_nothing_in_common() -> None:
    names, kinds = ["create", "edit"], [FaultKind.PRE, FaultKind.GONE, FaultKind.HANG]
    whole = planned(names, kinds)
    parts = [planned(names, kinds, thin=3, part=part) for part in (1, 2, 3)]
    for name in names:
        rare = [one for part in parts for one in part[name] if one[0].kind not in AT_EVERY_CALL]
        assert sorted(rare) == sorted(one for one in whole[name] if one[0].kind not in AT_EVERY_CALL)
        for part in parts:
            assert sum(one[0].kind is FaultKind.PRE for one in part[name]) == len(undisturbed(name).calls)
    assert planned(names, kinds, thin=3, part=4) == parts[0] != parts[1]


def test_which_part_is_tried_is_said_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def every(*_: object, part: int, **__: object) -> int:
        tried.append(part)
        return 0

    monkeypatch.setattr("tests.simulation.__main__.every_fault", every)
    assert main(["--every", "--thin", "3", "--part", "50"]) == 0
    assert capsys.readouterr().out == "part 2 of 3 of the rarer kinds; make faults PART=2 repeats it\n"
    assert main(["--every", "--part", "50"]) == 0
    assert capsys.readouterr().out == ""
    assert tried == [50, 50]
