"""The real control plane of tests/controlplane as a server to break."""

import contextlib
from pathlib import Path
from typing import Any, cast

from reconciler.shell.kubernetes_cluster import KubernetesCluster
from tests.chaos.server import BUSY, Undo
from tests.cluster.installation import Databases
from tests.cluster.stage import MOUNT, WRITES, ClusterStage
from tests.controlplane.launch import NAMES, ControlPlane

APISERVER = "kube-apiserver"


class _OneDatabase:
    """Stands where a stage asks for a database: there is one already."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def create(self) -> "_OneDatabase":
        return self

    def drop(self) -> None:
        """Its owner does."""


class RealServer:
    """etcd, API server, controllers and nodes as processes; the operators' way is the fault proxy."""

    name = "apiserver"
    faults = frozenset(
        {"api-cut", "api-half-open", "api-busy", "api-answers-lost", "api-away", "api-restart", "api-stop", "etcd-kill"}
    )
    cluster: KubernetesCluster

    def __init__(self, directory: Path, dsn: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._plane = ControlPlane(directory / "plane")
        databases = cast("Databases", _OneDatabase(dsn))
        self._directory, self._databases = directory, databases
        self._stage: ClusterStage | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def open(self) -> tuple[str, str]:
        """Start it, with deploy/base and two namespaces."""
        self._plane.start()
        self._plane.node.set_ready_delay(0.3)
        self._stage = ClusterStage(self._plane, self._directory / "stage", self._databases, namespaces=2)
        self._stage.open()
        self.cluster = self._stage.cluster
        storm, calm = self._stage.watched_namespaces
        return storm, calm

    def close(self) -> None:
        """Stop it."""
        if self._stage is not None:
            self._stage._admin.close()
        self._plane.stop()

    def environment(self) -> dict[str, str]:
        """What the Deployment of deploy/base sets, with its paths here."""
        assert self._stage is not None
        mount = str(self._stage.directory / "database")
        found = {key: value.replace(MOUNT, mount) for key, value in self._stage._mounted()}
        return {**found, "KUBECONFIG": str(self._stage.operator_kubeconfig)}

    # -- faults ----------------------------------------------------------------------------------------------------

    def fault(self, kind: str, choice: int) -> Undo:
        """Let something go wrong; what ends it."""
        plane, way = self._plane, self._plane.faults
        if kind == "api-cut":
            way.drop_connections()
            return lambda: None
        if kind == "api-half-open":
            way.pause()
            return way.resume
        if kind == "api-busy":
            status, after, _ = BUSY[choice % len(BUSY)]
            seconds = int(after) if after else None
            self._inject(status=int(status[:3]), retry_after_seconds=seconds, plain=choice % 2 == 0)
            return way.clear
        if kind == "api-answers-lost":
            for verb in ("create", "patch", "delete"):
                self._inject(verb=verb, after=True)
            return way.clear
        if kind == "api-stop":
            plane.pause(APISERVER)
            return self._resume
        plane.kill("etcd" if kind == "etcd-kill" else APISERVER)
        return self._start_again

    def _inject(self, **fields: Any) -> None:
        self._plane.faults.inject(remaining=None, user_agent="stackledger", **fields)

    def _resume(self) -> None:
        with contextlib.suppress(Exception):  # it was killed meanwhile
            self._plane.resume(APISERVER)

    def heal(self) -> None:
        """Whatever goes wrong, it ends now."""
        self._plane.faults.clear()
        self._resume()
        self._start_again()
        assert self._stage is not None
        self._stage.write_token()

    def _start_again(self) -> None:
        for name in NAMES:
            process = self._plane._processes[name]
            running = process._running
            if running is None or running.poll() is not None:
                process.kill()
                self._plane.start_process(name)

    # -- hands -----------------------------------------------------------------------------------------------------

    def break_workload(self, namespace: str, workload: str, reason: str) -> None:
        """Its pods fail."""
        self._plane.node.break_workload(namespace, workload, reason)

    def repair_workload(self, namespace: str, workload: str) -> None:
        """They are well again."""
        self._plane.node.repair_workload(namespace, workload)

    def writes(self) -> int:
        """How many writes the operators sent so far."""
        counts = self._plane.faults.counts()
        return sum(
            one.count
            for one in counts
            if one.verb in WRITES and one.user_agent.startswith("stackledger") and not one.resource.startswith("events")
        )
