"""What happened, with its time: kept in memory for the oracles and in a file for people."""

import json
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """One thing that happened."""

    #: Seconds since the run began.
    at: float
    actor: str
    kind: str
    about: dict[str, Any]


class Journal:
    """Safe to write to from several threads; every entry is a line of JSON in the file at once."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._file = file.open("a")
        self.entries: list[Entry] = []

    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._began

    def write(self, actor: str, kind: str, **about: Any) -> None:
        """Something happened just now."""
        with self._lock:
            entry = Entry(round(self.seconds(), 3), actor, kind, about)
            self.entries.append(entry)
            line = {"at": entry.at, "actor": actor, "kind": kind, **about}
            self._file.write(json.dumps(line, default=str, ensure_ascii=False) + "\n")
            self._file.flush()

    def counts(self, actor: str) -> Counter[str]:
        """How often an actor did what."""
        with self._lock:
            return Counter(entry.kind for entry in self.entries if entry.actor == actor)

    def close(self) -> None:
        """No more entries."""
        with self._lock:
            self._file.close()
