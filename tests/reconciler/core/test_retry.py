"""The retry policy of the state machine: 5 retries after the first try, 10 s to 5 min, factor 2."""

import pytest

from eventstore.events import Policy
from reconciler.core.retry import retry_delay_seconds

PLAIN = Policy(retry_jitter=0.0)


@pytest.mark.parametrize(
    ("attempt", "seconds"),
    [
        (1, 10),  # 10 * 2**0
        (2, 20),  # 10 * 2**1
        (3, 40),
        (4, 80),
        (5, 160),
        (6, 300),  # 320, held at the maximum
        (5000, 300),  # the exponent does not overflow
    ],
)
def test_delays_double_up_to_the_maximum(attempt: int, seconds: float) -> None:
    assert retry_delay_seconds(PLAIN, attempt, "stream") == seconds


def test_jitter_only_lengthens_and_never_by_more_than_its_share() -> None:
    delays = [retry_delay_seconds(Policy(), 1, f"stream-{n}") for n in range(200)]
    assert min(delays) >= 10.0
    assert max(delays) < 11.0
    assert len(set(delays)) > 190


def test_the_same_stream_and_attempt_always_wait_the_same() -> None:
    assert retry_delay_seconds(Policy(), 3, "a") == retry_delay_seconds(Policy(), 3, "a")
