"""A platform's life on a real control plane: installed, edited, upgraded, broken, mended, held still."""

import json
import time
from typing import Any

import pytest
import yaml

from eventstore import events as e
from eventstore.codec import decode
from eventstore.vocabulary import INSTALL_ORDER
from reconciler.shell.resources import POD, RESOURCE_QUOTA, STATEFUL_SET, WATCHED
from tests.cluster.process import ROOT
from tests.cluster.stage import ALL_FIVE, PAIR, PERSISTENT_VOLUME_CLAIM, SMALL, ClusterStage, edited


def full_example() -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load((ROOT / "examples/full.yaml").read_text())["spec"]
    return spec


def check_announced(stage: ClusterStage, uid: str) -> None:
    """One Kubernetes Event for each change of phase, under the reason that the ledger has."""
    recorded = [
        (f"{record.version:08x}", event.reason)
        for record in stage.recorded(uid)
        if isinstance(event := decode(record), e.PhaseChanged)
    ]

    def told() -> list[tuple[str, str]]:
        events = {event["metadata"]["name"].rpartition(".")[2]: event["reason"] for event in stage.kubernetes_events()}
        return [(version, events.get(version, "")) for version, _ in recorded]

    stage.wait(f"announced {recorded}", lambda: told() == recorded, seconds=15)


def test_the_full_example_is_installed_in_order_and_owned_by_its_platform(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(full_example())
    assert stage.status()["componentsReady"] == "5/5"
    assert stage.phases(uid) == ["Pending", "Installing", "Ready"]
    ready = [event.component for event in stage.events(e.ComponentPhaseChanged, uid) if event.to_phase == "Ready"]
    assert ready == list(INSTALL_ORDER)
    heading, row = stage.kubectl.ok("get", "obsp").splitlines()
    assert heading.split() == ["NAME", "READY", "PHASE", "COMPONENTS", "REASON", "AGE"]
    assert row.split()[:5] == ["prod", "True", "Ready", "5/5", "AllComponentsReady"]
    kinds = set()
    for resource in {watched.resource for watched in WATCHED[1:]} - {POD, RESOURCE_QUOTA}:
        for child in stage.children(resource):
            kinds.add(child["kind"])
            assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]
    assert kinds >= {"StatefulSet", "Service", "ConfigMap", "ServiceAccount", "Ingress"}
    pods = stage.children(POD)
    assert {pod["metadata"]["labels"]["stackledger.io/component"] for pod in pods} == {
        name.value for name in INSTALL_ORDER
    }
    check_announced(stage, uid)


def test_each_object_of_an_install_is_made_by_one_call(stage: ClusterStage) -> None:
    stage.operate()
    before = stage.calls()
    uid = stage.install(ALL_FIVE)
    time.sleep(1.5)
    calls = stage.calls() - before
    objects = len({event.ref.key for event in stage.events(e.ApplyRequested, uid)})
    creates = sum(
        count for (verb, resource), count in calls.items() if verb == "patch" and "observability" not in resource
    )
    assert creates == objects, calls


def test_a_platform_at_rest_costs_no_write_and_no_append(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(ALL_FIVE)
    time.sleep(2.0)
    events, calls = stage.log.head_position(), stage.calls()
    time.sleep(3.0)
    assert stage.log.head_position() == events
    assert stage.calls() - calls == {}


def test_a_minor_edit_is_rolled_out_while_the_phase_stays_ready(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(SMALL)
    before = stage.children(POD)[0]["metadata"]["uid"]
    stage.install(edited(SMALL, "prometheus", retention="3d"))
    assert stage.phases(uid)[2:] == ["Ready", "Ready"]
    assert stage.events(e.PhaseChanged, uid)[-1].reason == "MinorUpdate"
    (pod,) = stage.children(POD)
    assert pod["metadata"]["uid"] != before
    assert "3d" in json.dumps(pod["spec"]) + json.dumps(stage.get("v1", "ConfigMap", "prod-prometheus-config"))
    check_announced(stage, uid)


def test_a_component_that_is_added_is_installed_and_one_that_is_dropped_is_removed(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(SMALL)
    stage.install(edited(SMALL, "alertmanager"))
    assert stage.status()["componentsReady"] == "2/2"
    stage.install(SMALL)
    assert stage.status()["componentsReady"] == "1/1"
    stage.wait("removed", lambda: stage.get("apps/v1", "StatefulSet", "prod-alertmanager") is None)
    assert stage.get("v1", "Service", "prod-alertmanager") is None


def test_an_upgrade_goes_through_upgrading_and_runs_the_new_version(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(PAIR)
    stage.install(edited(PAIR, "grafana", version="13.2.2"))
    assert stage.phases(uid)[2:] == ["Ready", "Upgrading", "Ready"]
    running = {entry["name"]: entry["runningVersion"] for entry in stage.status()["components"]}
    assert running["grafana"] == "13.2.2"
    images = [c["image"] for pod in stage.children(POD) for c in pod["spec"]["containers"] if "grafana" in c["image"]]
    assert len(images) == 1
    assert "13.2.2" in images[0]
    check_announced(stage, uid)


def test_an_upgrade_to_an_image_that_cannot_be_pulled_is_rolled_back_and_kept_out(stage: ClusterStage) -> None:
    stage.operate(progress_deadline_seconds=15)
    uid = stage.install(PAIR)
    bad = edited(PAIR, "grafana", version="13.2.2", image="docker.io/grafana/grafana:13.2.2-broken")
    _ = stage.node
    stage.apply(bad)
    stage.wait("rolled back", lambda: stage.condition("Degraded") == ("True", "RolledBack"))
    stage.wait("serving the old version", lambda: stage.condition("Ready")[0] == "True")
    assert stage.phases(uid)[2:] == ["Ready", "Upgrading", "Failed", "Installing", "Ready"]
    running = {entry["name"]: entry["runningVersion"] for entry in stage.status()["components"]}
    assert running["grafana"] == "13.2.0"
    assert not stage.is_ready(), "nobody who waits for the new generation may be told that it is ready"
    check_announced(stage, uid)
    stage.install(edited(PAIR, "grafana", version="13.2.2"))
    assert stage.condition("Degraded") == ("False", "AsExpected")


@pytest.mark.parametrize(
    "reason",
    ["CrashLoopBackOff", "ImagePullBackOff", "OOMKilled", "CreateContainerConfigError", "Unschedulable", "hang"],
)
def test_a_broken_component_fails_the_platform_with_its_cause_and_recovers(stage: ClusterStage, reason: str) -> None:
    stage.operate(progress_deadline_seconds=8)
    uid = stage.install(PAIR)
    stage.node.break_workload(stage.namespace, "prod-grafana", reason)
    stage.wait_phase("Failed")
    assert stage.condition("Degraded") == ("True", "ComponentFailed")
    assert stage.condition("Available")[0] == "True"
    assert "grafana" in stage.message()
    if reason not in {"hang", "OOMKilled"}:
        assert reason in {stage.condition("Ready")[1], *stage.message().replace(":", " ").split()}
    stage.node.repair_workload(stage.namespace, "prod-grafana")
    stage.wait_ready()
    phases = stage.phases(uid)
    assert phases[2:4] == ["Ready", "Failed"]
    assert phases[-2:] == ["Installing", "Ready"]
    check_announced(stage, uid)


def test_a_component_that_never_starts_fails_the_install_and_the_next_ones_wait(stage: ClusterStage) -> None:
    stage.operate(retries_max=1)
    stage.node.break_workload(stage.namespace, "prod-prometheus", "ImagePullBackOff")
    stage.apply(PAIR)
    stage.wait_phase("Failed")
    assert "ImagePullBackOff" in stage.message() + stage.condition("Ready")[1]
    assert [one["metadata"]["name"] for one in stage.children(STATEFUL_SET)] == ["prod-prometheus"]
    stage.node.repair_workload(stage.namespace, "prod-prometheus")
    stage.wait_ready()


def test_while_paused_nothing_is_written_and_the_edit_is_made_up_for_on_resume(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(SMALL)
    stage.apply({**SMALL, "paused": True})
    stage.wait("paused", lambda: stage.condition("Paused")[0] == "True")
    stage.apply({**edited(SMALL, "prometheus", retention="3d"), "paused": True})
    stage.kubectl.ok("delete", "service", "prod-prometheus")
    stage.wait("seen", lambda: stage.events(e.DriftDetected, uid))
    calls = stage.calls("patch", "create", "delete")
    time.sleep(1.5)
    written = {key for key in stage.calls("patch", "create", "delete") - calls if "observability" not in key[1]}
    assert written <= {("create", "events.events.k8s.io")}
    assert stage.get("v1", "Service", "prod-prometheus") is None
    assert stage.condition("Ready") == ("Unknown", "PausedBySpec")
    stage.install(edited(SMALL, "prometheus", retention="3d"))
    assert stage.get("v1", "Service", "prod-prometheus") is not None
    reasons = [event["reason"] for event in stage.kubernetes_events()]
    assert "Paused" in reasons
    assert "Resumed" in reasons


def test_killed_in_the_middle_of_an_install_it_goes_on_where_it_was(stage: ClusterStage) -> None:
    operator = stage.operate()
    uid = stage.apply(ALL_FIVE)
    stage.wait("two components", lambda: len(stage.events(e.ComponentPhaseChanged, uid)) >= 2 * len(INSTALL_ORDER))
    operator.kill()
    assert stage.phases(uid) == ["Pending", "Installing"]
    made = {child["metadata"]["uid"] for child in stage.children(STATEFUL_SET)}
    operator.start()
    operator.wait_ready()
    stage.wait_ready()
    assert stage.phases(uid) == ["Pending", "Installing", "Ready"]
    assert made <= {child["metadata"]["uid"] for child in stage.children(STATEFUL_SET)}
    assert operator.stop() == 0


def test_of_two_replicas_the_other_takes_over_when_the_leader_is_killed(stage: ClusterStage) -> None:
    first = stage.operate()
    second = stage.operate()
    stage.install(SMALL)
    first.kill()
    stage.install(edited(SMALL, "prometheus", retention="3d"))
    assert second.alive
    epochs = [record.epoch for record in stage.recorded()]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2


def test_a_client_of_the_older_version_sees_and_writes_the_same_platform(stage: ClusterStage) -> None:
    stage.operate()
    body = {
        "apiVersion": "observability.io/v1alpha1",
        "kind": "ObservabilityPlatform",
        "metadata": {"name": "prod"},
        "spec": {"components": {"prometheus": {"enabled": True, "retention": "5d"}}},
    }
    stage.kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump(body))
    stage.wait_ready()
    old = json.loads(stage.kubectl.ok("get", "observabilityplatforms.v1alpha1.observability.io", "prod", "-o", "json"))
    new = json.loads(stage.kubectl.ok("get", "observabilityplatforms.v1beta1.observability.io", "prod", "-o", "json"))
    assert old["apiVersion"] == "observability.io/v1alpha1"
    assert old["spec"] == new["spec"]
    assert old["status"] == new["status"]
    body["spec"] = {"components": {"prometheus": {"enabled": True, "retention": "6d"}}}
    stage.kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump(body))
    stage.wait_ready()
    assert stage.events(e.PhaseChanged)[-1].reason == "MinorUpdate"


def test_the_command_line_tells_the_story_from_the_same_database(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(SMALL)
    for command in (["history", "prod"], ["show", "prod"], ["verify", "--all"], ["replay", "prod"], ["status"]):
        done = stage.stackledger(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "AllComponentsReady" in stage.stackledger("history", "prod").stdout


def test_describe_tells_a_whole_life_once_each(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(PAIR)
    stage.node.break_workload(stage.namespace, "prod-grafana")
    stage.wait_phase("Failed")
    stage.node.repair_workload(stage.namespace, "prod-grafana")
    stage.wait_ready()
    stage.install(edited(PAIR, "grafana", version="13.2.2"))
    check_announced(stage, uid)
    told = stage.kubectl.ok("describe", "obsp", "prod").partition("Events:")[2]
    for reason in (
        "PlatformCreated",
        "PreflightPassed",
        "ComponentReady",
        "AllComponentsReady",
        "CrashLoopBackOff",
        "VersionChanged",
        "ComponentUpgraded",
        "UpgradeCompleted",
    ):
        assert f" {reason} " in told, told
    assert told.count(" PlatformCreated ") == 1
    stage.remove()
    stage.wait("told", lambda: "DeletionCompleted" in [event["reason"] for event in stage.kubernetes_events()])


def test_volumes_are_bound_and_stay_when_the_platform_goes(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(edited(SMALL, "prometheus", storage={"size": "1Gi"}))
    claims = stage.cluster.list_all(PERSISTENT_VOLUME_CLAIM, stage.namespace).items
    assert [claim["status"]["phase"] for claim in claims] == ["Bound"]
    stage.remove()
    stage.wait("pods gone", lambda: stage.children(POD) == [])
    time.sleep(1.0)
    left = stage.cluster.list_all(PERSISTENT_VOLUME_CLAIM, stage.namespace).items
    assert [claim["metadata"]["uid"] for claim in left] == [claim["metadata"]["uid"] for claim in claims]


def test_volumes_go_with_the_platform_where_the_policy_says_so(stage: ClusterStage) -> None:
    stage.operate()
    stage.install({**edited(SMALL, "prometheus", storage={"size": "1Gi"}), "deletionPolicy": "Delete"})
    assert len(stage.cluster.list_all(PERSISTENT_VOLUME_CLAIM, stage.namespace).items) == 1
    stage.remove()
    stage.wait("claims gone", lambda: stage.cluster.list_all(PERSISTENT_VOLUME_CLAIM, stage.namespace).items == [])
