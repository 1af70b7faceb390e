"""A stream that holds what only a newer build can read is left alone by an older one, and no other is (F36, F37)."""

from typing import Any

import msgspec
import pytest

from eventstore import codec, upcasters
from eventstore.envelope import NewEvent, RecordedEvent
from tests.golden.stage import Stage
from tests.golden.stories import prometheus


def first_stream(stage: Stage, name: str) -> str:
    """The stream of the platform of this name."""
    platform = stage.universe.platform(name)
    assert platform is not None
    uid: str = platform["metadata"]["uid"]
    return uid


def append_newer(stage: Stage, stream_id: str, **newer: Any) -> RecordedEvent:
    """A newer build appended something: the stream's newest event again, as that build writes it."""
    log = stage.universe.log
    last = log.read_stream(stream_id)[-1]
    fields = {name: getattr(last, name) for name in NewEvent.__struct_fields__}
    version = bytes(reversed(last.event_id.bytes))
    fields |= {"event_id": type(last.event_id)(bytes=version), **newer}
    lease = log.lease.current()
    log.append(stream_id, last.version, [NewEvent(**fields)], epoch=lease.epoch if lease else 0)
    return log.read_stream(stream_id)[-1]


@pytest.fixture
def stage() -> Stage:
    """Two platforms, both Ready."""
    stage = Stage(36)
    stage.apply(prometheus(), "first")
    stage.apply(prometheus(), "second")
    return stage


NEWER: list[dict[str, Any]] = [
    {"schema_version": 2},
    {"type": "TideObserved", "payload": b'{"centimetres":300}'},
    {"type": "Paused", "payload": b'{"until":"2027-01-01T00:00:00Z"}'},
]


@pytest.mark.parametrize("newer", NEWER, ids=["schema", "type", "field"])
def test_only_the_stream_that_holds_it_is_left_alone_and_says_so(stage: Stage, newer: dict[str, Any]) -> None:
    held, other = first_stream(stage, "first"), first_stream(stage, "second")
    unknown = append_newer(stage, held, **newer)
    before = [(kind.kind, item) for kind, item in stage.universe.owned_by(held)]
    for name in ("first", "second"):
        stage.apply(prometheus("3.13.2"), name)
    log = stage.universe.log
    assert log.read_stream(held)[-1] == unknown, "nothing is appended to what cannot be read"
    assert [(kind.kind, item) for kind, item in stage.universe.owned_by(held)] == before, "nor is anything written"
    assert condition(stage, "first", "Degraded") == ("True", "Quarantined")
    state = stage.simulation.replicas[0].states.load(other).state
    assert state.components["prometheus"].running_version == "3.13.2"
    assert condition(stage, "second", "Ready")[0] == "True"


def test_a_build_that_can_read_it_goes_on_where_the_older_one_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = first_stream(stage, "first")
    last = stage.universe.log.read_stream(held)[-1]
    append_newer(stage, held, schema_version=2)
    stage.apply(prometheus("3.13.2"), "first")
    assert condition(stage, "first", "Degraded") == ("True", "Quarantined")
    reader = codec._READERS[last.type]
    monkeypatch.setitem(codec._READERS, last.type, reader._replace(schema_version=2))
    monkeypatch.setitem(upcasters.UPCASTERS, (last.type, 1), dict)
    stage.restart(msgspec.structs.replace(stage.simulation.replicas[0]._timing, version="newer"))
    stage.wait()
    assert condition(stage, "first", "Ready")[0] == "True"
    assert condition(stage, "first", "Degraded")[0] == "False"
    state = stage.simulation.replicas[0].states.load(held).state
    assert state.components["prometheus"].running_version == "3.13.2"


def condition(stage: Stage, name: str, kind: str) -> tuple[str, str]:
    """(status, reason) of a condition."""
    platform = stage.universe.platform(name)
    assert platform is not None
    found = {one["type"]: (one["status"], one["reason"]) for one in platform["status"]["conditions"]}
    return found.get(kind, ("", ""))
