"""Sees, to the millisecond, when pods, workloads and platforms become ready: bare watches of the administrator."""

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from reconciler.shell.api_refusal import Call
from reconciler.shell.api_streams import Limits
from reconciler.shell.api_transport import ApiTransport, Question
from reconciler.shell.cluster import ClusterError, ListPage, Resource
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.object_names import collection_path
from reconciler.shell.resources import DEPLOYMENT, PLATFORM, POD, STATEFUL_SET

#: (namespace, platform)
Key = tuple[str, str]
LABEL = "stackledger.io/platform"
#: Longer than any benchmark.
WATCH_SECONDS = 7200


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Metadata(msgspec.Struct):
    name: str = ""
    namespace: str = ""
    generation: int = 0
    resourceVersion: str = ""  # noqa: N815  # the word of the API
    labels: dict[str, str] = {}


class _Spec(msgspec.Struct):
    replicas: int = 1


class _Status(msgspec.Struct):
    phase: str = ""
    conditions: list[_Condition] = []
    observedGeneration: int = 0  # noqa: N815  # the word of the API
    readyReplicas: int = 0  # noqa: N815  # the word of the API
    updatedReplicas: int = 0  # noqa: N815  # the word of the API


class Seen(msgspec.Struct):
    """As much of an object as is looked at."""

    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    spec: _Spec = msgspec.field(default_factory=_Spec)
    status: _Status = msgspec.field(default_factory=_Status)

    @property
    def is_pod_ready(self) -> bool:
        """A pod whose condition Ready is True."""
        return any(one.type == "Ready" and one.status == "True" for one in self.status.conditions)

    @property
    def is_rolled_out(self) -> bool:
        """A workload whose newest pods are all ready."""
        status, wanted = self.status, self.spec.replicas
        current = status.observedGeneration >= self.metadata.generation
        return current and status.readyReplicas >= wanted and status.updatedReplicas >= wanted


class _Line(msgspec.Struct):
    type: str
    object: Seen


_decode = msgspec.json.Decoder(_Line).decode
OnChange = Callable[[str, Seen], None]


class BareWatch:
    """One kind, in all namespaces, from now on; `on_change` gets `ADDED`, `MODIFIED`, `DELETED` and the object."""

    def __init__(self, transport: ApiTransport, resource: Resource, on_change: OnChange, namespace: str = "") -> None:
        self._transport, self._resource, self._on_change = transport, resource, on_change
        self._path = collection_path(resource, namespace or None)
        self._cluster, self._namespace = KubernetesCluster(transport), namespace
        self._version = self._list().resource_version
        #: Why it ended before its time.
        self.problem = ""
        threading.Thread(target=self._run, name=f"eyes-{resource.kind}", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                # The server may end a watch whenever it likes.
                self._follow()
            except (ClusterError, msgspec.DecodeError):
                # A broken connection, or an ERROR that is none of our objects.
                self._catch_up()

    def _follow(self) -> None:
        call = Call(verb="watch", kind=self._resource.kind, plural=self._resource.plural)
        query = {"watch": "1", "timeoutSeconds": str(WATCH_SECONDS), "resourceVersion": self._version}
        question = Question(call=call, method="GET", path=self._path, query=query)
        for line in self._transport.stream_lines(question, Limits(read_seconds=WATCH_SECONDS)).lines():
            change = _decode(line)
            self._version = change.object.metadata.resourceVersion
            self._on_change(change.type, change.object)

    def _catch_up(self) -> None:
        """It was cut off, as whoever reads too slowly is: what is there now counts as seen now."""
        try:
            page = self._list()
        except ClusterError as error:
            self.problem = error.message
            time.sleep(1.0)
            return
        self._version, self.problem = page.resource_version, ""
        for item in page.items:
            self._on_change("MODIFIED", msgspec.convert(item, Seen))

    def _list(self) -> ListPage:
        return self._cluster.list_all(self._resource, self._namespace or None)


class Eyes:
    """When what was first seen of each platform. Times are those of `time.monotonic`."""

    def __init__(self, transport: ApiTransport) -> None:
        self._changed = threading.Condition()
        self._pods: dict[tuple[Key, str], float] = {}
        self._workloads: dict[tuple[Key, str], float] = {}
        self._ready: dict[Key, float] = {}
        watched: tuple[tuple[Resource, OnChange], ...] = (
            (POD, self._on_pod),
            (STATEFUL_SET, self._on_workload),
            (DEPLOYMENT, self._on_workload),
            (PLATFORM, self._on_platform),
        )
        self._watches = [BareWatch(transport, resource, on_change) for resource, on_change in watched]

    def wait_ready(self, keys: list[Key], seconds: float) -> None:
        """Until `.status.phase` of all of them was Ready once."""
        self._wait(lambda: all(key in self._ready for key in keys), seconds)

    def ready_at(self, key: Key) -> float:
        """When `.status.phase` first was Ready."""
        return self._ready[key]

    def last_pod_at(self, key: Key) -> float:
        """When the last of the platform's pods became Ready."""
        return max(at for (platform, _), at in self._pods.items() if platform == key)

    def last_workload_at(self, key: Key) -> float:
        """When the last of its workloads said so in its own status."""
        return max(at for (platform, _), at in self._workloads.items() if platform == key)

    def _wait(self, met: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not met():
                problems = [watch.problem for watch in self._watches if watch.problem]
                if problems or time.monotonic() > deadline:
                    raise TimeoutError(f"not ready after {seconds:.0f} s {problems}; Ready: {len(self._ready)}")
                self._changed.wait(1.0)

    def _on_pod(self, change: str, pod: Seen) -> None:
        if change != "DELETED" and pod.is_pod_ready:
            self._first(self._pods, (_key(pod), pod.metadata.name))

    def _on_workload(self, change: str, workload: Seen) -> None:
        if change != "DELETED" and workload.is_rolled_out:
            self._first(self._workloads, (_key(workload), workload.metadata.name))

    def _on_platform(self, change: str, platform: Seen) -> None:
        if change != "DELETED" and platform.status.phase == "Ready":
            self._first(self._ready, (platform.metadata.namespace, platform.metadata.name))

    def _first(self, times: dict[Any, float], key: Any) -> None:
        now = time.monotonic()
        with self._changed:
            times.setdefault(key, now)
            self._changed.notify_all()


def _key(child: Seen) -> Key:
    return child.metadata.namespace, child.metadata.labels.get(LABEL, "")
