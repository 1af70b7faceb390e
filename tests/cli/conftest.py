"""The command in this process, a recorded platform as SQLite ledger and as bundle, and a clock that stands still."""

import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from audit.bundle_file import write_atomically
from audit.export import ExportFormat, export_lines, make_bundle
from audit.source import LedgerSource
from cli.main import execute
from eventstore.log import EventLog
from eventstore.memory import InMemoryEventLog
from eventstore.opening import open_log
from tests.audit.conftest import TickingClock
from tests.audit.operating import Operated
from tests.audit.recording import record_prod
from tests.fixtures.postgres import *  # noqa: F403  # fixtures

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DSN", "DSN_FILE", "STATE_DIR", "DEBUG"):
        monkeypatch.delenv(f"STACKLEDGER_{name}", raising=False)
    monkeypatch.delenv("KUBECTL_EXTERNAL_DIFF", raising=False)
    monkeypatch.setattr("eventstore.clock.system_clock", lambda: NOW)


@pytest.fixture
def stackledger(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command line; gives exit code, stdout and stderr."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = execute([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ledgers that are made once and copied: `recorded`, `operated`."""
    folder = tmp_path_factory.mktemp("ledgers")
    for name, write in (("recorded", record_prod), ("operated", _operate)):
        (folder / name).mkdir()
        log = open_log(f"sqlite:///{folder / name / 'ledger.db'}", create=True)
        write(log)
        log.close()
    return folder


def _operate(log: EventLog) -> None:
    platform = Operated(log)
    platform.create()
    platform.settle()


@pytest.fixture
def state_dir(templates: Path, tmp_path: Path) -> Path:
    """A directory with a SQLite ledger that holds obs/prod, written by hand."""
    return Path(shutil.copytree(templates / "recorded", tmp_path / "state"))


@pytest.fixture
def operated(templates: Path, tmp_path: Path) -> Path:
    """A directory with a ledger that the real core wrote."""
    return Path(shutil.copytree(templates / "operated", tmp_path / "operated"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The same platform as a bundle, with hashes that are the same every time."""
    log = InMemoryEventLog(TickingClock())
    record_prod(log)
    source = LedgerSource(log, "memory")
    path = tmp_path / "prod.slb"
    exported = make_bundle(source, source.streams(), exported_at=NOW, operator_version="0.1.0")
    write_atomically(path, export_lines(exported, ExportFormat.BUNDLE))
    return path


def squeezed(text: str) -> str:
    """Lines with single blanks: what a table says, without its layout."""
    return "\n".join(re.sub(r" +", " ", line).strip() for line in text.splitlines())
