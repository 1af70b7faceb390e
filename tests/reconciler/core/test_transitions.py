"""The diagram in the documentation, the table in the code, and the state machine must say the same."""

import re
from itertools import product
from pathlib import Path

import pytest

from eventstore.vocabulary import Phase, Trigger
from projections.state import PlatformState
from reconciler.core.transitions import FAILURE_TRIGGERS, TRANSITIONS, IllegalTransitionError, is_legal, transition

DOCUMENT = Path(__file__).parents[3] / "docs" / "state-machine.md"
ARROW = re.compile(r"^\s+(\S+) --> (\S+): (.+)$", re.MULTILINE)
NOWHERE = "[*]"


def drawn_arrows() -> dict[tuple[Phase | None, Trigger], Phase | None]:
    diagram = DOCUMENT.read_text().split("```mermaid")[1].split("```")[0]
    return {
        (None if start == NOWHERE else Phase(start), Trigger(word)): None if end == NOWHERE else Phase(end)
        for start, end, word in ARROW.findall(diagram)
    }


def test_the_table_is_the_drawn_diagram() -> None:
    assert len(drawn_arrows()) == 13
    assert drawn_arrows() == TRANSITIONS


@pytest.mark.parametrize(("phase", "trigger"), [key for key, target in TRANSITIONS.items() if target is not None])
def test_every_arrow_can_be_taken(phase: Phase | None, trigger: Trigger) -> None:
    event = transition(PlatformState(stream_id="s", phase=phase), trigger, "Reason", "message")
    assert (event.from_phase, event.trigger, event.to_phase) == (phase, trigger, TRANSITIONS[phase, trigger])
    assert is_legal(event)


NON_ARROWS = [pair for pair in product([None, *Phase], Trigger) if TRANSITIONS.get(pair) is None]


@pytest.mark.parametrize(("phase", "trigger"), NON_ARROWS)
def test_every_other_pair_is_refused(phase: Phase | None, trigger: Trigger) -> None:
    with pytest.raises(IllegalTransitionError):
        transition(PlatformState(stream_id="s", phase=phase), trigger, "Reason", "message")


def test_of_25_phase_pairs_the_diagram_connects_10() -> None:
    connected = {(start, end) for (start, _), end in TRANSITIONS.items() if start and end}
    assert len(connected) == 10
    assert len(set(product(Phase, Phase)) - connected) == 15


def test_every_phase_but_failed_has_an_arrow_to_failed() -> None:
    assert set(FAILURE_TRIGGERS) == set(Phase) - {Phase.FAILED}
    assert all(TRANSITIONS[phase, trigger] is Phase.FAILED for phase, trigger in FAILURE_TRIGGERS.items())
