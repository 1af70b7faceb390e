"""What etcd is to a cluster: objects by kind and name, one revision counter, and a log of changes to watch."""

import threading
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.errors import too_old
from sandbox.kinds import GroupKind
from sandbox.values import Object, dig

#: Namespace ("" for none) and name.
Name = tuple[str, str]
Place = tuple[GroupKind, Name]


class Change(NamedTuple):
    """One write. `before` is None for a creation, `after` is None for a removal; `last` is what a watcher sees then."""

    revision: int
    key: GroupKind
    name: Name
    before: Object | None
    after: Object | None
    last: Object


class Store:
    """Stored objects are never changed in place: every write puts a new one."""

    def __init__(self, history: int) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.revision = 1
        self._history = history
        self._objects: dict[GroupKind, dict[Name, Object]] = {}
        self._children: dict[str, set[Place]] = {}
        self._uids: dict[str, Place] = {}
        self._log: list[Change] = []
        self._dropped = 0
        #: Highest revision that is no longer in the log.
        self.compacted = 0
        #: Kind -> revision since when it is served: there is nothing older of it to watch.
        self.served_since: dict[GroupKind, int] = {}

    def get(self, key: GroupKind, name: Name) -> Object | None:
        """The object as stored: do not change it."""
        return self._objects.get(key, {}).get(name)

    def by_uid(self, uid: str) -> Place | None:
        """Where the object with this uid is."""
        return self._uids.get(uid)

    def children(self, uid: str) -> list[Place]:
        """Objects that name this uid as an owner, in a fixed order."""
        return sorted(self._children.get(uid, ()))

    def items(self, key: GroupKind, namespace: str | None = None) -> list[Object]:
        """All objects of a kind, by their paths."""
        return _in_order(self._objects.get(key, {}), namespace)

    def items_at(self, key: GroupKind, namespace: str | None, revision: int) -> list[Object]:
        """All objects of a kind as they were at a revision that is not below `compacted`."""
        with self.lock:
            found = dict(self._objects.get(key, {}))
            for change in reversed(self._log):
                if change.revision <= revision:
                    break
                if change.key == key and change.before is None:
                    found.pop(change.name, None)
                elif change.key == key and change.before is not None:
                    found[change.name] = change.before
            return _in_order(found, namespace)

    def count(self, key: GroupKind) -> int:
        """How many objects of a kind there are."""
        return len(self._objects.get(key, ()))

    def places(self) -> Iterator[Place]:
        """Every object there is."""
        for key, found in list(self._objects.items()):
            for name in sorted(found):
                yield key, name

    def put(self, key: GroupKind, name: Name, after: Object | None) -> Object:
        """Write or remove an object under the next revision; the object as it is stored, or was last."""
        with self.lock:
            before = self.get(key, name)
            self.revision += 1
            shown = after if after is not None else before
            assert shown is not None
            last = {**shown, "metadata": {**shown["metadata"], "resourceVersion": str(self.revision)}}
            self._forget(key, name, before)
            if after is not None:
                self._remember(key, name, last)
            self._log.append(Change(self.revision, key, name, before, last if after is not None else None, last))
            if len(self._log) > 2 * self._history:
                self._drop(len(self._log) - self._history)
            self.changed.notify_all()
            return last

    def _forget(self, key: GroupKind, name: Name, item: Object | None) -> None:
        if item is None:
            return
        del self._objects[key][name]
        self._uids.pop(item["metadata"]["uid"], None)
        for uid in owner_uids(item):
            self._children[uid].discard((key, name))

    def _remember(self, key: GroupKind, name: Name, item: Object) -> None:
        self._objects.setdefault(key, {})[name] = item
        self._uids[item["metadata"]["uid"]] = (key, name)
        for uid in owner_uids(item):
            self._children.setdefault(uid, set()).add((key, name))

    def _drop(self, count: int) -> None:
        if count:
            self.compacted = self._log[count - 1].revision
            del self._log[:count]
            self._dropped += count

    def expire(self) -> None:
        """Forget all history: whoever watches from an older revision gets 410."""
        with self.lock:
            self._drop(len(self._log))
            self.compacted = self.revision
            self.changed.notify_all()

    def position(self, revision: int) -> int:
        """Where in the log the changes after a revision begin.

        Raises:
            StatusError: 410, they are gone.
        """
        with self.lock:
            if revision < self.compacted:
                raise too_old(revision, self.compacted)
            return self._dropped + bisect_right(self._log, revision, key=lambda change: change.revision)

    def changes(self, position: int) -> tuple[list[Change], int]:
        """Changes from a position on, and the position after them.

        Raises:
            StatusError: 410, they are gone.
        """
        with self.lock:
            if position < self._dropped:
                raise too_old(0, self.compacted)
            return self._log[position - self._dropped :], self._dropped + len(self._log)

    def restore(self, revision: int, objects: list[tuple[GroupKind, Object]]) -> None:
        """Take over a snapshot: its revision goes on, its history does not."""
        with self.lock:
            for key, item in objects:
                meta = item["metadata"]
                self._remember(key, (meta.get("namespace", ""), meta["name"]), item)
            self.revision = self.compacted = revision

    def rewind(self, revision: int) -> list[Change]:
        """Go back to a revision that is not below `compacted`, as etcd does when a backup is restored.

        Revisions will be given out again, and the history before this one is gone; what this changed.
        """
        with self.lock:
            first: dict[Place, Change] = {}
            for change in self._log:
                if change.revision > revision:
                    first.setdefault((change.key, change.name), change)
            undone = []
            for (key, name), change in first.items():
                now = self.get(key, name)
                self._forget(key, name, now)
                if change.before is not None:
                    self._remember(key, name, change.before)
                if now is not change.before:
                    shown = change.before if change.before is not None else now
                    assert shown is not None
                    undone.append(Change(revision, key, name, now, change.before, shown))
            self._drop(len(self._log))
            self.revision = self.compacted = revision
            self.changed.notify_all()
            return undone


def path_of(name: Name) -> str:
    """`namespace/name`, or the name alone: what lists are sorted by."""
    return f"{name[0]}/{name[1]}" if name[0] else name[1]


def _in_order(found: dict[Name, Object], namespace: str | None) -> list[Object]:
    # The separator counts, as it does in etcd: "-" and "." come before "/".
    return [found[name] for name in sorted(found, key=path_of) if namespace is None or name[0] == namespace]


def owner_uids(item: Object) -> list[str]:
    """Uids in `metadata.ownerReferences`."""
    return [owner["uid"] for owner in dig(item, "metadata", "ownerReferences", default=[])]
