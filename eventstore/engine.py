"""A SQLAlchemy engine on the log's database: for migrations, audit queries and the tables of read models.

The log itself does not go through here: its hot paths talk to the drivers.
"""

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from eventstore.dsn import DsnKind, parse_dsn
from eventstore.errors import StoreConfigurationError
from eventstore.postgres_connection import ANSWER_SECONDS_MAX, BoundedConnection
from eventstore.postgres_connection import connect as connect_postgres
from eventstore.sqlite_connection import connect as connect_sqlite


def create_ledger_engine(dsn: str, *, create: bool = False) -> Engine:
    """An engine whose errors hold no parameters (they would show what was stored).

    On SQLite nothing begins by itself: say `connection.exec_driver_sql("BEGIN IMMEDIATE")` before writing.
    Connecting raises the errors of `open_log`.
    """
    kind, target = parse_dsn(dsn)
    if kind is DsnKind.MEMORY:
        raise StoreConfigurationError("a log in memory has no tables")
    if kind is DsnKind.SQLITE:
        return create_engine(
            "sqlite://", creator=lambda: connect_sqlite(target, create=create), poolclass=NullPool, hide_parameters=True
        )
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect_postgres(target, autocommit=False),
        pool_size=4,
        max_overflow=4,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    event.listen(engine, "checkin", _bound)
    return engine


def wait_as_long_as_it_takes(connection: Connection) -> None:
    """Whole tables are read, copied or changed, which no limit may end.

    The server's limit is lifted until the end of this transaction, our own until the connection goes back to the pool.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        driver = connection.connection.driver_connection
        assert isinstance(driver, BoundedConnection)
        driver.answer_seconds_max = None


def _bound(driver: Any, _: object) -> None:
    """Whoever takes the connection next is bounded again."""
    if isinstance(driver, BoundedConnection):
        driver.answer_seconds_max = ANSWER_SECONDS_MAX
