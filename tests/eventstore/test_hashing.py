"""The hash chain: nothing can be altered, moved, left out or added without a trace."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from eventstore.appending import Append, seal
from eventstore.envelope import GENESIS_HASH, RecordedEvent
from eventstore.hashing import event_hash, verify_chain
from tests.eventstore.samples import NOON, new_event, new_events, observed


@pytest.fixture
def chain() -> list[RecordedEvent]:
    events, _ = seal(Append("s1", 0, new_events(4), 3), last_position=9, prev_hash=GENESIS_HASH, recorded_at=NOON)
    return events


def test_an_untouched_chain_holds(chain: list[RecordedEvent]) -> None:
    assert verify_chain(chain) is None
    assert verify_chain([]) is None


def test_the_rest_of_a_chain_can_be_verified_from_a_known_event(chain: list[RecordedEvent]) -> None:
    assert verify_chain(chain[2:], prev_hash=chain[1].hash, prev_version=2) is None
    assert verify_chain(chain[2:], prev_hash=chain[0].hash, prev_version=2) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"stream_id": "s2"},
        {"event_id": uuid4()},
        {"type": "PlatformGone"},
        {"schema_version": 2},
        {"payload": b"{}"},
        {"occurred_at": NOON + timedelta(microseconds=1)},
        {"recorded_at": NOON + timedelta(microseconds=1)},
        {"causation_id": uuid4()},
        {"correlation_id": uuid4()},
        {"actor": "mallory"},
        {"epoch": 4},
        {"hash": bytes(32)},
        {"prev_hash": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_altered_field_is_found_at_its_version(chain: list[RecordedEvent], change: dict[str, Any]) -> None:
    chain[2] = msgspec.structs.replace(chain[2], **change)
    fault = verify_chain(chain)
    assert fault is not None
    assert (fault.stream_id, fault.version) == ("s1", 3)
    assert fault.reason


@pytest.mark.parametrize(
    ("meddle", "version", "reason"),
    [
        (lambda chain: chain[:1] + chain[2:], 2, "is missing"),
        (lambda chain: chain[1:], 1, "is missing"),
        (lambda chain: [chain[0], chain[2], chain[1], chain[3]], 2, "is missing"),
        (lambda chain: [*chain[:2], chain[1], *chain[2:]], 3, "is missing"),
    ],
    ids=["left out", "beginning cut off", "swapped", "twice"],
)
def test_a_missing_or_moved_event_is_found(
    chain: list[RecordedEvent],
    meddle: Callable[[list[RecordedEvent]], list[RecordedEvent]],
    version: int,
    reason: str,
) -> None:
    fault = verify_chain(meddle(chain))
    assert fault is not None
    assert fault.version == version
    assert reason in fault.reason


def test_a_forged_event_with_a_right_hash_of_its_own_breaks_the_next_one(chain: list[RecordedEvent]) -> None:
    forged = msgspec.structs.replace(chain[1], actor="mallory")
    chain[1] = msgspec.structs.replace(forged, hash=event_hash(forged, chain[0].hash))
    fault = verify_chain(chain)
    assert fault is not None
    assert (fault.version, "does not follow" in fault.reason) == (3, True)


def test_moving_a_character_between_fields_changes_the_hash() -> None:
    event = new_event(observed())
    (one,), _ = seal(Append("ab", 0, [event], 0), last_position=0, prev_hash=GENESIS_HASH, recorded_at=NOON)
    other = msgspec.structs.replace(one, stream_id="a", type="b" + one.type)
    assert event_hash(one, GENESIS_HASH) != event_hash(other, GENESIS_HASH)


def test_the_format_of_the_hash_is_settled_for_ever() -> None:
    event = RecordedEvent(
        position=5,
        stream_id="s1",
        version=7,
        event_id=UUID(int=1),
        type="PlatformObserved",
        schema_version=1,
        payload='{"a":"😀"}'.encode(),
        occurred_at=NOON,
        recorded_at=NOON + timedelta(seconds=1),
        causation_id=None,
        correlation_id=UUID(int=2),
        actor="é",
        epoch=3,
        prev_hash=GENESIS_HASH,
        hash=b"",
    )
    # Stored hashes were made this way: a change here makes every existing log look forged.
    assert event_hash(event, GENESIS_HASH).hex() == "da9bb643ded49076300637dc15b9d4ae35d22a54d64f0af5d709472e453b5baa"
