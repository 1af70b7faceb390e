"""Watches on the model: changes since a revision, as one selector sees them."""

import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from sandbox.errors import StatusError, too_large, too_old
from sandbox.kinds import Kind
from sandbox.model import ClusterModel
from sandbox.parts import selected, storage_key
from sandbox.store import Change
from sandbox.values import Object

_TICK_SECONDS = 0.5


class Seen(NamedTuple):
    """An event of a watch: `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK` with the stored object."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    item: Object


class Watch:
    """A cursor in the log of changes for one kind, namespace and selector."""

    def __init__(
        self,
        model: ClusterModel,
        kind: Kind,
        namespace: str | None,
        revision: int | None,
        labels: str = "",
        fields: str = "",
        initial: bool | None = None,
    ) -> None:
        """A watch from a revision on; None or 0 begins with what is there.

        `initial` says whether to begin with what is there, whatever the revision, and with the bookmark that ends it.

        Raises:
            StatusError: 410, the revision is no longer in the log.
        """
        self._model, self._key, self._namespace = model, storage_key(kind), namespace
        self._kind, self._matches = kind, selected(kind, labels, fields)
        store = model.store
        with store.lock:
            since = store.served_since.get(self._key, 0)
            if not initial and revision and revision < since:
                raise too_old(revision, since)
            if initial and (revision or 0) > store.revision:
                raise too_large(revision or 0, store.revision)
            #: Revision up to which everything was seen.
            self.revision = store.revision if initial or not revision else revision
            begins = not revision if initial is None else initial
            self._backlog = [Seen("ADDED", item) for item in self._present()] if begins else []
            #: Whether the client waits for the bookmark that says the list is complete.
            self.owes_end_of_list = bool(initial)
            self._position = store.position(min(self.revision, store.revision))
            self._floor = self.revision

    def _present(self) -> list[Object]:
        return [item for item in self._model.store.items(self._key, self._namespace) if self._matches(item)]

    def poll(self) -> list[Seen]:
        """What is new; [] if nothing.

        Raises:
            StatusError: 410, the log no longer holds what comes next.
        """
        found, self._backlog = self._backlog, []
        try:
            changes, self._position = self._model.store.changes(self._position)
        except StatusError:
            raise too_old(self.revision, self._model.store.compacted) from None
        for change in changes:
            self.revision = max(self.revision, change.revision)
            # A revision from the future: a real server is silent until it comes.
            seen = self._seen(change) if change.revision > self._floor else None
            if seen:
                found.append(seen)
        return found

    def _seen(self, change: Change) -> Seen | None:
        if change.key != self._key or (self._namespace is not None and change.name[0] != self._namespace):
            return None
        before = change.before is not None and self._matches(change.before)
        after = change.after is not None and self._matches(change.after)
        if after:
            return Seen("MODIFIED" if before else "ADDED", change.last)
        if before and change.before is not None:
            # What the watcher knew of it, at the new revision: what it became is none of the watcher's business.
            revision = {"resourceVersion": str(change.revision)}
            return Seen("DELETED", {**change.before, "metadata": {**change.before["metadata"], **revision}})
        return None

    def stream(self, seconds: float, alive: Callable[[], bool]) -> Iterator[list[Seen]]:
        """Batches of events as they come, for this long or while `alive()`; [] is sent now and then."""
        ends = time.monotonic() + seconds
        condition = self._model.store.changed
        while alive():
            left = ends - time.monotonic()
            if left <= 0:
                return
            with condition:
                found = self.poll()
                if not found:
                    condition.wait(min(left, _TICK_SECONDS))
                    found = self.poll()
            yield found

    def bookmark(self) -> Seen:
        """A bookmark at the revision everything was seen up to; the first after a list says that it is complete."""
        meta: Object = {"resourceVersion": str(self.revision)}
        if self.owes_end_of_list:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
            self.owes_end_of_list = False
        item = {"kind": self._kind.kind, "apiVersion": self._kind.storage_api_version, "metadata": meta}
        return Seen("BOOKMARK", item)
