"""UUIDv7 and instants."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.identifiers import new_event_id, uuid7
from eventstore.instants import from_microseconds, to_microseconds
from tests.eventstore.samples import NOON


def test_a_uuid7_has_the_layout_of_the_standard() -> None:
    # Example of RFC 9562, appendix A.6.
    instant = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
    random = (0xCC3 << 62 | 0x18C4DC0C0C07398F & (1 << 62) - 1).to_bytes(10)
    assert str(uuid7(instant, random)) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_uuid7s_are_ordered_by_their_millisecond() -> None:
    ids = [uuid7(NOON + timedelta(milliseconds=n), bytes([255 - n] * 10)) for n in range(20)]
    assert ids == sorted(ids)


def test_fresh_ids_differ_and_are_version_7() -> None:
    ids = {new_event_id(datetime.now(UTC)) for _ in range(100)}
    assert len(ids) == 100
    assert {(one.version, one.variant) for one in ids} == {(7, "specified in RFC 4122")}


@pytest.mark.parametrize("random", [b"", bytes(9), bytes(11)])
def test_too_little_randomness_is_refused(random: bytes) -> None:
    with pytest.raises(ValueError, match="10 random bytes"):
        uuid7(NOON, random)


def test_an_instant_before_1970_has_no_uuid7() -> None:
    with pytest.raises(ValueError, match="outside the range"):
        uuid7(datetime(1969, 12, 31, tzinfo=UTC), bytes(10))


@given(st.datetimes(timezones=st.just(UTC)))
def test_microseconds_are_exact(instant: datetime) -> None:
    assert from_microseconds(to_microseconds(instant)) == instant
