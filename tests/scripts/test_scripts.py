"""The stories that people on call tell, each as a script whose output is kept beside it.

A story that reads otherwise after a change is a change of behaviour: read the difference, then update the script.
"""

from pathlib import Path

import pytest

from cli.sim_script import difference, play_script, read_script
from tests.simulation.checkers.all import all_checkers

SCRIPTS = sorted(Path(__file__).parent.glob("*.sim"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_story_goes_as_it_is_written(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    script = read_script(text, str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
    played = play_script(script, checkers=all_checkers())
    shown = "".join(difference(script, text, played.text))
    hint = f"\nif that is meant: stackledger sim --update {script.name}"
    assert played.text == text, f"\n{shown}{hint}"
    assert played.failed == (), f"{script.name}: lines {played.failed} do not hold"


def test_there_is_a_story_for_each_thing_that_goes_wrong_at_night() -> None:
    assert len(SCRIPTS) >= 20
    for path in SCRIPTS:
        assert path.read_text().startswith("# "), f"{path.name} does not begin with what it tells"
