"""Where two builds of the same read model differ, row by row and column by column."""

from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, FromClause, Select, func, select, tuple_

#: Differences listed; all of them are counted.
DIFFERENCES_MAX = 20


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One row that is not what the log says it should be."""

    table: str
    #: Its primary key.
    key: dict[str, Any]
    #: `missing`: only in the rebuild. `unexpected`: only in what is live. `unreadable`: the events do not decode.
    kind: Literal["missing", "unexpected", "different", "unreadable"]
    #: Column -> (live, rebuilt); all columns of a row that is on one side only.
    columns: dict[str, tuple[Any, Any]]


def compare(
    connection: Connection, table: str, live: FromClause, rebuilt: FromClause, key: tuple[str, ...], limit: int
) -> tuple[int, list[Difference]]:
    """How many rows differ, and the first `limit` of them by key.

    Args:
        connection: in a transaction that sees one snapshot.
        table: the name to report.
        live: what is live.
        rebuilt: what it should be, with the same columns.
        key: columns of the primary key.
        limit: differences to list.
    """
    keys = _differing_keys(live, rebuilt, key).subquery()
    count: int = connection.execute(select(func.count()).select_from(keys)).scalar_one()
    if not count or limit <= 0:
        return count, []
    wanted = [tuple(row) for row in connection.execute(select(*keys.c).order_by(*keys.c).limit(limit))]
    is_rows, should_rows = (_rows(connection, side, key, wanted) for side in (live, rebuilt))
    return count, [_difference(table, key, at, is_rows.get(at), should_rows.get(at)) for at in wanted]


def _differing_keys(live: FromClause, rebuilt: FromClause, key: tuple[str, ...]) -> Any:
    # EXCEPT takes two NULLs for equal, as `=` does not.
    only_live = select(*live.c).except_(select(*rebuilt.c)).subquery()
    only_rebuilt = select(*rebuilt.c).except_(select(*live.c)).subquery()
    return _pick(only_live, key).union(_pick(only_rebuilt, key))


def _pick(source: FromClause, key: tuple[str, ...]) -> Select[Any]:
    return select(*(source.c[name] for name in key))


def _rows(
    connection: Connection, source: FromClause, key: tuple[str, ...], wanted: list[tuple[Any, ...]]
) -> dict[tuple[Any, ...], dict[str, Any]]:
    place = tuple_(*(source.c[name] for name in key))
    found = connection.execute(select(*source.c).where(place.in_(wanted))).mappings()
    return {tuple(row[name] for name in key): dict(row) for row in found}


def _difference(
    table: str, key: tuple[str, ...], at: tuple[Any, ...], live: dict[str, Any] | None, rebuilt: dict[str, Any] | None
) -> Difference:
    kind: Literal["missing", "unexpected", "different"]
    kind = "missing" if live is None else "unexpected" if rebuilt is None else "different"
    before, after = live or {}, rebuilt or {}
    columns = {name: (before.get(name), after.get(name)) for name in before or after}
    return Difference(
        table=table,
        key=dict(zip(key, at, strict=True)),
        kind=kind,
        columns={
            n: pair for n, pair in columns.items() if n not in key and (kind != "different" or pair[0] != pair[1])
        },
    )
