"""Events to canonical JSON and back.

Canonical: UTF-8, keys sorted, no white space, fields at their default left out. One event has one spelling.

Reading is strict on purpose. A field that this build does not know, even within a schema version it knows, is
something a newer build recorded; ignoring it would fold and decide on less than what happened. So it is an
`UnknownEventError`, and that one stream waits for the newer build. Fields that are *absent* have their default.
"""

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

import msgspec

from eventstore.envelope import NewEvent, RecordedEvent
from eventstore.errors import CorruptEventError, EventRefusedError, UnknownEventError
from eventstore.events import EVENT_TYPES, Event
from eventstore.upcasters import UPCASTERS, check_complete, upcast

_encode = msgspec.json.Encoder(order="sorted").encode


class _Reader(NamedTuple):
    schema_version: int
    kind: type[Event]
    decode: Callable[[bytes], Event]


check_complete(EVENT_TYPES, UPCASTERS)
_READERS = {
    name: _Reader(kind.schema_version, kind, msgspec.json.Decoder(kind).decode) for name, kind in EVENT_TYPES.items()
}


def encode(
    event: Event,
    *,
    event_id: UUID,
    occurred_at: datetime,
    causation_id: UUID | None,
    correlation_id: UUID,
    actor: str,
) -> NewEvent:
    """The event ready to be appended.

    Raises:
        EventRefusedError: it holds a lone surrogate, a NUL character, NaN or an infinity.
    """
    return NewEvent(
        event_id=event_id,
        type=type(event).__name__,
        schema_version=event.schema_version,
        payload=_canonical(event),
        occurred_at=occurred_at,
        causation_id=causation_id,
        correlation_id=correlation_id,
        actor=actor,
    )


def decode(recorded: RecordedEvent) -> Event:
    """The domain event, upcast to this build's schema.

    Raises:
        UnknownEventError: its type, schema version or one of its fields is not known to this build.
        CorruptEventError: its payload is not what an event of that type looks like.
    """
    reader = _READERS.get(recorded.type)
    if reader is None:
        raise UnknownEventError(f"{_place(recorded)}: type {recorded.type!r} is not known to this build")
    schema_version, kind, read = reader
    try:
        if recorded.schema_version == schema_version:
            event = read(recorded.payload)
        elif recorded.schema_version > schema_version:
            raise UnknownEventError(
                f"{_place(recorded)}: {recorded.type} has schema {recorded.schema_version}, "
                f"this build knows up to {schema_version}"
            )
        else:
            return _decode_older(recorded, kind, schema_version)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptEventError(f"{_place(recorded)}: {recorded.type} does not decode: {error}") from None
    if _encode(event) != recorded.payload:
        _refuse_unknown_fields(recorded, msgspec.json.decode(recorded.payload), event)
    return event


def _decode_older(recorded: RecordedEvent, kind: type[Event], schema_version: int) -> Event:
    payload = msgspec.json.decode(recorded.payload, type=dict[str, Any])
    try:
        payload = upcast(recorded.type, payload, recorded.schema_version, schema_version, UPCASTERS)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptEventError(
            f"{_place(recorded)}: {recorded.type} of schema {recorded.schema_version} cannot be upcast: {error!r}"
        ) from None
    event = msgspec.convert(payload, kind)
    _refuse_unknown_fields(recorded, payload, event)
    return event


def _place(recorded: RecordedEvent) -> str:
    return f"stream {recorded.stream_id} version {recorded.version}"


def _refuse_unknown_fields(recorded: RecordedEvent, raw: object, event: Event) -> None:
    if unknown := sorted(_unknown_fields(raw, event, "")):
        raise UnknownEventError(
            f"{_place(recorded)}: {recorded.type} has fields this build does not know: {', '.join(unknown)}"
        )


def _unknown_fields(raw: object, value: object, path: str) -> Iterator[str]:
    if isinstance(value, msgspec.Struct):
        for name, part in cast("dict[str, Any]", raw).items():
            if name in value.__struct_fields__:
                yield from _unknown_fields(part, getattr(value, name), f"{path}{name}.")
            else:
                yield f"{path}{name}"
    elif isinstance(value, list | tuple):
        for index, (part, item) in enumerate(zip(cast("list[Any]", raw), value, strict=True)):
            yield from _unknown_fields(part, item, f"{path}{index}.")
    elif isinstance(value, dict):
        for name, part in cast("dict[str, Any]", raw).items():
            yield from _unknown_fields(part, value.get(name), f"{path}{name}.")


def _canonical(event: Event) -> bytes:
    try:
        payload = _encode(event)
    except UnicodeEncodeError:
        raise EventRefusedError(f"{type(event).__name__} holds a lone surrogate, which is not text") from None
    except (TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise EventRefusedError(f"{type(event).__name__} cannot be written as JSON: {error}") from None
    # The encoder writes NaN and the infinities as null: look closer only where a null was written.
    if b"null" in payload and _has_non_finite(msgspec.to_builtins(event)):
        raise EventRefusedError(f"{type(event).__name__} holds NaN or an infinity, which JSON cannot hold")
    if b"\\u0000" in payload and _has_nul(msgspec.json.decode(payload)):
        raise EventRefusedError(f"{type(event).__name__} holds a NUL character, which the log does not keep")
    return payload


def _has_non_finite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_has_non_finite, value.values()))
    return isinstance(value, list | tuple) and any(map(_has_non_finite, value))


def _has_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_has_nul, value)) or any(map(_has_nul, value.values()))
    return isinstance(value, list) and any(map(_has_nul, value))
