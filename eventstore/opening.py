"""Open the log a URL names, or say in one line why not and what to do."""

import sqlite3

from eventstore.dsn import DsnKind, parse_dsn
from eventstore.log import EventLog
from eventstore.schema_version import check_schema


def open_log(dsn: str | None, *, create: bool = False) -> EventLog:
    """The log behind `sqlite:///path`, `postgresql://...` or `memory://`.

    Args:
        dsn: the database URL.
        create: also create the SQLite file, and bring the schema up to date. Without it nothing is changed.

    Raises:
        StoreConfigurationError: the URL is missing or wrong, the password is refused, there is no such database.
        SchemaVersionError: the schema is newer than this build, older, or not there.
        StoreUnavailableError: the database cannot be reached now.
    """
    kind, target = parse_dsn(dsn)
    if kind is DsnKind.MEMORY:
        from eventstore.memory import InMemoryEventLog

        return InMemoryEventLog()
    if create:
        # Alembic takes long to load: only who creates pays for it.
        from migrations.runner import migrate

        migrate(dsn or "")
    if kind is DsnKind.SQLITE:
        return _open_sqlite(target)
    from eventstore.postgres_log import PostgresEventLog

    return PostgresEventLog(target)


def _open_sqlite(path: str) -> EventLog:
    from eventstore.sqlite_connection import connect, translate
    from eventstore.sqlite_log import SqliteEventLog

    connection = connect(path)
    try:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if tables else []
    except sqlite3.Error as error:
        raise translate(error, path) from None
    finally:
        connection.close()
    check_schema(rows[0][0] if rows else None)
    return SqliteEventLog(path)
