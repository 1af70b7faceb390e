"""Connections to a SQLite log: settings that make a commit durable, and driver errors in the store's own words."""

import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from eventstore.errors import StoreConfigurationError, StoreError, StoreReadOnlyError, StoreUnavailableError

BUSY_SECONDS = 10.0

#: Start of SQLite's message -> what it means here. Messages of SQLite hold no data.
_MEANINGS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("attempt to write a readonly database", StoreReadOnlyError, "the file or its directory is read-only"),
    ("database or disk is full", StoreReadOnlyError, "the disk is full"),
    ("database is locked", StoreUnavailableError, f"another process kept it locked for {BUSY_SECONDS:g} s"),
    ("file is not a database", StoreConfigurationError, "the file is not a SQLite database"),
    ("file is encrypted", StoreConfigurationError, "the file is not a SQLite database"),
    ("unable to open database file", StoreUnavailableError, "the file cannot be opened: check path and permissions"),
    ("database disk image is malformed", StoreUnavailableError, "the file is damaged: restore it from a backup"),
)


def connect(path: str, *, create: bool = False) -> sqlite3.Connection:
    """Open the file; with `create`, make it (and its directory) if it is not there.

    Raises:
        StoreConfigurationError: there is no such file, or it is not a database.
        StoreReadOnlyError, StoreUnavailableError: it cannot be opened or written.
    """
    file = Path(path)
    if create:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreUnavailableError(f"SQLite log {path}: {error.strerror}") from None
    elif not file.is_file():
        raise StoreConfigurationError(f"SQLite log {path}: no such file. Run `stackledger db migrate` to create it")
    mode = "rwc" if create else "rw"
    try:
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=64,
        )
        _write_ahead(connection)
        # FULL: NORMAL may lose the last commits with the power, which an audit log must not.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA recursive_triggers = ON")
        connection.execute("PRAGMA cache_size = -16384")
    except sqlite3.Error as error:
        raise translate(error, path) from None
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; it stays with the file.

    Where several open a new file at once, SQLite refuses all but one of them without waiting: its own time limit holds
    for other locks only.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def translate(error: sqlite3.Error, path: str) -> StoreError:
    """The driver's error as one of ours: one line, no data in it."""
    text = str(error)
    for start, kind, meaning in _MEANINGS:
        if text.startswith(start):
            return kind(f"SQLite log {path}: {meaning}")
    return StoreUnavailableError(f"SQLite log {path}: {type(error).__name__}: {text}")
