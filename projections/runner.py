"""Keeps the read models up with the log: page by page, rows and checkpoint in one transaction.

Any number of runners may work on the same tables: the checkpoint is moved by compare-and-set, so that each page counts
once. Reading is the truth; nothing here depends on being told about an append.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

import msgspec
import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import InterfaceError, OperationalError

from eventstore.codec import decode as decode_event
from eventstore.errors import StoreUnavailableError
from eventstore.log import EventLog
from projections.checkpoints import (
    Checkpoint,
    Target,
    advance,
    clear,
    ensure_checkpoint,
    load_checkpoint,
    load_checkpoints,
    stopped_streams,
)
from projections.contract import ReadModel
from projections.folding import Decode, Poison, decode_page
from projections.pages import PAGE_SIZE, apply_page, read_page, refold_streams
from projections.read_models import READ_MODELS
from projections.rebuild import RebuildInterruptedError, replace_live

_log = structlog.get_logger(__name__)


class IncidentKind(StrEnum):
    """What an operator of this operator must know about."""

    #: A stream stopped in one read model.
    STREAM_STOPPED = "StreamStopped"
    #: A stopped stream goes on, because this build can fold it.
    STREAM_RESUMED = "StreamResumed"
    #: The log is shorter than, or another than, what was projected: built again from its first event.
    LOG_REPLACED = "LogReplaced"
    #: This build projects otherwise than the one before: built beside, then swapped.
    MODEL_UPGRADED = "ModelUpgraded"
    #: A newer build owns this read model: this one leaves it alone.
    NEWER_BUILD = "NewerBuild"


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Something out of the ordinary that happened to a projection."""

    projection: str
    kind: IncidentKind
    message: str
    stream_id: str = ""
    version: int = 0


def log_incident(incident: Incident) -> None:
    """Write the incident to the program's log."""
    quiet = incident.kind in {IncidentKind.STREAM_RESUMED, IncidentKind.MODEL_UPGRADED}
    (_log.info if quiet else _log.error)("projection_incident", **msgspec.structs.asdict(incident))


class ProjectionRunner:
    """Folds the log into the read models, from where each of them stands."""

    def __init__(
        self,
        log: EventLog,
        engine: Engine,
        models: Sequence[ReadModel] = READ_MODELS,
        *,
        decode: Decode = decode_event,
        page_size: int = PAGE_SIZE,
        report: Callable[[Incident], None] = log_incident,
    ) -> None:
        self._log, self._engine = log, engine
        self._targets = [Target(model) for model in models]
        self._decode, self._page_size, self._report = decode, page_size, report
        self._lock = threading.Lock()
        self._resumed = False
        self._left_alone: set[str] = set()

    def catch_up(self) -> int:
        """Fold everything that is in the log; the number of events folded, summed over the read models.

        Raises:
            StoreUnavailableError: the log or the tables cannot be reached; what was folded stays folded.
        """
        with self._lock, _unavailable():
            return self._catch_up()

    def lag(self) -> dict[str, int]:
        """Events that each read model is behind the log: exact if positions have no gaps, else at most that."""
        with _unavailable():
            checkpoints = self._checkpoints()
        head = self._log.head_position()
        behind = {name: max(0, head - checkpoint.position) for name, checkpoint in checkpoints.items()}
        return {t.projection: behind.get(t.projection, head) for t in self._targets}

    def wait_for(self, position: int, timeout_seconds: float) -> bool:
        """Read your own writes: catch up until every read model has folded this position; False if time ran out."""
        deadline = time.monotonic() + timeout_seconds
        while not self._reached(position):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._lock.acquire(timeout=left):
                try:
                    with _unavailable():
                        self._catch_up()
                finally:
                    self._lock.release()
            head = self._log.head_position()
            if head < position:
                self._log.wait_for_append(head, max(0.0, deadline - time.monotonic()))
        return True

    def stopped(self) -> dict[str, list[Poison]]:
        """Per read model the events at which streams stopped, oldest first; read models without any are absent."""
        with _unavailable(), self._engine.begin() as connection:
            found = {t.projection: list(stopped_streams(connection, t.projection).values()) for t in self._targets}
        return {name: poisons for name, poisons in found.items() if poisons}

    def _catch_up(self) -> int:
        self._prepare()
        folded = 0
        while True:
            moved = False
            checkpoints = self._checkpoints()
            ours = [t for t in self._targets if self._is_ours(t, checkpoints.get(t.projection))]
            for position in sorted({checkpoints[t.projection].position for t in ours}):
                group = [t for t in ours if checkpoints[t.projection].position == position]
                count = self._advance_group(group, checkpoints)
                moved, folded = moved or count is not None, folded + (count or 0)
            if not moved:
                return folded

    def _advance_group(self, group: list[Target], checkpoints: dict[str, Checkpoint]) -> int | None:
        """One page for read models that stand at the same position; None if there was nothing to do."""
        first = checkpoints[group[0].projection]
        events = read_page(self._log, first, self._page_size)
        if events is None:
            for target in group:
                self._start_over(target, checkpoints[target.projection])
            return 0
        if not events:
            return None
        page = decode_page(events, self._decode)
        folded = 0
        for target in group:
            fold = apply_page(self._engine, target, checkpoints[target.projection], page)
            if fold is None:
                continue
            folded += fold.folded
            for poison in fold.poisons.values():
                self._report(_stopped_at(target.projection, poison))
        return folded

    def _is_ours(self, target: Target, checkpoint: Checkpoint | None) -> bool:
        """Whether the rows are of this build's version of the read model; a newer build's are left alone."""
        if checkpoint is None or checkpoint.version == target.model.version:
            return checkpoint is not None
        if checkpoint.version > target.model.version and target.projection not in self._left_alone:
            self._left_alone.add(target.projection)
            self._incident(target, IncidentKind.NEWER_BUILD, _versions(target, checkpoint))
        return False

    def _start_over(self, target: Target, was: Checkpoint) -> None:
        head = self._log.head_position()
        with self._engine.begin() as connection:
            if not advance(connection, target.projection, was, Checkpoint(version=target.model.version)):
                return
            clear(connection, target)
        message = f"it stood at position {was.position}, which is not what the log holds (its head is {head})"
        self._incident(target, IncidentKind.LOG_REPLACED, message)

    def _prepare(self) -> None:
        """Make sure that there are checkpoints, and that the rows are not of an older build."""
        checkpoints = self._checkpoints()
        for target in self._targets:
            found = checkpoints.get(target.projection)
            if found is None:
                with self._engine.begin() as connection:
                    ensure_checkpoint(connection, target.projection, target.model.version)
            elif found.version < target.model.version:
                self._upgrade(target, found)
        if not self._resumed:
            resumed = [self._resume_stopped(target) for target in self._targets]
            self._resumed = all(resumed)

    def _upgrade(self, target: Target, found: Checkpoint) -> None:
        try:
            replace_live(self._log, self._engine, target.model, decode=self._decode)
        except RebuildInterruptedError:
            return  # another replica of this build does it at this moment
        self._incident(target, IncidentKind.MODEL_UPGRADED, _versions(target, found))

    def _resume_stopped(self, target: Target) -> bool:
        """Once per runner: a build that knows more than the one before lets stopped streams go on."""
        with self._engine.begin() as connection:
            was = load_checkpoint(connection, target.projection)
            stopped = stopped_streams(connection, target.projection)
        if not stopped or not self._is_ours(target, was) or was is None:
            return True
        resumed = refold_streams(self._log, self._engine, target, was, stopped, self._decode)
        for stream_id in resumed or ():
            poison = stopped[stream_id]
            self._incident(target, IncidentKind.STREAM_RESUMED, f"{poison.event_type} can be folded now", poison)
        return resumed is not None

    def _checkpoints(self) -> dict[str, Checkpoint]:
        """By read model; those that never ran are absent."""
        with self._engine.begin() as connection:
            return load_checkpoints(connection, [t.projection for t in self._targets])

    def _reached(self, position: int) -> bool:
        with _unavailable():
            checkpoints = self._checkpoints()
        return all(
            t.projection in checkpoints and checkpoints[t.projection].position >= position for t in self._targets
        )

    def _incident(self, target: Target, kind: IncidentKind, message: str, poison: Poison | None = None) -> None:
        stream_id, version = (poison.stream_id, poison.version) if poison else ("", 0)
        incident = Incident(
            projection=target.projection, kind=kind, message=message, stream_id=stream_id, version=version
        )
        self._report(incident)


def _stopped_at(projection: str, poison: Poison) -> Incident:
    return Incident(
        projection=projection,
        kind=IncidentKind.STREAM_STOPPED,
        message=f"{poison.reason}: {poison.message}",
        stream_id=poison.stream_id,
        version=poison.version,
    )


def _versions(target: Target, found: Checkpoint) -> str:
    return f"the rows are of version {found.version}, this build's are of {target.model.version}"


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        # The first line only: the following ones of Postgres can hold the values of a row.
        reason = str(error.orig).partition("\n")[0]
        raise StoreUnavailableError(f"the read models cannot be reached: {reason}") from None
