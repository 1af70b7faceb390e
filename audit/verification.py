"""Proof that a stream is whole, unaltered and consistent, or the first event at which it is not.

What is checked, and what each check finds:
- `chain`: versions 1..n without a gap, every hash follows from the event's bytes and the hash before it (S1, S2);
- `head`: the newest event is the one that the head table (and the anchor, a copy kept elsewhere) names: a cut-off tail;
- `readable`: every event decodes under this build;
- `transition`: every phase change is an arrow of the diagram and leaves the phase the platform was in (S8);
- `request`: every request is closed at most once, after it was made (S6);
- `order`: lease epochs and the log's clock never go back (S9);
- `projection`: the stored state is the fold of the events up to its version (S3);
- `content`: every document that an event names is there and has the digest it is named by.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise, takewhile

import msgspec

from audit.requests import RequestLedger
from audit.source import ReadableLog
from eventstore.codec import decode
from eventstore.envelope import GENESIS_HASH, RecordedEvent, StoredState
from eventstore.errors import CorruptEventError, StoreError
from eventstore.events import ApplyRequested, BackupCompleted, Event, LastKnownGoodRecorded, PhaseChanged
from eventstore.hashing import event_hash, verify_chain
from eventstore.vocabulary import Phase
from projections.platform import fold, initial
from projections.state import FOLD_VERSION, PlatformState
from reconciler.core.transitions import is_legal

SHORT_HASH = 6
#: What a log may raise on a row that somebody put there by hand.
_UNLOADABLE = (CorruptEventError, TypeError, ValueError, AttributeError)


class Fault(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that does not hold."""

    sequence: int
    #: Name of the check that found it; see the module's docstring.
    check: str
    message: str


class StreamReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The verdict on one stream."""

    stream_id: str
    events: int
    last_sequence: int
    #: Hex hash of the newest event found.
    head: str
    #: Ascending by sequence; empty: all checks hold.
    faults: tuple[Fault, ...]
    #: Things worth knowing that are no faults.
    notes: tuple[str, ...] = ()
    #: Version up to which an anchor kept elsewhere confirms the chain; 0 without one.
    anchored_to: int = 0

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return not self.faults

    @property
    def trusted_to(self) -> int:
        """Version up to which nothing was found wrong."""
        return self.last_sequence if self.ok else max(0, self.faults[0].sequence - 1)


class Anchor(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A stream's head, copied to a place that a writer of the database cannot reach."""

    stream_id: str
    version: int
    #: Hex.
    hash: str


def verify_stream(log: ReadableLog, stream_id: str, anchor: Anchor | None = None) -> StreamReport:
    """Run every check on one stream."""
    events, faults = _read(log, stream_id)
    faults += _chain_faults(events)
    # After an event that cannot be loaded the rest is not known to be missing.
    faults += [] if faults else _head_faults(log, stream_id, events)
    if anchor is not None:
        faults += _anchor_faults(events, anchor)
    faults += _order_faults(events)
    decoded, unreadable = _decode_all(events)
    faults += unreadable
    faults += _meaning_faults(decoded)
    faults += _content_faults(log, decoded)
    notes: list[str] = []
    stored = log.load_state(stream_id)
    if stored is None:
        notes.append("no stored state to compare with")
    elif stored.record.fold_version != FOLD_VERSION:
        notes.append(f"the stored state is of fold {stored.record.fold_version}, this build's is {FOLD_VERSION}")
    elif not unreadable:
        faults += _projection_faults(stored, events)
    return StreamReport(
        stream_id=stream_id,
        events=len(events),
        last_sequence=events[-1].version if events else 0,
        head=events[-1].hash.hex() if events else GENESIS_HASH.hex(),
        faults=tuple(sorted(faults, key=lambda fault: fault.sequence)),
        notes=tuple(notes),
        anchored_to=anchor.version if anchor else 0,
    )


def _read(log: ReadableLog, stream_id: str) -> tuple[list[RecordedEvent], list[Fault]]:
    """The stream's events up to the first row that is no event at all (a hash that is text, an id that is none)."""
    try:
        events = log.read_stream(stream_id)
    except _UNLOADABLE:
        events = []
    sound = list(takewhile(_is_sound, events))
    while True:
        try:
            page = log.read_stream(stream_id, sound[-1].version if sound else 0, 1)
        except _UNLOADABLE as error:
            return sound, [_unloadable(sound, f"{type(error).__name__}: {error}")]
        if not page:
            return sound, []
        if not _is_sound(page[0]):
            return sound, [_unloadable(sound, "a hash or its payload is not of bytes")]
        sound += page


def _is_sound(event: RecordedEvent) -> bool:
    # A column of SQLite holds what one puts there, whatever its type says.
    return all(isinstance(value, bytes) for value in (event.payload, event.prev_hash, event.hash))


def _unloadable(sound: Sequence[RecordedEvent], why: str) -> Fault:
    sequence = sound[-1].version + 1 if sound else 1
    return Fault(sequence=sequence, check="readable", message=f"its row cannot be read: {why}")


def _chain_faults(events: Sequence[RecordedEvent]) -> Iterator[Fault]:
    fault = verify_chain(events)
    if fault is None:
        return
    message = fault.reason
    event = next((event for event in events if event.version == fault.version), None)
    if event is not None and (computed := event_hash(event, event.prev_hash)) != event.hash:
        message = f"stored {_short(event.hash)} ≠ computed {_short(computed)} (changed after it was appended)"
    yield Fault(sequence=fault.version, check="chain", message=message)


def _head_faults(log: ReadableLog, stream_id: str, events: Sequence[RecordedEvent]) -> Iterator[Fault]:
    version, digest = log.stream_head(stream_id)
    last = events[-1].version if events else 0
    if version > last:
        yield Fault(sequence=last + 1, check="head", message=f"cut off: the head is {version}, the last event {last}")
    elif version < last:
        yield Fault(sequence=version + 1, check="head", message=f"the head is {version}, yet events go on to {last}")
    elif events and digest != events[-1].hash:
        message = f"the head's hash is {_short(digest)}, the last event's {_short(events[-1].hash)}"
        yield Fault(sequence=last, check="head", message=message)


def _anchor_faults(events: Sequence[RecordedEvent], anchor: Anchor) -> Iterator[Fault]:
    event = next((event for event in events if event.version == anchor.version), None)
    if event is None:
        last = events[-1].version if events else 0
        message = f"cut off: the anchor knows event {anchor.version}, the last event here is {last}"
        yield Fault(sequence=last + 1, check="head", message=message)
    elif event.hash.hex() != anchor.hash:
        message = f"the anchor knows hash {anchor.hash[:SHORT_HASH]}, found {_short(event.hash)}: history was rewritten"
        yield Fault(sequence=anchor.version, check="head", message=message)


def _order_faults(events: Sequence[RecordedEvent]) -> Iterator[Fault]:
    for before, event in pairwise(events):
        if event.epoch < before.epoch:
            message = f"written under epoch {event.epoch} after epoch {before.epoch}"
            yield Fault(sequence=event.version, check="order", message=message)
        if event.recorded_at < before.recorded_at:
            yield Fault(sequence=event.version, check="order", message="recorded before the event that precedes it")


def _decode_all(events: Sequence[RecordedEvent]) -> tuple[list[tuple[int, Event]], list[Fault]]:
    decoded: list[tuple[int, Event]] = []
    faults: list[Fault] = []
    for event in events:
        try:
            decoded.append((event.version, decode(event)))
        except StoreError as error:
            faults.append(Fault(sequence=event.version, check="readable", message=str(error)))
    return decoded, faults


def _meaning_faults(decoded: Sequence[tuple[int, Event]]) -> Iterator[Fault]:
    phase: Phase | None = None
    requests = RequestLedger()
    for version, event in decoded:
        for message in requests.record(version, event):
            yield Fault(sequence=version, check="request", message=message)
        if not isinstance(event, PhaseChanged):
            continue
        change = f"{event.from_phase or '[*]'} → {event.to_phase} on {event.trigger.value!r}"
        if not is_legal(event):
            yield Fault(sequence=version, check="transition", message=f"{change} is not in the diagram")
        elif event.from_phase != phase:
            yield Fault(sequence=version, check="transition", message=f"{change}, but the phase was {phase or '[*]'}")
        phase = event.to_phase


def referenced_digests(event: Event) -> Iterator[str]:
    """Documents of the content store that an event names."""
    if isinstance(event, ApplyRequested):
        yield event.digest
    elif isinstance(event, LastKnownGoodRecorded | BackupCompleted):
        # Older builds named objects too that were never made.
        yield from filter(None, event.manifests.values())


def _content_faults(log: ReadableLog, decoded: Sequence[tuple[int, Event]]) -> Iterator[Fault]:
    first_named: dict[str, int] = {}
    for version, event in decoded:
        for digest in referenced_digests(event):
            first_named.setdefault(digest, version)
    for digest, version in first_named.items():
        document = log.get_content(digest)
        if document is None:
            yield Fault(sequence=version, check="content", message=f"document {digest[:14]} is missing")
        elif (found := content_digest(_as_bytes(document))) != digest:
            message = f"document {digest[:14]} was changed: its digest is {found[:14]}"
            yield Fault(sequence=version, check="content", message=message)


def _as_bytes(document: object) -> bytes:
    # A column of SQLite holds what one puts there, bytes or not.
    return document if isinstance(document, bytes) else str(document).encode()


def content_digest(document: bytes) -> str:
    """`sha256:` and the hash of the document: its key in the content store."""
    return "sha256:" + sha256(document).hexdigest()


def _projection_faults(stored: StoredState, events: Sequence[RecordedEvent]) -> Iterator[Fault]:
    last = events[-1].version if events else 0
    if stored.version > last:
        message = f"the stored state stands for event {stored.version}, the last event is {last}"
        yield Fault(sequence=last + 1, check="projection", message=message)
        return
    upto = [event for event in events if event.version <= stored.version]
    if upto and stored.head_hash != upto[-1].hash:
        message = f"the stored state was folded from {_short(stored.head_hash)}, not from {_short(upto[-1].hash)}"
        yield Fault(sequence=stored.version, check="projection", message=message)
    try:
        found = msgspec.json.decode(stored.record.state, type=PlatformState)
    except msgspec.MsgspecError as error:
        yield Fault(sequence=stored.version, check="projection", message=f"the stored state does not decode: {error}")
        return
    folded = fold(initial(stored.stream_id), upto)
    if names := [*differing_fields(found, folded), *_differing_columns(stored, folded)]:
        message = f"the stored state is not the fold of events 1-{stored.version}: {', '.join(names)} differ"
        yield Fault(sequence=stored.version, check="projection", message=message)


def differing_fields(left: PlatformState, right: PlatformState) -> list[str]:
    """Names of the fields in which two states differ."""
    return [name for name in PlatformState.__struct_fields__ if getattr(left, name) != getattr(right, name)]


def _differing_columns(stored: StoredState, folded: PlatformState) -> list[str]:
    record = stored.record
    wanted: Mapping[str, object] = {
        "namespace": folded.namespace,
        "name": folded.name,
        "phase": str(folded.phase or ""),
        "closed": folded.closed,
    }
    return [f"column {name}" for name, value in wanted.items() if getattr(record, name) != value]


def state_digest(state: PlatformState) -> str:
    """One digest for a whole state; equal states have equal digests."""
    return "sha256:" + sha256(msgspec.json.encode(state, order="sorted")).hexdigest()


def _short(digest: bytes) -> str:
    return digest.hex()[:SHORT_HASH]
