"""A cluster in memory: the verbs of the Kubernetes API on objects, without HTTP, threads or a clock of its own.

`now` and `new_id` are given from outside, so that a simulator can run it on virtual time with repeatable ids.
Everything that moves by itself (pods, garbage collection, namespaces) is in `sandbox.world` and moves when stepped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sandbox import admission, claims, customkinds, eventkinds, ownership, patching, quota, writing
from sandbox.errors import (
    StatusError,
    already_exists,
    bad_request,
    invalid,
    invalid_value,
    method_not_allowed,
    modified,
    not_found,
    required,
    stored_under_another_uid,
    unsupported_media_type,
)
from sandbox.kinds import CRD_KEY, GroupKind, Kind, Registry, Version
from sandbox.ownership import ManagerKey
from sandbox.parts import applied_part, carried_over, is_finished, selected, storage_key
from sandbox.store import Store
from sandbox.structural import apply_fault
from sandbox.values import Object, clone, dig, timestamp

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


@dataclass
class Write:
    """Who writes and how; `warnings` is filled by the server."""

    manager: str = "unknown"
    dry_run: bool = False
    #: `Ignore`, `Warn` or `Strict`.
    field_validation: str = "Warn"
    force: bool = False
    #: Named as the subresource of the manager, though the write is one of the whole object: `scale`.
    subresource: str = ""
    warnings: list[str] = field(default_factory=list)


class Listing(NamedTuple):
    """A list as of a revision; the objects must not be changed."""

    items: list[Object]
    revision: int


class ClusterModel:
    """Objects and the verbs on them. Safe to use from several threads."""

    def __init__(self, *, now: Callable[[], datetime], new_id: Callable[[], str], history: int = 10_000) -> None:
        self.now, self.new_id = now, new_id
        self.registry = Registry()
        self.store = Store(history)
        #: Called with (kind, before, after) for each write, under the lock; `after` is None for a removal.
        self.on_write: list[Callable[[Kind, Object | None, Object | None], None]] = []

    # -- reading ---------------------------------------------------------------------------------------------------

    def resource(self, group: str, version: str, plural: str) -> tuple[Kind, Version]:
        """The kind and version behind a URL.

        Raises:
            StatusError: 404, not served.
        """
        kind = self.registry.find(GroupKind(group, plural))
        return kind, kind.version(version)

    def view(self, kind: Kind, version: str, item: Object) -> Object:
        """A stored object as a version of the API shows it."""
        if kind.key == eventkinds.NEW_EVENTS:
            return eventkinds.from_core(item)
        return {**item, "apiVersion": kind.api_version(version), "kind": kind.kind}

    def read(self, kind: Kind, namespace: str, name: str) -> Object:
        """The stored object; do not change it.

        Raises:
            StatusError: 404.
        """
        found = self.store.get(storage_key(kind), (namespace, name))
        if found is None:
            raise not_found(kind.plural, kind.group, name)
        return found

    def find(self, api_version: str, kind: str, namespace: str, name: str) -> Object | None:
        """A copy of an object by what it is called, or None."""
        found = self.registry.by_kind(api_version, kind)
        item = found and self.store.get(storage_key(found), (namespace, name))
        return clone(item) if item else None

    def list_all(self, kind: Kind, namespace: str | None, labels: str = "", fields: str = "") -> Listing:
        """Stored objects of a kind, in a namespace or (None) in all.

        Raises:
            StatusError: 400 for a selector that does not parse.
        """
        matches = selected(kind, labels, fields)
        with self.store.lock:
            items = [item for item in self.store.items(storage_key(kind), namespace) if matches(item)]
            return Listing(items, self.store.revision)

    # -- writing ---------------------------------------------------------------------------------------------------

    def create(self, kind: Kind, version: Version, namespace: str, body: Any, write: Write) -> Object:
        """Create an object; the stored object.

        Raises:
            StatusError: the refusal a client gets.
        """
        item = writing.checked_body(kind, version, namespace, body)
        writing.check_types(kind, version, item)
        writing.check_unknown_fields(kind, version, item, write.field_validation, write.warnings, body)
        if item["metadata"].get("resourceVersion"):
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        writer = ManagerKey(write.manager, "Update", kind.api_version(version.name), "")
        with self.store.lock:
            if kind.key == eventkinds.NEW_EVENTS:
                self._check_new_event(kind, namespace, item)
            kind, item = self._as_stored(kind, item)
            item = self._new_object(kind, item)
            return self._insert(kind, item, self._owners_after_update(kind, None, item, writer), write)

    def _check_new_event(self, kind: Kind, namespace: str, item: Object) -> None:
        name = item["metadata"].get("name", "")
        causes = list(eventkinds.causes(item, namespace))
        if causes:
            raise invalid(kind.kind, "", name, causes)
        if self.store.get(storage_key(kind), (namespace, name)):
            raise already_exists(kind.plural, kind.group, name)

    def _new_object(self, kind: Kind, item: Object) -> Object:
        """Everything a creation does to an object, up to its owners."""
        meta = item["metadata"]
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise invalid(
                    kind.kind, kind.group, "", [required("metadata.name", "name or generateName is required")]
                )
            meta["name"] = writing.generated_name(meta["generateName"], self.new_id().replace("-", "")[-5:])
        for key in (*writing.SERVER_METADATA, "resourceVersion", "managedFields", "selfLink"):
            meta.pop(key, None)
        if kind.has_status:
            item.pop("status", None)
        item = writing.completed(kind, item)
        meta = item["metadata"]
        meta["uid"], meta["creationTimestamp"] = self.new_id(), timestamp(self.now())
        if kind.counts_generation:
            meta["generation"] = 1
        if kind.key == CRD_KEY:
            meta["finalizers"] = [*(meta.get("finalizers") or []), customkinds.FINALIZER]
        return item

    def _insert(self, kind: Kind, item: Object, managers: ownership.Managers, write: Write) -> Object:
        meta = item["metadata"]
        namespace, name = meta.get("namespace", ""), meta["name"]
        admission.check_namespace(self.store, kind, namespace, name)
        writing.validate(kind, item, None)
        if self.store.get(storage_key(kind), (namespace, name)):
            raise already_exists(kind.plural, kind.group, name)
        if kind.namespaced:
            quota.admit(self.store, self.registry.all(), kind, item, None)
        admission.allocate(self.store, kind, item)
        meta["managedFields"] = ownership.entries_of(managers)
        return self._commit(kind, None, item, write)

    def replace(
        self, kind: Kind, version: Version, namespace: str, name: str, body: Any, write: Write, subresource: str = ""
    ) -> Object:
        """PUT.

        Raises:
            StatusError: the refusal a client gets.
        """
        item = writing.checked_body(kind, version, namespace, body)
        item["metadata"].setdefault("name", name)
        writing.check_name(item, name)
        writing.check_types(kind, version, item)
        writing.check_unknown_fields(kind, version, item, write.field_validation, write.warnings, body)
        with self.store.lock:
            before = self.read(kind, namespace, name)
            uid = item["metadata"].get("uid")
            if kind.custom and not item["metadata"].get("resourceVersion"):
                cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
                raise invalid(kind.plural, kind.group, name, [cause])
            if uid and uid != before["metadata"]["uid"]:
                raise stored_under_another_uid(kind.plural, kind.group, namespace, name, uid, before["metadata"]["uid"])
            writer = ManagerKey(
                write.manager, "Update", kind.api_version(version.name), write.subresource or subresource
            )
            kind, item = self._as_stored(kind, item)
            return self._update(kind, before, item, write, subresource, writer)

    def patch(
        self,
        kind: Kind,
        version: Version,
        namespace: str,
        name: str,
        patch_type: str,
        body: Any,
        write: Write,
        subresource: str = "",
    ) -> Object:
        """PATCH in one of four types.

        Raises:
            StatusError: the refusal a client gets.
        """
        if patch_type == APPLY:
            return self._apply(kind, version, namespace, name, body, write, subresource)
        if patch_type not in (JSON, MERGE, *(() if kind.custom else (STRATEGIC,))):
            if not kind.custom:
                raise StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
            raise unsupported_media_type((JSON, MERGE, APPLY))
        with self.store.lock:
            before = self.read(kind, namespace, name)
            shown = self.view(kind, version.name, before)
            if patch_type == JSON:
                item = patching.json_patch(shown, body)
            elif patch_type == MERGE:
                item = patching.merge_patch(shown, body)
            else:
                item = patching.strategic_merge_patch(shown, body, version.schema)
            try:
                item = writing.checked_body(kind, version, namespace, item)
                writing.check_types(kind, version, item)
                writing.check_unknown_fields(kind, version, item, write.field_validation, write.warnings)
            except StatusError as error:
                raise writing.unfit_patch(item, error) from None
            writing.check_name(item, name)
            if item["metadata"].get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
                raise writing.immutable_uid(kind, name, item["metadata"]["uid"])
            writer = ManagerKey(write.manager, "Update", kind.api_version(version.name), subresource)
            kind, item = self._as_stored(kind, item)
            return self._update(kind, before, item, write, subresource, writer)

    def _apply(
        self, kind: Kind, version: Version, namespace: str, name: str, body: Any, write: Write, subresource: str
    ) -> Object:
        config = writing.checked_body(kind, version, namespace, body)
        config = {key: value for key, value in config.items() if key in body or key in ("apiVersion", "kind")}
        if "apiVersion" not in body or "kind" not in body:
            raise bad_request("Incorrect version specified in apply patch: apiVersion and kind must be set")
        meta = config["metadata"]
        meta.setdefault("name", name)
        writing.check_name(config, name)
        if "managedFields" in meta:
            raise bad_request("metadata.managedFields must be nil")
        fault = apply_fault(config, version.schema)
        if fault:
            sent = (body.get("metadata") or {}).get("namespace", "")
            where = f"{sent}/{name}; {kind.group}/{version.name}, Kind={kind.kind}"
            raise StatusError(500, "", f"failed to create typed patch object ({where}): {fault}")
        writing.check_convertible(kind, version, name, config, body)
        writer = ManagerKey(write.manager, "Apply", kind.api_version(version.name), subresource)
        kind, config = self._as_stored(kind, applied_part(kind, config, subresource))
        with self.store.lock:
            before = self.store.get(storage_key(kind), (namespace, name))
            if before is None:
                return self._apply_new(kind, config, write, writer)
            uid = meta.get("uid")
            if uid and uid != before["metadata"]["uid"]:
                raise writing.immutable_uid(kind, name, uid)
            self._check_revision(kind, before, config)
            merged, managers = ownership.apply(
                before,
                config,
                kind.storage_schema,
                writer,
                force=write.force,
                now=timestamp(self.now()),
                typed=not kind.custom,
            )
            if merged is before:
                return before
            merged["metadata"].pop("resourceVersion", None)
            return self._update(kind, before, merged, write, subresource, managers)

    def _apply_new(self, kind: Kind, config: Object, write: Write, writer: ManagerKey) -> Object:
        name = config["metadata"]["name"]
        if writer.subresource:
            raise not_found(kind.plural, kind.group, name)
        if config["metadata"].get("uid"):
            text = (
                f'Operation cannot be fulfilled on {kind.key} "{name}": uid mismatch: the provided object specified '
                f"uid {config['metadata']['uid']}, and no existing object was found"
            )
            raise StatusError(409, "Conflict", text)
        _, managers = ownership.apply(
            None, config, kind.storage_schema, writer, force=write.force, now=timestamp(self.now())
        )
        return self._insert(kind, self._new_object(kind, clone(config)), managers, write)

    def _check_revision(self, kind: Kind, before: Object, item: Object) -> None:
        sent = item["metadata"].get("resourceVersion")
        if sent and sent != before["metadata"]["resourceVersion"]:
            raise modified(kind.plural, kind.group, before["metadata"]["name"])

    def _update(
        self,
        kind: Kind,
        before: Object,
        item: Object,
        write: Write,
        subresource: str,
        owners: ManagerKey | ownership.Managers,
    ) -> Object:
        """The common end of every write to an existing object; `owners`: who updates, or what an apply came to."""
        self._check_revision(kind, before, item)
        if isinstance(owners, ManagerKey) and owners.api_version == eventkinds.NEW_VERSION:
            causes = list(eventkinds.change_causes(before, item))
            if causes:
                raise invalid(kind.kind, "", before["metadata"]["name"], causes)
        if subresource and subresource not in kind.subresources:
            raise method_not_allowed()
        after = writing.completed(kind, carried_over(kind, before, item, subresource))
        admission.keep_address(kind, before, after)
        meta, old = after["metadata"], before["metadata"]
        for key in ("name", "namespace", *writing.SERVER_METADATA, "generateName"):
            if key in old:
                meta[key] = old[key]
            else:
                meta.pop(key, None)
        if kind.counts_generation and writing.raises_generation(kind, before, after):
            meta["generation"] = old.get("generation", 1) + 1
        writing.validate(kind, after, before, subresource)
        if isinstance(owners, ManagerKey):
            owners = self._owners_after_update(kind, before, after, owners)
        meta["managedFields"] = ownership.entries_of(owners)
        meta["resourceVersion"] = old["resourceVersion"]
        if writing.same_but_for_bookkeeping(before, after):
            return before
        if kind.namespaced:
            claims.admit_growth(self.store, kind, before, after)
            quota.admit(self.store, self.registry.all(), kind, after, before)
        return self._commit(kind, before, after, write)

    def _owners_after_update(
        self, kind: Kind, before: Object | None, after: Object, writer: ManagerKey
    ) -> ownership.Managers:
        return ownership.record_update(
            before, after, kind.storage_schema, writer, timestamp(self.now()), typed=not kind.custom
        )

    def _as_stored(self, kind: Kind, item: Object) -> tuple[Kind, Object]:
        """The object in its storage version, and the kind it is stored as."""
        if kind.key == eventkinds.NEW_EVENTS:
            return self.registry.find(eventkinds.CORE_EVENTS), eventkinds.to_core(item)
        return kind, {**item, "apiVersion": kind.storage_api_version}

    # -- committing ------------------------------------------------------------------------------------------------

    def commit(self, kind: Kind, before: Object | None, after: Object | None) -> Object:
        """Write, as the parts of the cluster do that move by themselves; no checks."""
        return self._commit(kind, before, after, Write())

    def _commit(self, kind: Kind, before: Object | None, after: Object | None, write: Write) -> Object:
        shown = after if after is not None else before
        assert shown is not None
        if kind.key == CRD_KEY and after is not None:
            after = shown = {**after, "status": customkinds.accepted_status(after, timestamp(self.now()))}
        if write.dry_run:
            revision = dig(before, "metadata", "resourceVersion", default="")
            return {**shown, "metadata": {**shown["metadata"], **({"resourceVersion": revision} if revision else {})}}
        meta = shown["metadata"]
        if after is not None and meta.get("deletionTimestamp") and is_finished(kind, after):
            after = None
        stored = self.store.put(storage_key(kind), (meta.get("namespace", ""), meta["name"]), after)
        if after is None:
            stored = {**shown, "metadata": {**shown["metadata"], "resourceVersion": str(self.store.revision)}}
        if kind.key == CRD_KEY:
            self._serve(before, after)
        for hook in self.on_write:
            hook(kind, before, stored if after is not None else None)
        return stored

    def _serve(self, before: Object | None, after: Object | None) -> None:
        if after is not None:
            self.registry.add(customkinds.kind_of(after))
            self.store.served_since.setdefault(customkinds.key_of(after), self.store.revision)
        elif before is not None:
            self.registry.drop(customkinds.key_of(before))
