"""The call that the operator makes everything with: applied if absent, refused if anything of the name is there."""

from typing import Any

import pytest

from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.kubernetes_cluster import NO_OBJECTS_VERSION, KubernetesCluster
from reconciler.shell.resources import CONFIG_MAP, resource_for
from tests.contract.server import APPLY, Server

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ConfigMap": ("v1", {"data": {"key": "value"}}),
    "Secret": ("v1", {"data": {"key": "dmFsdWU="}}),
    "ServiceAccount": ("v1", {}),
    "Service": ("v1", {"spec": {"ports": [{"port": 80}]}}),
    "NetworkPolicy": ("networking.k8s.io/v1", {"spec": {"podSelector": {}}}),
    "Ingress": (
        "networking.k8s.io/v1",
        {"spec": {"defaultBackend": {"service": {"name": "one", "port": {"number": 80}}}}},
    ),
    "PodDisruptionBudget": ("policy/v1", {"spec": {"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}}),
    "Deployment": ("apps/v1", {"spec": {"selector": {"matchLabels": {"a": "b"}}, "replicas": 0}}),
    "StatefulSet": (
        "apps/v1",
        {"spec": {"selector": {"matchLabels": {"a": "b"}}, "replicas": 0, "serviceName": "one"}},
    ),
}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "one", "image": "one:1"}]}}


def body_of(kind: str) -> dict[str, Any]:
    api_version, rest = BODIES[kind]
    if "replicas" in rest.get("spec", {}):
        rest = {"spec": {**rest["spec"], "template": TEMPLATE}}
    metadata = {"name": "one", "resourceVersion": NO_OBJECTS_VERSION, "labels": {"of": "us"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


@pytest.mark.parametrize("kind", BODIES)
def test_an_apply_with_the_version_that_no_object_has_makes_and_never_changes(server: Server, kind: str) -> None:
    body = body_of(kind)
    resource = resource_for(body["apiVersion"], kind)
    group = "api" if resource.api_version == "v1" else "apis"
    path = f"/{group}/{resource.api_version}/namespaces/{server.namespace}/{resource.plural}/one"
    params = {"fieldManager": "stackledger", "force": "true"}
    made = server.request("PATCH", path, body, params, content_type=APPLY)
    assert made.status == 201
    entries = made.ok()["metadata"]["managedFields"]
    assert [(entry["manager"], entry["operation"]) for entry in entries] == [("stackledger", "Apply")]
    assert "f:resourceVersion" not in str(entries)
    again = server.request("PATCH", path, body, params, content_type=APPLY)
    assert again.refusal()[:2] == (409, "Conflict")
    found = server.request("GET", path).ok()["metadata"]
    # Controllers may have written in between; an apply would have come back with another entry or another time.
    assert (found["uid"], found["managedFields"][0]) == (made.ok()["metadata"]["uid"], entries[0])


def test_the_port_makes_what_is_absent_and_leaves_what_is_there(server: Server) -> None:
    transport = ApiTransport(
        lambda: load_configuration(str(server.kubeconfig)), monotonic=lambda: 0.0, user_agent="contract"
    )
    cluster = KubernetesCluster(transport)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "two"}, "data": {"key": "ours"}}
    theirs = {**body, "metadata": {"name": "three"}, "data": {"key": "theirs"}}
    server.request("POST", f"/api/v1/namespaces/{server.namespace}/configmaps", theirs).ok()
    try:
        made = cluster.apply_new(CONFIG_MAP, server.namespace, body, manager="stackledger")
        assert made is not None
        assert made["data"] == {"key": "ours"}
        three = {**body, "metadata": {"name": "three"}}
        assert cluster.apply_new(CONFIG_MAP, server.namespace, three, manager="stackledger") is None
        found = cluster.get(CONFIG_MAP, server.namespace, "three")
        assert found is not None
        assert found["data"] == {"key": "theirs"}
    finally:
        transport.close()
