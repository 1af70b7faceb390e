"""Deployments, ReplicaSets and StatefulSets, as their controllers treat them, in miniature."""

import hashlib
import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandbox import deletion
from sandbox.deletion import Options
from sandbox.errors import StatusError
from sandbox.kinds import GroupKind, Kind
from sandbox.model import Write
from sandbox.values import Object, clone, compact, dig, timestamp

if TYPE_CHECKING:
    from sandbox.world import World

PODS = GroupKind("", "pods")
REPLICA_SETS = GroupKind("apps", "replicasets")
REVISION = "deployment.kubernetes.io/revision"
_WRITE = Write(manager="kube-controller-manager")


def template_hash(template: Any) -> str:
    """A short name for a pod template."""
    return hashlib.sha256(compact(template).encode()).hexdigest()[:10]


def owned(world: "World", owner: Object, key: GroupKind) -> list[Object]:
    """Objects of a kind the owner controls."""
    store = world.model.store
    found = (store.get(place[0], place[1]) for place in store.children(owner["metadata"]["uid"]) if place[0] == key)
    return [item for item in found if item is not None]


def owner_reference(owner: Object) -> Object:
    """A controller's reference."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_ready(pod: Object) -> bool:
    """Whether a pod's Ready condition is true."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in dig(pod, "status", "conditions", default=[])
    )


def is_leaving(item: Object) -> bool:
    """Whether it is being deleted."""
    return bool(item["metadata"].get("deletionTimestamp"))


# -- pods ----------------------------------------------------------------------------------------------------------


def create_pod(world: "World", owner: Object, name: str, labels: Object, spec: Object, source: str) -> bool:
    """Create a pod of a workload; False, with an Event, when it is refused."""
    template = dig(owner, "spec", "template", "metadata", default={})
    meta: Object = {
        "labels": {**template.get("labels", {}), **labels},
        "ownerReferences": [owner_reference(owner)],
        **({"annotations": template["annotations"]} if template.get("annotations") else {}),
        **({"name": name} if name else {"generateName": owner["metadata"]["name"] + "-"}),
    }
    namespace = owner["metadata"]["namespace"]
    kind = world.kind("", "pods")
    account = spec.get("serviceAccountName") or "default"
    try:
        if world.model.store.get(GroupKind("", "serviceaccounts"), (namespace, account)) is None:
            text = f'serviceaccount "{account}" not found'
            where = name or owner["metadata"]["name"] + "-"
            refused = f'pods "{where}" is forbidden: error looking up service account {namespace}/{account}: {text}'
            raise StatusError(403, "Forbidden", refused)
        body = {"metadata": meta, "spec": clone(spec)}
        pod = world.model.create(kind, kind.versions[0], namespace, body, _WRITE)
    except StatusError as error:
        shown = f"create Pod {name} in {owner['kind']} {owner['metadata']['name']} failed error: {error.message}"
        text = shown if name else f"Error creating: {error.message}"
        world.event(owner, "Warning", "FailedCreate", text, source)
        return False
    world.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}", source)
    return True


def delete_pod(world: "World", owner: Object, pod: Object, source: str) -> None:
    """Delete a pod of a workload."""
    meta = pod["metadata"]
    deletion.delete(world.model, world.kind("", "pods"), meta["namespace"], meta["name"], Options(uid=meta["uid"]))
    world.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {meta['name']}", source)


# -- ReplicaSet ----------------------------------------------------------------------------------------------------


def reconcile_replica_set(world: "World", item: Object) -> None:
    """As many pods as asked for."""
    source = "replicaset-controller"
    pods = [pod for pod in owned(world, item, PODS) if not is_leaving(pod)]
    wanted = dig(item, "spec", "replicas", default=1)
    failed = False
    if not is_leaving(item):
        for _ in range(wanted - len(pods)):
            if not create_pod(world, item, "", {}, dig(item, "spec", "template", "spec"), source):
                failed = True
                break
        surplus = len(pods) - wanted
        if surplus > 0:
            order = sorted(pods, key=lambda pod: (is_ready(pod), pod["metadata"]["name"]))
            for pod in order[:surplus]:
                delete_pod(world, item, pod, source)
    pods = [pod for pod in owned(world, item, PODS) if not is_leaving(pod)]
    ready = sum(map(is_ready, pods))
    status: Object = {"replicas": len(pods), "observedGeneration": item["metadata"].get("generation", 1)}
    if pods:
        status["fullyLabeledReplicas"] = len(pods)
    if ready:
        status["readyReplicas"] = status["availableReplicas"] = ready
    if failed:
        since = next(
            (part["lastTransitionTime"] for part in dig(item, "status", "conditions", default=[])),
            timestamp(world.model.now()),
        )
        condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "lastTransitionTime": since}
        status["conditions"] = [condition]
        # A refused pod is tried again: what refused it may have changed.
        world.wake_at(world.model.now() + timedelta(seconds=1))
    world.write_status(world.kind("apps", "replicasets"), item, status)


# -- Deployment ----------------------------------------------------------------------------------------------------


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
        created = world.model.create(kind, kind.versions[0], item["metadata"]["namespace"], body, _WRITE)
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
    status: Object = {"observedGeneration": item["metadata"].get("generation", 1)}
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
        conditions.append(("ReplicaFailure", True, "FailedCreate", "pods cannot be created"))
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


# -- StatefulSet ---------------------------------------------------------------------------------------------------


def reconcile_stateful_set(world: "World", item: Object) -> None:
    """Pods with names of their own, one after the other, and the claims they keep."""
    pods = {pod["metadata"]["name"]: pod for pod in owned(world, item, PODS)}
    name = item["metadata"]["name"]
    update = f"{name}-{template_hash(dig(item, 'spec', 'template'))}"
    if not is_leaving(item):
        _stateful_step(world, item, pods, update)
        pods = {pod["metadata"]["name"]: pod for pod in owned(world, item, PODS)}
    world.write_status(world.kind("apps", "statefulsets"), item, _stateful_status(item, list(pods.values()), update))


def _stateful_step(world: "World", item: Object, pods: dict[str, Object], update: str) -> None:
    """One pass: fill gaps, then shrink, then roll, each only if nothing before it is under way."""
    name, wanted = item["metadata"]["name"], dig(item, "spec", "replicas", default=1)
    ordered = dig(item, "spec", "podManagementPolicy", default="OrderedReady") == "OrderedReady"
    for at in range(wanted):
        pod = pods.get(f"{name}-{at}")
        if pod is None and not _create_ordinal(world, item, at, update):
            world.wake_at(world.model.now() + timedelta(seconds=1))
            return
        if ordered and (pod is None or is_leaving(pod) or not is_ready(pod)):
            # As in a cluster, a pod that never gets ready stops everything, a roll back included: delete it by hand.
            return
    surplus = sorted((pod for pod in pods.values() if _ordinal(pod) >= wanted), key=_ordinal, reverse=True)
    for pod in surplus:
        if not is_leaving(pod):
            delete_pod(world, item, pod, "statefulset-controller")
        if ordered:
            return
    if dig(item, "spec", "updateStrategy", "type") == "OnDelete":
        return
    partition = dig(item, "spec", "updateStrategy", "rollingUpdate", "partition", default=0)
    for at in range(wanted - 1, partition - 1, -1):
        pod = pods.get(f"{name}-{at}")
        if pod is None or is_leaving(pod):
            return
        if pod["metadata"]["labels"].get("controller-revision-hash") != update:
            delete_pod(world, item, pod, "statefulset-controller")
            return
        if not is_ready(pod):
            return


def _ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rsplit("-", 1)[1])


def _create_ordinal(world: "World", item: Object, at: int, update: str) -> bool:
    spec = clone(dig(item, "spec", "template", "spec", default={}))
    name = f"{item['metadata']['name']}-{at}"
    volumes = []
    for template in dig(item, "spec", "volumeClaimTemplates", default=[]):
        claim = f"{template['metadata']['name']}-{name}"
        if not _ensure_claim(world, item, template, claim):
            return False
        volumes.append({"name": template["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim}})
    if volumes:
        spec["volumes"] = [*volumes, *(spec.get("volumes") or [])]
    spec["hostname"], spec["subdomain"] = name, dig(item, "spec", "serviceName", default="")
    labels = {
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(at),
        "controller-revision-hash": update,
    }
    return create_pod(world, item, name, labels, spec, "statefulset-controller")


def _ensure_claim(world: "World", item: Object, template: Object, name: str) -> bool:
    kind: Kind = world.kind("", "persistentvolumeclaims")
    namespace = item["metadata"]["namespace"]
    found = world.model.store.get(kind.key, (namespace, name))
    if found is not None:
        return not is_leaving(found)
    labels = {**template["metadata"].get("labels", {}), **dig(item, "spec", "selector", "matchLabels", default={})}
    meta: Object = {"name": name, "labels": labels}
    if dig(item, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete":
        meta["ownerReferences"] = [owner_reference(item)]
    try:
        world.model.create(
            kind, kind.versions[0], namespace, {"metadata": meta, "spec": clone(template["spec"])}, _WRITE
        )
    except StatusError as error:
        text = f"create Claim {name} in StatefulSet {item['metadata']['name']} failed error: {error.message}"
        world.event(item, "Warning", "FailedCreate", text, "statefulset-controller")
        return False
    return True


def _stateful_status(item: Object, pods: list[Object], update: str) -> Object:
    wanted = dig(item, "spec", "replicas", default=1)
    updated = [pod for pod in pods if pod["metadata"]["labels"].get("controller-revision-hash") == update]
    current = dig(item, "status", "currentRevision") or update
    done = len(updated) == len(pods) == wanted and all(map(is_ready, pods))
    ready = sum(map(is_ready, pods))
    if done:
        current = update
    status: Object = {
        "observedGeneration": item["metadata"].get("generation", 1),
        "replicas": len(pods),
        "availableReplicas": ready,
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": 0,
    }
    counts = {
        "readyReplicas": ready,
        "updatedReplicas": len(updated),
        "currentReplicas": sum(pod["metadata"]["labels"].get("controller-revision-hash") == current for pod in pods),
    }
    status.update({field: value for field, value in counts.items() if value})
    return status
