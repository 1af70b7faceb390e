"""What `kubectl get` prints: the server makes the table."""

from datetime import datetime
from typing import Any

from sandbox import eventkinds, jsonpath
from sandbox.columns import NAME, Column, age, builtin_columns
from sandbox.errors import bad_request
from sandbox.kinds import Kind, Version
from sandbox.values import Object, compact


def table(kind: Kind, version: Version, items: list[Object], now: datetime, include: str, meta: Object) -> Object:
    """A `meta.k8s.io/v1` Table; `include` is `Object`, `Metadata` or `None`."""
    if include not in ("", "Object", "Metadata", "None"):
        wrong = f"includeObject: Invalid value: \"{include}\": must be 'Metadata', 'Object', 'None', or empty"
        raise bad_request(f"Unable to convert to Table as requested: {wrong}")
    columns = _custom_columns(version) if kind.custom else builtin_columns(kind)
    rows = []
    for item in items:
        # Both kinds of Events are shown in the words of the core one.
        source = eventkinds.to_core(item) if kind.key == eventkinds.NEW_EVENTS else item
        shown = {"Object": item, "None": None}.get(include, partial(item))
        rows.append({"cells": [column.cell(source, now) for column in columns], "object": shown})
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": [
            {
                "name": column.name,
                "type": column.type,
                "format": column.format,
                "description": "",
                "priority": int(column.wide),
            }
            for column in columns
        ],
        "rows": rows,
    }


def partial(item: Object) -> Object:
    """The object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


def _custom_columns(version: Version) -> list[Column]:
    """Those of the definition; name and age, if it has none."""
    age_alone: Object = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}
    return [NAME, *(_declared(column) for column in version.columns or (age_alone,))]


def _declared(column: Object) -> Column:
    path, kind = column["jsonPath"], column["type"]

    def cell(item: Object, now: datetime) -> Any:
        value = jsonpath.first(item, path)
        if value is None:
            return None
        if kind == "date" and isinstance(value, str):
            shown = age(value, now)
            return "<invalid>" if shown == "<unknown>" else shown
        return _shown(kind, value)

    return Column(column["name"], kind, cell, bool(column.get("priority")), column.get("format", ""))


def _shown(kind: str, value: Any) -> Any:
    """A value in a column of a type; None where it is of another."""
    if kind == "string":
        if isinstance(value, dict | list):
            return compact(value)
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, bool):
        return value if kind == "boolean" else None
    if kind == "integer" and isinstance(value, int | float):
        return int(value)
    return value if kind == "number" and isinstance(value, int | float) else None
