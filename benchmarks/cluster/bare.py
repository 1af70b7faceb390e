"""The limit: a client that only applies the objects, in order, and waits for each component by a watch. No ledger.

One process, as many platforms under way as there are, as many threads that send as the operator has workers.
`python -m benchmarks.cluster.bare PLAN` reads its plan and prints how long it took.
"""

import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from benchmarks.cluster.eyes import BareWatch, Seen
from eventstore.vocabulary import FIELD_MANAGER
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.cluster import KubernetesObject
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.resources import DEPLOYMENT, STATEFUL_SET, resource_for

_WORKLOADS = frozenset({"StatefulSet", "Deployment"})


class Plan(msgspec.Struct):
    """What is to be applied."""

    kubeconfig: str
    namespace: str
    #: Threads that send.
    workers: int
    #: Per platform its components in order, each with its objects in order.
    platforms: list[list[list[KubernetesObject]]]


class Took(msgspec.Struct):
    """Seconds."""

    wall_seconds: float
    cpu_seconds: float
    #: What the servers used meanwhile; filled in by whoever knows them.
    servers_cpu_seconds: float = 0.0

    @property
    def all_cpu_seconds(self) -> float:
        """Of client and servers together."""
        return self.cpu_seconds + self.servers_cpu_seconds


def run_bare(plan: Plan, file: Path) -> Took:
    """Carry the plan out in a process of its own."""
    file.write_bytes(msgspec.json.encode(plan))
    command = [sys.executable, "-m", "benchmarks.cluster.bare", str(file)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode())
    return msgspec.json.decode(done.stdout, type=Took)


class BareClient:
    """Applies a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        transport = ApiTransport(
            lambda: load_configuration(plan.kubeconfig), monotonic=time.monotonic, user_agent="bare-client"
        )
        self._cluster = KubernetesCluster(transport)
        self._lock = threading.Lock()
        self._ready: set[str] = set()
        #: Name of a workload -> (platform, component) that goes on once it is ready.
        self._waiting: dict[str, tuple[int, int]] = {}
        self._jobs: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._unfinished = len(plan.platforms)
        self._finished = threading.Event()
        self._failure = ""
        for resource in (STATEFUL_SET, DEPLOYMENT):
            BareWatch(transport, resource, self._on_change, plan.namespace)

    def run(self) -> float:
        """Seconds it took."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(self._plan.workers)]
        began = time.monotonic()
        for number in range(self._unfinished):
            self._jobs.put((number, 0))
        for thread in threads:
            thread.start()
        self._finished.wait()
        seconds = time.monotonic() - began
        for _ in threads:
            self._jobs.put(None)
        if self._failure:
            raise RuntimeError(self._failure)
        return seconds

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._apply(*job)
            except Exception as error:  # a thread's end would go unnoticed
                self._failure = repr(error)
                self._finished.set()

    def _apply(self, number: int, place: int) -> None:
        workload = ""
        for body in self._plan.platforms[number][place]:
            resource = resource_for(body["apiVersion"], body["kind"])
            self._cluster.apply(resource, self._plan.namespace, body, manager=FIELD_MANAGER)
            if body["kind"] in _WORKLOADS:
                workload = body["metadata"]["name"]
        with self._lock:
            if workload and workload not in self._ready:
                self._waiting[workload] = (number, place)
                return
        self._go_on(number, place)

    def _on_change(self, change: str, workload: Seen) -> None:
        if change == "DELETED" or not workload.is_rolled_out:
            return
        with self._lock:
            self._ready.add(workload.metadata.name)
            waiting = self._waiting.pop(workload.metadata.name, None)
        if waiting is not None:
            self._go_on(*waiting)

    def _go_on(self, number: int, place: int) -> None:
        if place + 1 < len(self._plan.platforms[number]):
            self._jobs.put((number, place + 1))
            return
        with self._lock:
            self._unfinished -= 1
            if not self._unfinished:
                self._finished.set()


def main(file: Path) -> None:
    """Carry out the plan in the file."""
    plan = msgspec.json.decode(file.read_bytes(), type=Plan)
    client = BareClient(plan)
    before = time.process_time()
    wall = client.run()
    sys.stdout.buffer.write(msgspec.json.encode(Took(wall, time.process_time() - before)))
    sys.stdout.flush()
    # The watches' threads are in the middle of a read.
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
