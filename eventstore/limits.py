"""What the log takes in: every limit in one place, checked before anything is queued."""

import re

import msgspec

from eventstore.envelope import NewEvent, StateRecord
from eventstore.errors import EventRefusedError

EVENTS_PER_APPEND_MAX = 1000
PAYLOAD_BYTES_MAX = 1 << 20
STATE_BYTES_MAX = 16 << 20
CONTENT_BYTES_MAX = 16 << 20
ACTOR_CHARACTERS_MAX = 256
DEPTH_MAX = 256

_STREAM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")
_EVENT_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_DIGEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,199}")
#: An escaped NUL: `\\u0000` after an even number of backslashes.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def check_append(
    stream_id: str,
    expected_version: int,
    events: list[NewEvent],
    epoch: int,
    state: StateRecord | None,
    contents: dict[str, bytes] | None,
) -> None:
    """Raise EventRefusedError, naming what is wrong, unless the append is within the limits."""
    if not _STREAM_ID.fullmatch(stream_id):
        raise EventRefusedError(f"stream id {stream_id[:80]!r} must match {_STREAM_ID.pattern}")
    if expected_version < 0 or epoch < 0:
        raise EventRefusedError("expected version and epoch must not be negative")
    if not 1 <= len(events) <= EVENTS_PER_APPEND_MAX:
        raise EventRefusedError(f"an append holds 1 to {EVENTS_PER_APPEND_MAX} events, not {len(events)}")
    if len(events) > 1 and len({event.event_id for event in events}) != len(events):
        raise EventRefusedError("two events of one append have the same event id")
    for event in events:
        _check_event(event)
    if state is not None:
        check_state(state)
    for digest, body in (contents or {}).items():
        if not _DIGEST.fullmatch(digest):
            raise EventRefusedError(f"content digest {digest[:80]!r} must match {_DIGEST.pattern}")
        if len(body) > CONTENT_BYTES_MAX:
            raise EventRefusedError(f"content {digest} has {len(body)} bytes, more than {CONTENT_BYTES_MAX}")


def _check_event(event: NewEvent) -> None:
    if not _EVENT_TYPE.fullmatch(event.type):
        raise EventRefusedError(f"event type {event.type[:80]!r} must match {_EVENT_TYPE.pattern}")
    if event.schema_version < 1:
        raise EventRefusedError(f"{event.type} has schema version {event.schema_version}: it starts at 1")
    if event.occurred_at.tzinfo is None:
        raise EventRefusedError(f"{event.type} has an instant without a time zone")
    _check_text(f"the actor of {event.type}", event.actor, ACTOR_CHARACTERS_MAX)
    _check_json(f"{event.type} payload", event.payload, PAYLOAD_BYTES_MAX)


def check_state(state: StateRecord) -> None:
    """Raise EventRefusedError unless the state record is within the limits."""
    _check_json("the state record", state.state, STATE_BYTES_MAX)
    for text in (state.fold_version, state.namespace, state.name, state.phase):
        _check_text("the state record", text, 300)
    if state.due_at is not None and state.due_at.tzinfo is None:
        raise EventRefusedError("the state record has an instant without a time zone")


def _check_text(what: str, text: str, characters_max: int) -> None:
    if len(text) > characters_max:
        raise EventRefusedError(f"{what} has {len(text)} characters, more than {characters_max}")
    if "\0" in text:
        raise EventRefusedError(f"{what} holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise EventRefusedError(f"{what} holds a lone surrogate, which is not text") from None


def _check_json(what: str, document: bytes, bytes_max: int) -> None:
    if len(document) > bytes_max:
        raise EventRefusedError(f"{what} has {len(document)} bytes, more than {bytes_max}")
    try:
        value = msgspec.json.decode(document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EventRefusedError(f"{what} is not JSON that can be kept: {type(error).__name__}") from None
    if not isinstance(value, dict):
        raise EventRefusedError(f"{what} is not a JSON object")
    # How deep a parser goes depends on the interpreter; whoever reads this log one day may stop sooner than ours.
    if document.count(b"{") + document.count(b"[") > DEPTH_MAX and _is_too_deep(value):
        raise EventRefusedError(f"{what} is not JSON that can be kept: nested more than {DEPTH_MAX} deep")
    if b"\\u0000" in document and _ESCAPED_NUL.search(document):
        raise EventRefusedError(f"{what} holds a NUL character")


def _is_too_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
