"""The page about the simulator names what there is."""

import re
from pathlib import Path

from simulator.faults import FaultKind
from tests.simulation.checkers.all import CHECKERS
from tests.simulation.planted.test_planted import PROOFS
from tests.simulation.workloads import TEN, WORKLOADS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/simulation.md").read_text()


def test_every_fault_class_has_a_row_and_every_kind_a_place() -> None:
    rows = re.findall(r"^\| F(\d+) \|", PAGE.split("## Invariants")[0], re.MULTILINE)
    assert [int(number) for number in rows] == list(range(1, 39))
    assert [kind for kind in FaultKind if f"`{kind.value}`" not in PAGE] == []


def test_every_checker_has_a_row_with_the_mistake_that_proves_it() -> None:
    rows = set(re.findall(r"^\| ([SEF]\d+) .* \| `(\w+\.\w+)` \| `(\w+)` \|$", PAGE, re.MULTILINE))
    module = {checker: checker.__module__.rpartition(".")[2] for checker in CHECKERS}
    assert rows == {(one.name, f"{module[one]}.{one.__name__}", PROOFS[one]) for one in CHECKERS}
    assert {name for name, _, _ in rows} >= {f"S{n}" for n in range(1, 23)} | {f"E{n}" for n in range(1, 9)}


def test_what_is_expected_to_fail_is_said_to_be_half_there() -> None:
    section = PAGE.split("## What is half there")[1].split("\n## ")[0]
    failing = {path.name for path in Path(__file__).parent.glob("test_*.py") if "mark.xfail(" in path.read_text()}
    failing.discard(Path(__file__).name)
    assert failing == set(re.findall(r"`tests/simulation/(test_\w+\.py)`", section))


def test_every_workload_is_named_and_every_test_is_there() -> None:
    assert f"through ten workloads: {', '.join(TEN)}." in PAGE
    assert [name for name in WORKLOADS if name not in PAGE] == []
    named = re.findall(r"`((?:tests|simulator)/[\w/]+\.py)`", PAGE)
    assert [path for path in named if not (ROOT / path).exists()] == []
