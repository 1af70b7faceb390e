"""Events to canonical JSON and back, and what is refused on either way."""

import math
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import codec, upcasters
from eventstore.appending import Append, seal
from eventstore.codec import decode, encode
from eventstore.envelope import GENESIS_HASH, NewEvent, RecordedEvent
from eventstore.errors import CorruptEventError, EventRefusedError, UnknownEventError
from eventstore.events import EVENT_TYPES, Event, Finding, SpecRejected
from eventstore.upcasters import check_complete
from tests.eventstore.samples import NOON, PASS, new_event, observed


def recorded(event: NewEvent, **changes: Any) -> RecordedEvent:
    """The event as a log would hold it."""
    sealed, _ = seal(Append("s1", 6, [event], 0), last_position=0, prev_hash=GENESIS_HASH, recorded_at=NOON)
    return msgspec.structs.replace(sealed[0], **changes)


def payload(event: Event) -> bytes:
    return encode(
        event, event_id=UUID(int=1), occurred_at=NOON, causation_id=None, correlation_id=PASS, actor="a"
    ).payload


def test_the_payload_is_canonical() -> None:
    rejected = SpecRejected(
        generation=2,
        digest="sha256:ü",
        findings=(Finding(reason="R", message="m", subject="s"), Finding(reason="Q", message="n")),
    )
    assert payload(rejected).decode() == (
        '{"digest":"sha256:ü","findings":[{"message":"m","reason":"R","subject":"s"},{"message":"n","reason":"Q"}],'
        '"generation":2}'
    )


def test_the_order_of_keys_in_a_spec_does_not_change_the_payload() -> None:
    one = msgspec.structs.replace(observed(), spec={"a": 1, "b": {"c": 2, "d": 3}})
    other = msgspec.structs.replace(observed(), spec={"b": {"d": 3, "c": 2}, "a": 1})
    assert payload(one) == payload(other)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(spec=st.dictionaries(st.text("abc"), json_values, max_size=4))
def test_what_is_encoded_is_decoded_again(spec: dict[str, Any]) -> None:
    event = msgspec.structs.replace(observed(), spec=spec)
    assert decode(recorded(new_event(event))) == event


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_number_json_cannot_hold_is_refused(value: float, depth: int) -> None:
    spec: Any = value
    for _ in range(depth):
        spec = [{"x": spec}]
    with pytest.raises(EventRefusedError, match="NaN or an infinity"):
        new_event(msgspec.structs.replace(observed(), spec={"a": spec}))


def test_a_null_is_not_taken_for_a_nan() -> None:
    event = msgspec.structs.replace(observed(), spec={"a": None, "b": 1.5})
    assert decode(recorded(new_event(event))) == event


@pytest.mark.parametrize("text", ["a\0b", "\0"])
def test_a_nul_is_refused(text: str) -> None:
    with pytest.raises(EventRefusedError, match="PlatformObserved holds a NUL"):
        new_event(observed(text=text))
    with pytest.raises(EventRefusedError, match="NUL"):
        new_event(msgspec.structs.replace(observed(), spec={text: 1}))


def test_the_words_backslash_u0000_are_not_a_nul() -> None:
    event = observed(text="\\u0000")
    assert decode(recorded(new_event(event))) == event


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(EventRefusedError, match="lone surrogate"):
        new_event(observed(text="\ud83d"))


def test_something_that_is_no_json_is_refused() -> None:
    with pytest.raises(EventRefusedError, match="cannot be written as JSON"):
        new_event(msgspec.structs.replace(observed(), spec={"a": object()}))


def test_an_unknown_type_is_named() -> None:
    with pytest.raises(UnknownEventError, match="stream s1 version 7: type 'MoonPhaseChanged' is not known"):
        decode(recorded(new_event(), type="MoonPhaseChanged"))


def test_a_newer_schema_is_named() -> None:
    with pytest.raises(UnknownEventError, match="PlatformObserved has schema 2, this build knows up to 1"):
        decode(recorded(new_event(), schema_version=2))


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (b'{"zzz":1,', "zzz"),
        (b'{"findings2":null,', "findings2"),
    ],
)
def test_a_field_this_build_does_not_know_is_named_and_not_dropped(extra: bytes, named: str) -> None:
    event = new_event()
    with pytest.raises(UnknownEventError, match=f"has fields this build does not know: {named}"):
        decode(recorded(event, payload=extra + event.payload[1:]))


def test_an_unknown_field_of_a_part_is_named_with_its_path() -> None:
    event = new_event(SpecRejected(generation=1, digest="d", findings=(Finding(reason="R", message="m"),)))
    with pytest.raises(UnknownEventError, match=r"does not know: findings\.0\.hint"):
        decode(recorded(event, payload=event.payload.replace(b'{"message"', b'{"hint":1,"message"')))


def test_another_spelling_of_the_same_event_is_accepted() -> None:
    event = new_event()
    assert decode(recorded(event, payload=event.payload.replace(b'":', b'" : '))) == observed()


@pytest.mark.parametrize(
    "broken",
    [b"", b"{", b"[]", b"null", b'"x"', b"{}", b'{"generation":"x"}', b"\xff", b'{"spec":' * 3000],
)
def test_a_payload_that_is_no_such_event_is_corrupt(broken: bytes) -> None:
    with pytest.raises(CorruptEventError, match="stream s1 version 7: PlatformObserved does not decode"):
        decode(recorded(new_event(), payload=broken))


def test_every_older_version_needs_its_step() -> None:
    class Renamed(Event, frozen=True):
        schema_version = 3

    types: dict[str, type[Event]] = {"Renamed": Renamed}
    same = {("Renamed", 1): dict, ("Renamed", 2): dict}
    check_complete(types, same)
    with pytest.raises(ValueError, match=r"missing for \[\('Renamed', 2\)\]"):
        check_complete(types, {("Renamed", 1): dict})
    with pytest.raises(ValueError, match="lead nowhere"):
        check_complete(types, {**same, ("Renamed", 3): dict})


def test_an_older_event_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = codec._READERS["PlatformObserved"]
    monkeypatch.setitem(codec._READERS, "PlatformObserved", reader._replace(schema_version=3))
    monkeypatch.setitem(
        upcasters.UPCASTERS, ("PlatformObserved", 1), lambda old: {**old, "field_manager": old["manager"]}
    )
    monkeypatch.setitem(
        upcasters.UPCASTERS, ("PlatformObserved", 2), lambda old: {key: old[key] for key in old if key != "manager"}
    )
    event = new_event()
    old = recorded(event, payload=event.payload.replace(b'"field_manager"', b'"manager"'))
    assert decode(old) == observed()
    with pytest.raises(CorruptEventError, match="schema 1 cannot be upcast"):
        decode(recorded(event, payload=b'{"generation":1}'))
    with pytest.raises(UnknownEventError, match="does not know: extra"):
        decode(recorded(event, payload=old.payload.replace(b'{"', b'{"extra":1,"', 1)))


def test_every_event_type_has_a_reader() -> None:
    assert codec._READERS.keys() == EVENT_TYPES.keys()
