"""An event whose schema changed twice, from its stored bytes to every reader: a test's, since none of ours has yet.

What is stored stays as it is, whatever it is read as: the chain is over stored bytes, and so is every copy of them.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from audit.bundle_file import bundle_lines, read_bundle, write_atomically
from audit.export import ExportFormat, export_lines, make_bundle
from audit.replay import replay
from audit.source import LedgerSource
from audit.verification import verify_stream
from eventstore import codec, upcasters
from eventstore.codec import decode, encode
from eventstore.envelope import NewEvent, RecordedEvent
from eventstore.errors import UnknownEventError
from eventstore.events import EVENT_TYPES, Event, Observation, PlatformObserved, PolicyAdopted, Resumed
from eventstore.hashing import event_hash, verify_chain
from eventstore.identifiers import uuid7
from eventstore.log import EventLog
from projections import platform
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.shell.states import state_record
from tests.eventstore.samples import NOON

STREAM = "6f1c2b7e-0000-4000-8000-000000000042"
#: The same tide, as three builds wrote it.
STORED = {
    1: b'{"height":3,"place":"quay"}',
    2: b'{"metres":3,"place":"quay"}',
    3: b'{"centimetres":300,"place":"quay"}',
}


class TideObserved(Observation, frozen=True):
    """The water stood so high."""

    schema_version = 3

    place: str
    #: Version 1: `height`, in metres. Version 2: `metres`.
    centimetres: int
    #: New in version 3, with a default.
    gauge: str = "float"


class OlderTideObserved(Observation, frozen=True):
    """The same, as the build before this one knows it."""

    schema_version = 2

    place: str
    metres: int


def _height_is_metres(old: dict[str, Any]) -> dict[str, Any]:
    return {"place": old["place"], "metres": old["height"]}


def _metres_are_centimetres(old: dict[str, Any]) -> dict[str, Any]:
    return {"place": old["place"], "centimetres": old["metres"] * 100}


def _evolve(_: PlatformState, event: TideObserved, __: datetime) -> dict[str, Any]:
    """A flood stops everything; what the spec says about that is then decided."""
    return {"paused": event.centimetres > 250, "unknown_fields": (f"{event.place}, {event.gauge}",)}


@pytest.fixture(autouse=True)
def tides(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Event]], None]:
    """The event as part of this build; called with its older class, of the build before."""

    def know(kind: type[Event]) -> None:
        reader = codec._Reader(kind.schema_version, kind, msgspec.json.Decoder(kind).decode)
        monkeypatch.setitem(codec._READERS, "TideObserved", reader)

    types: dict[str, type[Event]] = EVENT_TYPES
    monkeypatch.setitem(types, "TideObserved", TideObserved)
    monkeypatch.setitem(upcasters.UPCASTERS, ("TideObserved", 1), _height_is_metres)
    monkeypatch.setitem(upcasters.UPCASTERS, ("TideObserved", 2), _metres_are_centimetres)
    evolvers: dict[Any, Any] = platform._EVOLVERS
    monkeypatch.setitem(evolvers, TideObserved, _evolve)
    know(TideObserved)
    return know


class Writer:
    """Appends passes as the operator does: what is seen, and what follows from it."""

    def __init__(self, log: EventLog) -> None:
        self.log, self.state, self.now, self._ids = log, platform.initial(STREAM), NOON, iter(range(1, 1000))

    def record(self, *seen: Event | tuple[int, bytes]) -> None:
        """One pass; a pair is the stored form of a tide: schema version and payload."""
        self.now += timedelta(seconds=10)
        correlation_id = self._id()
        news = [self._new(one, correlation_id) for one in seen]
        inputs = [TideObserved(place="quay", centimetres=300) if isinstance(one, tuple) else one for one in seen]
        before = self.state.version
        self.state, decided = conclude(apply_events(self.state, inputs, self.now), self.now)
        news += [self._new(one, correlation_id) for one in decided]
        self.log.append(STREAM, before, news, epoch=0, state=state_record(self.state, self.now))

    def _new(self, one: Event | tuple[int, bytes], correlation_id: UUID) -> NewEvent:
        current = TideObserved(place="quay", centimetres=300) if isinstance(one, tuple) else one
        new = encode(
            current,
            event_id=self._id(),
            occurred_at=self.now,
            causation_id=None,
            correlation_id=correlation_id,
            actor="kubectl",
        )
        if isinstance(one, tuple):
            new = msgspec.structs.replace(new, schema_version=one[0], payload=one[1])
        return new

    def _id(self) -> UUID:
        return uuid7(self.now, next(self._ids).to_bytes(10, "big"))


def written(log: EventLog, versions: list[int]) -> list[RecordedEvent]:
    """A platform, and a flood for each of the versions, after each of which everything goes on."""
    writer = Writer(log)
    writer.record(PolicyAdopted(policy=writer.state.policy, operator_version="1.0.0"), _seen())
    for version in versions:
        writer.record((version, STORED[version]))
    return log.read_stream(STREAM)


def _seen() -> PlatformObserved:
    spec = {"components": {"prometheus": {"version": "3.13.1"}}}
    return PlatformObserved(
        namespace="demo", name="prod", generation=1, spec=spec, digest="sha256:1", field_manager="kubectl"
    )


def test_every_version_is_read_as_the_newest_one(log: EventLog) -> None:
    tides = [event for event in written(log, [1, 2, 3]) if event.type == "TideObserved"]
    assert [decode(event) for event in tides] == [TideObserved(place="quay", centimetres=300)] * 3


def test_only_the_newest_version_is_written() -> None:
    new = Writer.__new__(Writer)
    new.now, new._ids = NOON, iter([1])
    event = new._new(TideObserved(place="quay", centimetres=300), UUID(int=7))
    assert (event.schema_version, event.payload) == (3, STORED[3])


def test_reading_leaves_what_is_stored_as_it_is(log: EventLog) -> None:
    found = [event for event in written(log, [1, 2, 3]) if event.type == "TideObserved"]
    for event in found:
        decode(event)
    again = [event for event in log.read_stream(STREAM) if event.type == "TideObserved"]
    assert [(event.schema_version, event.payload) for event in again] == list(STORED.items())


def test_the_chain_is_over_the_stored_bytes_and_not_over_what_they_are_read_as(log: EventLog) -> None:
    events = written(log, [1, 2, 3])
    assert verify_chain(events) is None
    old = next(event for event in events if event.schema_version == 1 and event.type == "TideObserved")
    upcast = msgspec.structs.replace(old, schema_version=3, payload=STORED[3])
    assert event_hash(upcast, old.prev_hash) != old.hash


def test_every_version_folds_to_the_same_state(log: EventLog) -> None:
    events = written(log, [1, 1, 1])
    state = platform.fold(platform.initial(STREAM), events)
    for versions in ([2, 2, 2], [3, 3, 3], [1, 2, 3]):
        stored = iter(versions)
        rewritten = [_in_version(event, stored) for event in events]
        assert platform.fold(platform.initial(STREAM), rewritten) == state
    assert state.unknown_fields == ("quay, float",)


def _in_version(event: RecordedEvent, versions: Iterator[int]) -> RecordedEvent:
    if event.type != "TideObserved":
        return event
    version = next(versions)
    return msgspec.structs.replace(event, schema_version=version, payload=STORED[version])


def test_a_log_of_mixed_versions_verifies_and_is_decided_alike(log: EventLog) -> None:
    events = written(log, [1, 2, 3])
    assert [decode(event) for event in events].count(Resumed()) == 3
    assert verify_stream(log, STREAM).faults == ()
    report = replay(events, stored=log.load_state(STREAM))
    assert report.ok
    assert report.equals_stored is True


def test_an_upcaster_that_changes_the_meaning_is_found_by_a_replay(
    log: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = written(log, [1, 2, 3])
    monkeypatch.setitem(
        upcasters.UPCASTERS, ("TideObserved", 2), lambda old: {"place": old["place"], "centimetres": old["metres"]}
    )
    report = replay(events)
    assert report.divergence is not None
    assert report.divergence.recorded == Resumed()


def test_an_exported_bundle_holds_the_stored_bytes_and_can_be_replayed(log: EventLog, tmp_path: Path) -> None:
    events = written(log, [1, 2, 3])
    source = LedgerSource(log, "test")
    bundle = make_bundle(source, source.streams(), exported_at=NOON, operator_version="test")
    write_atomically(tmp_path / "bundle", bundle_lines(bundle))
    again = read_bundle(tmp_path / "bundle")
    assert [(one.schema_version, one.payload, one.hash) for one in again.read_stream(STREAM)] == [
        (one.schema_version, one.payload, one.hash) for one in events
    ]
    assert verify_stream(again, STREAM).faults == ()
    assert replay(again.read_stream(STREAM), stored=again.load_state(STREAM)).ok
    lines = b"".join(export_lines(bundle, ExportFormat.JSONL))
    assert all(b'"payload":' + payload in lines for payload in STORED.values())


def test_a_build_that_knows_less_reads_no_further_than_what_it_knows(
    log: EventLog, tides: Callable[[type[Event]], None]
) -> None:
    events = written(log, [1, 2, 3])
    tides(OlderTideObserved)
    kinds = {fault.check for fault in verify_stream(log, STREAM).faults}
    assert kinds == {"readable"}, "the chain is as whole to it as to any other"
    newest = next(event for event in events if event.schema_version == 3)
    with pytest.raises(UnknownEventError, match="TideObserved has schema 3, this build knows up to 2"):
        platform.fold(platform.initial(STREAM), events)
    assert newest.payload == STORED[3]


@pytest.mark.parametrize("program", ["import eventstore.codec", "import reconciler.app"])
def test_a_build_without_a_step_does_not_start(program: str) -> None:
    code = f"from eventstore import events; events.Paused.schema_version = 3; {program}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "upcasters are missing for [('Paused', 1), ('Paused', 2)]" in done.stderr
