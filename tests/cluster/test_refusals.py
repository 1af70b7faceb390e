"""What the API server refuses, and what is not there yet: the reason that the user reads, and that it goes on."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from eventstore import events as e
from reconciler.shell.resources import STATEFUL_SET
from tests.cluster.stage import ALL_FIVE, SMALL, ClusterStage, edited

GUARDED: dict[str, Any] = {
    "components": {
        "grafana": {"extraEnv": [{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "word"}}}]}
    }
}
WORD = "Zq7-referenced-canary-5Tr"


def quota(stage: ClusterStage, **hard: str) -> None:
    body = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": stage.namespace},
        "spec": {"hard": hard},
    }
    stage.kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump(body))
    stage.kubectl.ok("wait", "resourcequota/small", "--for=jsonpath={.status.hard}", "--timeout=20s")


def test_a_quota_that_is_too_small_is_waited_for_with_its_numbers_and_raised(stage: ClusterStage) -> None:
    quota(stage, services="1")
    stage.operate()
    uid = stage.apply(ALL_FIVE)
    message = stage.wait_reason("QuotaExceeded")
    assert "services" in message
    assert "0 of 1 are used" in message
    assert stage.phase() == "Pending"
    assert stage.children(STATEFUL_SET) == []
    quota(stage, services="20")
    stage.wait_ready()
    assert stage.phases(uid) == ["Pending", "Installing", "Ready"]


def test_a_quota_hit_in_the_middle_keeps_the_phase_and_goes_on_when_it_is_raised(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(SMALL)
    quota(stage, services="1")
    stage.apply({"components": {"prometheus": {}, "alertmanager": {}}})
    message = stage.wait_reason("QuotaExceeded")
    assert "services" in message
    assert "small" in message
    assert stage.phase() == "Ready"
    quota(stage, services="20")
    stage.wait_ready()
    assert "Failed" not in stage.phases(uid)


def test_pods_that_do_not_fit_a_quota_fail_their_component_and_come_when_it_is_raised(stage: ClusterStage) -> None:
    stage.operate(progress_deadline_seconds=5)
    stage.install(SMALL)
    quota(stage, pods="1")
    stage.apply(edited(SMALL, "alertmanager"))
    stage.wait_phase("Failed")
    assert "alertmanager" in stage.message()
    quota(stage, pods="10")
    stage.wait_ready()


def test_a_missing_secret_is_named_and_its_arrival_is_noticed(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.apply(GUARDED)
    assert "theirs" in stage.wait_reason("SecretMissing")
    assert stage.phase() == "Pending"
    stage.secret("theirs", {"word": WORD})
    stage.wait_ready()
    assert stage.phases(uid) == ["Pending", "Installing", "Ready"]


def test_a_secret_without_the_key_is_named_with_it(stage: ClusterStage) -> None:
    stage.operate()
    stage.secret("theirs", {"another": WORD})
    stage.apply(GUARDED)
    stage.wait("told", lambda: "word" in stage.message() and "theirs" in stage.message())
    assert stage.condition("Ready")[1] == "SecretKeyMissing"
    stage.secret("theirs", {"another": WORD, "word": WORD})
    stage.wait_ready()


def test_a_secret_that_is_not_granted_is_not_used_until_it_is(stage: ClusterStage) -> None:
    stage.operate()
    stage.secret("theirs", {"word": WORD}, grant="")
    stage.apply(GUARDED)
    assert "stackledger.io/allow=prod" in stage.wait_reason("SecretNotGranted")
    stage.kubectl.ok("label", "secret", "theirs", "stackledger.io/allow=prod")
    stage.wait_ready()


def test_a_secret_that_changes_rolls_the_pods_that_use_it(stage: ClusterStage) -> None:
    stage.operate(resync_seconds=10)
    stage.secret("theirs", {"word": WORD})
    stage.install(GUARDED)
    before = _template_hash(stage)
    stage.secret("theirs", {"word": "Zq7-rotated-canary-9Ab"})
    stage.wait("rolled", lambda: _template_hash(stage) != before, seconds=40)
    stage.wait_ready()


def _template_hash(stage: ClusterStage) -> str:
    found = stage.get("apps/v1", "StatefulSet", "prod-grafana")
    return json.dumps(found["spec"]["template"]) if found else ""


@contextmanager
def policy(stage: ClusterStage, expression: str, message: str) -> Iterator[None]:
    """A ValidatingAdmissionPolicy for StatefulSets of the stage's namespace."""
    name = f"deny-{stage.namespace}"
    bodies: list[dict[str, Any]] = [
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": ["apps"],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["statefulsets"],
                        }
                    ]
                },
                "validations": [{"expression": expression, "message": message}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}}
                },
            },
        },
    ]
    stage.kubectl.ok("apply", "-f", "-", stdin=yaml.safe_dump_all(bodies))
    probe = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "probe", "namespace": stage.namespace},
        "spec": {
            "serviceName": "probe",
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    }
    text = json.dumps(probe)

    def is_refused() -> bool:
        return stage.kubectl.run("create", "--dry-run=server", "-f", "-", stdin=text).returncode != 0

    stage.wait("the policy in force", is_refused)
    try:
        yield
    finally:
        kinds = "validatingadmissionpolicybinding,validatingadmissionpolicy"
        stage.kubectl.run("delete", kinds, name, "--ignore-not-found")
    stage.wait("the policy out of force", lambda: not is_refused())


def test_an_admission_policy_that_refuses_an_object_is_named_and_nothing_is_tried_without_end(
    stage: ClusterStage,
) -> None:
    stage.operate()
    with policy(stage, "false", "no StatefulSets here on Mondays"):
        stage.apply(SMALL)
        message = stage.wait_reason("AdmissionDenied")
        assert f"deny-{stage.namespace}" in message
        assert "Mondays" in message
        assert stage.phase() == "Failed"
        before = stage.calls("patch", resource="statefulsets.apps")
        time.sleep(2.0)
        assert stage.calls("patch", resource="statefulsets.apps") == before
    stage.kubectl.ok("annotate", "obsp", "prod", "stackledger.io/retry-at=now")
    stage.wait_ready()


def test_an_object_of_somebody_else_is_not_taken_over_unless_that_is_said(stage: ClusterStage) -> None:
    stage.operate()
    stage.kubectl.ok("create", "service", "clusterip", "prod-prometheus", "--tcp=80:80")
    stage.apply(SMALL)
    assert "prod-prometheus" in stage.wait_reason("AdoptionRefused")
    assert stage.phase() == "Failed"
    stage.install({**SMALL, "adopt": True})


def test_a_volume_that_would_shrink_is_refused_by_the_rules_of_our_definition(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(edited(SMALL, "prometheus", storage={"size": "2Gi"}))
    smaller = '{"spec":{"components":{"prometheus":{"storage":{"size":"1Gi"}}}}}'
    assert "cannot shrink" in stage.kubectl.refused("patch", "obsp", "prod", "--type=merge", "-p", smaller)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"components": {}}, "component"),
        ({"components": {"prometheus": {"replicas": -1}}}, "replicas"),
        ({"components": {"prometheus": {"enabled": False}}}, "enabled"),
    ],
)
def test_the_server_refuses_a_bad_spec_by_the_rules_of_our_definition(
    stage: ClusterStage, spec: dict[str, Any], words: str
) -> None:
    body = {
        "apiVersion": "observability.io/v1beta1",
        "kind": "ObservabilityPlatform",
        "metadata": {"name": "prod"},
        "spec": spec,
    }
    assert words in stage.kubectl.refused("apply", "-f", "-", stdin=yaml.safe_dump(body))


def test_an_object_deleted_under_a_failed_write_is_tried_again_in_its_phase(stage: ClusterStage) -> None:
    stage.operate()
    stage.faults.inject(409, verb="patch", resource="statefulsets.apps", namespace=stage.namespace, remaining=2)
    uid = stage.install(SMALL)
    assert len(stage.events(e.RetryScheduled, uid)) == 2
    assert "Failed" not in stage.phases(uid)
