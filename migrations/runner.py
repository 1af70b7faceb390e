"""Bring a database to the newest schema: one transaction, under a lock, nothing half done.

Any number of migrators may start at once: one works, the others wait and then find nothing to do.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from eventstore.dsn import DsnKind, parse_dsn
from eventstore.engine import create_ledger_engine, wait_as_long_as_it_takes
from eventstore.schema_version import check_not_newer
from migrations.grants import grant_to_app_role

#: Any number, always the same: the advisory lock that migrators hold.
_MIGRATION_LOCK = 5_812_043_377_001
_LOCK_WAIT = "60s"


def migrate(dsn: str, *, app_role: str | None = None) -> list[str]:
    """Create or upgrade the schema; returns the revisions that were applied, oldest first.

    Args:
        dsn: `sqlite:///path` or `postgresql://...`, as the owner of the schema. `memory://` needs nothing.
        app_role: Postgres role the operator runs as. It may read the ledger and call its functions, not write tables.

    Raises:
        SchemaVersionError: the database is newer than this build.
        StoreUnavailableError, StoreConfigurationError: as for `open_log`.
    """
    kind = parse_dsn(dsn).kind
    if kind is DsnKind.MEMORY:
        return []
    engine = create_ledger_engine(dsn, create=True)
    try:
        with engine.connect() as connection:
            _begin_alone(connection, kind)
            before = _current(connection)
            check_not_newer(before)
            command.upgrade(_config(connection), "head")
            if app_role and kind is DsnKind.POSTGRES:
                grant_to_app_role(connection, app_role)
            connection.commit()
    finally:
        engine.dispose()
    return [revision for revision in revisions() if before is None or revision > before]


def current(dsn: str) -> str | None:
    """The revision a database is at; None if it holds no ledger."""
    engine: Engine = create_ledger_engine(dsn)
    try:
        with engine.connect() as connection:
            return _current(connection)
    finally:
        engine.dispose()


def head() -> str:
    """The newest revision this build knows."""
    return revisions()[-1]


def revisions() -> list[str]:
    """All revisions, oldest first."""
    return [script.revision for script in ScriptDirectory.from_config(_config(None)).walk_revisions()][::-1]


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _begin_alone(connection: Connection, kind: DsnKind) -> None:
    if kind is DsnKind.SQLITE:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
    else:
        connection.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": _LOCK_WAIT})
        wait_as_long_as_it_takes(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
