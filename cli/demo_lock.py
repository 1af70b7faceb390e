"""One demo for each state directory: two would write each other's cluster."""

import fcntl
import os
from pathlib import Path
from typing import IO

from cli.failures import CommandError


def locked(state_dir: Path) -> IO[str]:
    """Keeps a second demo out of the directory until it is closed, or the process ends in whatever way.

    Raises:
        CommandError: a demo runs there.
    """
    # Opened without truncation: it holds the pid of whoever has the lock.
    lock = (state_dir / "demo.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        why = f"process {lock.read().strip() or '?'} uses it"
        lock.close()
        raise CommandError(f"a demo runs in {state_dir} already", why, "stop it, or give another --state-dir") from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
