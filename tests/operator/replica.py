"""An operator in a process of its own, that can be killed at any moment and started again in a tenth of a second."""

import multiprocessing
import os
import random
import signal
import threading
from collections.abc import Callable
from typing import Any, Self

from sandbox.faults import DroppedConnectionError, Injection
from tests.operator.stage import HMAC_KEY, QUICK, WRITES, Stage

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["reconciler.app", "tests.operator.stage"])


def operate(settings: dict[str, Any]) -> None:
    """Run an operator for ever. A restart under the same name gets its lease back at once, as the same pod does."""
    from eventstore.opening import open_log
    from reconciler.app import Operator
    from reconciler.settings import load
    from reconciler.shell.logs import configure_logging

    configure_logging("json", "error")
    chosen = load(settings, {})
    operator = Operator(chosen, open_log(chosen.database_url(), create=True), HMAC_KEY, "test", instance="the replica")
    operator.start()
    threading.Event().wait()


class Replica:
    """Keeps an operator running: as soon as it is killed, another one begins."""

    def __init__(self, stage: Stage, **settings: Any) -> None:
        given = {"dsn": stage.dsn, "kubeconfig": str(stage.kubeconfig)}
        self._settings = given | QUICK | settings
        self._stopping = threading.Event()
        self._process: Any = None
        self._lock = threading.Lock()
        #: How often it was killed.
        self.kills = 0
        self._thread = threading.Thread(target=self._keep_alive, name="replica", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to do anything more."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                os.kill(self._process.pid, signal.SIGKILL)
                self._process.join(10)
                self.kills += 1

    def _keep_alive(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                if self._process is None or not self._process.is_alive():
                    self._process = _processes.Process(target=operate, args=(self._settings,), daemon=True)
                    self._process.start()
            self._stopping.wait(0.02)
        self._process.kill()
        self._process.join(10)


Check = Callable[[str, str, str, str, str], Injection | None]


class WriteHook:
    """Called with every write that the operator sends, before it takes effect."""

    def __init__(self, stage: Stage) -> None:
        self._check: Check = stage.sandbox.faults.check
        #: While the test itself writes, nothing happens.
        self.armed = False
        self.on_write: Callable[[tuple[str, ...]], Injection | None] = lambda _: None
        self._lock = threading.Lock()
        stage.sandbox.faults.check = self._called  # type: ignore[method-assign]  # the seam of these tests

    def _called(self, verb: str, group: str, resource: str, namespace: str, name: str) -> Injection | None:
        found = self._check(verb, group, resource, namespace, name)
        if verb not in WRITES or not self.armed:
            return found
        with self._lock:
            return self.on_write((verb, resource, name)) or found


def killed_around_every_write(replica: Replica) -> Callable[[tuple[str, ...]], None]:
    """Each write is hit twice: killed before it took effect, then killed after it did and before the answer came."""
    hits: dict[tuple[str, ...], int] = {}

    def on_write(write: tuple[str, ...]) -> None:
        # Every Event has its own name: they are hit as one.
        key = write[:2] if write[1] == "events" else write
        hits[key] = hits.get(key, 0) + 1
        if hits[key] <= 2:
            replica.kill()
        if hits[key] == 1:
            raise DroppedConnectionError

    return on_write


def killed_now_and_then(replica: Replica, seed: int) -> Callable[[tuple[str, ...]], None]:
    """Killed at a third of all writes, before or after the effect, as the seed has it."""
    chance = random.Random(seed)

    def on_write(_: tuple[str, ...]) -> None:
        roll = chance.random()
        if roll < 0.33:
            replica.kill()
        if roll < 0.16:
            raise DroppedConnectionError

    return on_write
