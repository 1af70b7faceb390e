"""Tables, as `kubectl get` asks for them: columns, cells, and what goes along."""

import re
from typing import Any

import pytest

from tests.contract.samples import config_map, platform, widget, workload
from tests.contract.server import Object, Server, eventually

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
AGE = re.compile(r"\d+[smhd](\d+[smhd])?")


def table(server: Server, what: Object, **params: Any) -> Object:
    return server.request("GET", server.path(what), params=params, accept=TABLE).ok()


def columns(found: Object) -> list[str]:
    """`Name`, `Size:integer` where it is no text, `(Node)` where it is for -o wide."""
    shown = []
    for column in found["columnDefinitions"]:
        name = column["name"] + ("" if column["type"] == "string" else f":{column['type']}")
        shown.append(f"({name})" if column["priority"] else name)
        assert column["format"] == ("name" if column["name"] == "Name" else "")
    return shown


def cells(found: Object) -> list[Any]:
    """Cells of the only row; ages become `AGE`."""
    (row,) = found["rows"]
    return ["AGE" if isinstance(cell, str) and AGE.fullmatch(cell) else cell for cell in row["cells"]]


def service(name: str, **spec: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


# -- custom kinds --------------------------------------------------------------------------------------------------


def test_a_platform_without_status_shows_its_name_and_age(server: Server) -> None:
    server.create(platform()).ok()
    found = table(server, platform())
    assert columns(found) == [
        "Name",
        "Ready",
        "Phase",
        "Components",
        "Reason",
        "(Seq:integer)",
        "(Paused:boolean)",
        "(Message)",
        "Age:date",
    ]
    assert cells(found) == ["prod", None, None, None, None, None, False, None, "AGE"]


def test_a_platform_shows_its_status(server: Server) -> None:
    server.create(platform(paused=True, components={"grafana": {"enabled": True}})).ok()
    other = {"type": "Progressing", "status": "False", "reason": "X", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ready = {**other, "type": "Ready", "status": "True", "reason": "AllReady", "message": "fine"}
    status = {
        "phase": "Ready",
        "componentsReady": "1/1",
        "ledger": {"sequence": 5},
        "conditions": [other, ready],
    }
    server.patch(platform(), {"status": status}, subresource="status").ok()
    for version in ("v1alpha1", "v1beta1"):
        found = table(server, platform(version=f"observability.io/{version}"))
        assert cells(found) == ["prod", "True", "Ready", "1/1", "AllReady", 5, True, "fine", "AGE"]


def test_cells_of_a_type_show_values_of_that_type_alone(server: Server) -> None:
    group = f"{server.namespace}.example.com"
    kinds = ("string", "integer", "number", "boolean", "date")
    names = ("text", "whole", "broken", "on", "at", "list", "object", "none")
    body: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"cells.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": "Cell", "plural": "cells"},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    },
                    "additionalPrinterColumns": [
                        {"name": f"{name}-{kind}", "type": kind, "jsonPath": f".{name}"}
                        for name in names
                        for kind in kinds
                    ],
                }
            ],
        },
    }
    server.create(body).ok()
    what: Object = {"apiVersion": f"{group}/v1", "kind": "Cell"}
    try:
        eventually(lambda: server.get(what).status == 200, "cells served")
        values = {
            "text": "x",
            "whole": 5,
            "broken": 1.5,
            "on": True,
            "at": "2020-01-01T00:00:00Z",
            "list": [1, "a"],
            "object": {"b": 1, "a": "x"},
        }
        server.create({**what, "metadata": {"name": "x"}, **values}).ok()
        shown = dict(zip([f"{n}-{k}" for n in names for k in kinds], cells(table(server, what))[1:], strict=True))
    finally:
        server.delete(body)
    assert [shown[f"text-{kind}"] for kind in kinds] == ["x", None, None, None, "<invalid>"]
    assert [shown[f"whole-{kind}"] for kind in kinds] == ["5", 5, 5, None, None]
    assert [shown[f"broken-{kind}"] for kind in kinds] == ["1.5", 1, 1.5, None, None]
    assert [shown[f"on-{kind}"] for kind in kinds] == ["true", None, None, True, None]
    assert shown["at-string"] == "2020-01-01T00:00:00Z"
    assert re.fullmatch(r"\d+y(\d+d)?", shown["at-date"])
    assert [shown[f"list-{kind}"] for kind in kinds] == ['[1,"a"]', None, None, None, None]
    assert [shown[f"object-{kind}"] for kind in kinds] == ['{"a":"x","b":1}', None, None, None, None]
    assert [shown[f"none-{kind}"] for kind in kinds] == [None] * 5


# -- built-in kinds ------------------------------------------------------------------------------------------------


def test_config_maps_and_secrets_count_what_they_hold(server: Server) -> None:
    body = {**config_map("c", a="1", b="2"), "binaryData": {"c": "AA=="}}
    server.create(body).ok()
    found = table(server, config_map("c"))
    assert columns(found) == ["Name", "Data", "Age"]
    assert cells(found) == ["c", 3, "AGE"]
    secret: Object = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"x": "AA=="}}
    server.create(secret).ok()
    found = table(server, secret)
    assert columns(found) == ["Name", "Type", "Data", "Age"]
    assert cells(found) == ["s", "Opaque", 1, "AGE"]


def test_service_accounts_and_namespaces(server: Server) -> None:
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "a"}}
    server.create(account).ok()
    found = table(server, account)
    assert (columns(found), cells(found)) == (["Name", "Age"], ["a", "AGE"])
    found = table(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": server.namespace}})
    assert (columns(found), cells(found)) == (["Name", "Status", "Age"], [server.namespace, "Active", "AGE"])


def test_services_show_addresses_ports_and_selector(server: Server) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 90, "protocol": "UDP"}]
    server.create(service("plain", clusterIP="None", selector={"b": "1", "a": "2"}, ports=ports)).ok()
    found = table(server, service("plain"))
    assert columns(found) == ["Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "(Selector)"]
    assert cells(found) == ["plain", "ClusterIP", "None", "<none>", "80/TCP,90/UDP", "AGE", "a=2,b=1"]
    server.create(service("else", type="ExternalName", externalName="x.y")).ok()
    assert cells(table(server, service("else"))) == ["else", "ExternalName", "<none>", "x.y", "<none>", "AGE", "<none>"]
    server.create(service("out", type="LoadBalancer", ports=[{"port": 80}])).ok()
    name, kind, address, external, port, *_ = cells(table(server, service("out")))
    assert (name, kind, external) == ("out", "LoadBalancer", "<pending>")
    assert re.fullmatch(r"10\.\d+\.\d+\.\d+", address)
    assert re.fullmatch(r"80:3\d{4}/TCP", port)


def test_workloads_at_rest(server: Server) -> None:
    for kind in ("Deployment", "StatefulSet"):
        server.create(workload(kind, "web", 0)).ok()
    found = table(server, workload())
    assert columns(found) == [
        "Name",
        "Ready",
        "Up-to-date",
        "Available",
        "Age",
        "(Containers)",
        "(Images)",
        "(Selector)",
    ]
    assert cells(found) == ["web", "0/0", 0, 0, "AGE", "main", "web:1.0", "app=web"]
    found = table(server, workload("StatefulSet"))
    assert columns(found) == ["Name", "Ready", "Age", "(Containers)", "(Images)"]
    assert cells(found) == ["web", "0/0", "AGE", "main", "web:1.0"]
    sets: Object = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
    found = eventually(lambda: rows(table(server, sets)), "a ReplicaSet")
    assert columns(found) == [
        "Name",
        "Desired:integer",
        "Current:integer",
        "Ready:integer",
        "Age",
        "(Containers)",
        "(Images)",
        "(Selector)",
    ]
    name, *counts = cells(found)
    digest = name.removeprefix("web-")
    assert counts == [0, 0, 0, "AGE", "main", "web:1.0", f"app=web,pod-template-hash={digest}"]


def rows(found: Object) -> Object | None:
    return found if found["rows"] else None


def test_pods_show_how_they_fare(server: Server) -> None:
    server.create(workload("StatefulSet")).ok()
    pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0"}}

    def running() -> Object | None:
        answer = server.request("GET", server.path(pod), accept=TABLE)
        return answer.body if answer.status == 200 and answer.body["rows"][0]["cells"][1] == "1/1" else None

    found = eventually(running, "the pod is ready")
    assert columns(found) == [
        "Name",
        "Ready",
        "Status",
        "Restarts",
        "Age",
        "(IP)",
        "(Node)",
        "(Nominated Node)",
        "(Readiness Gates)",
    ]
    name, ready, status, restarts, age, address, node, nominated, gates = cells(found)
    assert (name, ready, status, restarts, age) == ("web-0", "1/1", "Running", "0", "AGE")
    assert re.fullmatch(r"10\.\d+\.\d+\.\d+", address)
    assert node not in ("", "<none>")
    assert (nominated, gates) == ("<none>", "<none>")


def test_a_claim_without_a_volume_and_one_with(server: Server) -> None:
    def claim(name: str, **spec: Any) -> Object:
        asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
        return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": asked}

    server.create(claim("lost", storageClassName="nowhere")).ok()
    found = table(server, claim("lost"))
    assert columns(found) == [
        "Name",
        "Status",
        "Volume",
        "Capacity",
        "Access Modes",
        "StorageClass",
        "VolumeAttributesClass",
        "Age",
        "(VolumeMode)",
    ]
    assert cells(found) == ["lost", "Pending", "", "", "", "nowhere", "<unset>", "AGE", "Filesystem"]
    server.create(claim("bound")).ok()
    pod = workload()["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": "bound"}}]
    server.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod}).ok()
    eventually(lambda: cells(table(server, claim("bound")))[1] == "Bound", "the claim is bound")
    name, status, volume, *rest = cells(table(server, claim("bound")))
    assert (name, status) == ("bound", "Bound")
    assert volume.startswith("pvc-")
    assert rest == ["1Gi", "RWO", "standard", "<unset>", "AGE", "Filesystem"]


def test_a_quota_shows_what_is_used_of_it(server: Server) -> None:
    hard = {"pods": "5", "limits.cpu": "2", "requests.storage": "2Gi"}
    meta = {"name": "q"}
    body: Object = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": hard}}
    server.create(body).ok()
    eventually(lambda: "used" in (server.get(body).ok().get("status") or {}), "the quota is counted")
    found = table(server, body)
    assert columns(found) == ["Name", "Request", "Limit", "Age"]
    assert cells(found) == ["q", "pods: 0/5, requests.storage: 0/2Gi", "limits.cpu: 0/2", "AGE"]


def test_network_kinds_budgets_and_leases(server: Server) -> None:
    hosts = [{"host": f"h{at}.x"} for at in range(5)]
    network = "networking.k8s.io/v1"
    selector = {
        "matchLabels": {"b": "1", "a": "2"},
        "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["y", "x"]},
            {"key": "d", "operator": "Exists"},
            {"key": "e", "operator": "DoesNotExist"},
        ],
    }
    for body, names, wanted in (
        (
            {"apiVersion": network, "kind": "Ingress", "spec": {"rules": hosts, "tls": [{"hosts": ["x"]}]}},
            ["Name", "Class", "Hosts", "Address", "Ports", "Age"],
            ["<none>", "h0.x,h1.x,h2.x + 2 more...", "", "80, 443", "AGE"],
        ),
        (
            {"apiVersion": network, "kind": "NetworkPolicy", "spec": {"podSelector": selector}},
            ["Name", "Pod-Selector", "Age"],
            ["a=2,b=1,c in (x,y),d,!e", "AGE"],
        ),
        (
            {
                "apiVersion": "policy/v1",
                "kind": "PodDisruptionBudget",
                "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"a": "b"}}},
            },
            ["Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"],
            ["N/A", "1", 0, "AGE"],
        ),
        (
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "me"}},
            ["Name", "Holder", "Age"],
            ["me", "AGE"],
        ),
    ):
        item: Object = {**body, "metadata": {"name": "x"}}
        server.create(item).ok()
        found = table(server, item)
        assert (columns(found), cells(found)) == (names, ["x", *wanted])


def test_events_of_both_groups_are_shown_alike(server: Server) -> None:
    about = {"kind": "ObservabilityPlatform", "name": "prod", "namespace": server.namespace}
    old: Object = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "old"},
        "involvedObject": {**about, "fieldPath": "spec.x"},
        "reason": "Made",
        "message": " said ",
        "type": "Normal",
        "source": {"component": "c", "host": "h"},
        "count": 3,
        "firstTimestamp": "2020-01-01T00:00:00Z",
        "lastTimestamp": "2020-01-01T00:00:00Z",
    }
    new: Object = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "new"},
        "regarding": about,
        "reason": "Made",
        "note": "said",
        "type": "Warning",
        "action": "Make",
        "reportingController": "stackledger",
        "reportingInstance": "i",
        "eventTime": "2020-01-01T00:00:00.000000Z",
    }
    for body in (old, new):
        server.create(body).ok()
    for version in ("v1", "events.k8s.io/v1"):
        found = table(server, {**old, "apiVersion": version})
        assert columns(found) == [
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "(Subobject)",
            "(Source)",
            "Message",
            "(First Seen)",
            "(Count)",
            "(Name)",
        ]
        last, *middle, first, count, name = cells(found)
        assert middle == ["Normal", "Made", "observabilityplatform/prod", "spec.x", "c, h", "said"]
        assert (last, count, name) == (first, 3, "old")
        assert re.fullmatch(r"\d+y(\d+d)?", first)
        _, *middle, _, count, name = cells(table(server, {**new, "apiVersion": version}))
        assert middle == ["Warning", "Made", "observabilityplatform/prod", "", "stackledger, i", "said"]
        assert (count, name) == (1, "new")


def test_definitions_and_storage_classes(server: Server) -> None:
    definition: Object = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "observabilityplatforms.observability.io"},
    }
    found = table(server, definition)
    assert columns(found) == [
        "Name",
        "Scope",
        "Versions",
        "Created At:date",
        "(Group)",
        "(Kind)",
        "(ShortNames)",
        "(Established:boolean)",
    ]
    name, scope, versions, created, *rest = cells(found)
    assert (name, scope, versions) == (definition["metadata"]["name"], "Namespaced", "v1alpha1,v1beta1(storage)")
    assert created == server.get(definition).ok()["metadata"]["creationTimestamp"]
    assert rest == ["observability.io", "ObservabilityPlatform", "obsp", True]
    # Only a list knows which class is the default one.
    found = table(server, {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"})
    found["rows"] = [row for row in found["rows"] if "(default)" in row["cells"][0]]
    names = ["Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"]
    assert columns(found) == names
    name, _, reclaim, binding, grows, _ = cells(found)
    assert (name, reclaim, grows) == ("standard (default)", "Delete", True)
    assert binding in ("Immediate", "WaitForFirstConsumer")


# -- what goes along -----------------------------------------------------------------------------------------------


def test_a_row_carries_the_metadata_unless_more_or_nothing_is_asked_for(server: Server) -> None:
    created = server.create(config_map("c")).ok()
    for include, wanted in (
        ("", {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"]}),
        (
            "Metadata",
            {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": created["metadata"]},
        ),
        ("Object", created),
        ("None", None),
    ):
        (row,) = table(server, config_map("c"), includeObject=include)["rows"]
        assert row["object"] == wanted
    answer = server.request("GET", server.path(config_map("c")), params={"includeObject": "X"}, accept=TABLE)
    wrong = "includeObject: Invalid value: \"X\": must be 'Metadata', 'Object', 'None', or empty"
    assert answer.refusal() == (400, "BadRequest", f"Unable to convert to Table as requested: {wrong}")


def test_a_table_of_a_list_has_the_metadata_of_the_list(server: Server) -> None:
    for name in ("a", "b"):
        server.create(widget(name)).ok()
    found = table(server, widget(), limit=1)
    assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert set(found["metadata"]) == {"resourceVersion", "continue", "remainingItemCount"}
    assert [row["cells"][0] for row in found["rows"]] == ["a"]
    found = table(server, widget(), limit=1, **{"continue": found["metadata"]["continue"]})
    assert [row["cells"][0] for row in found["rows"]] == ["b"]
    assert set(found["metadata"]) == {"resourceVersion"}
    empty = table(server, widget(), labelSelector="none=1")
    assert empty["rows"] == []
    assert columns(empty)[0] == "Name"


@pytest.mark.parametrize(
    "accept", [TABLE, f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"]
)
def test_refusals_are_no_tables(server: Server, accept: str) -> None:
    answer = server.request("GET", server.path(config_map("none")), accept=accept)
    assert answer.refusal() == (404, "NotFound", 'configmaps "none" not found')
    assert answer.body["details"] == {"name": "none", "kind": "configmaps"}


def test_a_write_answers_with_a_table_too(server: Server) -> None:
    answer = server.request("POST", server.path(config_map()), config_map("c"), accept=TABLE)
    assert answer.ok()["rows"][0]["cells"][:2] == ["c", 1]
