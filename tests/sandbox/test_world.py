"""Controllers and kubelet in miniature, on a virtual clock."""

from typing import Any

from sandbox.values import Object, dig
from tests.sandbox.conftest import Bench, config_map, workload


def status(bench: Bench, kind: str, name: str) -> Object:
    found: Object = bench.get("apps/v1", kind, name)["status"]
    return found


def pod_reason(bench: Bench, name: str) -> Any:
    pod = bench.get("v1", "Pod", name)
    return dig(pod["status"]["containerStatuses"][0], "state", "waiting", "reason")


def reasons(bench: Bench) -> set[str]:
    return {event["reason"] for event in bench.all("Event")}


def claimed(name: str = "db", **spec: Any) -> Object:
    template = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    return workload("StatefulSet", name, volumeClaimTemplates=[template], **spec)


def test_a_deployment_becomes_available_after_the_ready_delay(bench: Bench) -> None:
    bench.create(workload(replicas=2))
    bench.pass_time(0.9)
    assert "readyReplicas" not in status(bench, "Deployment", "web")
    assert status(bench, "Deployment", "web")["unavailableReplicas"] == 2
    bench.pass_time(0.2)
    found = status(bench, "Deployment", "web")
    assert (found["readyReplicas"], found["updatedReplicas"], found["availableReplicas"]) == (2, 2, 2)
    assert found["observedGeneration"] == 1
    assert {(c["type"], c["status"], c["reason"]) for c in found["conditions"]} == {
        ("Available", "True", "MinimumReplicasAvailable"),
        ("Progressing", "True", "NewReplicaSetAvailable"),
    }


def test_a_world_at_rest_writes_nothing(bench: Bench) -> None:
    bench.create(workload(replicas=2))
    bench.create(claimed(replicas=2))
    bench.pass_time(10)
    revision = bench.model.store.revision
    bench.pass_time(3600)
    assert bench.model.store.revision == revision
    assert bench.world.next_due() is None


def test_a_new_template_is_rolled_out_without_losing_all_pods(bench: Bench) -> None:
    bench.create(workload(replicas=4))
    bench.pass_time(5)
    bench.patch(workload(), {"metadata": {"annotations": {"x": "y"}}})
    bench.apply(workload(replicas=4, image="web:2.0"), force=True)
    low = 4
    for _ in range(40):
        bench.pass_time(0.25)
        low = min(low, status(bench, "Deployment", "web").get("availableReplicas", 0))
    images = {pod["spec"]["containers"][0]["image"] for pod in bench.all("Pod")}
    assert (images, low) == ({"web:2.0"}, 3)
    assert (
        bench.get("apps/v1", "Deployment", "web")["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    )


def test_recreate_stops_the_old_pods_first(bench: Bench) -> None:
    bench.create(workload(replicas=2, strategy={"type": "Recreate"}))
    bench.pass_time(5)
    bench.apply(workload(replicas=2, image="web:2.0", strategy={"type": "Recreate"}), force=True)
    bench.pass_time(0.1)
    assert all(pod["metadata"].get("deletionTimestamp") for pod in bench.all("Pod"))
    bench.pass_time(5)
    assert status(bench, "Deployment", "web")["readyReplicas"] == 2


def test_a_deployment_that_makes_no_progress_says_so(bench: Bench) -> None:
    bench.create(workload(image="web:99.0.0", progressDeadlineSeconds=30))
    bench.pass_time(29)
    conditions = {c["type"]: c for c in status(bench, "Deployment", "web")["conditions"]}
    assert conditions["Progressing"]["reason"] == "ReplicaSetUpdated"
    bench.pass_time(2)
    conditions = {c["type"]: c for c in status(bench, "Deployment", "web")["conditions"]}
    assert (conditions["Progressing"]["status"], conditions["Progressing"]["reason"]) == (
        "False",
        "ProgressDeadlineExceeded",
    )
    (pod,) = bench.names("Pod")
    assert pod_reason(bench, pod) == "ImagePullBackOff"


def test_a_stateful_set_starts_one_pod_after_the_other_with_claims_that_stay(bench: Bench) -> None:
    bench.create(claimed(replicas=2))
    bench.pass_time(0.5)
    assert bench.names("Pod") == ["db-0"]
    bench.pass_time(2)
    assert bench.names("Pod") == ["db-0", "db-1"]
    assert bench.names("PersistentVolumeClaim") == ["data-db-0", "data-db-1"]
    found = bench.get("v1", "PersistentVolumeClaim", "data-db-0")
    assert (found["status"]["phase"], found["spec"]["storageClassName"]) == ("Bound", "standard")
    bench.delete(claimed())
    bench.pass_time(2)
    assert bench.names("Pod") == []
    assert bench.names("PersistentVolumeClaim") == ["data-db-0", "data-db-1"]


def test_a_parallel_stateful_set_starts_all_pods_at_once(bench: Bench) -> None:
    bench.create(claimed(replicas=3, podManagementPolicy="Parallel"))
    bench.pass_time(0.1)
    assert len(bench.names("Pod")) == 3


def test_a_stateful_set_rolls_from_the_highest_ordinal_and_reports_revisions(bench: Bench) -> None:
    bench.create(claimed(replicas=2))
    bench.pass_time(5)
    before = status(bench, "StatefulSet", "db")
    assert before["currentRevision"] == before["updateRevision"]
    bench.apply(claimed(replicas=2, image="db:2"), force=True)
    bench.pass_time(0.1)
    during = status(bench, "StatefulSet", "db")
    assert during["currentRevision"] == before["currentRevision"] != during["updateRevision"]
    assert bench.get("v1", "Pod", "db-1")["metadata"].get("deletionTimestamp")
    assert "deletionTimestamp" not in bench.get("v1", "Pod", "db-0")["metadata"]
    bench.pass_time(6)
    after = status(bench, "StatefulSet", "db")
    assert after["currentRevision"] == after["updateRevision"] == during["updateRevision"]
    assert (after["readyReplicas"], after["updatedReplicas"]) == (2, 2)


def test_an_ordered_stateful_set_stays_stuck_on_a_broken_pod_until_it_is_deleted(bench: Bench) -> None:
    bench.create(claimed())
    bench.pass_time(3)
    bench.apply(claimed(image="db:99.0.0"), force=True)
    bench.pass_time(5)
    bench.apply(claimed(image="web:1.0"), force=True)
    bench.pass_time(5)
    assert pod_reason(bench, "db-0") == "ImagePullBackOff"
    bench.delete(bench.get("v1", "Pod", "db-0"))
    bench.pass_time(5)
    assert status(bench, "StatefulSet", "db")["readyReplicas"] == 1


def test_a_parallel_stateful_set_gets_over_a_broken_pod(bench: Bench) -> None:
    bench.create(claimed(podManagementPolicy="Parallel"))
    bench.pass_time(3)
    bench.apply(claimed(image="db:99.0.0", podManagementPolicy="Parallel"), force=True)
    bench.pass_time(5)
    assert pod_reason(bench, "db-0") == "ImagePullBackOff"
    bench.apply(claimed(image="web:1.0", podManagementPolicy="Parallel"), force=True)
    bench.pass_time(5)
    assert status(bench, "StatefulSet", "db")["readyReplicas"] == 1


def test_a_broken_workload_crashes_and_recovers(bench: Bench) -> None:
    bench.create(workload())
    bench.pass_time(3)
    (name,) = bench.names("Pod")
    bench.world.settings.broken["default", "web"] = "CrashLoopBackOff"
    bench.world.touch()
    bench.pass_time(0)
    assert pod_reason(bench, name) == "CrashLoopBackOff"
    assert bench.get("v1", "Pod", name)["status"]["containerStatuses"][0]["restartCount"] == 1
    assert "readyReplicas" not in status(bench, "Deployment", "web")
    del bench.world.settings.broken["default", "web"]
    bench.world.touch()
    bench.pass_time(1.1)
    assert status(bench, "Deployment", "web")["readyReplicas"] == 1


def test_a_hanging_workload_runs_and_never_gets_ready(bench: Bench) -> None:
    bench.world.settings.broken["default", "web"] = "hang"
    bench.create(workload())
    bench.pass_time(600)
    (pod,) = bench.all("Pod")
    assert pod["status"]["phase"] == "Running"
    assert not pod["status"]["containerStatuses"][0]["ready"]
    assert "Unhealthy" in reasons(bench)


def test_a_pod_waits_for_the_secret_and_the_key_it_needs(bench: Bench) -> None:
    body = workload()
    source = {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "b"}}}
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [source]
    bench.create(body)
    bench.pass_time(3)
    (name,) = bench.names("Pod")
    assert pod_reason(bench, name) == "CreateContainerConfigError"
    bench.create(config_map(a="1"))
    bench.pass_time(3)
    assert pod_reason(bench, name) == "CreateContainerConfigError"
    bench.patch(config_map(), {"data": {"b": "2"}})
    bench.pass_time(3)
    assert status(bench, "Deployment", "web")["readyReplicas"] == 1


def test_a_claim_of_an_unknown_class_keeps_its_pod_pending(bench: Bench) -> None:
    body = claimed()
    body["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] = "fast"
    bench.create(body)
    bench.pass_time(3)
    pod = bench.get("v1", "Pod", "db-0")
    assert pod["status"]["conditions"][0]["reason"] == "Unschedulable"
    assert {"ProvisioningFailed", "FailedScheduling"} <= reasons(bench)


def test_a_pod_of_an_unknown_service_account_is_not_created(bench: Bench) -> None:
    body = workload()
    body["spec"]["template"]["spec"]["serviceAccountName"] = "absent"
    bench.create(body)
    bench.pass_time(1)
    assert bench.names("Pod") == []
    (event,) = [event for event in bench.all("Event") if event["reason"] == "FailedCreate"]
    assert 'error looking up service account default/absent: serviceaccount "absent" not found' in event["message"]


def test_pods_are_deleted_gracefully(bench: Bench) -> None:
    bench.create(workload())
    bench.pass_time(3)
    (pod,) = bench.all("Pod")
    deleted = bench.delete(pod)
    assert not deleted.gone
    assert deleted.item["metadata"]["deletionGracePeriodSeconds"] == 30
    bench.pass_time(0.1)
    assert pod["metadata"]["name"] in bench.names("Pod")
    bench.pass_time(0.5)
    assert pod["metadata"]["name"] not in bench.names("Pod")
    bench.pass_time(2)
    assert status(bench, "Deployment", "web")["readyReplicas"] == 1


def test_a_quota_refuses_in_its_own_words_and_counts_what_is_used(bench: Bench) -> None:
    meta = {"name": "small", "namespace": "default"}
    hard = {"pods": "2", "requests.storage": "2Gi"}
    bench.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}})
    bench.create(workload(replicas=3))
    bench.create(claimed())
    bench.pass_time(3)
    assert len(bench.names("Pod")) == 2
    quota = bench.get("v1", "ResourceQuota", "small")
    assert quota["status"]["used"] == {"pods": "2", "requests.storage": "1Gi"}
    texts = [event["message"] for event in bench.all("Event") if event["reason"] == "FailedCreate"]
    assert any(
        "is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2" in text
        for text in texts
    )
    conditions = {c["type"]: c for c in status(bench, "Deployment", "web")["conditions"]}
    assert conditions["ReplicaFailure"]["status"] == "True"
    bench.patch(quota, {"spec": {"hard": {"pods": "9"}}})
    bench.pass_time(5)
    assert len(bench.names("Pod")) == 4


def test_a_quota_on_memory_makes_stating_it_a_duty(bench: Bench) -> None:
    meta = {"name": "small", "namespace": "default"}
    spec = {"hard": {"limits.memory": "1Gi"}}
    bench.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
    bench.create(workload())
    bench.pass_time(1)
    texts = [event["message"] for event in bench.all("Event") if event["reason"] == "FailedCreate"]
    assert any("failed quota: small: must specify limits.memory for: main" in text for text in texts)
