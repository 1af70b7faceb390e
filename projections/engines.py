"""An SQLAlchemy engine for the read models of a log, from the log's own database URL."""

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from eventstore.dsn import DsnKind, parse_dsn
from eventstore.engine import create_ledger_engine
from eventstore.sqlite_connection import connect
from projections.tables import create_read_models


def engine_for(dsn: str) -> Engine:
    """The engine of the read models that belong to the log at `dsn`; connecting raises the errors of `open_log`.

    A log in memory has its read models in a SQLite database in memory; every call makes a new one, tables included.
    Transactions there and on SQLite begin as reading ones: whoever writes must not read first (see `advance`).

    Raises:
        StoreConfigurationError: the URL is missing or of no known form.
    """
    kind, target = parse_dsn(dsn)
    if kind is DsnKind.POSTGRES:
        return create_ledger_engine(dsn)
    engine = _in_memory() if kind is DsnKind.MEMORY else _on_file(target)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    if kind is DsnKind.MEMORY:
        create_read_models(engine)
    return engine


def _in_memory() -> Engine:
    # The database is its one connection: kept for ever, and other threads wait for it.
    return create_engine(
        "sqlite://",
        connect_args={"check_same_thread": False},
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )


def _on_file(path: str) -> Engine:
    # Unlike the ledger's own engine it keeps its connections: a new one for every page would cost more than the page.
    return create_engine(
        "sqlite://", creator=lambda: connect(path), poolclass=QueuePool, pool_size=2, hide_parameters=True
    )


def _prepare(connection: Any, _: object) -> None:
    # The driver would begin transactions by rules of its own, and none before a SELECT.
    connection.isolation_level = None
    # Read models can be built again: the last commits may be lost with the power, if only in order.
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")
