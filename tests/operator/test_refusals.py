"""What the API server refuses, seen from outside: which reason the user reads, what is waited for, how it ends."""

import http.client
import time
from uuid import uuid4

import pytest

from eventstore import events as e
from eventstore.envelope import NewEvent
from reconciler.app import Operator
from reconciler.shell.resources import EVENT
from tests.operator.stage import NAMESPACE, Stage
from tests.operator.test_bad_inputs import GOOD, check_failed, children


def ready_message(stage: Stage) -> str:
    return next((c["message"] for c in stage.status().get("conditions", ()) if c["type"] == "Ready"), "")


def wait_for_reason(stage: Stage, reason: str) -> str:
    stage.wait(f"waiting for {reason}", lambda: stage.condition("Ready")[1] == reason)
    return ready_message(stage)


def unreadiness(operator: Operator) -> str:
    """What /readyz says; "" if the replica is ready."""
    connection = http.client.HTTPConnection("127.0.0.1", operator.ports[0], timeout=10)
    connection.request("GET", "/readyz?verbose=1")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return "" if answer.status == 200 else text


def quota(stage: Stage, **hard: str) -> None:
    stage.create("v1", "ResourceQuota", {"metadata": {"name": "small"}, "spec": {"hard": hard}}, NAMESPACE)


def drop_quota(stage: Stage) -> None:
    kind, _ = stage.sandbox.model.resource("", "v1", "resourcequotas")
    stage.sandbox.model.commit(kind, stage.sandbox.model.read(kind, NAMESPACE, "small"), None)


def test_a_quota_that_is_too_small_is_waited_for_with_its_numbers(stage: Stage) -> None:
    quota(stage, services="0")
    stage.operate()
    stage.apply(GOOD)
    message = wait_for_reason(stage, "QuotaExceeded")
    assert "services" in message
    assert "0 of 0 are used" in message
    assert stage.status()["phase"] == "Pending"
    assert children(stage) == {}
    drop_quota(stage)
    stage.wait("Ready", stage.is_ready)


def test_a_quota_hit_in_the_middle_is_no_question_of_permission(stage: Stage) -> None:
    stage.operate()
    stage.install(GOOD)
    quota(stage, services="1")
    stage.apply({"components": {**GOOD["components"], "alertmanager": {}}})
    message = wait_for_reason(stage, "QuotaExceeded")
    assert "services" in message
    assert stage.status()["phase"] == "Ready"
    drop_quota(stage)
    stage.wait("Ready", stage.is_ready)


def test_a_missing_permission_names_the_rule_to_add(stage: Stage) -> None:
    stage.operate()
    with stage.denied("patch", "statefulsets"):
        stage.apply(GOOD)
        message = wait_for_reason(stage, "PermissionDenied")
        assert all(word in message for word in ("patch", "statefulsets", "apps")), message
        assert stage.status()["phase"] == "Installing"
    stage.wait("Ready", stage.is_ready)


def test_a_secret_that_may_not_be_read_is_waited_for_with_the_rule_to_add(stage: Stage) -> None:
    secret = {"metadata": {"name": "theirs", "labels": {"stackledger.io/allow": "ANY"}}, "data": {"word": "d29yZA=="}}
    stage.create("v1", "Secret", secret, NAMESPACE)
    stage.operate()
    word = {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "word"}}}
    with stage.denied("get", "secrets"):
        stage.apply({"components": {"grafana": {"extraEnv": [word]}}})
        message = wait_for_reason(stage, "PermissionDenied")
        assert all(text in message for text in ("theirs", "get secrets")), message
        assert stage.status()["phase"] == "Pending"
    stage.wait("Ready", stage.is_ready)
    pods = len(stage.events(e.ApplyRequested))
    with stage.denied("get", "secrets"):
        # Looked at more often while something is wrong.
        stage.sandbox.break_workload(NAMESPACE, "prod-grafana")
        stage.wait("Failed", lambda: stage.status().get("phase") == "Failed")
        stage.sandbox.repair_workload(NAMESPACE, "prod-grafana")
        time.sleep(0.6)
    stage.wait("Ready", stage.is_ready)
    assert len(stage.events(e.ApplyRequested)) == pods, "nothing is rolled because of what cannot be read"


def test_a_namespace_on_its_way_out_is_not_asked_for_one_kind_after_the_other(stage: Stage) -> None:
    words = 'services "x" is forbidden: unable to create new content in namespace demo because it is being terminated'
    stage.operate()
    stage.sandbox.faults.inject(403, verb="patch", resource="services", remaining=None, message=words)
    stage.apply(GOOD)
    wait_for_reason(stage, "NamespaceTerminating")
    assert ("patch", "statefulsets.apps") not in stage.sandbox.faults.calls
    stage.wait("announced", lambda: stage.cluster.list_all(EVENT, NAMESPACE).items)
    stage.sandbox.faults.clear()
    stage.wait("Ready", stage.is_ready)
    stage.wait("announced", lambda: "AllComponentsReady" in told(stage))
    assert "NamespaceTerminating" not in told(stage)


def told(stage: Stage) -> list[str]:
    """The reasons of all Events."""
    return [event["reason"] for event in stage.cluster.list_all(EVENT, NAMESPACE).items]


def test_dead_credentials_turn_readiness_red_and_nothing_else(stage: Stage) -> None:
    operator = stage.operate(health_bind="127.0.0.1:0")
    stage.install(GOOD)
    stage.sandbox.faults.inject(401, remaining=None)
    stage.sandbox.faults.drop_watches()
    stage.wait("red", lambda: "Unauthorized" in unreadiness(operator))
    stage.sandbox.faults.clear()
    stage.wait("green", lambda: not unreadiness(operator))
    stage.install({"components": {"prometheus": {"storage": {"size": "10Gi"}, "retention": "3d"}}})


def test_an_api_that_is_gone_is_told_from_a_namespace_that_is(stage: Stage) -> None:
    stage.operate()
    stage.sandbox.faults.inject(
        404, verb="patch", resource="statefulsets", remaining=None, message="404 page not found"
    )
    stage.apply(GOOD)
    stage.wait("told", lambda: stage.condition("Ready")[1] not in ("", "PreflightRunning", "ComponentsInstalling"))
    assert "StatefulSet" in ready_message(stage)
    stage.sandbox.faults.clear()
    stage.wait("Ready", stage.is_ready)


def test_a_conflict_is_tried_again_in_its_phase(stage: Stage) -> None:
    stage.operate()
    stage.sandbox.faults.inject(409, verb="patch", resource="statefulsets", remaining=2)
    stage.install(GOOD)
    assert len(stage.events(e.RetryScheduled)) == 2
    assert "Failed" not in [event.to_phase for event in stage.events(e.PhaseChanged)]


def test_a_refused_object_fails_with_the_field_and_without_a_retry(stage: Stage) -> None:
    stage.operate()
    words = 'StatefulSet.apps "prod-prometheus" is invalid: spec.replicas: Invalid value: -1: must be positive'
    stage.sandbox.faults.inject(422, verb="patch", resource="statefulsets", remaining=None, message=words)
    stage.apply(GOOD)
    check_failed(stage, "Rejected", ("spec.replicas: Invalid value", "StatefulSet demo/prod-prometheus"))
    assert stage.events(e.RetryScheduled) == []
    patches = stage.calls("patch")
    stage.sandbox.faults.clear()
    stage.apply({"components": {"prometheus": {"storage": {"size": "10Gi"}, "retention": "3d"}}})
    stage.wait("Ready", stage.is_ready)
    assert stage.calls("patch") > patches


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_busy_server_is_waited_for(stage: Stage, status: int) -> None:
    stage.operate()
    stage.sandbox.faults.inject(status, verb="patch", resource="services", remaining=2)
    stage.install(GOOD)
    assert stage.events(e.RetryScheduled)


def test_a_platform_in_a_namespace_that_is_deleted_goes_with_it(stage: Stage) -> None:
    stage.operate()
    uid = stage.install(GOOD)
    connection = http.client.HTTPConnection(stage.server.url.removeprefix("http://"))
    connection.request("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
    assert connection.getresponse().status == 200
    connection.close()
    stage.wait("gone", lambda: stage.sandbox.model.find("v1", "Namespace", "", NAMESPACE) is None)
    stage.wait("closed", lambda: stage.log.load_state(uid).record.closed)  # type: ignore[union-attr]  # it is there
    deletion = next(r.version for r in stage.recorded(uid) if r.type == "DeletionRequested")
    assert all(r.version < deletion for r in stage.recorded(uid) if r.type == "ApplyRequested")


def test_a_child_that_belongs_to_another_platform_is_not_touched(stage: Stage) -> None:
    stage.operate()
    stage.install(GOOD)
    kind, _ = stage.sandbox.model.resource("", "v1", "services")
    another = stage.install({"components": {"loki": {}}}, "other")
    found = stage.sandbox.model.read(kind, NAMESPACE, "prod-prometheus")
    others = [{**found["metadata"]["ownerReferences"][0], "uid": another}]
    stage.sandbox.model.commit(kind, found, {**found, "metadata": {**found["metadata"], "ownerReferences": others}})
    check_failed(stage, "AdoptionRefused", ("Service demo/prod-prometheus",))


def test_the_crd_taken_away_while_running_turns_readiness_red_and_back(stage: Stage) -> None:
    operator = stage.operate(health_bind="127.0.0.1:0")
    stage.wait("green", lambda: not unreadiness(operator))
    kind, _ = stage.sandbox.model.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    name = "observabilityplatforms.observability.io"
    found = stage.sandbox.model.read(kind, "", name)
    stage.sandbox.model.commit(kind, found, None)
    stage.sandbox.faults.drop_watches()
    stage.wait("red", lambda: "ObservabilityPlatform" in unreadiness(operator))
    stage.install_crd()
    stage.wait("green", lambda: not unreadiness(operator), seconds=40)
    stage.install(GOOD)


def test_a_stream_with_an_event_of_a_newer_build_is_left_alone_and_the_others_go_on(stage: Stage) -> None:
    stage.operate()
    uid = stage.install(GOOD)
    stage.install({"components": {"loki": {}}}, "other")
    time.sleep(0.5)
    newer = stage.recorded(uid)[-1]
    event = NewEvent(
        event_id=uuid4(),
        type="PlatformTeleported",
        schema_version=1,
        payload=b"{}",
        occurred_at=newer.occurred_at,
        causation_id=None,
        correlation_id=newer.correlation_id,
        actor="a newer build",
    )
    stage.log.append(uid, newer.version, [event], epoch=newer.epoch)
    stage.apply({"components": {"prometheus": {"storage": {"size": "10Gi"}, "retention": "3d"}}})
    stage.wait("told", lambda: stage.condition("Degraded") == ("True", "Quarantined"))
    assert stage.condition("Ready") == ("Unknown", "Quarantined")
    assert "PlatformTeleported" in ready_message(stage)
    assert str(newer.version + 1) in ready_message(stage)
    stage.install({"components": {"loki": {"retention": "72h"}}}, "other")
    assert stage.recorded(uid)[-1].type == "PlatformTeleported"
    assert stage.calls("delete") == 0
