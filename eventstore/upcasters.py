"""Steps that bring the payload of an older schema version to the next one: dict -> dict, pure, one per step.

A step is needed when a field is renamed, removed, or changes meaning. A new field with a default needs none.
`UPCASTERS["PlatformObserved", 1]` turns version 1 into version 2 and nothing else.
"""

from collections.abc import Callable, Mapping
from typing import Any

from eventstore.events import Event

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]

#: (event type, schema version it starts from) -> step.
UPCASTERS: dict[tuple[str, int], Upcaster] = {}


def upcast(
    event_type: str, payload: Payload, from_version: int, to_version: int, steps: Mapping[tuple[str, int], Upcaster]
) -> Payload:
    """The payload as `to_version` writes it."""
    for version in range(from_version, to_version):
        payload = steps[event_type, version](payload)
    return payload


def check_complete(types: Mapping[str, type[Event]], steps: Mapping[tuple[str, int], Upcaster]) -> None:
    """Raise ValueError unless there is exactly one step for every older version of every type."""
    wanted = {(name, version) for name, kind in types.items() for version in range(1, kind.schema_version)}
    if missing := sorted(wanted - steps.keys()):
        raise ValueError(f"upcasters are missing for {missing}")
    if surplus := sorted(steps.keys() - wanted):
        raise ValueError(f"upcasters lead nowhere: {surplus}")
