"""Logs and databases for the read models: the log in memory, the tables on SQLite and on a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, Table, select

from eventstore.memory import InMemoryEventLog
from projections.engines import engine_for
from projections.tables import create_read_models
from tests.projections.histories import Author


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database with the tables of the read models."""
    dsn = f"sqlite:///{tmp_path / 'ledger.db'}" if request.param == "sqlite" else _postgres(request)
    engine = engine_for(dsn)
    create_read_models(engine)
    yield engine
    engine.dispose()


def _postgres(request: pytest.FixtureRequest) -> str:
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


@pytest.fixture
def log() -> InMemoryEventLog:
    """An empty log."""
    return InMemoryEventLog()


@pytest.fixture
def author(log: InMemoryEventLog) -> Author:
    """Writes to `log`."""
    return Author(log)


def rows(engine: Engine | Connection, table: Table) -> list[dict[str, object]]:
    """All rows of a table, by key."""
    statement = select(table).order_by(*table.primary_key.columns)
    if isinstance(engine, Connection):
        return [dict(row) for row in engine.execute(statement).mappings()]
    with engine.begin() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]
