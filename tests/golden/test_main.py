"""`python -m tests.golden`: what it prints where."""

import pytest

from tests.golden import files
from tests.golden.__main__ import main


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_help_that_is_asked_for_is_a_result(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("`python -m tests.golden`: keep the log")
    assert shown.err == ""


def test_what_makes_no_sense_gets_the_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rekord"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "record NAME" in shown.err


def test_what_is_recorded_is_not_recorded_again_and_it_is_said_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    before = files.manifest()
    assert main(["record", "upgrade"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("upgrade is recorded already")
    assert "another name in tests/golden/stories.py" in shown.err
    assert files.manifest() == before
