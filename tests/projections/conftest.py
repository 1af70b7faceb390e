"""Logs and databases for the read models: the log in memory, the tables on SQLite and on a real Postgres."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from eventstore.memory import InMemoryEventLog
from migrations.runner import migrate
from projections.engines import engine_for
from tests.fixtures.postgres import *  # noqa: F403  # fixtures are found by their names
from tests.projections.histories import Author


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "ledger.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_dsn(migrated_sqlite: Path, tmp_path: Path) -> str:
    """URL of a fresh SQLite file with the newest schema."""
    path = shutil.copy(migrated_sqlite, tmp_path / "ledger.db")
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str:
    """URL of a fresh database with the newest schema."""
    url: str = request.getfixturevalue(f"{request.param}_dsn")
    return url


@pytest.fixture
def engine(dsn: str) -> Iterator[Engine]:
    """The engine of the read models in that database."""
    engine = engine_for(dsn)
    yield engine
    engine.dispose()


@pytest.fixture
def log() -> InMemoryEventLog:
    """An empty log."""
    return InMemoryEventLog()


@pytest.fixture
def author(log: InMemoryEventLog) -> Author:
    """Writes to `log`."""
    return Author(log)
