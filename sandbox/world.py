"""What moves by itself in a cluster, moved by hand: `World.step(now)` does all that is due at an instant."""

from dataclasses import dataclass, field
from datetime import datetime

from sandbox import garbage
from sandbox.claims import PROTECTION, is_used
from sandbox.deployments import reconcile_deployment
from sandbox.eventkinds import CORE_EVENTS
from sandbox.kinds import GroupKind, Kind
from sandbox.kubelet import Kubelet
from sandbox.model import ClusterModel, Write
from sandbox.quota import QUOTAS, hard_limits, used_in
from sandbox.recorder import record_event
from sandbox.statefulsets import reconcile_stateful_set
from sandbox.values import Object, dig, equal, quantity, show_quantity
from sandbox.workloads import reconcile_replica_set

_PASSES_MAX = 50
_EVENTS_MAX = 2000
_CORE_OBJECTS: tuple[tuple[str, str, Object], ...] = (
    ("", "namespaces", {"metadata": {"name": "default"}}),
    ("", "namespaces", {"metadata": {"name": "kube-system"}}),
    (
        "",
        "nodes",
        {
            "metadata": {
                "name": "sandbox",
                "labels": {"kubernetes.io/hostname": "sandbox", "kubernetes.io/os": "linux"},
            },
            "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
                "addresses": [
                    {"type": "InternalIP", "address": "127.0.0.1"},
                    {"type": "Hostname", "address": "sandbox"},
                ],
                "nodeInfo": {
                    "architecture": "amd64",
                    "containerRuntimeVersion": "none",
                    "kubeletVersion": "v1.37.2",
                    "operatingSystem": "linux",
                    "osImage": "none: no container runs here",
                },
            },
        },
    ),
    (
        "storage.k8s.io",
        "storageclasses",
        {
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "sandbox.local/memory",
            "allowVolumeExpansion": True,
        },
    ),
)


@dataclass
class Settings:
    """How the world behaves. Seconds."""

    ready_delay_seconds: float = 1.0
    stop_delay_seconds: float = 0.3
    #: Images with such a tag cannot be pulled (regular expression, whole tag).
    broken_tag: str = r"v?99\..*|.*broken.*"
    #: (namespace, workload) -> reason its pods fail with.
    broken: dict[tuple[str, str], str] = field(default_factory=dict)


class World:
    """Controllers and the kubelet over a model."""

    def __init__(self, model: ClusterModel, settings: Settings | None = None) -> None:
        self.model = model
        self.settings = settings or Settings()
        self.kubelet = Kubelet(self)
        self._garbage = garbage.Collector(model)
        #: Rollouts: uid -> (what was last seen of it, since when).
        self.progress: dict[str, tuple[object, datetime]] = {}
        self._seen_revision = -1
        self._due: datetime | None = None
        self._forced = True

    def bootstrap(self) -> None:
        """What a fresh cluster holds: namespaces, a node, a default storage class."""
        for group, plural, body in _CORE_OBJECTS:
            kind = self.kind(group, plural)
            version = kind.version(kind.storage_version)
            if self.model.store.get(kind.key, ("", body["metadata"]["name"])) is None:
                self.model.create(kind, version, "", body, Write(manager="kube-apiserver"))
        self.step(self.model.now())

    def kind(self, group: str, plural: str) -> Kind:
        """A built-in kind."""
        return self.model.registry.find(GroupKind(group, plural))

    def items(self, group: str, plural: str) -> list[Object]:
        """All objects of a kind."""
        return self.model.store.items(GroupKind(group, plural))

    def touch(self) -> None:
        """Settings changed: look at everything in the next step."""
        self._forced = True

    def wake_at(self, moment: datetime) -> None:
        """Something is due then."""
        if self._due is None or moment < self._due:
            self._due = moment

    def next_due(self) -> datetime | None:
        """When the next step has something to do, if nobody writes; None for never."""
        return self._due

    def is_due(self, now: datetime) -> bool:
        """Whether a step now would look at anything."""
        return (
            self._forced
            or self.model.store.revision != self._seen_revision
            or (self._due is not None and self._due <= now)
        )

    def step(self, now: datetime) -> int:
        """Do all that is due; how many writes that took."""
        store = self.model.store
        with store.lock:
            first = store.revision
            for _ in range(_PASSES_MAX):
                if not self.is_due(now):
                    break
                before, self._forced, self._due = store.revision, False, None
                self._pass(now)
                self._seen_revision = before
            return store.revision - first

    def _pass(self, now: datetime) -> None:
        self._garbage.collect()
        self._service_accounts()
        for item in self.items("apps", "deployments"):
            reconcile_deployment(self, item, now)
        for item in self.items("apps", "replicasets"):
            reconcile_replica_set(self, item)
        for item in self.items("apps", "statefulsets"):
            reconcile_stateful_set(self, item)
        self._claims()
        self.kubelet.step(now)
        self._budgets()
        self._quotas()
        self._old_events()

    def write_status(self, kind: Kind, item: Object, status: Object) -> Object:
        """Write `.status` if it differs; the object as it is then."""
        if equal(item.get("status") or {}, status):
            return item
        return self.model.commit(kind, item, {**item, "status": status})

    def event(self, item: Object, kind: str, reason: str, message: str, source: str) -> None:
        """Record a core Event about an object."""
        record_event(self.model, item, kind, reason, message, source)

    # -- small controllers -----------------------------------------------------------------------------------------

    def _service_accounts(self) -> None:
        kind = self.kind("", "serviceaccounts")
        for namespace in self.items("", "namespaces"):
            name = namespace["metadata"]["name"]
            if namespace["metadata"].get("deletionTimestamp") or self.model.store.get(kind.key, (name, "default")):
                continue
            body = {"metadata": {"name": "default", "namespace": name}}
            self.model.create(kind, kind.versions[0], name, body, Write(manager="kube-controller-manager"))

    def _claims(self) -> None:
        kind = self.kind("", "persistentvolumeclaims")
        classes = {item["metadata"]["name"] for item in self.items("storage.k8s.io", "storageclasses")}
        for item in self.items("", "persistentvolumeclaims"):
            held = item["metadata"].get("finalizers") or []
            if item["metadata"].get("deletionTimestamp") and PROTECTION in held and not is_used(self.model.store, item):
                rest = [name for name in held if name != PROTECTION]
                self.model.commit(kind, item, {**item, "metadata": {**item["metadata"], "finalizers": rest}})
                continue
            wanted = dig(item, "spec", "storageClassName", default="")
            if wanted and wanted not in classes and dig(item, "status", "phase") != "Bound":
                text = f'storageclass.storage.k8s.io "{wanted}" not found'
                self.event(item, "Warning", "ProvisioningFailed", text, "persistentvolume-controller")
                continue
            size = dig(item, "spec", "resources", "requests", "storage", default="1Gi")
            volume = f"pvc-{item['metadata']['uid']}"
            if not dig(item, "spec", "volumeName"):
                item = self.model.commit(kind, item, {**item, "spec": {**item["spec"], "volumeName": volume}})
            status = {
                "phase": "Bound",
                "accessModes": dig(item, "spec", "accessModes", default=[]),
                "capacity": {"storage": size},
            }
            self.write_status(kind, item, status)

    def _budgets(self) -> None:
        """PodDisruptionBudgets get an observed generation and no say: nothing is evicted here."""
        kind = self.kind("policy", "poddisruptionbudgets")
        for item in self.items("policy", "poddisruptionbudgets"):
            status = {
                "currentHealthy": 0,
                "desiredHealthy": 0,
                "disruptionsAllowed": 0,
                "expectedPods": 0,
                "observedGeneration": item["metadata"].get("generation", 1),
            }
            self.write_status(kind, item, status)

    def _quotas(self) -> None:
        kind = self.kind("", "resourcequotas")
        kinds = self.model.registry.all()
        for item in self.model.store.items(QUOTAS):
            hard = hard_limits(item)
            used = used_in(self.model.store, kinds, item["metadata"]["namespace"], set(hard))
            shown = {name: show_quantity(used[name], hard[name]) for name in sorted(hard) if _countable(hard[name])}
            self.write_status(kind, item, {"hard": hard, "used": shown})

    def _old_events(self) -> None:
        """A cluster forgets Events after an hour; here the oldest go when there are too many."""
        if self.model.store.count(CORE_EVENTS) <= _EVENTS_MAX:
            return
        kind = self.kind("", "events")
        oldest = sorted(self.items("", "events"), key=lambda item: int(item["metadata"]["resourceVersion"]))
        for item in oldest[: _EVENTS_MAX // 4]:
            self.model.commit(kind, item, None)


def _countable(text: str) -> bool:
    try:
        quantity(text)
    except ValueError:
        return False
    return True
