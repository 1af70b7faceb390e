"""What changed between two points of a history: field by field, with the event and the hand that did it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.events import PlatformObserved
from projections.platform import evolve, initial
from projections.state import ObjectState, PlatformState
from reconciler.core.status import status

SECTIONS = ("spec", "status", "objects")
_ABSENT = object()
#: Parts of the status that change with every event and say nothing by themselves.
_STATUS_NOISE = frozenset({"ledger", "history"})
#: They follow from the change beside them.
_NOISE_ENDINGS = (".lastTransitionTime", "].observedGeneration", "].since")
Flat = dict[str, Any]


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One field that differs."""

    #: `spec.components.grafana.version`
    path: str
    #: None when the field was not there; see `added` and `removed`.
    before: Any
    after: Any
    added: bool
    removed: bool
    #: Event that gave the field its later value.
    sequence: int
    #: Field manager of the edit, or the operator.
    by: str


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All fields that differ between two versions of one stream."""

    from_sequence: int
    to_sequence: int
    changes: tuple[Change, ...]


def difference(
    events: Sequence[RecordedEvent], from_version: int, to_version: int, sections: Sequence[str] = SECTIONS
) -> Difference:
    """Compare the states after two events of a stream, in either direction; `events` is the whole stream."""
    low, high = sorted((from_version, to_version))
    states = _states(events, low, high)
    before, after = flatten(states[0][1], sections), flatten(states[-1][1], sections)
    origin = _origins(states, before, after, sections)
    if from_version > to_version:
        before, after = after, before
    changes = [
        Change(
            path=path,
            before=None if was is _ABSENT else was,
            after=None if now is _ABSENT else now,
            added=was is _ABSENT,
            removed=now is _ABSENT,
            sequence=origin[path][0],
            by=origin[path][1],
        )
        for path, was, now in _differing(before, after)
    ]
    return Difference(from_sequence=from_version, to_sequence=to_version, changes=tuple(changes))


def spec_of(state: PlatformState) -> dict[str, Any]:
    """The newest spec that was seen, redacted."""
    return state.observed.spec if state.observed else {}


def flatten(state: PlatformState, sections: Sequence[str]) -> Flat:
    """Path -> leaf value, for the sections asked for."""
    flat: Flat = {}
    if "spec" in sections:
        flat.update(_leaves("spec", spec_of(state)))
        for path, hmac in (state.observed.inline_secrets if state.observed else {}).items():
            # The value is not in the log; a keyed digest tells that it changed.
            flat[f"spec.{path.removeprefix('spec.')}"] = f"(secret, hmac {hmac[:14]})"
    if "status" in sections:
        shown = {key: value for key, value in status(state).items() if key not in _STATUS_NOISE}
        flat.update((path, value) for path, value in _leaves("status", shown) if not path.endswith(_NOISE_ENDINGS))
    if "objects" in sections:
        for key, child in state.objects.items():
            flat.update(_object_leaves(key, child))
    return flat


def _object_leaves(key: str, child: ObjectState) -> Iterator[tuple[str, Any]]:
    yield f"objects[{key}].manifest", child.applied_digest or "(not applied)"
    if child.drift is not None:
        yield f"objects[{key}].drift", child.drift.kind
    if child.deleting:
        yield f"objects[{key}].deleting", True


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(f"{path}.{key}", part)
    elif isinstance(value, list | tuple) and value:
        for index, part in enumerate(value):
            yield from _leaves(f"{path}[{_item_key(part, index)}]", part)
    else:
        yield path, value


def _item_key(item: Any, index: int) -> str:
    # Conditions and components are lists keyed by type and name: an insertion must not shift all the others.
    if isinstance(item, Mapping):
        for key in ("type", "name"):
            if isinstance(item.get(key), str):
                return str(item[key])
    return str(index)


def _differing(before: Flat, after: Flat) -> Iterator[tuple[str, Any, Any]]:
    # Fields that only one side has stand beside the others of their section.
    for path in sorted({**before, **after}, key=_section):
        was, now = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if type(was) is not type(now) or was != now:
            yield path, was, now


def _section(path: str) -> int:
    return next(index for index, section in enumerate(SECTIONS) if path.startswith(section))


def _states(events: Sequence[RecordedEvent], low: int, high: int) -> list[tuple[RecordedEvent | None, PlatformState]]:
    """The state after `low`, then one entry for each event up to and with `high`."""
    state = initial(events[0].stream_id)
    found: list[tuple[RecordedEvent | None, PlatformState]] = []
    for recorded in events:
        if recorded.version > high:
            break
        state = evolve(state, decode(recorded), recorded.occurred_at)
        if recorded.version == low:
            found = [(None, state)]
        elif recorded.version > low:
            found.append((recorded, state))
    return found


def _origins(
    states: list[tuple[RecordedEvent | None, PlatformState]], before: Flat, after: Flat, sections: Sequence[str]
) -> dict[str, tuple[int, str]]:
    """Path -> (sequence, hand) of the event that gave it the value it has at the end."""
    wanted = {path for path, _, _ in _differing(before, after)}
    origins: dict[str, tuple[int, str]] = {}
    later = after
    # Backwards: most changes are near the end, and once all are found the rest need not be looked at.
    for (recorded, _), (_, state) in zip(reversed(states[1:]), reversed(states[:-1]), strict=True):
        if not wanted or recorded is None:
            break
        earlier = flatten(state, sections)
        found = {path for path, _, _ in _differing(earlier, later)} & wanted
        origins.update((path, (recorded.version, _hand(recorded))) for path in found)
        wanted -= found
        later = earlier
    return origins


def _hand(recorded: RecordedEvent) -> str:
    event = decode(recorded)
    return event.field_manager if isinstance(event, PlatformObserved) else recorded.actor


# -- as a patch ----------------------------------------------------------------------------------------------------


def merge_patch(before: Any, after: Any, skip: Callable[[str], bool] = lambda _: False, path: str = "spec") -> Any:
    """The JSON merge patch (RFC 7386) that turns `before` into `after`; `skip` names paths to leave alone.

    Secret values are not in the log: a patch made from it must not carry their placeholders into a live object.
    """
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return after
    patch: dict[str, Any] = {}
    for key in {**before, **after}:
        inner = f"{path}.{key}"
        if skip(inner):
            continue
        if key not in after:
            patch[key] = None
        elif key not in before:
            patch[key] = _without_skipped(after[key], skip, inner)
        elif before[key] != after[key]:
            patch[key] = merge_patch(before[key], after[key], skip, inner)
    return patch


def _without_skipped(value: Any, skip: Callable[[str], bool], path: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        key: _without_skipped(part, skip, f"{path}.{key}") for key, part in value.items() if not skip(f"{path}.{key}")
    }


def secret_paths(*states: PlatformState) -> frozenset[str]:
    """Paths (`spec.…`) at which a secret value stood in the live resource."""
    found = (path for state in states if state.observed for path in state.observed.inline_secrets)
    return frozenset(path if path.startswith("spec.") else f"spec.{path}" for path in found)
