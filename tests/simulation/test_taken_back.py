"""What was wished and taken back leaves nothing behind (F31, F32)."""

import pytest

from tests.simulation.exhaustive import undisturbed


@pytest.mark.parametrize(
    ("there_and_back", "never_left"),
    [("mistake", "create"), ("components", "create"), ("round-trip", "heal")],
)
def test_a_wish_that_was_taken_back_leaves_nothing_behind(there_and_back: str, never_left: str) -> None:
    assert undisturbed(never_left).end.difference(undisturbed(there_and_back).end) == ""
