"""Looking into the tables of the read models."""

from sqlalchemy import Engine, Table, select

from projections.tables import READ_MODEL_TABLES, SHADOW_SUFFIX, projection_cursors

Rows = list[dict[str, object]]


def rows(engine: Engine, table: Table) -> Rows:
    """All rows of a table, by key."""
    with engine.begin() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        return [dict(row) for row in found]


def everything(engine: Engine) -> dict[str, Rows]:
    """All rows of all read models, and what they remember; not what a rebuild is at."""
    found = {table.name: rows(engine, table) for table in READ_MODEL_TABLES}
    cursors = rows(engine, projection_cursors)
    found[projection_cursors.name] = [row for row in cursors if not str(row["projection"]).endswith(SHADOW_SUFFIX)]
    return found
