"""Every kind of object that the operator owns, edited and deleted by somebody with kubectl: it comes back, and the
ledger says who it was."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from eventstore import events as e
from reconciler.shell.resources import PLATFORM, POD, RESOURCE_QUOTA, SECRET, WATCHED
from tests.cluster.installation import Databases
from tests.cluster.stage import ClusterStage
from tests.fixtures.controlplane import Cluster

PASSWORD = "Zq7-inline-canary-3Ty"
SPEC: dict[str, Any] = {
    "highAvailability": {"antiAffinity": "soft"},
    "security": {"networkPolicy": {}},
    "components": {
        "prometheus": {"replicas": 2},
        "grafana": {
            "persistence": {"enabled": False},
            "adminPassword": PASSWORD,
            "ingress": {"host": "grafana.example.com"},
        },
    },
}
#: kind (as kubectl knows it) -> (api version, kind, name, what somebody patches, path that the ledger is to name)
EDITS: dict[str, tuple[str, str, str, dict[str, Any], str]] = {
    "statefulset": ("apps/v1", "StatefulSet", "prod-prometheus", {"spec": {"replicas": 3}}, "spec.replicas"),
    "deployment": ("apps/v1", "Deployment", "prod-grafana", {"spec": {"replicas": 0}}, "spec.replicas"),
    "configmap": ("v1", "ConfigMap", "prod-prometheus-config", {"data": {"prometheus.yml": "x: 1"}}, "data"),
    "service": (
        "v1",
        "Service",
        "prod-grafana",
        {"spec": {"selector": {"app.kubernetes.io/instance": "elsewhere"}}},
        "spec.selector",
    ),
    "serviceaccount": (
        "v1",
        "ServiceAccount",
        "prod-grafana",
        {"automountServiceAccountToken": True},
        "automountServiceAccountToken",
    ),
    "ingress": (
        "networking.k8s.io/v1",
        "Ingress",
        "prod-grafana",
        {"metadata": {"labels": {"app.kubernetes.io/instance": "elsewhere"}}},
        "metadata.labels",
    ),
    "networkpolicy": (
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "prod-prometheus",
        {"spec": {"podSelector": {"matchLabels": {"app.kubernetes.io/instance": "elsewhere"}}}},
        "spec.podSelector",
    ),
    "poddisruptionbudget": (
        "policy/v1",
        "PodDisruptionBudget",
        "prod-prometheus",
        {"spec": {"maxUnavailable": 2}},
        "spec.maxUnavailable",
    ),
}


@pytest.fixture(scope="module")
def ready(
    control_plane: Cluster, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterStage]:
    """A platform with an object of every kind, Ready; shared by the tests of this file."""
    with ClusterStage(control_plane, tmp_path_factory.mktemp("drift"), databases) as stage:
        stage.secret_values.add(PASSWORD)
        # The least that may be set: Secrets are not watched, and are looked at this often.
        stage.operate(resync_seconds=10)
        stage.install(SPEC)
        yield stage


def uids(stage: ClusterStage) -> dict[str, str]:
    """Of every object under test."""
    found = {name: stage.get(api, kind, which) for name, (api, kind, which, _, _) in EDITS.items()}
    return {name: one["metadata"]["uid"] for name, one in found.items() if one is not None}


def corrections(stage: ClusterStage, kind: str, name: str) -> list[e.DriftCorrected]:
    return [event for event in stage.events(e.DriftCorrected) if (event.ref.kind, event.ref.name) == (kind, name)]


def detections(stage: ClusterStage, kind: str, name: str) -> list[e.DriftDetected]:
    return [event for event in stage.events(e.DriftDetected) if (event.ref.kind, event.ref.name) == (kind, name)]


def wait_for_correction(stage: ClusterStage, kind: str, name: str, before: int) -> None:
    stage.wait("corrected", lambda: len(corrections(stage, kind, name)) > before, seconds=30)
    stage.wait_ready()


def test_every_kind_that_is_owned_is_edited_and_deleted_here() -> None:
    """Secrets, which are not watched, have a test of their own."""
    owned = {watched.resource.kind for watched in WATCHED} - {PLATFORM.kind, POD.kind, RESOURCE_QUOTA.kind}
    assert {kind for _, kind, _, _, _ in EDITS.values()} == owned


@pytest.mark.parametrize("resource", EDITS)
def test_what_somebody_edits_is_taken_back_in_place_and_the_author_is_named(ready: ClusterStage, resource: str) -> None:
    api_version, kind, name, patch, path = EDITS[resource]
    before, seen = uids(ready), len(corrections(ready, kind, name))
    content = _owned(ready.get(api_version, kind, name))
    ready.kubectl.ok(
        "patch", resource, name, "--type=merge", "-p", json.dumps(patch), f"--field-manager=mallory-{resource}"
    )
    wait_for_correction(ready, kind, name, seen)
    drift = detections(ready, kind, name)[-1]
    assert drift.kind == "Changed"
    assert drift.managers == (f"mallory-{resource}",)
    assert any(found.startswith(path) for found in drift.paths), drift.paths
    assert _owned(ready.get(api_version, kind, name)) == content
    assert uids(ready) == before
    ready.wait(
        "told",
        lambda: any(
            event["reason"] == "DriftCorrected" and f"mallory-{resource}" in event["note"]
            for event in ready.kubernetes_events()
        ),
    )


@pytest.mark.parametrize("resource", EDITS)
def test_what_somebody_deletes_is_made_again_and_nothing_else_is_touched(ready: ClusterStage, resource: str) -> None:
    api_version, kind, name, _, _ = EDITS[resource]
    before, seen = uids(ready), len(corrections(ready, kind, name))
    content = _owned(ready.get(api_version, kind, name))
    ready.kubectl.ok("delete", resource, name, "--wait=false")
    wait_for_correction(ready, kind, name, seen)
    assert detections(ready, kind, name)[-1].kind in {"Missing", "Replaced"}
    after = uids(ready)
    assert {key for key in before if before[key] != after.get(key)} == {resource}
    assert _owned(ready.get(api_version, kind, name)) == content


def test_a_secret_of_ours_that_is_edited_or_deleted_comes_back_with_the_next_look(ready: ClusterStage) -> None:
    (name,) = {
        secret["metadata"]["name"]
        for secret in _secrets(ready)
        if base64.b64encode(PASSWORD.encode()).decode() in secret.get("data", {}).values()
    }
    key = next(key for secret in _secrets(ready) if secret["metadata"]["name"] == name for key in secret["data"])
    seen = len(corrections(ready, "Secret", name))
    forged = {"data": {key: base64.b64encode(b"Zq7-forged-canary-2Wx").decode()}}
    ready.secret_values.add("Zq7-forged-canary-2Wx")
    ready.kubectl.ok("patch", "secret", name, "--type=merge", "-p", json.dumps(forged), "--field-manager=mallory")
    wait_for_correction(ready, "Secret", name, seen)
    drift = detections(ready, "Secret", name)[-1]
    assert drift.managers == ("mallory",)
    assert _value(ready, name, key) == PASSWORD
    seen = len(corrections(ready, "Secret", name))
    ready.kubectl.ok("delete", "secret", name)
    wait_for_correction(ready, "Secret", name, seen)
    assert _value(ready, name, key) == PASSWORD


def test_what_others_may_write_is_no_drift(ready: ClusterStage) -> None:
    before = len(ready.events(e.DriftDetected))
    ready.kubectl.ok("annotate", "service", "prod-grafana", "example.com/owner=team")
    ready.kubectl.ok("label", "statefulset", "prod-prometheus", "example.com/team=obs")
    ready.kubectl.ok("rollout", "restart", "statefulset/prod-prometheus")
    ready.kubectl.ok("rollout", "status", "statefulset/prod-prometheus", "--timeout=60s", seconds=70)
    ready.wait_ready()
    assert len(ready.events(e.DriftDetected)) == before


def test_one_that_writes_without_end_is_fought_less_and_less_often(ready: ClusterStage) -> None:
    name, before = "prod-grafana", len(corrections(ready, "Service", "prod-grafana"))
    patch = '{"spec":{"selector":{"app.kubernetes.io/instance":"%s"}}}'
    for turn in range(25):
        ready.kubectl.ok("patch", "service", name, "--type=merge", "-p", patch % f"turn-{turn}")
    fought = len(corrections(ready, "Service", name)) - before
    assert 1 <= fought <= 12
    ready.wait("the last word", lambda: _instance(ready, name) == "prod", seconds=60)


def _instance(stage: ClusterStage, name: str) -> str:
    found = stage.get("v1", "Service", name)
    return str(found["spec"]["selector"]["app.kubernetes.io/instance"]) if found else ""


def _secrets(stage: ClusterStage) -> list[dict[str, Any]]:
    return stage.children(SECRET)


def _value(stage: ClusterStage, name: str, key: str) -> str:
    found = stage.get("v1", "Secret", name)
    return base64.b64decode(found["data"][key]).decode() if found else ""


def _owned(found: dict[str, Any] | None) -> dict[str, Any]:
    """What is the operator's in an object: without what servers and controllers fill in."""
    assert found is not None
    body = {key: value for key, value in found.items() if key not in {"status", "metadata"}}
    if found["kind"] == "Service":
        body["spec"] = {key: value for key, value in body["spec"].items() if not key.startswith("clusterIP")}
    labels = {key: value for key, value in found["metadata"]["labels"].items() if key.startswith("app.kubernetes.io")}
    return {**body, "labels": labels}
