"""One server process: started, killed, held still, and waited for."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

#: A server that is not usable after this long will not be.
START_SECONDS_MAX = 60.0


class ProcessError(Exception):
    """A server did not start, or ended by itself. The text holds the end of its log."""


class Process:
    """A command that is run again and again with the same arguments, writing to one log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name, self._command, self._log = name, list(command), log
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs.

        Raises:
            ProcessError: none does.
        """
        if self._running is None:
            raise ProcessError(f"{self.name} is not running")
        return self._running.pid

    def start(self) -> None:
        """Run it. It ends when this process ends, however that comes about: nothing is left behind."""
        environment = {**os.environ, "CONTROLPLANE_END_WITH_STDIN": "1"}
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, start_new_session=True
            )

    def stop(self, seconds: float = 10.0) -> None:
        """SIGTERM, and SIGKILL if that does not help."""
        if self._running is None:
            return
        self._running.terminate()
        try:
            self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            self._running.kill()
        self._ended()

    def kill(self) -> None:
        """SIGKILL: it gets no chance to do anything more."""
        if self._running is not None:
            self._running.kill()
            self._ended()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nobody answers on them."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def wait_until(self, what: str, met: Callable[[], bool], seconds: float = START_SECONDS_MAX) -> None:
        """Until it is so.

        Raises:
            ProcessError: it is not in time, or the process ended.
        """
        deadline = time.monotonic() + seconds
        while not met():
            ended = None if self._running is None else self._running.poll()
            if ended is not None:
                raise ProcessError(f"{self.name} ended with exit code {ended}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} is not {what} after {seconds:.0f} s:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _ended(self) -> None:
        assert self._running is not None
        self._running.wait()
        if self._running.stdin is not None:
            self._running.stdin.close()
        self._running = None


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on; held open together, so that they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
