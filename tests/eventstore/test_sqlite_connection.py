"""Connections to a SQLite file."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from eventstore.sqlite_connection import connect

#: Of a hundred new files, a few are opened by two at the very moment that counts.
OPENERS, FILES = 6, 100


def test_several_open_a_new_file_at_once(tmp_path: Path) -> None:
    for number in range(FILES):
        path, ready = str(tmp_path / f"{number}.db"), Barrier(OPENERS)

        def use(_: int, path: str = path, ready: Barrier = ready) -> str:
            ready.wait()
            connection = connect(path, create=True)
            connection.execute("CREATE TABLE IF NOT EXISTS seen (number INTEGER)")
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
            connection.close()
            return str(mode)

        with ThreadPoolExecutor(OPENERS) as pool:
            assert set(pool.map(use, range(OPENERS))) == {"wal"}
