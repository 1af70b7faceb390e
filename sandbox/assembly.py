"""A whole sandbox: model, world, faults, snapshot, and the thread that lets the world move."""

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sandbox import snapshot
from sandbox.faults import FaultPlan
from sandbox.model import ClusterModel
from sandbox.world import Settings, World

_STEP_SECONDS = 0.05
#: The part of the time that may go into snapshots.
_SAVE_SHARE = 0.1
_LOG = logging.getLogger("sandbox")


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid4())


class Sandbox:
    """Runs on the real clock. With a state directory it goes on where it stopped."""

    def __init__(
        self, *, state_dir: Path | None = None, settings: Settings | None = None, history: int = 10_000
    ) -> None:
        self.model = ClusterModel(now=_now, new_id=_new_id, history=history)
        self.faults = FaultPlan()
        self._file = state_dir / "sandbox.json" if state_dir else None
        settings = settings or Settings()
        if self._file and self._file.exists():
            snapshot.load(self._file, self.model, settings)
        self.world = World(self.model, settings)
        self._saved_revision = -1
        self._frozen = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Fill a fresh cluster, and let the world move."""
        self.world.bootstrap()
        self._thread = threading.Thread(target=self._run, name="sandbox-world", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop moving and write the snapshot."""
        self._stopping.set()
        if self._thread:
            self._thread.join()
        self.save()

    def _run(self) -> None:
        save_at = 0.0
        while not self._stopping.wait(_STEP_SECONDS):
            try:
                if not self._frozen:
                    self.world.step(self.model.now())
                began = time.monotonic()
                if began >= save_at:
                    self.save()
                    ended = time.monotonic()
                    save_at = ended + (ended - began) / _SAVE_SHARE
            except Exception:  # a fault of the sandbox must not stop the world for good
                _LOG.exception("the sandbox's world failed; it goes on")

    def save(self) -> None:
        """Write the snapshot, if anything changed and there is a state directory."""
        with self.model.store.lock:
            revision = self.model.store.revision
            if self._file is None or revision == self._saved_revision:
                return
            content = snapshot.content(self.model, self.world.settings)
        snapshot.write(self._file, content)
        self._saved_revision = revision

    # -- controls --------------------------------------------------------------------------------------------------

    def break_workload(self, namespace: str, workload: str, reason: str = "CrashLoopBackOff") -> None:
        """Let the pods of a workload (Deployment, StatefulSet or pod name) fail with a reason.

        `CrashLoopBackOff`, `OOMKilled`, `ImagePullBackOff`, `CreateContainerConfigError`, `Unschedulable`, or `hang`:
        running and never ready.
        """
        with self.model.store.lock:
            self.world.settings.broken[namespace, workload] = reason
            self.world.touch()

    def repair_workload(self, namespace: str, workload: str) -> None:
        """Let the pods of a workload be well again."""
        with self.model.store.lock:
            self.world.settings.broken.pop((namespace, workload), None)
            self.world.touch()

    def set_ready_delay(self, seconds: float) -> None:
        """How long pods take to become ready from now on."""
        with self.model.store.lock:
            self.world.settings.ready_delay_seconds = seconds
            self.world.touch()

    def expire_history(self) -> None:
        """Forget all history: open watches and old revisions get 410."""
        self.model.store.expire()

    def freeze(self) -> None:
        """The world stands still; the API goes on."""
        self._frozen = True

    def thaw(self) -> None:
        """The world moves again."""
        self._frozen = False
