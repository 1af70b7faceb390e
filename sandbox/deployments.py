"""Deployments: one ReplicaSet for each template, rolled from the old ones to the newest."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox import deletion
from sandbox.errors import StatusError
from sandbox.kinds import GroupKind
from sandbox.values import Object, clone, dig, timestamp
from sandbox.workloads import PODS, WRITE, is_leaving, owned, owner_reference, template_hash

if TYPE_CHECKING:
    from sandbox.world import World

REPLICA_SETS = GroupKind("apps", "replicasets")
REVISION = "deployment.kubernetes.io/revision"


def reconcile_deployment(world: "World", item: Object, now: datetime) -> None:
    """One ReplicaSet for each template; the newest grows, the others shrink."""
    if is_leaving(item):
        return
    sets = owned(world, item, REPLICA_SETS)
    newest = _current_set(world, item, sets)
    if newest is None:
        return
    sets = owned(world, item, REPLICA_SETS)
    old = [part for part in sets if part["metadata"]["uid"] != newest["metadata"]["uid"]]
    if not dig(item, "spec", "paused"):
        _roll(world, item, newest, old)
    _drop_history(world, item, old)
    sets = owned(world, item, REPLICA_SETS)
    current = next((part for part in sets if part["metadata"]["uid"] == newest["metadata"]["uid"]), newest)
    status = _deployment_status(world, item, current, sets, now)
    world.write_status(world.kind("apps", "deployments"), item, status)


def _current_set(world: "World", item: Object, sets: list[Object]) -> Object | None:
    digest = template_hash(dig(item, "spec", "template"))
    found = next((part for part in sets if part["metadata"]["labels"].get("pod-template-hash") == digest), None)
    newest = max((_revision(part) for part in sets), default=0)
    kind = world.kind("apps", "replicasets")
    if found is not None:
        if _revision(found) < newest:
            notes = {**found["metadata"].get("annotations", {}), REVISION: str(newest + 1)}
            meta = {**found["metadata"], "annotations": notes}
            found = world.model.commit(kind, found, {**found, "metadata": meta})
        return _with_revision(world, item, found)
    spec = clone(item["spec"])
    labels = {**dig(spec, "template", "metadata", "labels", default={}), "pod-template-hash": digest}
    spec["template"]["metadata"]["labels"] = labels
    selector = {
        **spec["selector"],
        "matchLabels": {**spec["selector"].get("matchLabels", {}), "pod-template-hash": digest},
    }
    body = {
        "metadata": {
            "name": f"{item['metadata']['name']}-{digest}",
            "labels": labels,
            "annotations": {REVISION: str(newest + 1)},
            "ownerReferences": [owner_reference(item)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": spec["template"]},
    }
    try:
        created = world.model.create(kind, kind.versions[0], item["metadata"]["namespace"], body, WRITE)
    except StatusError as error:
        world.event(item, "Warning", "ReplicaSetCreateError", error.message, "deployment-controller")
        return None
    return _with_revision(world, item, created)


def _revision(item: Object) -> int:
    return int(dig(item, "metadata", "annotations", REVISION, default="0"))


def _with_revision(world: "World", item: Object, newest: Object) -> Object:
    """The Deployment carries the revision of its newest ReplicaSet."""
    namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
    current = world.model.store.get(GroupKind("apps", "deployments"), (namespace, name))
    if current is not None and _revision(current) != _revision(newest):
        notes = {**current["metadata"].get("annotations", {}), REVISION: str(_revision(newest))}
        meta = {**current["metadata"], "annotations": notes}
        item.update(world.model.commit(world.kind("apps", "deployments"), current, {**current, "metadata": meta}))
    return newest


def _scale(world: "World", owner: Object, part: Object, replicas: int) -> None:
    before = dig(part, "spec", "replicas", default=0)
    if before == replicas:
        return
    meta = {**part["metadata"], "generation": part["metadata"].get("generation", 1) + 1}
    kind = world.kind("apps", "replicasets")
    world.model.commit(kind, part, {**part, "metadata": meta, "spec": {**part["spec"], "replicas": replicas}})
    word = "up" if replicas > before else "down"
    text = f"Scaled {word} replica set {part['metadata']['name']} from {before} to {replicas}"
    world.event(owner, "Normal", "ScalingReplicaSet", text, "deployment-controller")


def _share(value: Any, total: int, *, up: bool) -> int:
    if isinstance(value, str) and value.endswith("%"):
        exact = float(value[:-1]) / 100 * total
        return math.ceil(exact) if up else math.floor(exact)
    return int(value or 0)


def _limits(item: Object) -> tuple[int, int]:
    """maxSurge and maxUnavailable as numbers."""
    wanted = dig(item, "spec", "replicas", default=1)
    rolling = dig(item, "spec", "strategy", "rollingUpdate", default={})
    surge = _share(rolling.get("maxSurge", "25%"), wanted, up=True)
    unavailable = _share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
    return surge, unavailable if surge or unavailable else 1


def _roll(world: "World", item: Object, newest: Object, old: list[Object]) -> None:
    wanted = dig(item, "spec", "replicas", default=1)
    if dig(item, "spec", "strategy", "type") == "Recreate":
        for part in old:
            _scale(world, item, part, 0)
        if not any(owned(world, part, PODS) for part in old):
            _scale(world, item, newest, wanted)
        return
    surge, unavailable = _limits(item)
    total = sum(dig(part, "spec", "replicas", default=0) for part in [newest, *old])
    mine = dig(newest, "spec", "replicas", default=0)
    grown = wanted if mine > wanted else mine + max(0, min(wanted - mine, wanted + surge - total))
    lost = dig(newest, "spec", "replicas", default=0) - dig(newest, "status", "availableReplicas", default=0)
    _scale(world, item, newest, grown)
    room = total - (wanted - unavailable) - lost
    available = sum(dig(part, "status", "availableReplicas", default=0) for part in [newest, *old])
    room_available = available - (wanted - unavailable)
    for part in sorted(old, key=_revision):
        size = dig(part, "spec", "replicas", default=0)
        unhealthy = min(size - dig(part, "status", "availableReplicas", default=0), max(0, room))
        healthy = min(size - unhealthy, max(0, room_available))
        room, room_available = room - unhealthy - healthy, room_available - healthy
        _scale(world, item, part, size - unhealthy - healthy)


def _drop_history(world: "World", item: Object, old: list[Object]) -> None:
    kept = dig(item, "spec", "revisionHistoryLimit", default=10)
    empty = sorted(
        (part for part in old if not dig(part, "status", "replicas") and not dig(part, "spec", "replicas")),
        key=_revision,
    )
    for part in empty[: max(0, len(empty) - kept)]:
        deletion.delete(
            world.model, world.kind("apps", "replicasets"), part["metadata"]["namespace"], part["metadata"]["name"]
        )


def _deployment_status(world: "World", item: Object, newest: Object, sets: Iterable[Object], now: datetime) -> Object:
    wanted = dig(item, "spec", "replicas", default=1)
    sets = list(sets)
    total, ready = (
        sum(dig(part, "status", field, default=0) for part in sets) for field in ("replicas", "readyReplicas")
    )
    updated = dig(newest, "status", "replicas", default=0)
    leaving = sum(dig(part, "status", "terminatingReplicas", default=0) for part in sets)
    status: Object = {"observedGeneration": item["metadata"].get("generation", 1), "terminatingReplicas": leaving}
    for field, value in (
        ("replicas", total),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", max(0, max(total, wanted) - ready)),
    ):
        if value:
            status[field] = value
    complete = updated == total == ready == wanted
    surge, unavailable = _limits(item)
    name = newest["metadata"]["name"]
    available = ready >= wanted - unavailable
    conditions = [
        ("Available", available, *_AVAILABLE[available]),
        ("Progressing", *_progressing(world, item, (updated, total, ready, name, surge), complete, name, now)),
    ]
    failures = [part for one in sets for part in dig(one, "status", "conditions", default=[])]
    if failures:
        conditions.append(("ReplicaFailure", True, "FailedCreate", failures[0].get("message", "")))
    status["conditions"] = _conditions(item, conditions, now)
    return status


_AVAILABLE = {
    True: ("MinimumReplicasAvailable", "Deployment has minimum availability."),
    False: ("MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
}


def _progressing(
    world: "World", item: Object, seen: object, complete: bool, name: str, now: datetime
) -> tuple[bool, str, str]:
    uid = item["metadata"]["uid"]
    if complete:
        world.progress.pop(uid, None)
        return True, "NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.'
    last, since = world.progress.get(uid, (None, now))
    if last != seen:
        since = now
        world.progress[uid] = (seen, since)
    deadline = since + timedelta(seconds=dig(item, "spec", "progressDeadlineSeconds", default=600))
    if now >= deadline:
        return False, "ProgressDeadlineExceeded", f'ReplicaSet "{name}" has timed out progressing.'
    world.wake_at(deadline)
    return True, "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'


def _conditions(item: Object, wanted: list[tuple[str, bool, str, str]], now: datetime) -> list[Object]:
    before = {part["type"]: part for part in dig(item, "status", "conditions", default=[])}
    conditions = []
    for kind, holds, reason, message in wanted:
        value, old = "True" if holds else "False", before.get(kind, {})
        same = old.get("status") == value
        content = (value, reason, message)
        unchanged = content == (old.get("status"), old.get("reason"), old.get("message"))
        conditions.append(
            {
                "type": kind,
                "status": value,
                "reason": reason,
                "message": message,
                "lastTransitionTime": old["lastTransitionTime"] if same else timestamp(now),
                "lastUpdateTime": old["lastUpdateTime"] if unchanged else timestamp(now),
            }
        )
    return conditions
