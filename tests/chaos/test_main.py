"""The command line of `make chaos`: what it refuses, and when it ends."""

import signal
from collections.abc import Iterator

import pytest

from tests.chaos import __main__ as command


@pytest.fixture(autouse=True)
def _same_signals_afterwards() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("codes", "played", "code"),
    [
        ([0, 0], ["sandbox", "apiserver"], 0),
        ([1, 0], ["sandbox", "apiserver"], 1),
        ([130, 0], ["sandbox"], 130),
        ([1, 130], ["sandbox", "apiserver"], 130),
    ],
)
def test_whoever_ends_the_first_server_is_not_given_the_second(
    monkeypatch: pytest.MonkeyPatch, codes: list[int], played: list[str], code: int
) -> None:
    begun: list[str] = []

    def run(name: str, *_: object) -> int:
        begun.append(name)
        return codes[len(begun) - 1]

    monkeypatch.setattr(command, "_run", run)
    monkeypatch.setattr(command, "_unavailable", lambda _name: "")
    assert command.main(["--seed", "1"]) == code
    assert begun == played


@pytest.mark.parametrize(
    "arguments", ["--minutes 0", "--minutes -3", "--minutes nan", "--storm 0", "--replicas 0", "--platforms 0"]
)
def test_a_run_that_would_show_nothing_is_refused(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments.split())
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err
