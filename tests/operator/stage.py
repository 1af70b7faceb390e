"""A stage: emulated cluster, ledger, operator, and hands to play the user with. Everything over real HTTP."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from api.crd import build_crd
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.events import Event
from eventstore.log import EventLog
from eventstore.opening import open_log
from projections.state import PlatformState
from reconciler.app import Operator
from reconciler.settings import Settings, load
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.cluster import KubernetesObject, Resource
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.resources import PLATFORM, resource_for
from sandbox.assembly import Sandbox
from sandbox.kubeconfig import write_kubeconfig
from sandbox.model import Write
from sandbox.server import SandboxServer
from sandbox.world import Settings as WorldSettings

HMAC_KEY = b"a key for tests, and for tests only"
NAMESPACE = "demo"
SECONDS_MAX = 20.0
#: Minutes of a real cluster in fractions of a second.
QUICK: dict[str, Any] = {
    "tick_seconds": 0.1,
    "stability_seconds": 0.05,
    "problem_grace_seconds": 0.3,
    "health_grace_seconds": 0.3,
    "retry_initial_seconds": 0.3,
    "retry_max_seconds": 2,
    "prerequisite_poll_seconds": 0.5,
    "slow_probe_seconds": 2,
    "teardown_deadline_seconds": 3,
    "lease_ttl_seconds": 3,
    "lease_renew_seconds": 1,
    "shutdown_seconds": 5,
    "workers": 2,
    "metrics_bind": "",
    "health_bind": "",
}
WRITES = ("create", "update", "patch", "delete", "deletecollection")


class Stage:
    """What a test has in hand; several operators may play on it."""

    def __init__(self, directory: Path, dsn: str = "") -> None:
        self.directory = directory
        self.dsn = dsn or f"sqlite:///{directory / 'ledger.db'}"
        self.kubeconfig = directory / "kubeconfig"
        self.sandbox = Sandbox(settings=WorldSettings(ready_delay_seconds=0.05, stop_delay_seconds=0.02))
        self.server = SandboxServer(sandbox=self.sandbox)
        self.operators: list[Operator] = []
        self._log: EventLog | None = None
        self._closing: list[Callable[[], None]] = []

    def open(self, *, crd: bool = True) -> "Stage":
        """Start the emulated cluster."""
        self.server.start()
        write_kubeconfig(self.kubeconfig, self.server.url, namespace=NAMESPACE)
        transport = ApiTransport(
            lambda: load_configuration(str(self.kubeconfig)), monotonic=time.monotonic, user_agent="kubectl"
        )
        self._closing.append(transport.close)
        self.cluster = KubernetesCluster(transport)
        if crd:
            self.install_crd()
        self.create("v1", "Namespace", {"metadata": {"name": NAMESPACE}})
        return self

    def close(self) -> None:
        """Stop everything."""
        for operator in self.operators:
            operator.stop()
        for close in self._closing:
            close()
        self.server.stop()
        if self._log is not None:
            self._log.close()

    # -- operator --------------------------------------------------------------------------------------------------

    def settings(self, **settings: Any) -> Settings:
        """Quick settings, changed by what a test needs."""
        given = {"dsn": self.dsn, "kubeconfig": str(self.kubeconfig)}
        return load(given | QUICK | settings, {})

    def operate(self, **settings: Any) -> Operator:
        """Start one more replica."""
        chosen = self.settings(**settings)
        log = open_log(chosen.database_url(), create=True)
        operator = Operator(chosen, log, HMAC_KEY, "test", instance=f"replica-{len(self.operators)}")
        self.operators.append(operator)
        operator.start()
        return operator

    def stop(self, operator: Operator) -> None:
        """End a replica as SIGTERM does."""
        self.operators.remove(operator)
        operator.stop()

    # -- the ledger ------------------------------------------------------------------------------------------------

    @property
    def log(self) -> EventLog:
        """The ledger, to read from."""
        if self._log is None:
            self._log = open_log(self.dsn, create=True)
        return self._log

    def recorded(self, stream_id: str | None = None) -> list[RecordedEvent]:
        """Every event of a stream, or of the whole log."""
        if stream_id:
            return self.log.read_stream(stream_id)
        events: list[RecordedEvent] = []
        while page := self.log.read_all(events[-1].position if events else 0):
            events += page
        return events

    def events(self, kind: type[Event], stream_id: str | None = None) -> list[Any]:
        """Every recorded event of a type."""
        return [event for recorded in self.recorded(stream_id) if isinstance(event := decode(recorded), kind)]

    def state(self, name: str = "prod") -> PlatformState:
        """The stored projection of the platform of this name that was created last."""
        found = [s for s in self.log.list_states(include_closed=True) if s.record.name == name]
        return msgspec.json.decode(found[-1].record.state, type=PlatformState)

    # -- the user --------------------------------------------------------------------------------------------------

    def install_crd(self) -> None:
        """What an administrator does first."""
        self.create("apiextensions.k8s.io/v1", "CustomResourceDefinition", build_crd())

    def create(self, api_version: str, kind: str, body: KubernetesObject, namespace: str = "") -> None:
        """Create any object, as an administrator."""
        model = self.sandbox.model
        found = model.registry.by_kind(api_version, kind)
        assert found is not None
        version = found.version(api_version.rpartition("/")[2])
        body = {"apiVersion": api_version, "kind": kind, **body}
        model.create(found, version, namespace, body, Write(manager="admin"))

    def apply(self, spec: dict[str, Any], name: str = "prod", **metadata: Any) -> str:
        """`kubectl apply --server-side`; the platform's uid."""
        body = {
            "apiVersion": PLATFORM.api_version,
            "kind": PLATFORM.kind,
            "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
            "spec": spec,
        }
        return str(self.cluster.apply(PLATFORM, NAMESPACE, body, manager="kubectl")["metadata"]["uid"])

    def delete(self, name: str = "prod", resource: Resource = PLATFORM) -> None:
        """`kubectl delete`, without waiting."""
        found = self.cluster.get(resource, NAMESPACE, name)
        assert found is not None, f"{resource.kind}/{name} is not there"
        self.cluster.delete(resource, NAMESPACE, name, uid=found["metadata"]["uid"])

    def get(self, api_version: str, kind: str, name: str) -> KubernetesObject | None:
        """Any namespaced object the operator knows."""
        return self.cluster.get(resource_for(api_version, kind), NAMESPACE, name)

    def platform(self, name: str = "prod") -> KubernetesObject | None:
        """The resource."""
        return self.cluster.get(PLATFORM, NAMESPACE, name)

    def status(self, name: str = "prod") -> dict[str, Any]:
        """Its `.status`."""
        return dict((self.platform(name) or {}).get("status") or {})

    def condition(self, kind: str, name: str = "prod") -> tuple[str, str]:
        """(status, reason) of a condition; ("", "") if there is none."""
        found = {c["type"]: (c["status"], c["reason"]) for c in self.status(name).get("conditions", ())}
        return found.get(kind, ("", ""))

    def is_ready(self, name: str = "prod") -> bool:
        """Ready for the generation that is there now."""
        found = self.platform(name)
        if found is None:
            return False
        conditions = {c["type"]: c for c in (found.get("status") or {}).get("conditions", ())}
        ready = conditions.get("Ready", {})
        return bool(
            ready.get("status") == "True" and ready.get("observedGeneration") == found["metadata"]["generation"]
        )

    def wait(self, what: str, met: Callable[[], Any], seconds: float = SECONDS_MAX) -> None:
        """Until it is so, or fail and say what is instead."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, f"not {what} after {seconds} s: {self.status()}"
            time.sleep(0.02)

    def install(self, spec: dict[str, Any], name: str = "prod") -> str:
        """Apply and wait until Ready; the uid."""
        uid = self.apply(spec, name)
        self.wait("Ready", lambda: self.is_ready(name))
        return uid

    def remove(self, name: str = "prod") -> None:
        """Delete and wait until gone."""
        self.delete(name)
        self.wait("gone", lambda: self.platform(name) is None)

    # -- counting --------------------------------------------------------------------------------------------------

    def calls(self, *verbs: str) -> int:
        """API calls served so far, of all or of these verbs."""
        return sum(count for (verb, _), count in self.sandbox.faults.calls.items() if not verbs or verb in verbs)

    @contextmanager
    def denied(self, verb: str, resource: str) -> Iterator[None]:
        """As if the role did not permit it."""
        self.sandbox.faults.deny(verb, resource)
        try:
            yield
        finally:
            self.sandbox.faults.allow(verb, resource)
