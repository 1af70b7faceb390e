"""What every event log promises, asked of memory, SQLite and Postgres alike."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest

from eventstore.codec import decode
from eventstore.envelope import GENESIS_HASH, NewEvent, RecordedEvent
from eventstore.errors import (
    EventIdTakenError,
    EventRefusedError,
    StaleEpochError,
    StoreUnavailableError,
    StreamConflictError,
)
from eventstore.hashing import verify_chain
from eventstore.log import EventLog
from tests.eventstore.samples import NOON, PASS, new_event, new_events, observed, state

# -- appending and reading ------------------------------------------------------------------------------------------


def test_an_appended_event_is_read_back_as_it_was(log: EventLog) -> None:
    event = msgspec.structs.replace(new_event(observed(text="emoji 😀 and ümlaut")), causation_id=uuid4(), actor="é😀")
    before = datetime.now(UTC) - timedelta(seconds=60)
    log.append("s1", 0, [event], epoch=0)
    (recorded,) = log.read_stream("s1")
    for field in NewEvent.__struct_fields__:
        assert getattr(recorded, field) == getattr(event, field), field
    assert (recorded.stream_id, recorded.version, recorded.epoch) == ("s1", 1, 0)
    assert before < recorded.recorded_at < datetime.now(UTC) + timedelta(seconds=60)
    assert decode(recorded) == observed(text="emoji 😀 and ümlaut")


def test_instants_come_back_in_utc_to_the_microsecond(log: EventLog) -> None:
    abroad = NOON.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    log.append("s1", 0, [msgspec.structs.replace(new_event(), occurred_at=abroad)], epoch=0)
    (recorded,) = log.read_stream("s1")
    assert recorded.occurred_at == NOON
    assert recorded.occurred_at.utcoffset() == recorded.recorded_at.utcoffset() == timedelta(0)


def test_payload_bytes_are_kept_as_they_are(log: EventLog) -> None:
    odd = b'{"b" : 1e2,  "a":"\\u00e9", "a":0.10, "big":123456789012345678901234567890}'
    log.append("s1", 0, [msgspec.structs.replace(new_event(), payload=odd)], epoch=0)
    assert log.read_stream("s1")[0].payload == odd


def test_versions_count_from_one_without_a_gap(log: EventLog) -> None:
    first = log.append("s1", 0, new_events(3), epoch=0)
    second = log.append("s1", 3, new_events(2), epoch=0)
    assert (first.first_version, first.last_version) == (1, 3)
    assert (second.first_version, second.last_version) == (4, 5)
    assert [event.version for event in log.read_stream("s1")] == [1, 2, 3, 4, 5]


def test_the_result_tells_where_the_append_landed(log: EventLog) -> None:
    log.append("other", 0, new_events(2), epoch=0)
    result = log.append("s1", 0, new_events(3), epoch=0)
    last = log.read_stream("s1")[-1]
    assert (result.last_position, result.head_hash, result.recorded_at) == (last.position, last.hash, last.recorded_at)
    assert log.head_position() == last.position
    assert log.stream_head("s1") == (3, last.hash)


def test_an_empty_log_has_nothing(log: EventLog) -> None:
    assert log.head_position() == 0
    assert log.stream_head("s1") == (0, GENESIS_HASH)
    assert (log.read_stream("s1"), log.read_all(), log.stream_ids(), log.list_states()) == ([], [], [], [])
    assert log.load_state("s1") is None
    assert log.get_content("sha256:0") is None


def test_a_stream_can_be_read_from_any_version_and_in_parts(log: EventLog) -> None:
    log.append("s1", 0, new_events(5), epoch=0)
    log.append("s2", 0, new_events(1), epoch=0)
    assert [event.version for event in log.read_stream("s1", 2)] == [3, 4, 5]
    assert [event.version for event in log.read_stream("s1", 2, 2)] == [3, 4]
    assert log.read_stream("s1", 5) == []


def test_the_whole_log_is_read_by_pages_in_position_order(log: EventLog) -> None:
    for number in range(7):
        log.append(f"s{number}", 0, new_events(2), epoch=0)
    pages: list[RecordedEvent] = []
    while page := log.read_all(pages[-1].position if pages else 0, 5):
        assert len(page) <= 5
        pages += page
    positions = [event.position for event in pages]
    assert positions == sorted(set(positions))
    assert [(event.stream_id, event.version) for event in pages] == [(f"s{n}", v) for n in range(7) for v in (1, 2)]


def test_streams_are_listed_by_their_first_event(log: EventLog) -> None:
    for stream_id in ("b", "c", "a"):
        log.append(stream_id, 0, new_events(1), epoch=0)
    log.append("c", 1, new_events(1), epoch=0)
    assert log.stream_ids() == ["b", "c", "a"]


def test_recorded_at_never_goes_back(log: EventLog) -> None:
    for version in range(20):
        log.append("s1", version, new_events(1), epoch=0)
    instants = [event.recorded_at for event in log.read_all()]
    assert instants == sorted(instants)


def test_the_chain_of_every_stream_holds(log: EventLog) -> None:
    log.append("s1", 0, new_events(3), epoch=0)
    log.append("s2", 0, [new_event(observed(text="😀"), actor="änd 😀")], epoch=0)
    log.append("s1", 3, [msgspec.structs.replace(event, causation_id=uuid4()) for event in new_events(2)], epoch=0)
    for stream_id in ("s1", "s2"):
        events = log.read_stream(stream_id)
        assert events[0].prev_hash == GENESIS_HASH
        assert verify_chain(events) is None


# -- optimistic concurrency and idempotence -------------------------------------------------------------------------


@pytest.mark.parametrize("expected_version", [0, 1, 3, 99])
def test_append_at_a_wrong_version_raises_a_conflict_and_writes_nothing(log: EventLog, expected_version: int) -> None:
    log.append("s1", 0, new_events(2), epoch=0)
    with pytest.raises(StreamConflictError, match="is at version 2, not") as caught:
        log.append("s1", expected_version, new_events(1), epoch=0, state=state(), contents={"sha256:x": b"x"})
    assert (caught.value.expected_version, caught.value.actual_version) == (expected_version, 2)
    assert (log.head_position(), log.load_state("s1"), log.get_content("sha256:x")) == (2, None, None)


def test_append_to_a_stream_that_is_not_there_at_a_version_raises_a_conflict(log: EventLog) -> None:
    with pytest.raises(StreamConflictError, match="is at version 0, not 4"):
        log.append("s1", 4, new_events(1), epoch=0)


def test_a_repeated_append_returns_the_first_result_and_writes_nothing(log: EventLog) -> None:
    log.append("s1", 0, new_events(1), epoch=0)
    events = new_events(3)
    first = log.append("s1", 1, events, epoch=0)
    log.append("s1", 4, new_events(1), epoch=0)
    log.append("s2", 0, new_events(1), epoch=0)
    assert log.append("s1", 1, events, epoch=0) == first
    assert log.head_position() == 6


def test_an_append_is_not_a_repetition_if_it_has_one_more_event(log: EventLog) -> None:
    events = new_events(2)
    log.append("s1", 0, events, epoch=0)
    with pytest.raises(StreamConflictError):
        log.append("s1", 0, [*events, new_event()], epoch=0)


def test_an_event_id_of_another_stream_is_refused(log: EventLog) -> None:
    events = new_events(2)
    log.append("s1", 0, events, epoch=0)
    with pytest.raises(EventIdTakenError):
        log.append("s2", 0, [new_event(), events[1]], epoch=0)
    assert log.read_stream("s2") == []


def test_an_event_id_of_the_same_stream_is_refused_at_another_version(log: EventLog) -> None:
    events = new_events(2)
    log.append("s1", 0, events, epoch=0)
    with pytest.raises(EventIdTakenError):
        log.append("s1", 2, [events[1]], epoch=0)
    assert log.head_position() == 2


def test_of_many_appends_at_one_version_exactly_one_wins(log: EventLog) -> None:
    barrier = threading.Barrier(8)

    def attempt(_: int) -> bool:
        barrier.wait()
        try:
            log.append("s1", 0, new_events(1), epoch=0)
        except StreamConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    assert log.head_position() == 1


def test_a_conflict_fails_alone_among_appends_that_are_committed_together(log: EventLog) -> None:
    log.append("hot", 0, new_events(1), epoch=0)
    barrier = threading.Barrier(16)

    def attempt(number: int) -> bool:
        barrier.wait()
        stream_id = "hot" if number % 4 == 0 else f"s{number}"
        try:
            log.append(stream_id, 0, new_events(1), epoch=0)
        except StreamConflictError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(attempt, range(16)))
    assert won == [number % 4 != 0 for number in range(16)]
    assert log.head_position() == 13


def test_threads_that_append_to_their_own_streams_all_succeed_in_order(log: EventLog) -> None:
    def write(number: int) -> None:
        for version in range(25):
            log.append(f"s{number}", version, new_events(1), epoch=0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    events = log.read_all()
    assert [event.position for event in events] == sorted({event.position for event in events})
    assert len(events) == 200
    for number in range(8):
        assert verify_chain(log.read_stream(f"s{number}")) is None


# -- limits -----------------------------------------------------------------------------------------------------------


def test_a_thousand_events_are_one_append(log: EventLog) -> None:
    result = log.append("s1", 0, new_events(1000), epoch=0)
    assert result.last_version == 1000
    assert verify_chain(log.read_stream("s1")) is None


def test_a_payload_of_a_mebibyte_is_kept(log: EventLog) -> None:
    payload = b'{"a":"' + b"x" * ((1 << 20) - 8) + b'"}'
    log.append("s1", 0, [msgspec.structs.replace(new_event(), payload=payload)], epoch=0)
    assert log.read_stream("s1")[0].payload == payload


@pytest.mark.parametrize("count", [0, 1001])
def test_an_append_of_too_few_or_too_many_events_is_refused(log: EventLog, count: int) -> None:
    with pytest.raises(EventRefusedError, match=f"1 to 1000 events, not {count}"):
        log.append("s1", 0, new_events(count), epoch=0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"payload": b'{"a":"' + b"x" * (1 << 20) + b'"}'}, "more than 1048576"),
        ({"payload": b'{"a":"b\\u0000c"}'}, "NUL"),
        ({"payload": b'{"\\\\\\u0000":1}'}, "NUL"),
        ({"payload": b'{"a":"\\ud800"}'}, "not JSON that can be kept"),
        ({"payload": b'{"a":"\xed\xa0\x80"}'}, "not JSON that can be kept"),
        ({"payload": b'{"a":NaN}'}, "not JSON that can be kept"),
        ({"payload": b'{"a":1e400000}'}, "not JSON that can be kept"),
        ({"payload": b"[1]"}, "not a JSON object"),
        ({"payload": b""}, "not JSON that can be kept"),
        ({"payload": b'{"a":' * 5000 + b"1" + b"}" * 5000}, "not JSON that can be kept"),
        ({"payload": b'{"a":' + b"[" * 257 + b"]" * 257 + b"}"}, "nested more than 256 deep"),
        ({"actor": "a\0b"}, "NUL"),
        ({"actor": "a\ud800b"}, "lone surrogate"),
        ({"actor": "a" * 257}, "257 characters"),
        ({"type": "no such word"}, "event type"),
        ({"type": ""}, "event type"),
        ({"schema_version": 0}, "schema version 0"),
        ({"occurred_at": datetime(2026, 1, 1)}, "without a time zone"),  # noqa: DTZ001 - the point of the test
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_the_log_cannot_keep_is_refused_by_name(log: EventLog, change: dict[str, object], reason: str) -> None:
    bad = msgspec.structs.replace(new_event(), **change)
    with pytest.raises(EventRefusedError, match=reason):
        log.append("s1", 0, [new_event(), bad], epoch=0)
    assert log.head_position() == 0


def test_a_backslash_before_u0000_is_not_a_nul(log: EventLog) -> None:
    log.append("s1", 0, [msgspec.structs.replace(new_event(), payload=b'{"a":"\\\\u0000"}')], epoch=0)
    assert log.read_stream("s1")[0].payload == b'{"a":"\\\\u0000"}'


@pytest.mark.parametrize("stream_id", ["", "a b", "a\0", "../x'; DROP TABLE events; --", "x" * 201, "ü", "-x"])
def test_a_stream_id_out_of_bounds_is_refused(log: EventLog, stream_id: str) -> None:
    with pytest.raises(EventRefusedError, match="stream id"):
        log.append(stream_id, 0, new_events(1), epoch=0)


def test_the_same_event_id_twice_in_one_append_is_refused(log: EventLog) -> None:
    event = new_event()
    with pytest.raises(EventRefusedError, match="same event id"):
        log.append("s1", 0, [event, event], epoch=0)


# -- states and contents ----------------------------------------------------------------------------------------------


def test_a_state_stands_for_the_version_it_was_appended_with(log: EventLog) -> None:
    log.append("s1", 0, new_events(2), epoch=0, state=state("Pending"))
    result = log.append("s1", 2, new_events(1), epoch=0, state=state("Ready", due_seconds=5))
    stored = log.load_state("s1")
    assert stored is not None
    assert (stored.stream_id, stored.version, stored.head_hash) == ("s1", 3, result.head_hash)
    assert stored.record == state("Ready", due_seconds=5)


def test_an_append_without_a_state_leaves_the_stored_one(log: EventLog) -> None:
    log.append("s1", 0, new_events(2), epoch=0, state=state("Pending"))
    log.append("s1", 2, new_events(1), epoch=0)
    stored = log.load_state("s1")
    assert stored is not None
    assert stored.version == 2


def test_closed_states_are_listed_on_request(log: EventLog) -> None:
    log.append("s2", 0, new_events(1), epoch=0, state=state())
    log.append("s1", 0, new_events(1), epoch=0, state=state(closed=True))
    log.append("S3", 0, new_events(1), epoch=0, state=state())
    assert [stored.stream_id for stored in log.list_states()] == ["S3", "s2"]
    assert [stored.stream_id for stored in log.list_states(include_closed=True)] == ["S3", "s1", "s2"]


def test_due_streams_come_earliest_first_and_without_closed_ones(log: EventLog) -> None:
    for stream_id, due_seconds, closed in [
        ("later", 20.0, False),
        ("now", 10.0, False),
        ("early", 5.0, False),
        ("never", None, False),
        ("gone", 1.0, True),
    ]:
        log.append(stream_id, 0, new_events(1), epoch=0, state=state(due_seconds=due_seconds, closed=closed))
    assert log.due_streams(NOON + timedelta(seconds=10)) == ["early", "now"]
    assert log.due_streams(NOON + timedelta(seconds=60), 1) == ["early"]
    assert log.due_streams(NOON) == []


def test_a_refolded_state_is_stored_only_if_the_stream_has_not_moved_on(log: EventLog) -> None:
    result = log.append("s1", 0, new_events(2), epoch=0, state=state("Pending"))
    assert not log.store_state("s1", 1, state("Ready"))
    assert not log.store_state("none", 0, state("Ready"))
    assert log.store_state("s1", 2, state("Failed"))
    stored = log.load_state("s1")
    assert stored is not None
    assert (stored.version, stored.head_hash, stored.record) == (2, result.head_hash, state("Failed"))


def test_contents_are_kept_once_and_never_replaced(log: EventLog) -> None:
    log.append("s1", 0, new_events(1), epoch=0, contents={"sha256:a": b"\x00first", "sha256:b": b""})
    log.append("s1", 1, new_events(1), epoch=0, contents={"sha256:a": b"second"})
    assert log.get_content("sha256:a") == b"\x00first"
    assert log.get_content("sha256:b") == b""


def test_state_and_contents_of_concurrent_appends_stay_with_their_own(log: EventLog) -> None:
    def write(number: int) -> None:
        own = state(f"P{number}") if number % 2 else None
        contents = {f"sha256:{number}": b"%d" % number} if number % 3 else None
        log.append(f"s{number}", 0, new_events(number % 3 + 1), epoch=0, state=own, contents=contents)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, range(24)))
    for number in range(24):
        stored = log.load_state(f"s{number}")
        assert (stored.record.phase if stored else None) == (f"P{number}" if number % 2 else None)
        assert stored is None or stored.version == number % 3 + 1
        assert log.get_content(f"sha256:{number}") == (b"%d" % number if number % 3 else None)


# -- lease and epochs -------------------------------------------------------------------------------------------------


def test_the_lease_goes_to_one_holder_under_epoch_one(log: EventLog) -> None:
    assert log.lease.current() is None
    lease = log.lease.acquire("a", 30)
    assert lease is not None
    assert (lease.holder, lease.epoch) == ("a", 1)
    assert log.lease.acquire("b", 30) is None
    current = log.lease.current()
    assert current is not None
    assert (current.holder, current.epoch) == ("a", 1)


def test_a_released_lease_is_free_and_its_epoch_is_over(log: EventLog) -> None:
    first = log.lease.acquire("a", 30)
    assert first is not None
    log.lease.release(first)
    second = log.lease.acquire("b", 30)
    assert second is not None
    assert second.epoch == 2
    assert log.lease.renew(first) is None


def test_an_expired_lease_can_be_taken_over(log: EventLog) -> None:
    assert log.lease.acquire("a", 0.02)
    taken = None
    while taken is None:
        taken = log.lease.acquire("b", 30)
    assert taken.epoch == 2


def test_a_renewed_lease_lasts_longer_under_the_same_epoch(log: EventLog) -> None:
    lease = log.lease.acquire("a", 30)
    assert lease is not None
    renewed = log.lease.renew(lease)
    assert renewed is not None
    assert renewed.epoch == 1
    assert renewed.expires_at > lease.expires_at


def test_a_late_holder_may_renew_as_long_as_nobody_else_took_over(log: EventLog) -> None:
    lease = log.lease.acquire("a", 0.001)
    assert lease is not None
    assert log.lease.renew(lease) is not None


def test_a_holder_that_starts_again_fences_its_former_self(log: EventLog) -> None:
    first, second = log.lease.acquire("a", 30), log.lease.acquire("a", 30)
    assert first is not None
    assert second is not None
    assert second.epoch == 2
    with pytest.raises(StaleEpochError, match="epoch 1 is over, the lease is at epoch 2"):
        log.append("s1", 0, new_events(1), epoch=1)


def test_releasing_a_lease_that_is_lost_changes_nothing(log: EventLog) -> None:
    first = log.lease.acquire("a", 30)
    assert first is not None
    log.lease.release(first)
    assert log.lease.acquire("b", 30)
    log.lease.release(first)
    assert log.lease.acquire("c", 30) is None


@pytest.mark.parametrize(("holder", "ttl_seconds"), [("", 1), ("a\nb", 1), ("a", 0), ("a", -1), ("a", float("nan"))])
def test_a_senseless_lease_is_refused(log: EventLog, holder: str, ttl_seconds: float) -> None:
    with pytest.raises(ValueError, match="lease"):
        log.lease.acquire(holder, ttl_seconds)


def test_an_append_under_an_epoch_that_is_over_writes_nothing(log: EventLog) -> None:
    log.append("s1", 0, new_events(1), epoch=0)
    for _ in range(2):
        assert log.lease.acquire("a", 30)
    for epoch in (0, 1):
        with pytest.raises(StaleEpochError):
            log.append("s1", 1, new_events(1), epoch=epoch, state=state(), contents={"sha256:x": b"x"})
    assert (log.head_position(), log.load_state("s1"), log.get_content("sha256:x")) == (1, None, None)
    log.append("s1", 1, new_events(1), epoch=2)
    assert [event.epoch for event in log.read_stream("s1")] == [0, 2]


def test_a_repeated_append_gets_its_first_result_even_after_its_epoch(log: EventLog) -> None:
    assert log.lease.acquire("a", 30)
    events = new_events(1)
    first = log.append("s1", 0, events, epoch=1)
    assert log.lease.acquire("a", 30)
    assert log.append("s1", 0, events, epoch=1) == first


# -- waiting and closing ----------------------------------------------------------------------------------------------


def test_waiting_ends_when_something_is_appended(log: EventLog) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.wait_for_append, 0, 10.0)
        log.append("s1", 0, new_events(1), epoch=0)
        assert waiting.result(5)


def test_waiting_does_not_begin_if_something_is_there_already(log: EventLog) -> None:
    log.append("s1", 0, new_events(1), epoch=0)
    assert log.wait_for_append(0, 0)
    assert not log.wait_for_append(1, 0.01)


def test_a_closed_log_refuses_appends_and_wakes_who_waits(log: EventLog) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(log.wait_for_append, 0, 10.0)
        log.close()
        assert not waiting.result(5)
    with pytest.raises(StoreUnavailableError, match="closed"):
        log.append("s1", 0, new_events(1), epoch=0)


def test_event_ids_of_a_pass_need_not_differ_from_its_correlation_id(log: EventLog) -> None:
    log.append("s1", 0, [new_event(event_id=PASS)], epoch=0)
    assert log.read_stream("s1")[0].correlation_id == PASS
