"""Instants as the log keeps them: UTC, whole microseconds since 1970. No clock in here."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MICROSECONDS = 86_400_000_000


def to_microseconds(instant: datetime) -> int:
    """Microseconds since 1970 of an aware datetime. Exact: no float is involved."""
    since = instant - _EPOCH
    return since.days * _DAY_MICROSECONDS + since.seconds * 1_000_000 + since.microseconds


def from_microseconds(microseconds: int) -> datetime:
    """The UTC datetime of `to_microseconds`'s result."""
    return _EPOCH + timedelta(microseconds=microseconds)
