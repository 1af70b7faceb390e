"""Pods as the controllers of workloads make and count them, and the ReplicaSet, which does nothing else."""

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandbox import deletion
from sandbox.deletion import Options
from sandbox.errors import StatusError
from sandbox.kinds import GroupKind
from sandbox.model import Write
from sandbox.values import Object, clone, compact, dig, timestamp

if TYPE_CHECKING:
    from sandbox.world import World

PODS = GroupKind("", "pods")
WRITE = Write(manager="kube-controller-manager")


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


def create_pod(world: "World", owner: Object, name: str, labels: Object, spec: Object, source: str) -> str:
    """Create a pod of a workload; why, with an Event, when it is refused, and "" when it is not."""
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
        pod = world.model.create(kind, kind.versions[0], namespace, body, WRITE)
    except StatusError as error:
        shown = f"create Pod {name} in {owner['kind']} {owner['metadata']['name']} failed error: {error.message}"
        text = shown if name else f"Error creating: {error.message}"
        world.event(owner, "Warning", "FailedCreate", text, source)
        return error.message
    made = f"Create Pod {name} in {owner['kind']} {owner['metadata']['name']} successful"
    text = made if name else f"Created pod: {pod['metadata']['name']}"
    world.event(owner, "Normal", "SuccessfulCreate", text, source)
    return ""


def delete_pod(world: "World", owner: Object, pod: Object, source: str) -> None:
    """Delete a pod of a workload."""
    meta = pod["metadata"]
    deletion.delete(world.model, world.kind("", "pods"), meta["namespace"], meta["name"], Options(uid=meta["uid"]))
    gone = f"Delete Pod {meta['name']} in StatefulSet {owner['metadata']['name']} successful"
    text = gone if owner["kind"] == "StatefulSet" else f"Deleted pod: {meta['name']}"
    world.event(owner, "Normal", "SuccessfulDelete", text, source)


def reconcile_replica_set(world: "World", item: Object) -> None:
    """As many pods as asked for."""
    source = "replicaset-controller"
    pods = [pod for pod in owned(world, item, PODS) if not is_leaving(pod)]
    wanted = dig(item, "spec", "replicas", default=1)
    failed = ""
    if not is_leaving(item):
        for _ in range(wanted - len(pods)):
            failed = create_pod(world, item, "", {}, dig(item, "spec", "template", "spec"), source)
            if failed:
                break
        surplus = len(pods) - wanted
        if surplus > 0:
            order = sorted(pods, key=lambda pod: (is_ready(pod), pod["metadata"]["name"]))
            for pod in order[:surplus]:
                delete_pod(world, item, pod, source)
    whole = owned(world, item, PODS)
    pods = [pod for pod in whole if not is_leaving(pod)]
    ready = sum(map(is_ready, pods))
    status: Object = {"replicas": len(pods), "observedGeneration": item["metadata"].get("generation", 1)}
    status["terminatingReplicas"] = len(whole) - len(pods)
    if pods:
        status["fullyLabeledReplicas"] = len(pods)
    if ready:
        status["readyReplicas"] = status["availableReplicas"] = ready
    if failed:
        since = next(
            (part["lastTransitionTime"] for part in dig(item, "status", "conditions", default=[])),
            timestamp(world.model.now()),
        )
        condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": failed}
        status["conditions"] = [{**condition, "lastTransitionTime": since}]
        # A refused pod is tried again: what refused it may have changed.
        world.wake_at(world.model.now() + timedelta(seconds=1))
    world.write_status(world.kind("apps", "replicasets"), item, status)
