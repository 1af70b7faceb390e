"""StatefulSets: pods with names of their own, one after the other, and the claims they keep."""

from datetime import timedelta
from typing import TYPE_CHECKING

from sandbox.errors import StatusError
from sandbox.kinds import Kind
from sandbox.values import Object, clone, dig
from sandbox.workloads import (
    PODS,
    WRITE,
    create_pod,
    delete_pod,
    is_leaving,
    is_ready,
    owned,
    owner_reference,
    template_hash,
)

if TYPE_CHECKING:
    from sandbox.world import World


def reconcile_stateful_set(world: "World", item: Object) -> None:
    """Pods with names of their own, one after the other, and the claims they keep."""
    if not is_leaving(item):
        _keep_claims(world, item)
    pods = {pod["metadata"]["name"]: pod for pod in owned(world, item, PODS)}
    name = item["metadata"]["name"]
    update = f"{name}-{template_hash(dig(item, 'spec', 'template'))}"
    if not is_leaving(item):
        _stateful_step(world, item, pods, update)
        pods = {pod["metadata"]["name"]: pod for pod in owned(world, item, PODS)}
    world.write_status(world.kind("apps", "statefulsets"), item, _stateful_status(item, list(pods.values()), update))


def _keep_claims(world: "World", item: Object) -> None:
    """Let the claims go with the StatefulSet, or not, as its policy says by now."""
    kind: Kind = world.kind("", "persistentvolumeclaims")
    uid = item["metadata"]["uid"]
    goes = dig(item, "spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted") == "Delete"
    for template in dig(item, "spec", "volumeClaimTemplates", default=[]):
        stem = f"{template['metadata']['name']}-{item['metadata']['name']}"
        for at in range(dig(item, "spec", "replicas", default=1)):
            claim = world.model.store.get(kind.key, (item["metadata"]["namespace"], f"{stem}-{at}"))
            if claim is None or is_leaving(claim):
                continue
            owners = claim["metadata"].get("ownerReferences") or []
            others = [owner for owner in owners if owner["uid"] != uid]
            wanted = [*others, owner_reference(item)] if goes else others
            if wanted != owners:
                meta = {key: value for key, value in claim["metadata"].items() if key != "ownerReferences"}
                meta |= {"ownerReferences": wanted} if wanted else {}
                world.model.commit(kind, claim, {**claim, "metadata": meta})


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
    if dig(item, "spec", "updateStrategy", "type") != "OnDelete":
        _roll(world, item, pods, update)


def _roll(world: "World", item: Object, pods: dict[str, Object], update: str) -> None:
    """Replace the highest pod of an older revision, once those above it are ready."""
    name, wanted = item["metadata"]["name"], dig(item, "spec", "replicas", default=1)
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
    return not create_pod(world, item, name, labels, spec, "statefulset-controller")


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
            kind, kind.versions[0], namespace, {"metadata": meta, "spec": clone(template["spec"])}, WRITE
        )
    except StatusError as error:
        text = f"create Claim {name} in StatefulSet {item['metadata']['name']} failed error: {error.message}"
        world.event(item, "Warning", "FailedCreate", text, "statefulset-controller")
        return False
    pod = name.removeprefix(f"{template['metadata']['name']}-")
    text = f"Create Claim {name} Pod {pod} in StatefulSet {item['metadata']['name']} success"
    world.event(item, "Normal", "SuccessfulCreate", text, "statefulset-controller")
    return True


def _stateful_status(item: Object, pods: list[Object], update: str) -> Object:
    wanted = dig(item, "spec", "replicas", default=1)
    staying = [pod for pod in pods if not is_leaving(pod)]
    updated = [pod for pod in staying if pod["metadata"]["labels"].get("controller-revision-hash") == update]
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
        "currentReplicas": sum(pod["metadata"]["labels"].get("controller-revision-hash") == current for pod in staying),
    }
    status.update({field: value for field, value in counts.items() if value})
    return status
