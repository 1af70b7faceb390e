"""`stackledger run` in a process of its own, as the Deployment starts it: environment, files, probes, signals."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Minutes of a production cluster in seconds; set as an administrator could, in the environment.
QUICK: dict[str, str] = {
    "TICK_SECONDS": "0.2",
    "STABILITY_SECONDS": "0.2",
    "PROBLEM_GRACE_SECONDS": "1",
    "HEALTH_GRACE_SECONDS": "2",
    "RETRY_INITIAL_SECONDS": "0.5",
    "RETRY_MAX_SECONDS": "2",
    "PREREQUISITE_POLL_SECONDS": "1",
    "SLOW_PROBE_SECONDS": "3",
    "PROGRESS_DEADLINE_SECONDS": "60",
    "TEARDOWN_DEADLINE_SECONDS": "60",
    "LEASE_TTL_SECONDS": "6",
    "LEASE_RENEW_SECONDS": "1",
    "SHUTDOWN_SECONDS": "10",
}


def stackledger_command() -> list[str]:
    """The installed command; without an installation, this tree's."""
    installed = Path(sys.executable).with_name("stackledger")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "cli"]


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class OperatorProcess:
    """One replica.

    Args:
        directory: its home; `operator-N.log` is written there, one file for all its lives.
        environment: what the Deployment sets, and settings as `STACKLEDGER_...`; nothing else is inherited but PATH.
        wrapper: a command that runs the one behind it by `exec`.
    """

    def __init__(
        self, directory: Path, environment: dict[str, str], name: str = "operator", *, wrapper: Sequence[str] = ()
    ) -> None:
        self.name, self.directory, self._wrapper = name, directory, wrapper
        self.metrics_port, self.health_port = free_port(), free_port()
        self.log_file = directory / f"{name}.log"
        self.environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(directory),
            "STACKLEDGER_METRICS_BIND": f"127.0.0.1:{self.metrics_port}",
            "STACKLEDGER_HEALTH_BIND": f"127.0.0.1:{self.health_port}",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it; `wait_ready` tells when it works."""
        assert not self.alive, f"{self.name} runs already"
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._wrapper, *stackledger_command(), "run"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, as the kubelet sends it; the exit code. The test fails if it has not ended in time."""
        return self._end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to do anything more."""
        self._end(signal.SIGKILL, 10.0)

    def restart(self) -> None:
        """SIGTERM, then a new process with the same environment; does not wait until it is ready."""
        self.stop()
        self.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the newest life."""
        assert self._process is not None
        return self._process.pid

    def _end(self, number: int, seconds: float) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(seconds)

    # -- probes ----------------------------------------------------------------------------------------------------

    def unreadiness(self) -> str:
        """What /readyz says; "" if the replica is ready."""
        return self._probe("/readyz?verbose=1")

    def unhealth(self) -> str:
        """What /healthz says; "" if the replica is alive."""
        return self._probe("/healthz?verbose=1")

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics: `name{labels}` -> value."""
        status, text = self._get(self.metrics_port, "/metrics")
        assert status == 200, text
        samples = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def wait_ready(self, seconds: float = 60.0) -> None:
        """Until /readyz is green, or fail with what it says and what the process has logged."""
        deadline = time.monotonic() + seconds
        while why := self.unreadiness():
            assert self.alive, f"{self.name} ended\n{self.tail()}"
            assert time.monotonic() < deadline, f"{self.name} is not ready: {why}\n{self.tail()}"
            time.sleep(0.05)

    def _probe(self, path: str) -> str:
        status, text = self._get(self.health_port, path)
        return "" if status == 200 else text or f"answer {status}"

    def _get(self, port: int, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as error:
            return 0, f"no answer: {error}"
        finally:
            connection.close()

    # -- what it said ----------------------------------------------------------------------------------------------

    def output(self) -> str:
        """Everything it wrote to stdout and stderr, of all its lives."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def tail(self, lines: int = 40) -> str:
        """The end of its output, for a failure's message."""
        return "\n".join(self.output().splitlines()[-lines:])
