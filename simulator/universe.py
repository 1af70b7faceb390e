"""Everything outside the operator, in this process and on virtual time: cluster, database and users."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from random import Random
from typing import Any
from uuid import UUID

from api.crd import build_crd
from eventstore.log import EventLog
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import GROUP, KIND, PLURAL, STORED_VERSION
from reconciler.shell.cluster import KubernetesObject, ListPage
from sandbox import deletion
from sandbox.cluster import SandboxCluster
from sandbox.customkinds import kind_of
from sandbox.kinds import NAMESPACE_KEY, GroupKind, Kind
from sandbox.model import APPLY, MERGE, ClusterModel, Write
from sandbox.parts import selected, storage_key
from sandbox.values import clone
from sandbox.world import Settings, World
from simulator.clock import VirtualClock
from simulator.ports import Call, Mark

NAMESPACE = "demo"
#: After a backup was put back: the time in which the watches find out, and nothing is inferred from absence.
GRACE_SECONDS = 120.0
_LONG_SECONDS = 1e9
PLATFORMS = GroupKind(GROUP, PLURAL)
#: Who writes when no replica and no user does.
WORLD = "world"
USER = "kubectl"

#: Called with (who writes, kind, before, after) for every write in the cluster.
OnWrite = Callable[[str, Kind, KubernetesObject | None, KubernetesObject | None], None]


@cache
def _platform_kind() -> Kind:
    # Compiling its rules takes longer than a whole run.
    return kind_of(build_crd())


class Universe:
    """One cluster and one database. The same seed gives the same uids and the same secrets."""

    def __init__(self, seed: int, log: Callable[[VirtualClock], EventLog] | None = None) -> None:
        self.clock = VirtualClock()
        self._ids = Random(f"{seed}/uids")
        self.model = ClusterModel(now=self.clock.now, new_id=self._new_id)
        self.model.registry.add(_platform_kind())
        #: Revision at which a kind changed last.
        self.changed_at: dict[str, int] = {}
        self.on_write: list[OnWrite] = []
        self.writer = WORLD
        self.model.on_write.append(self._wrote)
        self.world = World(self.model, Settings(ready_delay_seconds=1.0, stop_delay_seconds=0.5))
        self.world.bootstrap()
        self.make_namespace()
        self.cluster = SandboxCluster(self.model)
        self.log: EventLog = log(self.clock) if log else InMemoryEventLog(self.clock.now)
        self.outbox = Mark()
        #: Until when something is away that nothing can go on without.
        self.trouble_until = 0.0
        #: When the cluster last went back to a backup (monotonic); long ago if it never did.
        self.restored_at = -_LONG_SECONDS

    def _new_id(self) -> str:
        return str(UUID(int=self._ids.getrandbits(128), version=4))

    def _wrote(self, kind: Kind, before: KubernetesObject | None, after: KubernetesObject | None) -> None:
        self.changed_at[kind.kind] = self.model.store.revision
        for hook in self.on_write:
            hook(self.writer, kind, before, after)

    @contextmanager
    def written_by(self, who: str) -> Iterator[None]:
        """Writes in the block are somebody's."""
        before, self.writer = self.writer, who
        try:
            yield
        finally:
            self.writer = before

    def was_just_restored(self) -> bool:
        """Whether so little time has passed since a backup was put back that nobody can be expected to know."""
        # While something is away nobody hears of it.
        told_at = max(self.restored_at, self.trouble_until)
        return self.restored_at >= 0.0 and self.clock.monotonic() - told_at < GRACE_SECONDS

    # -- looking ---------------------------------------------------------------------------------------------------

    def platform(self, name: str) -> KubernetesObject | None:
        """The stored resource; not to be changed."""
        return self.model.store.get(PLATFORMS, (NAMESPACE, name))

    def owned_by(self, uid: str) -> list[tuple[Kind, KubernetesObject]]:
        """Objects that name the platform as their owner, in a fixed order."""
        found = []
        for key, name in self.model.store.children(uid):
            item = self.model.store.get(key, name)
            if item is not None:
                found.append((self.model.registry.find(key), item))
        return found

    def items(self, kind: str) -> list[KubernetesObject]:
        """Every stored object of a kind."""
        found = next(one for one in self.model.registry.all() if one.kind == kind)
        return self.model.store.items(storage_key(found), NAMESPACE)

    def old_list(self, call: Call, revision: int) -> ListPage:
        """A list from a server that lags behind: as of a revision."""
        assert call.resource is not None
        group, _, version = call.resource.api_version.rpartition("/")
        kind, _version = self.model.resource(group, version, call.resource.plural)
        matches = selected(kind, str(call.sent or ""), "")
        items = [item for item in self.model.store.items_at(kind.key, None, revision) if matches(item)]
        return ListPage([clone(self.model.view(kind, version, item)) for item in items], str(revision))

    # -- what happens to it ----------------------------------------------------------------------------------------

    def make_namespace(self) -> None:
        """`kubectl create namespace`, if it is not there."""
        kind = self.model.registry.find(NAMESPACE_KEY)
        if self.model.store.get(NAMESPACE_KEY, ("", NAMESPACE)) is None:
            self.model.create(kind, kind.versions[0], "", {"metadata": {"name": NAMESPACE}}, Write())

    def restore(self, revision: int) -> None:
        """The cluster goes back to what it was at a revision; versions that were given out are given out again."""
        self.restored_at = self.clock.monotonic()
        undone = self.model.store.rewind(max(revision, self.model.store.compacted))
        now = self.model.store.revision
        self.changed_at = {kind: min(at, now) for kind, at in self.changed_at.items()}
        with self.written_by("backup"):
            for change in undone:
                kind = self.model.registry.find(change.key)
                for hook in self.model.on_write:
                    hook(kind, change.before, change.after)
        self.world.touch()

    # -- what people do --------------------------------------------------------------------------------------------

    def apply(self, name: str, spec: dict[str, Any], *, annotations: dict[str, str] | None = None) -> None:
        """`kubectl apply --server-side` of a platform."""
        body: KubernetesObject = {
            "apiVersion": f"{GROUP}/{STORED_VERSION}",
            "kind": KIND,
            "metadata": {"name": name, "namespace": NAMESPACE, **({"annotations": annotations} if annotations else {})},
            "spec": copy.deepcopy(spec),
        }
        kind = _platform_kind()
        version = kind.version(STORED_VERSION)
        with self.written_by(USER):
            self.model.patch(kind, version, NAMESPACE, name, APPLY, body, Write(manager=USER, force=True))

    def merge(self, kind: Kind, name: str, patch: dict[str, Any], subresource: str = "") -> None:
        """`kubectl patch --type=merge` of an object of the namespace."""
        write = Write(manager=f"{USER}-patch")
        with self.written_by(USER):
            self.model.patch(kind, kind.versions[-1], NAMESPACE, name, MERGE, patch, write, subresource)

    def create(self, kind: Kind, body: KubernetesObject) -> None:
        """`kubectl create`, in the namespace."""
        with self.written_by(USER):
            self.model.create(kind, kind.versions[-1], NAMESPACE, body, Write(manager=USER))

    def delete(self, kind: Kind, name: str) -> None:
        """`kubectl delete --wait=false`."""
        with self.written_by(USER):
            deletion.delete(self.model, kind, NAMESPACE, name)

    def delete_namespace(self) -> None:
        """`kubectl delete namespace --wait=false`."""
        with self.written_by(USER):
            deletion.delete(self.model, self.model.registry.find(NAMESPACE_KEY), "", NAMESPACE)

    def delete_platform(self, name: str) -> None:
        """`kubectl delete obsp`, if it is there."""
        if self.platform(name) is not None:
            self.delete(_platform_kind(), name)

    def platform_kind(self) -> Kind:
        """The kind of the resource."""
        return _platform_kind()

    def break_workload(self, workload: str, reason: str = "CrashLoopBackOff") -> None:
        """Let its pods fail."""
        self.world.settings.broken[NAMESPACE, workload] = reason
        self.world.touch()

    def repair_workload(self, workload: str) -> None:
        """Let its pods be well again."""
        self.world.settings.broken.pop((NAMESPACE, workload), None)
        self.world.touch()
