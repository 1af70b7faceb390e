"""An SQLAlchemy engine for the read models of a log, from the log's own database URL."""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from eventstore.errors import StoreConfigurationError
from projections.tables import create_read_models

#: How long a write waits for the log's committer on SQLite, seconds.
BUSY_TIMEOUT_SECONDS = 10
#: DSN of a log in memory; its read models live in a SQLite database in memory.
MEMORY = "memory:"


def engine_for(dsn: str) -> Engine:
    """The engine of the read models that belong to the log at `dsn`.

    Args:
        dsn: `postgresql://...`, `sqlite:///file`, or `memory:` (tables are created; every call is a database of its
            own).

    Raises:
        StoreConfigurationError: not such a URL. The message does not repeat it: it may hold a password.
    """
    if dsn in {"", MEMORY, "memory://"}:
        engine = _sqlite("sqlite://")
        create_read_models(engine)
        return engine
    try:
        url = make_url(dsn)
    except ArgumentError:
        raise StoreConfigurationError(
            "the database URL cannot be read; expected postgresql://... or sqlite:///..."
        ) from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite(url)
    if backend in {"postgresql", "postgres"}:
        # A hidden parameter never reaches an exception's text, and with it no log line.
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
        )
    raise StoreConfigurationError(f"databases of kind {backend!r} are not supported: use postgresql:// or sqlite:///")


def _sqlite(url: URL | str) -> Engine:
    in_memory = make_url(url).database in {None, "", ":memory:"}
    # A database in memory is its one connection: never closed, and waited for by other threads.
    pool = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0} if in_memory else {}
    arguments = {"timeout": BUSY_TIMEOUT_SECONDS, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _: object) -> None:
    # The driver would begin transactions by its own rules, and not before a SELECT.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    # Read models can be rebuilt: the last commits may be lost with the power, as long as they are lost in order.
    connection.execute("PRAGMA synchronous=NORMAL")


def _begin_sqlite(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")
