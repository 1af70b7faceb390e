"""Workloads as the operator reads them: statuses through rollouts and breakdowns, and what our own readers say."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from components.health import component_observation
from eventstore.events import ComponentObserved
from eventstore.vocabulary import ComponentName
from tests.contract.samples import claimed, names, workload
from tests.contract.server import Object, Server, eventually

PODS: Object = {"apiVersion": "v1", "kind": "Pod"}
CLAIMS: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
SETS: Object = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}


class Node(Protocol):
    """Hands on the nodes of a server."""

    def break_workload(self, namespace: str, workload: str, reason: str = ...) -> None: ...

    def repair_workload(self, namespace: str, workload: str) -> None: ...


class SandboxNode:
    """The sandbox's own controls."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def break_workload(self, namespace: str, workload: str, reason: str = "CrashLoopBackOff") -> None:
        body = {"namespace": namespace, "workload": workload, "reason": reason}
        self._server.request("POST", "/sandbox/break", body).ok()

    def repair_workload(self, namespace: str, workload: str) -> None:
        self._server.request("POST", "/sandbox/repair", {"namespace": namespace, "workload": workload}).ok()


@pytest.fixture
def node(server: Server, request: pytest.FixtureRequest) -> Iterator[Node]:
    """What breaks and repairs pods on the server under test."""
    if server.request("GET", "/sandbox/state").status == 200:
        yield SandboxNode(server)
        return
    hands = request.getfixturevalue("control_plane").node
    if hands is None:
        pytest.skip("nobody can break the pods of this cluster on purpose")
    yield hands


def conditions(item: Object) -> dict[str, tuple[str, str]]:
    """Type -> (status, reason)."""
    found = (item.get("status") or {}).get("conditions") or []
    return {one["type"]: (one["status"], one.get("reason", "")) for one in found}


def counts(item: Object) -> dict[str, int]:
    """The numbers of a status, less those that tick with leaving pods."""
    status = item.get("status") or {}
    return {name: value for name, value in status.items() if isinstance(value, int) and name != "terminatingReplicas"}


def pods_of(server: Server, app: str) -> list[Object]:
    """Pods of a workload, with what a list leaves out of its items."""
    return [{**PODS, **item} for item in server.get(PODS, labelSelector=f"app={app}").ok()["items"]]


def settled(server: Server, what: Object, replicas: int) -> Object:
    """The workload once its rollout is over and only its pods are left."""

    def found() -> Object | None:
        item = server.get(what).ok()
        status, generation = item.get("status") or {}, item["metadata"]["generation"]
        numbers = [
            status.get(name, 0) for name in ("replicas", "readyReplicas", "updatedReplicas", "availableReplicas")
        ]
        over = status.get("observedGeneration") == generation and numbers == [replicas] * 4
        return item if over and len(pods_of(server, what["metadata"]["name"])) == replicas else None

    return eventually(found, f"{what['kind']} has {replicas} pods ready", 40)


def observed(server: Server, what: Object) -> ComponentObserved:
    """What our own reader makes of a workload and its pods, which it sees as our watches show them."""
    item = server.get(what).ok()
    pods = pods_of(server, what["metadata"]["name"])
    return component_observation(ComponentName.PROMETHEUS, item, pods)


# -- deployments ---------------------------------------------------------------------------------------------------


def test_a_fresh_deployment_becomes_available(server: Server) -> None:
    created = server.create(workload(replicas=2)).ok()
    assert (created["status"], created["metadata"]["generation"]) == ({}, 1)
    item = settled(server, workload(), 2)
    assert counts(item) == {
        "observedGeneration": 1,
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
    }
    assert conditions(item) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert item["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}


def test_owners_lead_from_a_pod_to_its_deployment(server: Server) -> None:
    server.create(workload()).ok()
    deployment = settled(server, workload(), 1)
    (replica_set,) = server.get(SETS).ok()["items"]
    (pod,) = pods_of(server, "web")
    for child, owner, kind in ((pod, replica_set, "ReplicaSet"), (replica_set, deployment, "Deployment")):
        assert child["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "apps/v1",
                "kind": kind,
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    digest = pod["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{digest}"
    assert replica_set["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
    assert pod["metadata"]["generateName"] == f"web-{digest}-"
    assert pod["metadata"]["name"].startswith(f"web-{digest}-")


def test_a_new_template_rolls_the_pods_and_the_old_set_stays_empty(server: Server) -> None:
    server.create(workload(replicas=2)).ok()
    settled(server, workload(), 2)
    since = server.get(workload()).ok()["metadata"]["resourceVersion"]
    server.patch(workload(), {"spec": {"template": {"metadata": {"annotations": {"a": "1"}}}}}).ok()
    seen: list[Object] = []
    for event in server.lines(server.path(workload(), name=""), {"resourceVersion": since, "timeoutSeconds": 30}):
        seen.append(event["object"])
        numbers = counts(event["object"])
        over = numbers.get("observedGeneration") == 2 and numbers.get("updatedReplicas") == 2
        if over and numbers["replicas"] == 2 == numbers.get("availableReplicas"):
            break
    # Never below two minus 25 %, rounded up; and an old generation is never called done.
    assert min(counts(item)["availableReplicas"] for item in seen) >= 2
    assert max(counts(item)["replicas"] for item in seen) == 3
    assert all(conditions(item)["Available"][0] == "True" for item in seen)
    assert counts(seen[0])["observedGeneration"] == 1
    item = settled(server, workload(), 2)
    assert item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    sets = sorted(server.get(SETS).ok()["items"], key=lambda one: one["spec"]["replicas"])
    assert [one["spec"]["replicas"] for one in sets] == [0, 2]
    revisions = [one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] for one in sets]
    assert revisions == ["1", "2"]
    # Back to the first template: its set is used again, under a new revision.
    server.patch(workload(), {"spec": {"template": {"metadata": {"annotations": None}}}}).ok()
    item = settled(server, workload(), 2)
    assert item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"
    assert len(server.get(SETS).ok()["items"]) == 2


def test_a_deployment_without_progress_says_so_after_its_deadline_and_recovers(server: Server, node: Node) -> None:
    node.break_workload(server.namespace, "web", "ImagePullBackOff")
    server.create(workload(progressDeadlineSeconds=2)).ok()
    stuck = ("False", "ProgressDeadlineExceeded")
    item = eventually(lambda: having(server, workload(), Progressing=stuck), "the deadline is exceeded")
    assert conditions(item)["Available"] == ("False", "MinimumReplicasUnavailable")
    messages = {one["type"]: one["message"] for one in item["status"]["conditions"]}
    (replica_set,) = names(server.get(SETS).ok())
    assert messages == {
        "Available": "Deployment does not have minimum availability.",
        "Progressing": f'ReplicaSet "{replica_set}" has timed out progressing.',
    }
    assert counts(item) == {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}
    reasons = [problem.reason for problem in observed(server, workload()).problems]
    assert sorted(reasons) == ["ImagePullBackOff", "ProgressDeadlineExceeded"]
    node.repair_workload(server.namespace, "web")
    item = settled(server, workload(), 1)
    assert conditions(item)["Progressing"] == ("True", "NewReplicaSetAvailable")


def having(server: Server, what: Object, **wanted: tuple[str, str]) -> Object | None:
    item = server.get(what).ok()
    found = conditions(item)
    return item if all(found.get(kind) == value for kind, value in wanted.items()) else None


def test_a_recreated_deployment_stops_before_it_starts(server: Server) -> None:
    server.create(workload(strategy={"type": "Recreate"})).ok()
    settled(server, workload(), 1)
    (before,) = pods_of(server, "web")
    since = server.get(PODS).ok()["metadata"]["resourceVersion"]
    server.patch(workload(), {"spec": {"template": {"metadata": {"annotations": {"a": "1"}}}}}).ok()
    old = before
    for event in server.lines(server.path(PODS), {"resourceVersion": since, "timeoutSeconds": 20}):
        if event["object"]["metadata"]["name"] == before["metadata"]["name"]:
            old = {} if event["type"] == "DELETED" else event["object"]
        elif event["type"] == "ADDED":
            break
    # Gone, or ended and about to go: never two that run.
    assert not old or old["status"]["phase"] in ("Succeeded", "Failed")


def test_a_deployment_beyond_its_quota_names_the_refusal(server: Server) -> None:
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    server.create({**quota, "spec": {"hard": {"pods": "1"}}}).ok()
    eventually(lambda: (server.get(quota).ok().get("status") or {}).get("used"), "the quota is counted")
    server.create(workload(replicas=2)).ok()
    failed = ("True", "FailedCreate")
    item = eventually(lambda: having(server, workload(), ReplicaFailure=failed), "the refusal is seen")
    (text,) = [one["message"] for one in item["status"]["conditions"] if one["type"] == "ReplicaFailure"]
    assert "is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1" in text
    (problem,) = [one for one in observed(server, workload()).problems if one.reason == "FailedCreate"]
    assert problem.subject == "Deployment/web"
    eventually(lambda: server.get(quota).ok()["status"]["used"] == {"pods": "1"}, "one pod is counted")
    server.patch(quota, {"spec": {"hard": {"pods": "5"}}}).ok()
    item = settled(server, workload(), 2)
    assert "ReplicaFailure" not in conditions(item)


# -- stateful sets -------------------------------------------------------------------------------------------------


def test_a_stateful_set_starts_in_order_and_reports_its_revisions(server: Server) -> None:
    since = server.get(PODS).ok()["metadata"]["resourceVersion"]
    created = server.create(claimed(replicas=2)).ok()
    assert created["status"] == {"replicas": 0, "availableReplicas": 0}
    item = settled(server, claimed(), 2)
    status = item["status"]
    assert counts(item) == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "collisionCount": 0,
    }
    assert status["currentRevision"] == status["updateRevision"]
    assert status["updateRevision"].startswith("db-")
    assert "conditions" not in status
    first_ready, second_added = when(server, since, "db-0", "db-1")
    assert first_ready < second_added
    for at, pod in enumerate(sorted(pods_of(server, "db"), key=lambda one: one["metadata"]["name"])):
        labels = pod["metadata"]["labels"]
        assert labels == {
            "app": "db",
            "apps.kubernetes.io/pod-index": str(at),
            "controller-revision-hash": status["updateRevision"],
            "statefulset.kubernetes.io/pod-name": f"db-{at}",
        }
        assert pod["spec"]["hostname"] == f"db-{at}"
        assert pod["spec"]["subdomain"] == "db"
        assert pod["spec"]["volumes"][0] == {"name": "data", "persistentVolumeClaim": {"claimName": f"data-db-{at}"}}


def when(server: Server, since: str, ready: str, added: str) -> tuple[int, int]:
    """Revisions at which one pod was first seen ready, and another was first seen."""
    first: dict[str, int] = {}
    for event in server.lines(server.path(PODS), {"resourceVersion": since, "timeoutSeconds": 1}):
        item = event["object"]
        name, at = item["metadata"]["name"], int(item["metadata"]["resourceVersion"])
        if name == ready and conditions(item).get("Ready", ("", ""))[0] == "True":
            first.setdefault("ready", at)
        if name == added:
            first.setdefault("added", at)
    return first["ready"], first["added"]


def test_a_stateful_set_rolls_from_the_end_and_its_revisions_meet(server: Server) -> None:
    server.create(claimed(replicas=2)).ok()
    before = settled(server, claimed(), 2)["status"]
    since = server.get(claimed()).ok()["metadata"]["resourceVersion"]
    server.patch(claimed(), {"spec": {"template": {"metadata": {"annotations": {"a": "1"}}}}}).ok()
    seen: list[Object] = []
    for event in server.lines(server.path(claimed(), name=""), {"resourceVersion": since, "timeoutSeconds": 30}):
        seen.append(event["object"]["status"])
        status = seen[-1]
        if status["currentRevision"] == status["updateRevision"] != before["updateRevision"]:
            break
    during = [status for status in seen if status["currentRevision"] != status["updateRevision"]]
    assert {status["currentRevision"] for status in during} == {before["currentRevision"]}
    # Pods that leave no longer count as current: one at most of two is away at any time.
    assert {status.get("currentReplicas", 0) for status in during} <= {0, 1}
    assert {status.get("updatedReplicas", 0) for status in during} <= {0, 1, 2}
    assert min(status.get("readyReplicas", 0) for status in during) >= 1
    after = settled(server, claimed(), 2)["status"]
    assert after["currentRevision"] == after["updateRevision"] == during[-1]["updateRevision"]
    assert (after["currentReplicas"], after["updatedReplicas"]) == (2, 2)


def test_an_ordered_stateful_set_stays_stuck_after_a_bad_template_until_the_pod_goes(server: Server) -> None:
    server.create(claimed()).ok()
    settled(server, claimed(), 1)
    server.patch(claimed(), image_of("db:99.0.0")).ok()
    eventually(lambda: problems(server, claimed()) == ["ImagePullBackOff"], "the pull fails")
    server.patch(claimed(), image_of("db:1.0")).ok()

    def is_known() -> bool:
        status: Object = server.get(claimed()).ok()["status"]
        return bool(status["observedGeneration"] == 3)

    eventually(is_known, "the repaired template is seen")
    (pod,) = pods_of(server, "db")
    assert pod["spec"]["containers"][0]["image"] == "db:99.0.0"
    status = server.get(claimed()).ok()["status"]
    assert (
        status["updateRevision"] == status["currentRevision"] != pod["metadata"]["labels"]["controller-revision-hash"]
    )
    assert not observed(server, claimed()).rolled_out
    server.delete(pod).ok()
    settled(server, claimed(), 1)
    assert observed(server, claimed()).rolled_out


def image_of(image: str) -> Object:
    container = {"name": "main", "image": image, "ports": [{"containerPort": 80}]}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def problems(server: Server, what: Object) -> list[str]:
    return [problem.reason for problem in observed(server, what).problems]


def test_a_parallel_stateful_set_starts_all_at_once(server: Server, node: Node) -> None:
    node.break_workload(server.namespace, "db", "hang")
    server.create(claimed(replicas=3, podManagementPolicy="Parallel")).ok()
    eventually(lambda: len(pods_of(server, "db")) == 3, "three pods")
    node.repair_workload(server.namespace, "db")
    settled(server, claimed(), 3)


def test_a_stateful_set_shrinks_from_the_end_and_keeps_its_claims(server: Server) -> None:
    server.create(claimed(replicas=2)).ok()
    settled(server, claimed(), 2)
    server.patch(claimed(), {"spec": {"replicas": 1}}).ok()
    settled(server, claimed(), 1)
    assert [pod["metadata"]["name"] for pod in pods_of(server, "db")] == ["db-0"]
    assert names(server.get(CLAIMS).ok()) == ["data-db-0", "data-db-1"]
    server.delete(claimed()).ok()
    eventually(lambda: not pods_of(server, "db"), "no pods left")
    assert names(server.get(CLAIMS).ok()) == ["data-db-0", "data-db-1"]


# -- claims --------------------------------------------------------------------------------------------------------


def claim(name: str = "data-db-0") -> Object:
    return {**CLAIMS, "metadata": {"name": name}}


@pytest.mark.parametrize(("first", "then"), [("Delete", "Retain"), ("Retain", "Delete")])
def test_the_fate_of_a_claim_follows_the_policy_of_its_stateful_set(server: Server, first: str, then: str) -> None:
    def fate(policy: str) -> Object:
        return {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": policy, "whenScaled": "Retain"}}

    def owners() -> list[str]:
        found = server.find({**CLAIMS, "metadata": {"name": "data-db-0"}}) or {"metadata": {}}
        return [owner["uid"] for owner in found["metadata"].get("ownerReferences", [])]

    item = server.create(claimed(**fate(first))).ok()
    expected = {"Delete": [item["metadata"]["uid"]], "Retain": []}
    eventually(lambda: owners() == expected[first], f"the claim is to {first}", 40)
    server.patch(item, {"spec": fate(then)}).ok()
    eventually(lambda: owners() == expected[then], f"the claim is to {then}", 40)


def test_a_claim_is_bound_and_held_while_a_pod_uses_it(server: Server) -> None:
    server.create(claimed()).ok()
    settled(server, claimed(), 1)
    item = server.get(claim()).ok()
    assert item["status"]["phase"] == "Bound"
    assert item["status"]["capacity"] == {"storage": "1Gi"}
    assert item["status"]["accessModes"] == ["ReadWriteOnce"]
    assert item["spec"]["volumeName"] == f"pvc-{item['metadata']['uid']}"
    assert item["spec"]["storageClassName"] == "standard"
    assert item["spec"]["volumeMode"] == "Filesystem"
    assert item["metadata"]["labels"] == {"app": "db"}
    assert item["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert "ownerReferences" not in item["metadata"]
    server.delete(claim()).ok()
    held = server.get(claim()).ok()
    assert held["metadata"]["deletionTimestamp"]
    server.delete(claimed()).ok()
    eventually(lambda: server.find(claim()) is None, "the claim goes with the last pod")


def test_a_claim_grows_where_its_class_lets_it_and_never_shrinks(server: Server) -> None:
    server.create(claimed()).ok()
    settled(server, claimed(), 1)
    asked = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    server.patch(claim(), asked).ok()

    def has_grown() -> bool:
        item = server.get(claim()).ok()
        return bool(item["status"]["capacity"] == {"storage": "2Gi"})

    eventually(has_grown, "the claim has grown")
    asked["spec"]["resources"]["requests"]["storage"] = "1Gi"
    answer = server.patch(claim(), asked)
    assert answer.refusal()[:2] == (422, "Invalid")
    assert "field can not be less than status.capacity" in answer.refusal()[2]


def test_a_claim_of_an_unknown_class_keeps_its_pod_pending(server: Server) -> None:
    body = claimed()
    body["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "nowhere"
    server.create(body).ok()
    eventually(lambda: problems(server, claimed()), "the pod cannot be scheduled")
    (pod,) = pods_of(server, "db")
    assert pod["status"]["phase"] == "Pending"
    assert conditions(pod)["PodScheduled"] == ("False", "Unschedulable")
    (problem,) = observed(server, claimed()).problems
    assert (problem.reason, problem.subject) == ("Unschedulable", "Pod/db-0")
    assert "is there a StorageClass nowhere, and does it provision volumes?" in problem.message
    assert server.get(claim()).ok()["status"] == {"phase": "Pending"}


# -- pods ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_a_pod_at_rest_reads_as_rolled_out(server: Server, kind: str) -> None:
    body = workload(kind, image="prom/prometheus:v3.5.0")
    body["spec"]["template"]["spec"]["containers"][0]["name"] = "prometheus"
    server.create(body).ok()
    settled(server, body, 1)
    assert observed(server, body) == ComponentObserved(
        component=ComponentName.PROMETHEUS,
        desired_replicas=1,
        ready_replicas=1,
        updated_replicas=1,
        rolled_out=True,
        running_version="3.5.0",
    )
    (pod,) = pods_of(server, "web")
    assert pod["status"]["phase"] == "Running"
    found = {kind: status for kind, (status, _) in conditions(pod).items()}
    wanted = dict.fromkeys(("PodScheduled", "Initialized", "ContainersReady", "Ready"), "True")
    assert found.items() >= wanted.items()
    (container,) = pod["status"]["containerStatuses"]
    assert (container["ready"], container["started"], container["restartCount"]) == (True, True, 0)
    assert set(container["state"]) == {"running"}


#: How a pod was broken -> what our reader says of it: (reason, message).
VERDICTS = {
    "CrashLoopBackOff": ("CrashLoopBackOff", "container main keeps ending with exit code 1"),
    "OOMKilled": ("OOMKilled", "the container used more memory than its limit"),
    "ImagePullBackOff": ("ImagePullBackOff", "the image web:1.0 cannot be pulled"),
    "CreateContainerConfigError": ("CreateContainerConfigError", ""),
    "Unschedulable": ("Unschedulable", ""),
}


@pytest.mark.parametrize("reason", VERDICTS)
@pytest.mark.parametrize("moment", ["from the start", "while it runs"])
def test_a_broken_pod_reads_alike_and_recovers(server: Server, node: Node, reason: str, moment: str) -> None:
    if moment == "from the start":
        node.break_workload(server.namespace, "web", reason)
        server.create(workload()).ok()
    else:
        server.create(workload()).ok()
        settled(server, workload(), 1)
        (pod,) = pods_of(server, "web")
        node.break_workload(server.namespace, "web", reason)
        if reason in ("CreateContainerConfigError", "ImagePullBackOff"):
            # What runs is not configured or pulled again; its successor is. An unschedulable one the node takes away.
            server.delete(pod).ok()

    def found() -> list[Any]:
        seen = observed(server, workload())
        return [seen] if seen.problems and seen.ready_replicas == 0 else []

    (verdict,) = eventually(found, f"{reason} is seen")
    (problem,) = verdict.problems
    wanted, message = VERDICTS[reason]
    assert problem.reason == wanted
    if message:
        assert problem.message == message
    assert problem.subject.startswith("Pod/web-")
    node.repair_workload(server.namespace, "web")
    settled(server, workload(), 1)
    assert observed(server, workload()).problems == ()


def test_a_hanging_pod_runs_and_is_not_ready(server: Server, node: Node) -> None:
    node.break_workload(server.namespace, "web", "hang")
    server.create(workload()).ok()

    def runs() -> Object | None:
        found = pods_of(server, "web")
        return found[0] if found and found[0].get("status", {}).get("phase") == "Running" else None

    pod = eventually(runs, "the pod runs")
    assert conditions(pod)["Ready"] == ("False", "ContainersNotReady")
    seen = observed(server, workload())
    assert (seen.ready_replicas, seen.problems) == (0, ())
    node.repair_workload(server.namespace, "web")
    settled(server, workload(), 1)


def test_a_deleted_pod_leaves_in_its_own_time_and_is_replaced(server: Server) -> None:
    server.create(workload()).ok()
    settled(server, workload(), 1)
    (pod,) = pods_of(server, "web")
    leaving = server.delete(pod).ok()
    assert leaving["kind"] == "Pod"
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == 30
    assert leaving["metadata"]["deletionTimestamp"]
    eventually(lambda: server.find(pod) is None, "the pod is gone")
    settled(server, workload(), 1)
    (successor,) = pods_of(server, "web")
    assert successor["metadata"]["uid"] != pod["metadata"]["uid"]


def test_a_pod_of_an_absent_service_account_is_never_made(server: Server) -> None:
    body = workload()
    body["spec"]["template"]["spec"]["serviceAccountName"] = "absent"
    server.create(body).ok()
    failed = ("True", "FailedCreate")
    item = eventually(lambda: having(server, body, ReplicaFailure=failed), "the refusal is seen")
    (text,) = [one["message"] for one in item["status"]["conditions"] if one["type"] == "ReplicaFailure"]
    assert f'error looking up service account {server.namespace}/absent: serviceaccount "absent" not found' in text
    assert pods_of(server, "web") == []


def test_a_namespace_has_a_service_account_soon(server: Server) -> None:
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    eventually(lambda: server.find(account) is not None, "the default account")


def test_a_quota_counts_what_is_there(server: Server) -> None:
    hard = {
        "pods": "5",
        "configmaps": "5",
        "services": "5",
        "requests.storage": "5Gi",
        "persistentvolumeclaims": "5",
        "count/deployments.apps": "5",
        "requests.cpu": "2",
    }
    quota: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}}
    server.create({**quota, "spec": {"hard": hard}}).ok()
    body = claimed()
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "250m"}}
    server.create(body).ok()
    settled(server, body, 1)

    def is_counted() -> bool:
        status = server.get(quota).ok()["status"]
        used = status["used"]
        wanted = {"pods": "1", "requests.storage": "1Gi", "persistentvolumeclaims": "1", "requests.cpu": "250m"}
        return bool(status["hard"] == hard and used.items() >= wanted.items() and used["count/deployments.apps"] == "0")

    eventually(is_counted, "all is counted")
