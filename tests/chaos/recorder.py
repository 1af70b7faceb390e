"""Watches all kinds of the platforms' namespace from outside, all the time, and notes what came and went."""

import threading
from collections.abc import Callable
from typing import Literal

import msgspec

from eventstore.vocabulary import LABEL_PLATFORM
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject, Resource
from reconciler.shell.resources import EVENT, PLATFORM, RESOURCE_QUOTA, SECRET, WATCHED

CLAIM = Resource("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
KINDS: tuple[Resource, ...] = (
    *(watched.resource for watched in WATCHED if watched.resource != RESOURCE_QUOTA),
    SECRET,
    EVENT,
    CLAIM,
)


class Sighting(msgspec.Struct, frozen=True):
    """What became of one object at one moment."""

    at: float
    what: Literal["made", "changed", "gone"]
    kind: str
    name: str
    uid: str
    #: Uid of the platform that controls it; "" if none does.
    owner: str
    #: Name of the platform in its label; "" without one.
    platform: str
    #: Seen only by a list after a watch that had ended: others may have come and gone in between.
    late: bool = False


def sighting(at: float, what: Literal["made", "changed", "gone"], item: KubernetesObject, kind: str) -> Sighting:
    """A sighting of an object as the API server shows it."""
    metadata = item["metadata"]
    owners = metadata.get("ownerReferences") or ()
    owner = next((str(one["uid"]) for one in owners if one.get("controller") and one["kind"] == PLATFORM.kind), "")
    platform = str((metadata.get("labels") or {}).get(LABEL_PLATFORM, ""))
    return Sighting(at, what, kind, metadata["name"], metadata["uid"], owner, platform)


class Recorder:
    """One thread for each kind. Its calls take the administrator's way."""

    def __init__(self, cluster: Cluster, namespace: str, clock: Callable[[], float]) -> None:
        self._cluster, self._namespace, self._clock = cluster, namespace, clock
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._sightings: list[Sighting] = []
        self._threads = [
            threading.Thread(target=self._follow, args=(kind,), name=f"record-{kind.plural}", daemon=True)
            for kind in KINDS
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """No more; watches end when their server does."""
        self._stopping.set()

    def sightings(self) -> list[Sighting]:
        """All so far."""
        with self._lock:
            return list(self._sightings)

    def count(self) -> int:
        """How many so far that are of no Event."""
        with self._lock:
            return sum(one.kind != EVENT.kind for one in self._sightings)

    def _follow(self, resource: Resource) -> None:
        known: dict[str, KubernetesObject] = {}
        is_first = True
        while not self._stopping.is_set():
            try:
                page = self._cluster.list_all(resource, self._namespace)
                self._compare(resource, known, page.items, late=not is_first)
                is_first, version = False, page.resource_version
                while not self._stopping.is_set():
                    version = self._watch(resource, known, version)
            except ClusterError:
                self._stopping.wait(0.2)

    def _watch(self, resource: Resource, known: dict[str, KubernetesObject], version: str) -> str:
        for event in self._cluster.watch(resource, version, self._namespace, seconds=60):
            if self._stopping.is_set():
                break
            version = event.object["metadata"]["resourceVersion"]
            if event.type == "DELETED":
                known.pop(event.object["metadata"]["uid"], None)
                self._note(resource, "gone", event.object)
            elif event.type in ("ADDED", "MODIFIED"):
                self._take(resource, known, event.object, late=False)
        return version

    def _compare(
        self, resource: Resource, known: dict[str, KubernetesObject], items: list[KubernetesObject], *, late: bool
    ) -> None:
        present = {item["metadata"]["uid"] for item in items}
        for uid in [uid for uid in known if uid not in present]:
            self._note(resource, "gone", known.pop(uid), late=True)
        for item in items:
            self._take(resource, known, item, late=late)

    def _take(
        self, resource: Resource, known: dict[str, KubernetesObject], item: KubernetesObject, *, late: bool
    ) -> None:
        uid = item["metadata"]["uid"]
        before = known.get(uid)
        if before is not None and before["metadata"]["resourceVersion"] == item["metadata"]["resourceVersion"]:
            return
        # Only what a deletion must be told by is kept.
        known[uid] = {"metadata": {**item["metadata"], "managedFields": None, "annotations": None}}
        self._note(resource, "made" if before is None else "changed", item, late=late)

    def _note(
        self, resource: Resource, what: Literal["made", "changed", "gone"], item: KubernetesObject, late: bool = False
    ) -> None:
        found = msgspec.structs.replace(sighting(self._clock(), what, item, resource.kind), late=late)
        with self._lock:
            self._sightings.append(found)
