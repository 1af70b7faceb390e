"""DELETE: preconditions, grace, finalizers and propagation."""

from datetime import timedelta
from typing import Any, NamedTuple

from sandbox.errors import (
    StatusError,
    bad_request,
    dry_run_causes,
    invalid_options,
    invalid_value,
    precondition_failed,
    shown,
)
from sandbox.kinds import NAMESPACE_KEY, Kind
from sandbox.model import ClusterModel
from sandbox.values import Object, dig, timestamp

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_POLICIES = ("Background", "Foreground", "Orphan")


class Options(NamedTuple):
    """`DeleteOptions`."""

    uid: str = ""
    resource_version: str = ""
    #: `Background`, `Foreground` or `Orphan`.
    policy: str = "Background"
    grace_seconds: int | None = None
    dry_run: bool = False


def options_of(body: Any, query: dict[str, str]) -> Options:
    """Options from a body, the query as a fallback.

    Raises:
        StatusError: 422, not a propagation policy.
    """
    body = body if isinstance(body, dict) else {}
    policy = body.get("propagationPolicy") or query.get("propagationPolicy")
    if not policy:
        orphans = body.get("orphanDependents")
        policy = "Orphan" if orphans else "Background"
    if policy not in _POLICIES:
        _, text, field = invalid_value("propagationPolicy", policy, "must be Background, Foreground or Orphan")
        raise StatusError(422, "Invalid", f'DeleteOptions.meta.k8s.io "" is invalid: {field}: {text}')
    listed = body.get("dryRun") or [query.get("dryRun", "")]
    causes = [cause for value in listed for cause in dry_run_causes(str(value))]
    if causes:
        raise invalid_options("DeleteOptions", causes)
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    return Options(
        uid=dig(body, "preconditions", "uid", default=""),
        resource_version=dig(body, "preconditions", "resourceVersion", default=""),
        policy=policy,
        grace_seconds=_seconds(grace),
        dry_run=bool(body.get("dryRun") or query.get("dryRun")),
    )


_PLAIN = Options()


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds: Invalid value: {shown(value)}") from None


class Deleted(NamedTuple):
    """What a deletion came to."""

    item: Object
    #: False: something holds the object still (finalizers, grace, content).
    gone: bool


def delete(model: ClusterModel, kind: Kind, namespace: str, name: str, options: Options = _PLAIN) -> Deleted:
    """Delete an object, or mark it for deletion.

    Raises:
        StatusError: 404, or 409 for a precondition that does not hold.
    """
    with model.store.lock:
        item = model.read(kind, namespace, name)
        meta = item["metadata"]
        if options.uid and options.uid != meta["uid"]:
            raise precondition_failed(kind.kind, kind.group, name, "UID", options.uid, meta["uid"])
        if options.resource_version and options.resource_version != meta["resourceVersion"]:
            raise precondition_failed(
                kind.kind, kind.group, name, "ResourceVersion", options.resource_version, meta["resourceVersion"]
            )
        marked = _marked(model, kind, item, options)
        if options.dry_run or marked is None:
            return Deleted(marked or item, gone=False)
        stored = model.commit(kind, item, marked)
        return Deleted(stored, gone=model.store.by_uid(meta["uid"]) is None)


def _marked(model: ClusterModel, kind: Kind, item: Object, options: Options) -> Object | None:
    """The object as it is while it is being deleted; None if there is nothing to change."""
    meta = dict(item["metadata"])
    finalizers = list(meta.get("finalizers") or [])
    held = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(options.policy)
    if held and held not in finalizers:
        finalizers.append(held)
    if options.policy == "Background":
        finalizers = [name for name in finalizers if name not in (FOREGROUND, ORPHAN)]
    grace = _grace(kind, item, options)
    if meta.get("deletionTimestamp"):
        if finalizers == (meta.get("finalizers") or []) and grace >= meta.get("deletionGracePeriodSeconds", 0):
            return None
        grace = min(grace, meta.get("deletionGracePeriodSeconds", 0))
    elif kind.counts_generation:
        meta["generation"] = meta.get("generation", 1) + 1
    meta["deletionTimestamp"] = timestamp(model.now() + timedelta(seconds=grace))
    meta["deletionGracePeriodSeconds"] = grace
    meta["finalizers"] = finalizers
    if not finalizers:
        del meta["finalizers"]
    marked = {**item, "metadata": meta}
    if kind.key == NAMESPACE_KEY:
        marked["status"] = {**(item.get("status") or {}), "phase": "Terminating"}
    return marked


def _grace(kind: Kind, item: Object, options: Options) -> int:
    """Only pods that run somewhere take their time."""
    if kind.kind != "Pod" or kind.custom or not dig(item, "spec", "nodeName"):
        return 0
    if options.grace_seconds is not None:
        return options.grace_seconds
    return int(dig(item, "spec", "terminationGracePeriodSeconds", default=30))


def release(model: ClusterModel, kind: Kind, item: Object, finalizer: str) -> None:
    """Take one finalizer off; the object goes if nothing else holds it."""
    meta = {**item["metadata"]}
    meta["finalizers"] = [name for name in meta.get("finalizers") or [] if name != finalizer]
    if not meta["finalizers"]:
        del meta["finalizers"]
    model.commit(kind, item, {**item, "metadata": meta})


def delete_collection(
    model: ClusterModel, kind: Kind, namespace: str, labels: str, fields: str, options: Options
) -> list[Object]:
    """Delete everything a selector matches in a namespace; what was there."""
    listing = model.list_all(kind, namespace if kind.namespaced else None, labels, fields)
    for item in listing.items:
        meta = item["metadata"]
        delete(model, kind, meta.get("namespace", ""), meta["name"], options)
    return listing.items
