"""How long to wait before the next attempt. Pure: the spread comes from stream and attempt, not from a generator."""

import hashlib
from datetime import datetime, timedelta

from eventstore.events import Policy


def retry_delay_seconds(policy: Policy, attempt: int, stream_id: str) -> float:
    """Seconds before retry number `attempt` (1 is the first retry, after the first try).

    With the default policy and no jitter: 10, 20, 40, 80, 160 s. The jitter lengthens a delay by at most
    `policy.retry_jitter` of itself, so that platforms that failed together do not retry together.
    """
    # The exponent is bounded: 2.0 ** 2000 raises, and the maximum is reached long before.
    raw = policy.retry_initial_seconds * policy.retry_factor ** min(attempt - 1, 64)
    return min(raw, policy.retry_max_seconds) * (1.0 + policy.retry_jitter * _spread(stream_id, attempt))


def due_at(now: datetime, seconds: float) -> datetime:
    """The instant so many seconds after `now`."""
    return now + timedelta(seconds=seconds)


def _spread(stream_id: str, attempt: int) -> float:
    """A number in [0, 1), always the same for the same stream and attempt."""
    digest = hashlib.sha256(f"{stream_id}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
