"""Garbage collection by owner references, and the end of namespaces and definitions."""

from sandbox import customkinds, deletion
from sandbox.deletion import FOREGROUND, ORPHAN, Options
from sandbox.errors import StatusError
from sandbox.kinds import CRD_KEY, NAMESPACE_KEY, Kind
from sandbox.model import ClusterModel
from sandbox.store import Place, owner_uids
from sandbox.values import Object, dig


class Collector:
    """Looks at what changed since the last time, and at what changed because of that."""

    def __init__(self, model: ClusterModel) -> None:
        self._model = model
        self._pending: dict[Place, None] = dict.fromkeys(model.store.places())
        model.on_write.append(self._note)

    def _note(self, kind: Kind, before: Object | None, after: Object | None) -> None:
        shown = after or before
        assert shown is not None
        meta = shown["metadata"]
        if after is not None:
            if meta.get("ownerReferences") or meta.get("deletionTimestamp"):
                self._pending[kind.key, (meta.get("namespace", ""), meta["name"])] = None
            return
        self._pending.update(dict.fromkeys(self._model.store.children(meta["uid"])))
        for uid in owner_uids(shown):
            place = self._model.store.by_uid(uid)
            if place:
                self._pending[place] = None

    def collect(self) -> None:
        """Until nothing is left to look at."""
        while self._pending:
            batch, self._pending = self._pending, {}
            for place in batch:
                self._look_at(place)
        self._end_containers()

    def _look_at(self, place: Place) -> None:
        key, name = place
        item = self._model.store.get(key, name)
        if item is None:
            return
        kind = self._model.registry.find(key)
        finalizers = item["metadata"].get("finalizers") or []
        if item["metadata"].get("deletionTimestamp"):
            if ORPHAN in finalizers:
                self._orphan_children(item)
                deletion.release(self._model, kind, item, ORPHAN)
            elif FOREGROUND in finalizers:
                self._delete_foreground(kind, item)
            return
        owners = item["metadata"].get("ownerReferences") or []
        if not owners:
            return
        living = [owner for owner in owners if self._is_there(owner["uid"], name[0])]
        if not living:
            deletion.delete(self._model, kind, *name, Options(uid=item["metadata"]["uid"]))
        elif len(living) < len(owners):
            self._model.commit(kind, item, {**item, "metadata": {**item["metadata"], "ownerReferences": living}})

    def _is_there(self, uid: str, namespace: str) -> bool:
        """An owner in another namespace counts as absent."""
        place = self._model.store.by_uid(uid)
        return place is not None and place[1][0] in ("", namespace)

    def _orphan_children(self, item: Object) -> None:
        uid = item["metadata"]["uid"]
        for key, name in self._model.store.children(uid):
            child = self._model.store.get(key, name)
            assert child is not None
            meta = dict(child["metadata"])
            meta["ownerReferences"] = [owner for owner in meta["ownerReferences"] if owner["uid"] != uid]
            if not meta["ownerReferences"]:
                del meta["ownerReferences"]
            self._model.commit(self._model.registry.find(key), child, {**child, "metadata": meta})

    def _delete_foreground(self, kind: Kind, item: Object) -> None:
        uid = item["metadata"]["uid"]
        blocking = False
        for key, name in self._model.store.children(uid):
            child = self._model.store.get(key, name)
            assert child is not None
            owner = next(owner for owner in child["metadata"]["ownerReferences"] if owner["uid"] == uid)
            blocking = blocking or bool(owner.get("blockOwnerDeletion"))
            if not child["metadata"].get("deletionTimestamp"):
                deletion.delete(self._model, self._model.registry.find(key), *name, Options(policy="Foreground"))
        blocking = blocking and bool(self._model.store.children(uid))
        current = self._model.store.get(kind.key, (item["metadata"].get("namespace", ""), item["metadata"]["name"]))
        if not blocking and current is not None:
            deletion.release(self._model, kind, current, FOREGROUND)

    # -- things that contain others --------------------------------------------------------------------------------

    def _end_containers(self) -> None:
        for item in self._model.store.items(NAMESPACE_KEY):
            if item["metadata"].get("deletionTimestamp"):
                self._end_namespace(item)
        for item in self._model.store.items(CRD_KEY):
            if item["metadata"].get("deletionTimestamp"):
                self._end_definition(item)

    def _end_namespace(self, item: Object) -> None:
        name = item["metadata"]["name"]
        left = 0
        for kind in self._model.registry.all():
            if not kind.namespaced:
                continue
            for content in self._model.store.items(kind.key, name):
                left += not self._delete_content(kind, content)
        if not left and dig(item, "spec", "finalizers"):
            kind = self._model.registry.find(NAMESPACE_KEY)
            self._model.commit(kind, item, {**item, "spec": {**item["spec"], "finalizers": []}})

    def _end_definition(self, item: Object) -> None:
        finalizers = item["metadata"].get("finalizers") or []
        kind = next(
            (
                kind
                for kind in self._model.registry.all()
                if kind.custom and f"{kind.plural}.{kind.group}" == item["metadata"]["name"]
            ),
            None,
        )
        left = 0
        for content in self._model.store.items(kind.key) if kind else []:
            assert kind is not None
            left += not self._delete_content(kind, content)
        if not left and customkinds.FINALIZER in finalizers:
            deletion.release(self._model, self._model.registry.find(CRD_KEY), item, customkinds.FINALIZER)

    def _delete_content(self, kind: Kind, item: Object) -> bool:
        """Delete what a container holds; whether it is gone."""
        meta = item["metadata"]
        if meta.get("deletionTimestamp"):
            return False
        try:
            return deletion.delete(self._model, kind, meta.get("namespace", ""), meta["name"], Options()).gone
        except StatusError:
            return True
