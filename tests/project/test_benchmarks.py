"""`make bench` runs what it finds, and fails when a bar is missed."""

from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.table import Row, limited, reported


def test_every_module_with_a_run_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up"
    package.mkdir()
    (package / "second.py").write_text("def run():\n    return []\n")
    (package / "first.py").write_text("def run():\n    return []\n")
    (package / "table.py").write_text("")
    (package / "__main__.py").write_text("raise SystemExit")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(bench.find_benchmarks(package, "made_up")) == ["first", "second"]


@pytest.mark.parametrize(
    ("row", "status"), [(limited("p99", 3, "ms", below=10), 0), (limited("p99", 30, "ms", below=10), 1)]
)
def test_a_missed_bar_fails_the_run(
    row: Row, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "find_benchmarks", lambda _: {"made_up": lambda: [reported("rate", 1, "/s"), row]})
    assert bench.main([]) == status
    assert ("MISSED" in capsys.readouterr().out) == bool(status)


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["no-such"]) == 2
    assert "no-such" in capsys.readouterr().err
