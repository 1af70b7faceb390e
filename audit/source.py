"""Where the commands read from: a live ledger or an exported bundle, behind the reading half of `EventLog`."""

import difflib
from collections.abc import Iterator
from typing import Protocol, Self

import msgspec

from audit.errors import AmbiguousNameError, NotFoundError
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent, StoredState
from eventstore.errors import StoreError
from eventstore.events import FinalizerReleased, PlatformGone, PlatformObserved

#: How many of the first events are searched for the platform's name when no projection tells it.
_NAME_SEARCH_EVENTS = 20


class ReadableLog(Protocol):
    """What reading needs of a log: a subset of `eventstore.log.EventLog`."""

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """Events of one stream in version order."""
        ...

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """One page of the whole log in position order."""
        ...

    def head_position(self) -> int:
        """Position of the newest event, 0 for an empty log."""
        ...

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """(version, hash) of the stream's head as the head table has it."""
        ...

    def stream_ids(self) -> list[str]:
        """All streams, by the position of their first event."""
        ...

    def load_state(self, stream_id: str) -> StoredState | None:
        """The stored projection of one stream."""
        ...

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """The stored projections of all streams."""
        ...

    def get_content(self, digest: str) -> bytes | None:
        """A content-addressed document."""
        ...

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:
        """Sleep until something was appended or the time is over."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One platform's stream, as lists show it."""

    stream_id: str
    namespace: str
    name: str
    #: Version that the stored projection stands for; 0 if there is none.
    version: int
    phase: str
    closed: bool

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class LedgerSource:
    """Finds platforms by name and reads their events."""

    def __init__(self, log: ReadableLog, label: str) -> None:
        self.log = log
        #: What was opened, for messages; passwords masked.
        self.label = label

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.log.close()

    def streams(self, namespace: str | None = None, *, include_closed: bool = True) -> list[StreamInfo]:
        """All streams, oldest first; a stream that no name is known of has the name "?"."""
        stored = {state.stream_id: state for state in self.log.list_states(include_closed=True)}
        found = [self._describe(stream_id, stored.get(stream_id)) for stream_id in self.log.stream_ids()]
        return [
            stream
            for stream in found
            if (namespace is None or stream.namespace == namespace) and (include_closed or not stream.closed)
        ]

    def resolve(self, name: str, namespace: str | None = None, uid: str | None = None) -> StreamInfo:
        """The newest stream of that name; `obs/prod` names the namespace too; `uid` or its beginning picks one.

        Raises:
            NotFoundError: no such platform.
            AmbiguousNameError: platforms of that name exist in several namespaces, or several uids begin so.
        """
        if namespace is None and "/" in name:
            namespace, _, name = name.partition("/")
        streams = self.streams()
        named = [s for s in streams if s.name == name and namespace in (None, s.namespace)]
        if uid is not None:
            named = [s for s in named if s.stream_id.startswith(uid)]
            if len(named) > 1:
                raise AmbiguousNameError(
                    f"{len(named)} streams begin with {uid}", _candidates(named), "give more of it"
                )
        if not named:
            raise self._unknown(name, namespace, uid, streams)
        if len({s.namespace for s in named}) > 1:
            raise AmbiguousNameError(
                f"{name} exists in several namespaces", _candidates(named), "say which one with -n NAMESPACE"
            )
        return named[-1]

    def events(self, stream_id: str, after_version: int = 0) -> list[RecordedEvent]:
        """The stream's events in version order."""
        return self.log.read_stream(stream_id, after_version)

    def _unknown(self, name: str, namespace: str | None, uid: str | None, streams: list[StreamInfo]) -> NotFoundError:
        wanted = f"{namespace}/{name}" if namespace else name
        what = f"platform {wanted}" + (f" with uid {uid}" if uid else "")
        names = sorted({str(s) for s in streams})
        if not names:
            return NotFoundError(f"{what} not found", f"the ledger {self.label} is empty", "check which ledger is read")
        elsewhere = [n for n in names if n.endswith(f"/{name}")]
        near = elsewhere or difflib.get_close_matches(wanted, names, n=3) or names[:3]
        return NotFoundError(
            f"{what} not found",
            f"the ledger {self.label} holds {_shortened(names)}",
            f"did you mean {', '.join(near)}?",
        )

    def _describe(self, stream_id: str, stored: StoredState | None) -> StreamInfo:
        if stored is not None:
            record = stored.record
            return StreamInfo(
                stream_id=stream_id,
                namespace=record.namespace,
                name=record.name,
                version=stored.version,
                phase=record.phase,
                closed=record.closed,
            )
        namespace, name = self._name_in_events(stream_id)
        last_type = _last_type(self.log, stream_id)
        closed = last_type in {FinalizerReleased.__name__, PlatformGone.__name__}
        return StreamInfo(stream_id=stream_id, namespace=namespace, name=name, version=0, phase="", closed=closed)

    def _name_in_events(self, stream_id: str) -> tuple[str, str]:
        for event in self.log.read_stream(stream_id, 0, _NAME_SEARCH_EVENTS):
            if event.type != PlatformObserved.__name__:
                continue
            try:
                observed = decode(event)
            except StoreError:
                continue
            if isinstance(observed, PlatformObserved):
                return observed.namespace, observed.name
        return "?", "?"


def _last_type(log: ReadableLog, stream_id: str) -> str:
    version, _ = log.stream_head(stream_id)
    tail = log.read_stream(stream_id, max(0, version - 1), 1)
    return tail[0].type if tail else ""


def _candidates(streams: list[StreamInfo]) -> str:
    return ", ".join(f"{s} (uid {s.stream_id}{', closed' if s.closed else ''})" for s in streams)


def _shortened(names: list[str], shown_max: int = 5) -> str:
    more = len(names) - shown_max
    return ", ".join(names[:shown_max]) + (f" and {more} more" if more > 0 else "")


def pages(log: ReadableLog, page_size: int = 1000) -> Iterator[list[RecordedEvent]]:
    """The whole log, page by page."""
    position = 0
    while page := log.read_all(position, page_size):
        yield page
        position = page[-1].position
