"""The newest known state of every watched object, indexed by platform. Safe for many threads.

Newest is decided by resourceVersion, never by order of arrival: an apply's response may be newer than the watch event
that comes after it. A list is believed about all the time before its own version: the objects of a cluster that was
restored from a backup may be older than what was seen of them, though the cluster's version is not.
"""

import threading
from collections.abc import Iterable

import msgspec

from eventstore.vocabulary import KIND, LABEL_PLATFORM
from reconciler.shell.cluster import KubernetesObject, ListPage, Resource, WatchEvent
from reconciler.shell.resources import WATCHED
from reconciler.shell.slimming import slim

#: (kind, namespace, name)
Key = tuple[str, str, str]
#: (namespace, platform name); the name is "" for an object that concerns the whole namespace.
PlatformKey = tuple[str, str]

WATCHED_KINDS = frozenset(watched.resource.kind for watched in WATCHED)
#: Deletions remembered, so that a late apply response does not bring a deleted object back to life.
TOMBSTONES_MAX = 10_000


class _Entry(msgspec.Struct):
    obj: KubernetesObject
    #: resourceVersion as a number, -1 if it is not one.
    version: int
    uid: str
    platform: PlatformKey


class ObjectCache:
    """What the watches have seen and what the operator's own writes were answered with.

    Objects are slimmed (`reconciler.shell.slimming`) and shared between threads: read them, never change them.
    """

    def __init__(self, kinds: Iterable[str] = WATCHED_KINDS) -> None:
        """`kinds` are kept. Of those that are not watched (Secrets), what was remembered last counts as the newest:
        whoever asks for them to be kept reads and writes each from one thread at a time.
        """
        self._kinds = frozenset(kinds)
        self._lock = threading.Lock()
        self._entries: dict[Key, _Entry] = {}
        self._by_platform: dict[PlatformKey, set[Key]] = {}
        self._by_kind: dict[str, set[Key]] = {}
        self._tombstones: dict[Key, int] = {}

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, resource: Resource, namespace: str, name: str) -> KubernetesObject | None:
        """The object as it was last seen, or None. None for kinds that are not watched: ask the cluster."""
        with self._lock:
            entry = self._entries.get((resource.kind, namespace, name))
            return entry.obj if entry else None

    def children(self, namespace: str, platform: str, resource: Resource | None = None) -> list[KubernetesObject]:
        """Objects that carry the platform's label (Pods too, not the resource itself), sorted by kind and name."""
        with self._lock:
            keys = sorted(self._by_platform.get((namespace, platform), ()))
            return [
                self._entries[key].obj
                for key in keys
                if key[0] != KIND and (resource is None or key[0] == resource.kind)
            ]

    def list_kind(self, resource: Resource, namespace: str | None = None) -> list[KubernetesObject]:
        """All objects of a kind, sorted by namespace and name."""
        with self._lock:
            keys = sorted(self._by_kind.get(resource.kind, ()))
            return [self._entries[key].obj for key in keys if namespace in (None, key[1])]

    def platforms(self, namespace: str | None = None) -> list[PlatformKey]:
        """(namespace, name) of every platform resource, sorted."""
        with self._lock:
            return [(key[1], key[2]) for key in sorted(self._by_kind.get(KIND, ())) if namespace in (None, key[1])]

    def newest(self, kind: str, namespace: str | None = None) -> int:
        """The newest version that is known of a kind, be it of a deletion; -1 if none is."""
        with self._lock:
            versions = [self._entries[key].version for key in self._keys(kind, namespace)]
            buried = [at for key, at in self._tombstones.items() if key[0] == kind and namespace in (None, key[1])]
        return max([*versions, *buried], default=-1)

    def __len__(self) -> int:
        return len(self._entries)

    # -- writing ---------------------------------------------------------------------------------------------------

    def remember(self, resource: Resource, obj: KubernetesObject) -> bool:
        """Take in an object that a get or a write was answered with; True if it was news. Unwatched kinds are not."""
        if resource.kind not in self._kinds:
            return False
        slimmed = slim(obj)
        with self._lock:
            if resource.kind not in WATCHED_KINDS:
                self._store(key_of(slimmed), slimmed, version_of(slimmed))
                return True
            return self._put(slimmed) is not None

    def forget(self, resource: Resource, namespace: str, name: str, uid: str) -> bool:
        """A get said the object is gone; True if it was known. An object with another uid is kept."""
        key = (resource.kind, namespace, name)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry.uid != uid:
                return False
            self._remove(key, entry.version)
            return True

    def apply_event(self, event: WatchEvent) -> PlatformKey | None:
        """Take in a watch event; whom it concerns, or None if it was no news."""
        if event.type == "BOOKMARK":
            return None
        if event.type != "DELETED":
            slimmed = slim(event.object)
            with self._lock:
                return self._put(slimmed)
        key, version = key_of(event.object), version_of(event.object)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.version > version >= 0:
                # Made again under the same name since: this deletion is of its predecessor.
                return None
            self._bury(key, version)
            if entry is None:
                return None
            self._remove(key, version)
            return entry.platform

    def replace(self, kind: str, namespace: str | None, page: ListPage, *, rewound: bool = False) -> set[PlatformKey]:
        """Take in a complete list of a kind; whom its news concern.

        Objects that are not in the list are dropped, unless they are newer than it. With `rewound` (the cluster was
        restored from a backup: its versions went back) what is listed is taken as it is, and nothing is dropped until
        the next list.
        """
        listed = [slim(item) for item in page.items]
        version = int(page.resource_version) if page.resource_version.isdigit() else -1
        with self._lock:
            if rewound:
                return self._rewind(kind, namespace, listed, version)
            changed = {platform for obj in listed if (platform := self._put_listed(obj, version)) is not None}
            changed |= self._drop_absent(kind, namespace, {key_of(obj) for obj in listed}, version)
            self._tombstones = {
                key: buried
                for key, buried in self._tombstones.items()
                if key[0] != kind or namespace not in (None, key[1]) or buried > version
            }
        return changed

    def _rewind(
        self, kind: str, namespace: str | None, listed: list[KubernetesObject], version: int
    ) -> set[PlatformKey]:
        self._tombstones.clear()
        for key in self._keys(kind, namespace):
            entry = self._entries[key]
            entry.version = min(entry.version, version)
        changed = set()
        for obj in listed:
            key = key_of(obj)
            before = self._entries.get(key)
            if before is not None and before.obj["metadata"] == obj["metadata"]:
                before.version = version_of(obj)
                continue
            changed.add(self._store(key, obj, version_of(obj)))
        return changed

    def _put(self, obj: KubernetesObject) -> PlatformKey | None:
        key, version = key_of(obj), version_of(obj)
        entry = self._entries.get(key)
        if entry is not None and 0 <= version <= entry.version:
            return None
        if 0 <= version <= self._tombstones.get(key, -1):
            return None
        return self._store(key, obj, version)

    def _put_listed(self, obj: KubernetesObject, list_version: int) -> PlatformKey | None:
        key, version = key_of(obj), version_of(obj)
        entry = self._entries.get(key)
        seen = max(entry.version if entry else -1, self._tombstones.get(key, -1))
        # After a restore the same version may be given out twice, for another content.
        twice = entry is not None and version == entry.version and entry.obj["metadata"] != obj["metadata"]
        if version < seen <= list_version or twice:
            return self._store(key, obj, version)
        return self._put(obj)

    def _store(self, key: Key, obj: KubernetesObject, version: int) -> PlatformKey:
        entry = self._entries.get(key)
        platform = platform_of(obj)
        if entry is not None and entry.platform != platform:
            self._unindex(key, entry)
        self._entries[key] = _Entry(obj, version, str(obj["metadata"].get("uid", "")), platform)
        self._by_platform.setdefault(platform, set()).add(key)
        self._by_kind.setdefault(key[0], set()).add(key)
        return platform

    def _drop_absent(self, kind: str, namespace: str | None, listed: Iterable[Key], version: int) -> set[PlatformKey]:
        changed = set()
        for key in self._keys(kind, namespace) - set(listed):
            entry = self._entries[key]
            if version < 0 or entry.version <= version:
                self._remove(key, version)
                changed.add(entry.platform)
        return changed

    def _keys(self, kind: str, namespace: str | None) -> set[Key]:
        return {key for key in self._by_kind.get(kind, ()) if namespace in (None, key[1])}

    def _remove(self, key: Key, version: int) -> None:
        entry = self._entries.pop(key)
        self._unindex(key, entry)
        self._by_kind[key[0]].discard(key)
        self._bury(key, version)

    def _unindex(self, key: Key, entry: _Entry) -> None:
        keys = self._by_platform[entry.platform]
        keys.discard(key)
        if not keys:
            del self._by_platform[entry.platform]

    def _bury(self, key: Key, version: int) -> None:
        self._tombstones[key] = max(version, self._tombstones.pop(key, -1))
        while len(self._tombstones) > TOMBSTONES_MAX:
            del self._tombstones[next(iter(self._tombstones))]


def key_of(obj: KubernetesObject) -> Key:
    """(kind, namespace, name) of an object."""
    metadata = obj["metadata"]
    return str(obj["kind"]), str(metadata.get("namespace", "")), str(metadata["name"])


def version_of(obj: KubernetesObject) -> int:
    """resourceVersion as a number; -1, older than nothing, if it is not one."""
    text = str(obj["metadata"].get("resourceVersion", ""))
    return int(text) if text.isdigit() else -1


def platform_of(obj: KubernetesObject) -> PlatformKey:
    """Whom an object concerns: the platform itself, the one on its label, or ("namespace", "") for all of them."""
    metadata = obj["metadata"]
    namespace = str(metadata.get("namespace", ""))
    if obj["kind"] == KIND:
        return namespace, str(metadata["name"])
    labels = metadata.get("labels")
    return namespace, str(labels.get(LABEL_PLATFORM, "")) if isinstance(labels, dict) else ""
