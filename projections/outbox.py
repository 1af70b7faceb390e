"""A reader of the log that remembers how far it came: what is to be done outside for each event, done from there on."""

from sqlalchemy import Engine

from eventstore.envelope import RecordedEvent
from eventstore.log import EventLog
from projections.checkpoints import Checkpoint, advance, ensure_checkpoint, load_checkpoint


class Outbox:
    """At least once: a page is given again until it was marked as done. Whoever acts on it must bear a repetition."""

    def __init__(self, log: EventLog, engine: Engine, name: str, *, version: int = 1, page_size: int = 200) -> None:
        """`name` is the key of its checkpoint, beside those of the read models."""
        self._log, self._engine = log, engine
        self._name, self._version, self._page_size = name, version, page_size
        self._checkpoint: Checkpoint | None = None

    def pending(self) -> list[RecordedEvent]:
        """The events after the last one that was done, oldest first; at most a page."""
        self._checkpoint = self._load()
        return self._log.read_all(self._checkpoint.position, self._page_size)

    def done(self, last: RecordedEvent) -> None:
        """Everything up to this event of the page is done. Ignored if another process was faster."""
        if self._checkpoint is None:
            return
        now = Checkpoint(
            version=self._version,
            position=last.position,
            event_hash=last.hash.hex(),
            recorded_at=last.recorded_at,
        )
        with self._engine.begin() as connection:
            advance(connection, self._name, self._checkpoint, now)

    def _load(self) -> Checkpoint:
        with self._engine.connect() as connection:
            found = load_checkpoint(connection, self._name)
        if found is not None:
            return found
        with self._engine.begin() as connection:
            ensure_checkpoint(connection, self._name, self._version)
        return Checkpoint(version=self._version)
