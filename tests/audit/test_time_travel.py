"""Points in a history, and the state at each of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import NotFoundError, PointError
from audit.time_travel import (
    AtGeneration,
    AtTime,
    AtVersion,
    Live,
    Point,
    next_event,
    parse_duration,
    parse_point,
    parse_time,
    state_at,
    version_at,
)
from eventstore.envelope import RecordedEvent
from tests.audit.recording import at

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("17", AtVersion(17)),
        ("seq:17", AtVersion(17)),
        ("#17", AtVersion(17)),
        ("gen:2", AtGeneration(2)),
        ("live", Live()),
        ("LIVE", Live()),
        ("now", Live()),
        ("-1h", AtTime(NOW - timedelta(hours=1))),
        ("1h ago", AtTime(NOW - timedelta(hours=1))),
        ("90s", AtTime(NOW - timedelta(seconds=90))),
        ("1h30m", AtTime(NOW - timedelta(minutes=90))),
        ("2026-11-23T10:18:00.5Z", AtTime(datetime(2026, 11, 23, 10, 18, 0, 500_000, tzinfo=UTC))),
        ("2026-11-23T12:18:00.5+02:00", AtTime(datetime(2026, 11, 23, 10, 18, 0, 500_000, tzinfo=UTC))),
    ],
)
def test_a_point_can_be_said_in_many_ways(text: str, point: Point) -> None:
    assert parse_point(text, NOW) == point


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T10:18:00Z", datetime(2026, 11, 23, 10, 18, tzinfo=UTC)),
        ("2026-11-23 10:18:00", datetime(2026, 11, 23, 10, 18, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 23, tzinfo=UTC)),
        ("10:18", datetime(2026, 11, 23, 10, 18, tzinfo=UTC)),
        ("10:18:30", datetime(2026, 11, 23, 10, 18, 30, tzinfo=UTC)),
        ("13:00", datetime(2026, 11, 22, 13, 0, tzinfo=UTC)),
    ],
)
def test_a_time_to_the_second_includes_the_whole_second(text: str, instant: datetime) -> None:
    assert parse_time(text, NOW) == instant.replace(microsecond=999_999)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "gen:two",
        "25:00",
        "10:61",
        "2026-13-01",
        "-5",
        "1.5",
        "9" * 40,
        "gen:",
        "\u0661\u0667",
        "1x",
        "\x00",
    ],
)
def test_what_is_no_point_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(PointError) as refused:
        parse_point(text, NOW)
    assert "gen:2" in refused.value.next_step


@pytest.mark.parametrize("text", ["1", "1y", "", "h", "-"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(PointError):
        parse_duration(text)


def test_a_length_of_more_than_a_century_is_refused() -> None:
    with pytest.raises(PointError, match="century"):
        parse_point("99999999w", NOW)


def test_a_sequence_is_no_time() -> None:
    with pytest.raises(PointError, match="is not a time"):
        parse_time("17", NOW)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", 1),
        ("26", 26),
        ("live", 26),
        ("09:00:00", 5),
        ("09:00:01", 5),
        ("09:00:02", 9),
        ("10:18", 22),
        ("gen:1", 14),
        ("gen:2", 26),
        ("2026-11-23T10:20:52Z", 26),
    ],
)
def test_a_point_is_the_last_event_that_had_happened(events: list[RecordedEvent], text: str, version: int) -> None:
    assert version_at(events, parse_point(text, NOW)) == version


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("27", "holds 1 to 26"),
        ("0", "holds 1 to 26"),
        ("08:59:59", "first event is of 2026-11-23T09:00:00Z"),
        ("gen:3", "generations seen: 1, 2"),
    ],
)
def test_a_point_outside_of_the_history_is_not_found(events: list[RecordedEvent], text: str, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        version_at(events, parse_point(text, NOW))


def test_the_state_at_a_point_knows_nothing_of_what_came_later(events: list[RecordedEvent]) -> None:
    state = state_at(events, AtTime(at("10:18:00")))
    assert (state.version, state.phase) == (22, "Upgrading")
    assert state.components["grafana"].running_version == "10.2.0"
    assert state_at(events, AtVersion(13)).phase == "Ready"


def test_the_event_after_a_point_is_known(events: list[RecordedEvent]) -> None:
    later = next_event(events, 22)
    assert later is not None
    assert later.version == 23
    assert next_event(events, 26) is None


def test_a_replica_with_a_slow_clock_does_not_hide_what_was_recorded_before(events: list[RecordedEvent]) -> None:
    import msgspec

    late = msgspec.structs.replace(events[21], occurred_at=at("08:00:00"))
    skewed = [*events[:21], late, *events[22:]]
    assert version_at(skewed, AtTime(at("10:18:00"))) == 22


@given(st.text(max_size=40) | st.from_regex(r"[-0-9:TZhmsd. ago+]{1,25}", fullmatch=True))
def test_any_text_is_a_point_or_is_refused(text: str) -> None:
    try:
        parse_point(text, NOW)
    except PointError:
        return
