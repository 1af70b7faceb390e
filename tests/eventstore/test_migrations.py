"""Migrations: from nothing to the declared schema, once, whoever else migrates at the same time."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from eventstore.engine import create_ledger_engine
from eventstore.errors import SchemaVersionError
from eventstore.schema import metadata
from eventstore.schema_version import newest_revision
from migrations import runner


@pytest.fixture(params=["sqlite", "postgres"])
def empty_dsn(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a database with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("empty_postgres_dsn"))


def test_migrating_an_empty_database_applies_everything_and_then_nothing(empty_dsn: str) -> None:
    assert runner.migrate(empty_dsn) == runner.revisions()
    assert runner.current(empty_dsn) == runner.head()
    assert runner.migrate(empty_dsn) == []


def test_migrations_add_up_to_the_declared_tables(empty_dsn: str) -> None:
    runner.migrate(empty_dsn)
    engine = create_ledger_engine(empty_dsn)

    def ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
        return kind != "table" or name in metadata.tables

    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": ours, "compare_type": True, "compare_server_default": True}
        )
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_of_many_migrators_one_works_and_the_others_find_nothing_to_do(empty_dsn: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: runner.migrate(empty_dsn), range(4)))
    assert sorted(applied) == [[], [], [], runner.revisions()]


def test_a_failed_migration_leaves_nothing_behind(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade

    def fail_at_the_end(*arguments: Any) -> None:
        upgrade(*arguments)
        raise RuntimeError("power cut")

    monkeypatch.setattr(command, "upgrade", fail_at_the_end)
    with pytest.raises(RuntimeError):
        runner.migrate(empty_dsn)
    monkeypatch.undo()
    assert runner.current(empty_dsn) is None
    assert runner.migrate(empty_dsn) == runner.revisions()


def test_a_newer_database_is_not_touched(empty_dsn: str) -> None:
    runner.migrate(empty_dsn)
    engine = create_ledger_engine(empty_dsn)
    with engine.connect() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
        connection.commit()
    engine.dispose()
    with pytest.raises(SchemaVersionError, match="ledger schema 99 >"):
        runner.migrate(empty_dsn)
    assert runner.current(empty_dsn) == "0099"


def test_a_log_in_memory_has_nothing_to_migrate() -> None:
    assert runner.migrate("memory://") == []


def test_the_newest_revision_is_known_without_loading_alembic() -> None:
    assert newest_revision() == runner.head()
    check = (
        "import sys, eventstore.opening, eventstore.schema_version as v; v.newest_revision();"
        " print('alembic' in sys.modules, 'sqlalchemy' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    assert shown.split() == ["False", "False"]


def test_revisions_are_numbered_and_named_by_what_they_do() -> None:
    files = sorted((Path(runner.__file__).parent / "versions").glob("*.py"))
    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert all(file.stem[4:].startswith(("_expand_", "_contract_")) for file in files)


def test_the_postgres_sql_passes_the_migration_linter(tmp_path: Path) -> None:
    shown = io.StringIO()
    config = runner._config(None)
    config.output_buffer = shown
    with redirect_stdout(io.StringIO()):
        command.upgrade(config, "head", sql=True)
    script = tmp_path / "all.sql"
    script.write_text(shown.getvalue())
    squawk = Path(sys.executable).parent / "squawk"
    excluded = [
        # New tables that nobody uses yet: what these guard against cannot happen.
        "prefer-robust-stmts",
        "require-concurrent-index-creation",
        "require-timeout-settings",
        # Counts of replicas fit into 32 bits; the other is Alembic's own table.
        "prefer-bigint-over-int",
        "prefer-text-field",
    ]
    found = subprocess.run(
        [squawk, f"--exclude={','.join(excluded)}", script], capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
