"""What a server says it serves, in the forms kubectl and clients ask for it, and what is not there."""

import re
from typing import Any

import pytest

from tests.contract.samples import config_map, platform
from tests.contract.server import Object, Server, eventually

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
ALL = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
BELOW = {"get", "patch", "update"}
#: group/version -> plural -> (kind, short names, categories, namespaced, subresources): what the operator deals with.
SERVED: dict[str, dict[str, tuple[str, list[str], list[str], bool, list[str]]]] = {
    "v1": {
        "namespaces": ("Namespace", ["ns"], [], False, ["finalize", "status"]),
        "nodes": ("Node", ["no"], [], False, ["status"]),
        "pods": ("Pod", ["po"], ["all"], True, ["status"]),
        "services": ("Service", ["svc"], ["all"], True, ["status"]),
        "configmaps": ("ConfigMap", ["cm"], [], True, []),
        "secrets": ("Secret", [], [], True, []),
        "serviceaccounts": ("ServiceAccount", ["sa"], [], True, []),
        "persistentvolumeclaims": ("PersistentVolumeClaim", ["pvc"], [], True, ["status"]),
        "resourcequotas": ("ResourceQuota", ["quota"], [], True, ["status"]),
        "events": ("Event", ["ev"], [], True, []),
    },
    "apps/v1": {
        "deployments": ("Deployment", ["deploy"], ["all"], True, ["scale", "status"]),
        "replicasets": ("ReplicaSet", ["rs"], ["all"], True, ["scale", "status"]),
        "statefulsets": ("StatefulSet", ["sts"], ["all"], True, ["scale", "status"]),
    },
    "batch/v1": {"jobs": ("Job", [], ["all"], True, ["status"])},
    "events.k8s.io/v1": {"events": ("Event", ["ev"], [], True, [])},
    "networking.k8s.io/v1": {
        "ingresses": ("Ingress", ["ing"], [], True, ["status"]),
        "networkpolicies": ("NetworkPolicy", ["netpol"], [], True, []),
    },
    "policy/v1": {"poddisruptionbudgets": ("PodDisruptionBudget", ["pdb"], [], True, ["status"])},
    "storage.k8s.io/v1": {"storageclasses": ("StorageClass", ["sc"], [], False, [])},
    "coordination.k8s.io/v1": {"leases": ("Lease", [], [], True, [])},
    "apiextensions.k8s.io/v1": {
        "customresourcedefinitions": (
            "CustomResourceDefinition",
            ["crd", "crds"],
            ["api-extensions"],
            False,
            ["status"],
        )
    },
    **{
        f"observability.io/{version}": {
            "observabilityplatforms": ("ObservabilityPlatform", ["obsp"], ["observability"], True, ["status"])
        }
        for version in ("v1alpha1", "v1beta1")
    },
}


def path_of(group_version: str) -> str:
    return f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"


def verbs_of(plural: str) -> set[str]:
    """Namespaces are not deleted by the dozen."""
    return ALL - {"deletecollection"} if plural == "namespaces" else ALL


@pytest.mark.parametrize("group_version", SERVED)
def test_a_resource_list_tells_kinds_names_and_verbs(server: Server, group_version: str) -> None:
    found = server.request("GET", path_of(group_version)).ok()
    assert (found["kind"], found["groupVersion"]) == ("APIResourceList", group_version)
    entries = {entry["name"]: entry for entry in found["resources"]}
    for plural, (kind, short, categories, namespaced, subresources) in SERVED[group_version].items():
        entry = entries[plural]
        assert (entry["kind"], entry["singularName"], entry["namespaced"]) == (kind, kind.lower(), namespaced)
        assert set(entry["verbs"]) == verbs_of(plural)
        assert (entry.get("shortNames", []), entry.get("categories", [])) == (short, categories)
        for name in subresources:
            below = entries[f"{plural}/{name}"]
            assert set(below["verbs"]) == ({"update"} if name == "finalize" else BELOW)
            assert (below["namespaced"], below["singularName"]) == (namespaced, "")
            scale = (below["kind"], below.get("group"), below.get("version"))
            assert scale == (("Scale", "autoscaling", "v1") if name == "scale" else (kind, None, None))


def test_groups_name_their_versions_with_the_preferred_one_first(server: Server) -> None:
    found = server.request("GET", "/apis").ok()
    assert (found["kind"], found["apiVersion"]) == ("APIGroupList", "v1")
    groups = {group["name"]: group for group in found["groups"]}
    assert set(groups) >= {name.partition("/")[0] for name in SERVED if "/" in name}
    versions = [{"groupVersion": f"observability.io/{name}", "version": name} for name in ("v1beta1", "v1alpha1")]
    ours = {"name": "observability.io", "versions": versions, "preferredVersion": versions[0]}
    assert groups["observability.io"] == ours
    alone = server.request("GET", "/apis/observability.io").ok()
    assert alone == {"kind": "APIGroup", "apiVersion": "v1", **ours}
    core = server.request("GET", "/api").ok()
    assert (core["kind"], core["versions"]) == ("APIVersions", ["v1"])
    assert [set(one) for one in core["serverAddressByClientCIDRs"]] == [{"clientCIDR", "serverAddress"}]


def test_everything_in_one_answer(server: Server) -> None:
    """What kubectl asks first."""
    found: dict[str, Object] = {}
    for path in ("/api", "/apis"):
        answer = server.request("GET", path, accept=AGGREGATED + ",application/json")
        assert answer.headers["content-type"] == AGGREGATED
        body = answer.ok()
        assert (body["kind"], body["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
        for group in body["items"]:
            name = group["metadata"].get("name", "")
            for version in group["versions"]:
                assert version["freshness"] == "Current"
                found[f"{name}/{version['version']}" if name else version["version"]] = version
    for group_version, kinds in SERVED.items():
        entries = {entry["resource"]: entry for entry in found[group_version]["resources"]}
        for plural, (kind, short, categories, namespaced, subresources) in kinds.items():
            entry = entries[plural]
            assert entry["responseKind"]["kind"] == kind
            assert (entry["scope"], entry["singularResource"]) == (
                "Namespaced" if namespaced else "Cluster",
                kind.lower(),
            )
            assert set(entry["verbs"]) == verbs_of(plural)
            assert (entry.get("shortNames", []), entry.get("categories", [])) == (short, categories)
            assert {one["subresource"] for one in entry.get("subresources", [])} >= set(subresources)


def test_the_version_and_the_health_of_the_server(server: Server) -> None:
    version = server.request("GET", "/version").ok()
    assert (version["major"], version["minor"]) == ("1", "37")
    assert re.match(r"v1\.37\.\d+", version["gitVersion"])
    for path in ("/healthz", "/livez", "/readyz"):
        answer = server.request("GET", path)
        assert (answer.status, answer.raw) == (200, b"ok")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


# -- what is not there ---------------------------------------------------------------------------------------------


def test_a_kind_of_a_built_in_group_that_is_not_served_is_a_status(server: Server) -> None:
    message = "the server could not find the requested resource"
    for path in ("/api/v1/nopes", f"/api/v1/namespaces/{server.namespace}/nopes/x", "/apis/apps/v9", "/api/v9"):
        answer = server.request("GET", path)
        assert answer.refusal() == (404, "NotFound", message)
        assert answer.body["details"] == {}


def test_what_no_group_knows_is_a_page_that_was_not_found(server: Server) -> None:
    kinds = f"namespaces/{server.namespace}/observabilityplatforms"
    for path in (
        "/apis/nope.example",
        "/apis/nope.example/v1",
        f"/apis/nope.example/v1/namespaces/{server.namespace}/nopes",
        "/apis/observability.io/v9",
        f"/apis/observability.io/v9/{kinds}",
        "/apis/observability.io/v1beta1/nopes",
    ):
        answer = server.request("GET", path)
        assert (answer.status, answer.raw) == (404, b"404 page not found\n"), path
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_an_object_that_is_not_there_is_named(server: Server) -> None:
    for what, plural, details in (
        (config_map("x"), "configmaps", {"name": "x", "kind": "configmaps"}),
        (
            platform("x"),
            "observabilityplatforms.observability.io",
            {"name": "x", "group": "observability.io", "kind": "observabilityplatforms"},
        ),
    ):
        answer = server.get(what)
        assert answer.refusal() == (404, "NotFound", f'{plural} "x" not found')
        assert answer.body["details"] == details


def test_what_a_path_does_not_do_is_not_allowed(server: Server) -> None:
    message = "the server does not allow this method on the requested resource"
    for method, path in (
        ("DELETE", "/api/v1/namespaces"),
        ("PUT", f"/api/v1/namespaces/{server.namespace}/configmaps"),
        ("PATCH", f"/api/v1/namespaces/{server.namespace}/configmaps"),
        ("POST", f"/api/v1/namespaces/{server.namespace}/configmaps/x"),
        ("POST", f"/apis/apps/v1/namespaces/{server.namespace}/deployments/x/status"),
    ):
        answer = server.request(method, path, config_map("x"))
        assert answer.refusal() == (405, "MethodNotAllowed", message), (method, path)


# -- definitions come and go ---------------------------------------------------------------------------------------


def test_a_definition_is_served_soon_and_gone_soon_after_it_is_deleted(server: Server) -> None:
    group = f"{server.namespace}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions = [
        {"name": name, "served": served, "storage": name == "v1", "schema": {"openAPIV3Schema": schema}}
        for name, served in (("v1", True), ("v2", False), ("v1beta1", True), ("v10", True))
    ]
    names = {"kind": "Thing", "plural": "things", "shortNames": ["th"]}
    body: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": versions},
    }
    server.create(body).ok()
    what: Object = {"apiVersion": f"{group}/v1", "kind": "Thing"}
    eventually(lambda: server.get(what).status == 200, "things served")
    shown = server.get(body).ok()
    assert shown["spec"]["names"] == {**names, "singular": "thing", "listKind": "ThingList"}
    assert shown["spec"]["conversion"] == {"strategy": "None"}
    listed = eventually(lambda: served_versions(server, group), "the group is listed")
    assert listed == ["v10", "v1", "v1beta1"]
    server.create({**what, "metadata": {"name": "x"}}).ok()
    server.delete(body).ok()
    eventually(lambda: server.get(what).status == 404, "things gone")
    eventually(lambda: server.find(body) is None, "the definition is gone")
    eventually(lambda: not served_versions(server, group), "the group is gone")


def served_versions(server: Server, group: str) -> list[str]:
    groups = server.request("GET", "/apis").ok()["groups"]
    return [version["version"] for found in groups if found["name"] == group for version in found["versions"]]


# -- OpenAPI -------------------------------------------------------------------------------------------------------


def openapi(server: Server, group_version: str) -> Object:
    index = server.request("GET", "/openapi/v3").ok()["paths"]
    where = index[path_of(group_version).lstrip("/")]["serverRelativeURL"]
    assert re.fullmatch(rf"/openapi/v3{path_of(group_version)}\?hash=[0-9A-F]+", where)
    return server.request("GET", where).ok()


def test_open_api_describes_our_kind(server: Server) -> None:
    document = openapi(server, "observability.io/v1beta1")
    assert document["openapi"] == "3.0.0"
    schema = document["components"]["schemas"]["io.observability.v1beta1.ObservabilityPlatform"]
    marker = {"group": "observability.io", "kind": "ObservabilityPlatform", "version": "v1beta1"}
    assert schema["x-kubernetes-group-version-kind"] == [marker]
    assert schema["required"] == ["spec"]
    spec = schema["properties"]["spec"]
    assert spec["properties"]["paused"] == {**spec["properties"]["paused"], "type": "boolean", "default": False}
    assert spec["x-kubernetes-validations"]
    path = "/apis/observability.io/v1beta1/namespaces/{namespace}/observabilityplatforms/{name}"
    actions = document["paths"][path]
    assert {method: actions[method]["x-kubernetes-action"] for method in ("get", "put", "patch", "delete")} == {
        "get": "get",
        "put": "put",
        "patch": "patch",
        "delete": "delete",
    }
    assert actions["patch"]["x-kubernetes-group-version-kind"] == marker
    assert set(actions["patch"]["requestBody"]["content"]) == {
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    }
    query = {parameter["name"] for parameter in actions["patch"]["parameters"]}
    assert {"dryRun", "fieldManager", "fieldValidation", "force"} <= query


def test_open_api_describes_built_in_kinds(server: Server) -> None:
    document = openapi(server, "apps/v1")
    schema = next(found for found in document["components"]["schemas"].values() if is_of(found, "StatefulSet"))
    assert schema["properties"]["spec"]
    path = "/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
    content = document["paths"][path]["patch"]["requestBody"]["content"]
    assert "application/strategic-merge-patch+json" in content
    assert "application/apply-patch+yaml" in content


def is_of(schema: Any, kind: str) -> bool:
    return any(one["kind"] == kind for one in schema.get("x-kubernetes-group-version-kind", []))


# -- kubectl -------------------------------------------------------------------------------------------------------


def test_kubectl_explains_our_kind(server: Server) -> None:
    explained = server.kubectl.ok("explain", "obsp")
    head = "GROUP:      observability.io\nKIND:       ObservabilityPlatform\nVERSION:    v1beta1\n"
    assert explained.startswith(head)
    flat = " ".join(explained.split())
    assert "metadata <ObjectMeta> Standard object's metadata." in flat
    assert "kind <string> Kind is a string value representing the REST resource this object represents." in flat
    assert "spec <Object> -required- The desired state of an observability platform." in flat
    flat = " ".join(server.kubectl.ok("explain", "obsp.status.conditions").split())
    assert "FIELD: conditions <[]Object>" in flat
    assert "status <string> -required- enum: True, False, Unknown" in flat
    whole = server.kubectl.ok("explain", "obsp.spec.components", "--recursive")
    for name in ("prometheus", "loki", "tempo", "grafana", "alertmanager"):
        assert f"  {name}\t<Object>\n" in whole
    assert "VERSION:    v1alpha1" in server.kubectl.ok("explain", "obsp", "--api-version=observability.io/v1alpha1")
    assert 'field "nope" does not exist' in server.kubectl.refused("explain", "obsp.nope")


def test_kubectl_knows_short_names_and_categories(server: Server) -> None:
    listed = server.kubectl.ok("api-resources", "--api-group=observability.io").splitlines()
    assert [line.split() for line in listed[1:]] == [
        ["observabilityplatforms", "obsp", "observability.io/v1beta1", "true", "ObservabilityPlatform"]
    ]
    named = server.kubectl.ok("api-resources", "--categories=observability", "-o", "name")
    assert named == "observabilityplatforms.observability.io\n"
    server.create(platform()).ok()
    for word in ("obsp", "observabilityplatform", "observability", "observabilityplatforms.v1alpha1.observability.io"):
        found = server.kubectl.ok("get", word, "-o", "name")
        assert found == "observabilityplatform.observability.io/prod\n"
