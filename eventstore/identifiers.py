"""Event ids: UUIDv7 (RFC 9562), so that ids of one time lie together in the index."""

import os
from datetime import datetime
from uuid import UUID

from eventstore.instants import to_microseconds


def uuid7(now: datetime, random_bytes: bytes) -> UUID:
    """The UUIDv7 of an instant (milliseconds) and 10 random bytes. Pure."""
    if len(random_bytes) != 10:
        raise ValueError(f"uuid7 needs 10 random bytes, not {len(random_bytes)}")
    milliseconds = to_microseconds(now) // 1000
    if not 0 <= milliseconds < 1 << 48:
        raise ValueError(f"{now.isoformat()} is outside the range of UUIDv7")
    random = int.from_bytes(random_bytes)
    random_a, random_b = (random >> 62) & 0xFFF, random & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | random_a << 64 | 0b10 << 62 | random_b)


def new_event_id(now: datetime) -> UUID:
    """A fresh UUIDv7 of this instant, from the system's randomness. Shell code only."""
    return uuid7(now, os.urandom(10))
