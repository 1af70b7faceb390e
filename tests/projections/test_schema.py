"""What migration 0002 makes is what `projections.tables` declares."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from projections.tables import METADATA, READ_MODEL_TABLES, shadow_of


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
