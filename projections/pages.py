"""One page of the log into the tables of one read model: fold outside any transaction, write in one short one."""

from collections.abc import Collection

from sqlalchemy import Connection, Engine

from eventstore.envelope import RecordedEvent
from eventstore.log import EventLog
from projections.checkpoints import (
    Checkpoint,
    Target,
    advance,
    clear_streams,
    load_cursors,
    stopped_streams,
    write_fold,
)
from projections.folding import Decode, DecodedPage, PageFold, decode_page, fold_page

#: Events per page, and so per transaction. Measured: 1000 is 1.6 times as fast as 100, and 5000 is no faster.
PAGE_SIZE = 1000


def read_page(log: EventLog, was: Checkpoint, limit: int) -> list[RecordedEvent] | None:
    """The events after the checkpoint, in order; None if the log no longer holds the event the checkpoint stands at.

    The event at the checkpoint is read with the page. A log that was restored, replaced or cut off has another event
    there or none, and no later comparison of positions could tell.
    """
    if was.position == 0:
        return log.read_all(0, limit)
    page = log.read_all(was.position - 1, limit + 1)
    if not page or page[0].position != was.position or page[0].hash.hex() != was.event_hash:
        return None
    return page[1:]


def checkpoint_after(was: Checkpoint, page: DecodedPage) -> Checkpoint:
    """The checkpoint at the end of a page that is not empty."""
    last = page[-1][0]
    return Checkpoint(
        version=was.version,
        position=last.position,
        revision=was.revision + 1,
        event_hash=last.hash.hex(),
        recorded_at=last.recorded_at,
    )


def apply_page(engine: Engine, target: Target, was: Checkpoint, page: DecodedPage) -> PageFold | None:
    """Write a page that begins right after the checkpoint; None if another writer was faster, and nothing is changed.

    What is read before the transaction may be newer than `was`, never older; if it is newer the compare-and-set fails.
    """
    with engine.begin() as connection:
        fold = _fold(connection, target, page)
    with engine.begin() as connection:
        return fold if _write(connection, target, was, page, fold) else None


def apply_page_within(connection: Connection, target: Target, was: Checkpoint, page: DecodedPage) -> PageFold | None:
    """As `apply_page`, as part of a transaction that does other things too."""
    fold = _fold(connection, target, page)
    return fold if _write(connection, target, was, page, fold) else None


def _fold(connection: Connection, target: Target, page: DecodedPage) -> PageFold:
    cursors = load_cursors(connection, target, {recorded.stream_id for recorded, _ in page})
    stopped = stopped_streams(connection, target.projection)
    return fold_page(target.model, cursors, stopped, page)


def _write(connection: Connection, target: Target, was: Checkpoint, page: DecodedPage, fold: PageFold) -> bool:
    if not advance(connection, target.projection, was, checkpoint_after(was, page)):
        return False
    write_fold(connection, target, fold)
    return True


def refold_streams(
    log: EventLog, engine: Engine, target: Target, was: Checkpoint, stream_ids: Collection[str], decode: Decode
) -> list[str] | None:
    """Fold stopped streams from their first event again, and let those go on that this build can fold.

    Returns the streams that go on; None if another writer was faster, and nothing is changed.
    """
    folds: dict[str, PageFold] = {}
    for stream_id in stream_ids:
        events = [event for event in log.read_stream(stream_id) if event.position <= was.position]
        fold = fold_page(target.model, {}, (), decode_page(events, decode))
        if not fold.poisons:
            folds[stream_id] = fold
    if not folds:
        return []
    with engine.begin() as connection:
        if not advance(connection, target.projection, was, was):
            return None
        clear_streams(connection, target, folds)
        for fold in folds.values():
            write_fold(connection, target, fold)
    return list(folds)
