"""Create, replace, patch and delete: bookkeeping, preconditions, refusals in the words of a real server."""

from typing import Any

import pytest

from sandbox.errors import StatusError
from sandbox.model import JSON, STRATEGIC, Write
from sandbox.values import Object, clone
from tests.sandbox.conftest import Bench, config_map, widget, workload


def claim(size: str = "1Gi", **spec: Any) -> Object:
    meta = {"name": "data", "namespace": "default"}
    body = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": body}


def service(name: str = "web", **spec: Any) -> Object:
    body = {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": body}


def test_a_created_object_gets_what_the_server_gives(bench: Bench) -> None:
    item = bench.create({**widget(size=2), "status": {"phase": "Ready"}})
    meta = item["metadata"]
    assert meta["creationTimestamp"] == "2026-03-01T12:00:00Z"
    assert (meta["generation"], meta["resourceVersion"]) == (1, str(bench.model.store.revision))
    assert meta["uid"]
    assert item["status"] == {"observedGeneration": -1}


def test_generate_name_makes_names_that_differ(bench: Bench) -> None:
    body = config_map()
    body["metadata"] = {"generateName": "c-", "namespace": "default"}
    names = {bench.create(body)["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("c-") and len(name) == 7 for name in names)


def test_creating_twice_is_already_exists(bench: Bench) -> None:
    bench.create(config_map())
    with pytest.raises(StatusError) as refused:
        bench.create(config_map())
    assert refused.value.body() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "c1" already exists',
        "reason": "AlreadyExists",
        "code": 409,
        "details": {"name": "c1", "kind": "configmaps"},
    }


def test_an_absent_object_and_an_absent_namespace_are_told_apart(bench: Bench) -> None:
    with pytest.raises(StatusError, match=r'widgets\.example\.com "w1" not found'):
        bench.patch(widget(), {"spec": {"size": 2}})
    body = widget()
    body["metadata"]["namespace"] = "nowhere"
    with pytest.raises(StatusError, match='namespaces "nowhere" not found') as refused:
        bench.create(body)
    assert refused.value.details == {"name": "nowhere", "kind": "namespaces"}


def test_generation_counts_changes_of_the_spec_only(bench: Bench) -> None:
    bench.create(widget(size=1))
    assert bench.patch(widget(), {"metadata": {"labels": {"a": "b"}}})["metadata"]["generation"] == 1
    assert bench.patch(widget(), {"spec": {"size": 2}})["metadata"]["generation"] == 2
    item = bench.patch(widget(), {"status": {"phase": "Ready"}, "spec": {"size": 5}}, subresource="status")
    assert item["metadata"]["generation"] == 2
    assert item["spec"]["size"] == 2
    item = bench.patch(widget(), {"status": {"phase": "Gone"}, "spec": {"size": 3}})
    assert item["status"]["phase"] == "Ready"
    assert item["metadata"]["generation"] == 3


def test_a_write_that_changes_nothing_has_no_revision(bench: Bench) -> None:
    item = bench.create(widget(size=2))
    same = bench.patch(widget(), {"spec": {"size": 2}})
    assert same["metadata"]["resourceVersion"] == item["metadata"]["resourceVersion"]
    assert bench.replace(clone(item))["metadata"]["resourceVersion"] == item["metadata"]["resourceVersion"]


def test_a_stale_resource_version_is_a_conflict(bench: Bench) -> None:
    stale = clone(bench.create(widget(size=2)))
    bench.patch(widget(), {"spec": {"size": 3}})
    stale["spec"]["size"] = 4
    with pytest.raises(StatusError) as refused:
        bench.replace(stale)
    assert refused.value.message == (
        'Operation cannot be fulfilled on widgets.example.com "w1": the object has been modified; please apply your '
        "changes to the latest version and try again"
    )
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")


def test_replacing_a_custom_resource_needs_a_resource_version(bench: Bench) -> None:
    bench.create(widget(size=2))
    with pytest.raises(StatusError, match=r"metadata\.resourceVersion: Invalid value"):
        bench.replace(widget(size=3))


def test_another_uid_is_refused_on_replace_patch_and_delete(bench: Bench) -> None:
    item = clone(bench.create(widget(size=2)))
    other = "11111111-0000-4000-8000-000000000000"
    item["metadata"]["uid"] = other
    with pytest.raises(StatusError, match="Precondition failed: UID in precondition: 11111111") as refused:
        bench.replace(item)
    assert refused.value.code == 409
    with pytest.raises(StatusError) as refused:
        bench.patch(widget(), {"metadata": {"uid": other}})
    assert refused.value.code == 422
    with pytest.raises(StatusError, match=r"the UID in the precondition \(11111111") as refused:
        bench.delete(widget(), uid=other)
    assert refused.value.code == 409
    assert bench.find(widget()) is not None


def test_server_metadata_cannot_be_written(bench: Bench) -> None:
    before = clone(bench.create(widget(size=2)))
    forged = {
        "creationTimestamp": "2020-01-01T00:00:00Z",
        "generation": 99,
        "deletionTimestamp": "2020-01-01T00:00:00Z",
    }
    after = bench.patch(widget(), {"metadata": forged})
    assert after["metadata"] == before["metadata"]


def test_a_dry_run_answers_and_writes_nothing(bench: Bench) -> None:
    revision = bench.model.store.revision
    assert bench.create(widget(size=2), dry_run=True)["spec"]["size"] == 2
    assert bench.find(widget()) is None
    assert bench.model.store.revision == revision


def test_unknown_fields_are_pruned_warned_about_or_refused(bench: Bench) -> None:
    kind, version, namespace, _ = bench.target(widget())
    write = Write()
    item = bench.model.create(kind, version, namespace, widget(size=2, sise=3), write)
    assert item["spec"] == {"size": 2}
    assert write.warnings == ['unknown field "spec.sise"']
    with pytest.raises(StatusError, match=r'strict decoding error: unknown field "spec\.sise"') as refused:
        bench.create(widget("w2", size=2, sise=3), field_validation="Strict")
    assert refused.value.code == 400


def test_a_null_is_dropped_and_its_default_comes_back(bench: Bench) -> None:
    assert bench.create(widget(size=None, mode=None))["spec"] == {"size": 1}


def test_a_json_patch_tests_before_it_changes(bench: Bench) -> None:
    bench.create(widget(size=2, parts=[{"name": "x", "value": "1"}]))
    change = [
        {"op": "test", "path": "/spec/size", "value": 2},
        {"op": "add", "path": "/spec/parts/-", "value": {"name": "y"}},
        {"op": "remove", "path": "/spec/parts/0"},
        {"op": "replace", "path": "/spec/size", "value": 3},
    ]
    item = bench.patch(widget(), change, JSON)
    assert item["spec"] == {"size": 3, "parts": [{"name": "y"}]}
    with pytest.raises(StatusError) as refused:
        bench.patch(widget(), change, JSON)
    assert refused.value.code == 422


def test_a_strategic_merge_patch_merges_lists_by_key_and_can_delete_and_order(bench: Bench) -> None:
    body = workload()
    body["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    bench.create(body)
    containers = [
        {"name": "side", "$patch": "delete"},
        {"name": "main", "image": "web:2"},
        {"name": "new", "image": "n:1"},
    ]
    order = [{"name": "new"}, {"name": "main"}]
    spec = {"containers": containers, "$setElementOrder/containers": order}
    item = bench.patch(workload(), {"spec": {"template": {"spec": spec}}}, STRATEGIC)
    found = item["spec"]["template"]["spec"]["containers"]
    assert [(part["name"], part["image"]) for part in found] == [("new", "n:1"), ("main", "web:2")]
    assert found[1]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]


def test_a_strategic_merge_patch_of_a_custom_resource_is_415(bench: Bench) -> None:
    bench.create(widget())
    with pytest.raises(StatusError) as refused:
        bench.patch(widget(), {"spec": {"size": 2}}, STRATEGIC)
    assert refused.value.code == 415


def test_immutable_fields_are_refused_by_name(bench: Bench) -> None:
    bench.create(workload())
    labels = {"spec": {"selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}}}}
    with pytest.raises(StatusError, match=r"spec\.selector: Invalid value: .*: field is immutable") as refused:
        bench.patch(workload(), labels)
    assert refused.value.code == 422
    bench.create(workload("StatefulSet", "db"))
    with pytest.raises(StatusError, match=r'spec\.serviceName: Invalid value: "other": field is immutable') as refused:
        bench.patch(workload("StatefulSet", "db"), {"spec": {"serviceName": "other"}})
    assert refused.value.details["causes"][0]["field"] == "spec.serviceName"


def test_a_claim_grows_where_its_class_allows_it_and_never_shrinks(bench: Bench) -> None:
    bench.create(claim("2Gi"))
    with pytest.raises(StatusError, match="spec is immutable after creation except") as refused:
        bench.patch(claim(), {"spec": {"resources": {"requests": {"storage": "3Gi"}}}})
    bench.pass_time(1)
    assert bench.patch(claim(), {"spec": {"resources": {"requests": {"storage": "3Gi"}}}})["spec"]["resources"]
    with pytest.raises(StatusError, match=r"field can not be less than status\.capacity"):
        bench.patch(claim(), {"spec": {"resources": {"requests": {"storage": "1Gi"}}}})
    standard = bench.get("storage.k8s.io/v1", "StorageClass", "standard", "")
    bench.patch(standard, {"allowVolumeExpansion": False})
    with pytest.raises(StatusError, match="only dynamically provisioned pvc can be resized") as refused:
        bench.patch(claim(), {"spec": {"resources": {"requests": {"storage": "4Gi"}}}})
    assert refused.value.code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (widget("Bad_Name"), "metadata.name"),
        (service("a.b"), "metadata.name"),
        (service("w" * 64), "metadata.name"),
        (service(ports=[{"port": 70000}]), "spec.ports[0].port"),
        (service(ports=[{"port": 1}, {"port": 2}]), "spec.ports[0].name"),
        (workload(replicas=-1), "spec.replicas"),
        (workload(selector={"matchLabels": {"x": "y"}}), "spec.template.metadata.labels"),
        (claim(accessModes=[]), "spec.accessModes"),
        ({**config_map(), "data": {"bad key": "x"}}, "data[bad key]"),
        ({**config_map(), "data": {"big": "x" * 1048577}}, "[]"),
    ],
)
def test_invalid_objects_are_refused_with_the_field(bench: Bench, body: Object, field: str) -> None:
    with pytest.raises(StatusError) as refused:
        bench.create(body)
    assert refused.value.code == 422
    assert field in [cause["field"] for cause in refused.value.details["causes"]]


def test_labels_and_annotations_have_limits(bench: Bench) -> None:
    body = config_map()
    body["metadata"] |= {"labels": {"a": "x" * 64, "b": "-v"}, "annotations": {"n": "x" * 300_000}}
    with pytest.raises(StatusError) as refused:
        bench.create(body)
    assert "must be no more than 63 bytes" in refused.value.message
    assert "metadata.annotations: Too long: may not be more than 262144 bytes" in refused.value.message


def test_requests_above_limits_are_refused(bench: Bench) -> None:
    body = workload()
    resources = {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}
    body["spec"]["template"]["spec"]["containers"][0]["resources"] = resources
    with pytest.raises(StatusError, match="must be less than or equal to memory limit of 1Gi"):
        bench.create(body)


def test_string_data_of_a_secret_becomes_data(bench: Bench) -> None:
    meta = {"name": "s", "namespace": "default"}
    item = bench.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"a": "x"}})
    assert (item["data"], item["type"]) == ({"a": "eA=="}, "Opaque")
    assert "stringData" not in item


def test_a_service_gets_an_address_and_keeps_it(bench: Bench) -> None:
    item = bench.create(service())
    address = item["spec"]["clusterIP"]
    assert address.startswith("10.96.")
    assert bench.create(service("second"))["spec"]["clusterIP"] not in (address, "", None)
    assert bench.create(service("headless", clusterIP="None"))["spec"]["clusterIP"] == "None"
    with pytest.raises(StatusError, match="may not change once set"):
        bench.patch(service(), {"spec": {"clusterIP": "10.96.9.9"}})
    assert bench.apply(service(), force=True)["spec"]["clusterIP"] == address
