"""What a person at a terminal sees of the operator, through a real kubectl."""

import json
from typing import Any

import pytest
import yaml

from eventstore import events as e
from tests.fixtures.kubectl import Kubectl, kubectl_binary
from tests.operator.stage import NAMESPACE, Stage


def document(spec: dict[str, Any], **metadata: Any) -> str:
    """A platform as a file."""
    return yaml.safe_dump(
        {
            "apiVersion": "observability.io/v1beta1",
            "kind": "ObservabilityPlatform",
            "metadata": {"name": "prod", "namespace": NAMESPACE, **metadata},
            "spec": spec,
        }
    )


PAIR: dict[str, Any] = {"components": {"prometheus": {}, "loki": {}}}


@pytest.fixture
def kubectl(stage: Stage) -> Kubectl:
    """kubectl in the platform's namespace."""
    return Kubectl(kubectl_binary(), stage.kubeconfig, stage.directory)


@pytest.fixture
def ready(stage: Stage, kubectl: Kubectl) -> Kubectl:
    """kubectl, beside an operator that has installed a platform."""
    stage.operate()
    kubectl.ok("apply", "--server-side", "-f", "-", stdin=document(PAIR))
    kubectl.ok("wait", "obsp/prod", "--for=condition=Ready", "--timeout=30s")
    return kubectl


def test_get_shows_ready_phase_components_reason_and_age(ready: Kubectl) -> None:
    heading, row = ready.ok("get", "obsp").splitlines()
    assert heading.split() == ["NAME", "READY", "PHASE", "COMPONENTS", "REASON", "AGE"]
    assert row.split()[:5] == ["prod", "True", "Ready", "2/2", "AllComponentsReady"]


def test_wait_for_ready_after_an_edit_returns_when_the_edit_is_rolled_out(stage: Stage, ready: Kubectl) -> None:
    stage.sandbox.set_ready_delay(0.7)
    edited = {"components": {"prometheus": {"retention": "3d"}, "loki": {}}}
    ready.ok("apply", "--server-side", "-f", "-", stdin=document(edited))
    ready.ok("wait", "obsp/prod", "--for=condition=Ready", "--timeout=30s")
    found = json.loads(ready.ok("get", "statefulset", "prod-prometheus", "-o", "json"))
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert found["status"]["updatedReplicas"] == found["status"]["readyReplicas"] == 1
    assert found["status"]["currentRevision"] == found["status"]["updateRevision"]
    assert "3d" in ready.ok("get", "statefulset", "prod-prometheus", "-o", "yaml") + ready.ok(
        "get", "configmap", "prod-prometheus-config", "-o", "yaml"
    )


def test_describe_tells_the_story_in_events_once_each(stage: Stage, ready: Kubectl) -> None:
    stage.wait(
        "announced", lambda: "AllComponentsReady" in ready.ok("describe", "obsp", "prod").partition("Events:")[2]
    )
    told = ready.ok("describe", "obsp", "prod").partition("Events:")[2]
    for reason in ("PlatformCreated", "PreflightPassed", "ComponentReady", "AllComponentsReady"):
        assert reason in told
    assert told.count("PlatformCreated") == 1
    assert told.count("All Components Ready") <= 1
    assert "kubectl stackledger show prod" in told


def test_wait_for_degraded_sees_a_component_break(stage: Stage, ready: Kubectl) -> None:
    stage.sandbox.break_workload(NAMESPACE, "prod-loki")
    ready.ok("wait", "obsp/prod", "--for=condition=Degraded", "--timeout=20s")
    ready.ok("wait", "obsp/prod", "--for=jsonpath={.status.phase}=Failed", "--timeout=20s")
    assert "CrashLoopBackOff" in ready.ok("get", "obsp", "prod", "-o", "yaml")


def test_a_retry_is_asked_for_by_annotation_and_acted_on_once(stage: Stage, ready: Kubectl) -> None:
    stage.sandbox.break_workload(NAMESPACE, "prod-loki", "hang")
    ready.ok("wait", "obsp/prod", "--for=jsonpath={.status.phase}=Failed", "--timeout=20s")
    ready.ok("annotate", "obsp", "prod", "stackledger.io/retry-at=first")
    ready.ok("wait", "obsp/prod", "--for=jsonpath={.status.lastHandledRetryAt}=first", "--timeout=20s")
    assert len(stage.events(e.RetryRequested)) == 1


def test_the_schema_refuses_a_bad_spec_and_names_the_remedy(stage: Stage, kubectl: Kubectl) -> None:
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=document({"components": {}}))
    assert refused.returncode != 0
    assert "component" in refused.stderr
    refused = kubectl.run("apply", "-f", "-", stdin=document({"components": {"prometheus": {"replicas": -1}}}))
    assert refused.returncode != 0
    assert "replicas" in refused.stderr
    assert stage.recorded() == []


def test_delete_returns_when_everything_is_gone(stage: Stage, ready: Kubectl) -> None:
    ready.ok("delete", "obsp", "prod", "--timeout=30s")
    assert "NotFound" in ready.run("get", "obsp", "prod").stderr
    stage.wait(
        "children gone",
        lambda: ready.ok("get", "statefulset,service,configmap", "-l", "stackledger.io/platform=prod") == "",
    )


def test_deleting_the_namespace_ends_while_the_operator_runs(ready: Kubectl) -> None:
    ready.ok("delete", "namespace", NAMESPACE, "--timeout=30s")
    assert "NotFound" in ready.run("get", "namespace", NAMESPACE).stderr
