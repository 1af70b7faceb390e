"""A process full of threads that append, for tests of the order that readers see."""

import sys
import threading
import time

from eventstore.errors import StreamConflictError
from eventstore.log import EventLog
from eventstore.opening import open_log
from tests.eventstore.samples import new_events


def append_until(log: EventLog, name: str, thread: int, deadline: float) -> int:
    """Append to an own stream and, now and then, to one that all fight for; returns the number of events written."""
    written = version = 0
    while time.time() < deadline:
        batch = new_events(1 + written % 3)
        version = log.append(f"{name}-{thread}", version, batch, epoch=0).last_version
        written += len(batch)
        if written % 5 == 0:
            try:
                log.append("hot", log.stream_head("hot")[0], new_events(1), epoch=0)
                written += 1
            except StreamConflictError:
                continue
    return written


def main(dsn: str, name: str, threads: int, seconds: float) -> None:
    """Append from many threads for some seconds, then print how many events were acknowledged."""
    log = open_log(dsn)
    counts = [0] * threads
    deadline = time.time() + seconds

    def run(thread: int) -> None:
        counts[thread] = append_until(log, name, thread, deadline)

    running = [threading.Thread(target=run, args=(thread,)) for thread in range(threads)]
    for one in running:
        one.start()
    for one in running:
        one.join()
    log.close()
    sys.stdout.write(f"{sum(counts)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
