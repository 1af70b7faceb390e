"""Points in a stream's history, and the state of a platform at one of them.

A time means the operator's clock (`occurred_at`), which is the one that `.status`, Kubernetes Events and the tables
show. A time given to the second includes that whole second, so that a time copied from a table finds its event.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from audit.errors import NotFoundError, PointError
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.events import PlatformObserved
from projections.platform import fold, initial
from projections.state import PlatformState

POINT_FORMS = "a sequence (17), a time (2026-11-23T10:18:00Z or 10:18), a time ago (-1h, 90s), gen:2, or live"


class AtVersion(msgspec.Struct, frozen=True):
    """Right after the event with this sequence."""

    version: int


class AtTime(msgspec.Struct, frozen=True):
    """After everything that had happened at this instant (UTC)."""

    at: datetime


class AtGeneration(msgspec.Struct, frozen=True):
    """The last moment at which this generation of the spec was the newest."""

    generation: int


class Live(msgspec.Struct, frozen=True):
    """After the newest event."""


Point = AtVersion | AtTime | AtGeneration | Live

_UNIT_SECONDS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|w|d|h|m|s)")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|w|d|h|m|s))+")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(\.\d+)?)?Z?")
_SEQUENCE_DIGITS_MAX = 18
_DURATION_SECONDS_MAX = 100 * 366 * 86400.0


def parse_duration(text: str) -> timedelta:
    """`90s`, `1h30m`, `2d` as a length of time.

    Raises:
        PointError: not a length of time, or longer than a century.
    """
    compact = text.strip().replace(" ", "").lower()
    if not _DURATION.fullmatch(compact):
        raise PointError(f"{text!r} is not a length of time", next_step="write it like 90s, 15m, 1h30m or 2d")
    seconds = sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(compact))
    if seconds > _DURATION_SECONDS_MAX:
        raise PointError(f"{text!r} is longer than a century")
    return timedelta(seconds=seconds)


def parse_point(text: str, now: datetime) -> Point:
    """What `--at` and the arguments of `diff` accept.

    Raises:
        PointError: the text is none of `POINT_FORMS`.
    """
    word = text.strip()
    lower = word.lower()
    if lower in {"live", "now", "head", "latest"}:
        return Live()
    for prefix in ("seq:", "#"):
        if lower.startswith(prefix):
            return AtVersion(_number(lower.removeprefix(prefix), text))
    if lower.startswith("gen:"):
        return AtGeneration(_number(lower.removeprefix("gen:"), text))
    if word.isascii() and word.isdigit():
        return AtVersion(_number(word, text))
    ago = lower.removesuffix("ago").strip().removeprefix("-")
    if _DURATION.fullmatch(ago.replace(" ", "")):
        return AtTime(now - parse_duration(ago))
    return AtTime(parse_instant(word, now))


def parse_time(text: str, now: datetime) -> datetime:
    """What `--since` and `--until` accept: the forms of a point that are times.

    Raises:
        PointError: the text is no time.
    """
    point = parse_point(text, now)
    if isinstance(point, AtTime):
        return point.at
    if isinstance(point, Live):
        return now
    raise PointError(f"{text!r} is not a time", next_step="give a time (2026-11-23T10:18:00Z or 10:18) or -1h")


def parse_instant(text: str, now: datetime) -> datetime:
    """An RFC 3339 time, a date, or the newest `HH:MM[:SS]` that is not in the future; UTC unless an offset is given.

    Raises:
        PointError: not a time.
    """
    clock = _CLOCK.fullmatch(text)
    try:
        if clock:
            at = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[3] or 0), microsecond=0)
            at = at if at <= now else at - timedelta(days=1)
        else:
            at = datetime.fromisoformat(text)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PointError(f"{text!r} is not a point in a history", next_step=f"give {POINT_FORMS}") from error
    has_fraction = "." in text
    return at if has_fraction else at.replace(microsecond=999_999)


def _number(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _SEQUENCE_DIGITS_MAX:
        raise PointError(f"{text!r} is not a point in a history", next_step=f"give {POINT_FORMS}")
    return int(digits)


def version_at(events: Sequence[RecordedEvent], point: Point) -> int:
    """Version of the last event that belongs to the point; `events` is the whole stream.

    Raises:
        NotFoundError: the stream has no such point.
    """
    if not events:
        raise NotFoundError("the stream holds no events")
    match point:
        case Live():
            return events[-1].version
        case AtVersion(version):
            return _existing_version(events, version)
        case AtTime(at):
            return _version_at_time(events, at)
        case AtGeneration(generation):
            return _version_at_generation(events, generation)


def _existing_version(events: Sequence[RecordedEvent], version: int) -> int:
    first, last = events[0].version, events[-1].version
    if not first <= version <= last:
        raise NotFoundError(f"there is no sequence {version}", f"the stream holds {first} to {last}")
    return version


def _version_at_time(events: Sequence[RecordedEvent], at: datetime) -> int:
    # Clocks of different replicas may disagree a little: stop at the first event that is later than the instant.
    version = 0
    for event in events:
        if event.occurred_at > at:
            break
        version = event.version
    if version == 0:
        first = events[0].occurred_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        raise NotFoundError("the platform was not known yet at that time", f"its first event is of {first}")
    return version


def _version_at_generation(events: Sequence[RecordedEvent], generation: int) -> int:
    seen: list[int] = []
    version = 0
    for event in events:
        if event.type == PlatformObserved.__name__:
            observed = decode(event)
            assert isinstance(observed, PlatformObserved)
            seen.append(observed.generation)
        if seen and seen[-1] == generation:
            version = event.version
    if version == 0:
        raise NotFoundError(f"generation {generation} was not seen", f"generations seen: {_ranges(seen)}")
    return version


def _ranges(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in sorted(set(numbers))) or "none"


def next_event(events: Sequence[RecordedEvent], version: int) -> RecordedEvent | None:
    """The event after `version`, None if it is the newest."""
    return next((event for event in events if event.version > version), None)


def state_at(events: Sequence[RecordedEvent], point: Point) -> PlatformState:
    """The platform as it was at the point; `events` is the whole stream.

    Raises:
        NotFoundError: the stream has no such point.
        UnknownEventError, CorruptEventError: an event up to the point cannot be read.
    """
    version = version_at(events, point)
    return state_after(events, version)


def state_after(events: Sequence[RecordedEvent], version: int) -> PlatformState:
    """The fold of the stream's events up to and with `version`."""
    return fold(initial(events[0].stream_id), (event for event in events if event.version <= version))
