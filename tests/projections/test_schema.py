"""What migration 0002 makes is what `projections.tables` declares."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from eventstore.memory import InMemoryEventLog
from migrations.runner import migrate
from projections.engines import engine_for
from projections.rebuild import rebuild
from projections.runner import ProjectionRunner
from projections.tables import METADATA, READ_MODEL_TABLES, shadow_of
from tests.fixtures.postgres import PostgresServer
from tests.projections.histories import Author, fill


def test_the_migrated_schema_is_the_declared_one(engine: Engine) -> None:
    def ours(thing: Any, name: str | None, kind: str, *_: Any) -> bool:
        return kind != "table" or name in METADATA.tables

    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": ours})
        assert compare_metadata(context, METADATA) == []


def test_a_column_more_would_be_noticed(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE actions__rebuild ADD COLUMN surplus TEXT")
        context = MigrationContext.configure(
            connection, opts={"include_object": lambda _, name, kind, *__: kind != "table" or name in METADATA.tables}
        )
        assert [difference[0] for difference in compare_metadata(context, METADATA)] == ["remove_column"]


def test_every_table_and_its_twin_have_the_same_columns() -> None:
    for table in READ_MODEL_TABLES:
        assert [(c.name, str(c.type), c.nullable) for c in table.c] == [
            (c.name, str(c.type), c.nullable) for c in shadow_of(table).c
        ]


def test_the_operators_own_role_may_catch_up_and_rebuild(
    postgres_server: PostgresServer, empty_postgres_dsn: str, log: InMemoryEventLog
) -> None:
    database = empty_postgres_dsn.partition("?")[0].rpartition("/")[2]
    role = f"operator_of_{database}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    migrate(empty_postgres_dsn, app_role=role)
    fill(Author(log), streams=2, events_each=20)
    engine = engine_for(postgres_server.dsn(database, user=role))
    try:
        ProjectionRunner(log, engine).catch_up()
        assert rebuild(log, engine, "component_health", apply=True).identical
    finally:
        engine.dispose()
        postgres_server.execute(f"DROP OWNED BY {role}", database)
        postgres_server.execute(f"DROP ROLE {role}")
