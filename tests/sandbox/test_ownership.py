"""Field ownership: who owns what after which write, and what an apply may take, must leave and removes."""

import pytest

from sandbox import fieldset
from sandbox.errors import StatusError
from sandbox.ownership import managers_of
from sandbox.values import Object
from tests.sandbox.conftest import Bench, config_map, widget, workload


def owned(item: Object, manager: str, operation: str = "Apply") -> set[str]:
    """Paths a manager owns, as text."""
    return {
        fieldset.show(path)
        for key, entry in managers_of(item).items()
        if (key.manager, key.operation) == (manager, operation)
        for path in entry.fields
    }


def test_an_apply_owns_what_it_sent_and_not_the_defaults(bench: Bench) -> None:
    item = bench.apply(workload(), manager="one")
    assert item["spec"]["revisionHistoryLimit"] == 10
    paths = owned(item, "one")
    assert ".spec.replicas" in paths
    assert '.spec.template.spec.containers[name="main"].image' in paths
    assert '.spec.template.spec.containers[name="main"].ports[containerPort=80,protocol="TCP"]' in paths
    assert ".spec.revisionHistoryLimit" not in paths
    assert ".apiVersion" not in paths
    assert not any(path.startswith(".metadata.name") for path in paths)


def test_fields_encode_as_kubernetes_stores_them(bench: Bench) -> None:
    item = bench.apply(widget(size=2, parts=[{"name": "x", "value": "1"}], tags=["p"]), manager="one")
    (entry,) = item["metadata"]["managedFields"]
    assert entry["fieldsV1"] == {
        "f:spec": {
            "f:parts": {'k:{"name":"x"}': {".": {}, "f:name": {}, "f:value": {}}},
            "f:size": {},
            "f:tags": {'v:"p"': {}},
        }
    }
    assert (entry["operation"], entry["apiVersion"], entry["fieldsType"]) == (
        "Apply",
        "example.com/v1beta1",
        "FieldsV1",
    )
    assert fieldset.encode(fieldset.decode(entry["fieldsV1"])) == entry["fieldsV1"]


def test_a_second_equal_apply_writes_nothing(bench: Bench) -> None:
    first = bench.apply(workload())
    revision = bench.model.store.revision
    second = bench.apply(workload())
    assert second["metadata"] == first["metadata"]
    assert bench.model.store.revision == revision


def test_another_value_conflicts_and_force_takes_the_field_away(bench: Bench) -> None:
    bench.apply(widget(size=2), manager="one")
    with pytest.raises(StatusError) as refused:
        bench.apply(widget(size=3), manager="two")
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "one": .spec.size'
    (cause,) = refused.value.details["causes"]
    assert cause == {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.size"}
    item = bench.apply(widget(size=3), manager="two", force=True)
    assert item["spec"]["size"] == 3
    assert owned(item, "one") == set()
    assert owned(item, "two") == {".spec.size"}


def test_several_conflicts_are_listed_by_manager(bench: Bench) -> None:
    bench.apply(widget(size=2, version="v1"), manager="one")
    with pytest.raises(StatusError) as refused:
        bench.apply(widget(size=3, version="v2"), manager="two")
    assert refused.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.size\n- .spec.version'
    )


def test_a_conflict_with_an_update_names_the_version(bench: Bench) -> None:
    bench.create(widget(size=2), manager="kubectl-create")
    with pytest.raises(StatusError) as refused:
        bench.apply(widget(size=3), manager="two")
    assert 'conflict with "kubectl-create" using example.com/v1beta1: .spec.size' in refused.value.message


def test_equal_values_are_owned_together(bench: Bench) -> None:
    bench.apply(widget(size=2), manager="one")
    item = bench.apply(widget(size=2), manager="two")
    assert owned(item, "one") == owned(item, "two") == {".spec.size"}


def test_a_field_no_longer_applied_goes_unless_another_owns_it(bench: Bench) -> None:
    bench.apply(widget(size=2, version="v1", mode="a"), manager="one")
    bench.apply(widget(version="v1"), manager="two")
    item = bench.apply(widget(size=2), manager="one")
    assert item["spec"] == {"size": 2, "version": "v1"}


def test_an_item_no_longer_applied_goes_whole(bench: Bench) -> None:
    both = workload()
    both["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    bench.apply(both)
    item = bench.apply(workload())
    assert [part["name"] for part in item["spec"]["template"]["spec"]["containers"]] == ["main"]


def test_a_struct_no_longer_applied_goes_with_its_defaults(bench: Bench) -> None:
    probed = workload()
    probed["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"httpGet": {"path": "/", "port": 80}}
    bench.apply(probed)
    item = bench.apply(workload())
    assert "readinessProbe" not in item["spec"]["template"]["spec"]["containers"][0]


def test_an_edit_takes_ownership_of_what_it_changed_only(bench: Bench) -> None:
    bench.apply(widget(size=2, version="v1"), manager="stackledger")
    item = bench.patch(widget(), {"spec": {"size": 3, "version": "v1"}}, manager="kubectl-edit")
    assert owned(item, "stackledger") == {".spec.version"}
    assert owned(item, "kubectl-edit", "Update") == {".spec.size"}


def test_a_deleted_field_is_owned_by_nobody(bench: Bench) -> None:
    bench.apply(config_map(a="1", b="2"), manager="stackledger")
    item = bench.patch(config_map(), {"data": {"b": None}}, manager="kubectl-edit")
    assert owned(item, "stackledger") == {".data.a"}


def test_applying_again_repairs_a_drift_and_owns_it_again(bench: Bench) -> None:
    bench.apply(config_map(a="1", b="2"), manager="stackledger")
    bench.patch(config_map(), {"data": {"a": "x", "b": None}}, manager="kubectl-edit")
    item = bench.apply(config_map(a="1", b="2"), manager="stackledger", force=True)
    assert item["data"] == {"a": "1", "b": "2"}
    assert owned(item, "stackledger") == {".data.a", ".data.b"}
    assert owned(item, "kubectl-edit", "Update") == set()


def test_items_of_others_survive_an_apply(bench: Bench) -> None:
    bench.apply(widget(parts=[{"name": "x", "value": "1"}], tags=["p"]), manager="one")
    item = bench.apply(widget(parts=[{"name": "y", "value": "2"}], tags=["q"]), manager="two")
    assert [part["name"] for part in item["spec"]["parts"]] == ["x", "y"]
    assert item["spec"]["tags"] == ["p", "q"]
    item = bench.apply(widget(size=1), manager="two")
    assert [part["name"] for part in item["spec"]["parts"]] == ["x"]
    assert item["spec"]["tags"] == ["p"]


def test_status_is_applied_under_its_own_manager_and_spec_is_left_alone(bench: Bench) -> None:
    bench.apply(widget(size=2), manager="stackledger")
    body = {**widget(size=5), "status": {"phase": "Ready", "conditions": [{"type": "Ready", "status": "True"}]}}
    item = bench.apply(body, manager="stackledger-status", subresource="status")
    assert item["spec"]["size"] == 2
    assert item["status"]["phase"] == "Ready"
    assert item["metadata"]["generation"] == 1
    assert owned(item, "stackledger") == {".spec.size"}
    assert ".status.phase" in owned(item, "stackledger-status")
    entry = next(e for e in item["metadata"]["managedFields"] if e["manager"] == "stackledger-status")
    assert entry["subresource"] == "status"


def test_a_status_in_a_normal_apply_is_ignored(bench: Bench) -> None:
    item = bench.apply({**widget(size=2), "status": {"phase": "Ready"}})
    assert item["status"] == {"observedGeneration": -1}


def test_an_apply_with_a_stale_resource_version_is_a_conflict(bench: Bench) -> None:
    first = bench.apply(widget(size=2))
    bench.patch(widget(), {"metadata": {"labels": {"a": "b"}}})
    body = widget(size=2)
    body["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    with pytest.raises(StatusError) as refused:
        bench.apply(body)
    assert refused.value.code == 409
    assert "please apply your changes to the latest version and try again" in refused.value.message


def test_an_apply_with_a_uid_is_fenced(bench: Bench) -> None:
    body = widget(size=2)
    body["metadata"]["uid"] = "11111111-0000-4000-8000-000000000000"
    with pytest.raises(StatusError) as refused:
        bench.apply(body)
    assert (refused.value.code, refused.value.reason) == (409, "Conflict")
    assert "uid mismatch" in refused.value.message
    bench.apply(widget(size=2))
    with pytest.raises(StatusError) as refused:
        bench.apply(body)
    assert refused.value.code == 422
    assert "metadata.uid" in refused.value.message


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"size": "big"}, ".spec.size: expected numeric (int or float), got string"),
        ({"sise": 1}, ".spec.sise: field not declared in schema"),
        ({"parts": [{"name": "x"}, {"name": "x"}]}, '.spec.parts: duplicate entries for key [name="x"]'),
    ],
    ids=["wrong-type", "unknown-field", "duplicate-key"],
)
def test_what_cannot_be_typed_is_a_500_as_in_a_cluster(bench: Bench, spec: Object, fault: str) -> None:
    with pytest.raises(StatusError) as refused:
        bench.apply(widget(**spec))
    assert refused.value.code == 500
    prefix = "failed to create typed patch object (default/w1; example.com/v1beta1, Kind=Widget): "
    assert refused.value.message == prefix + fault


def test_an_apply_that_drops_a_part_leaves_the_object_as_it_was_stored(bench: Bench) -> None:
    bench.apply(config_map(a="1"), manager="one")
    bench.apply(config_map(b="2"), manager="two")
    stored = bench.model.store.items(bench.target(config_map())[0].key, "default")
    before = next(item for item in stored if item["metadata"]["name"] == "c1")
    without = {key: part for key, part in config_map().items() if key != "data"}
    after = bench.apply(without, manager="one")
    assert after["data"] == {"b": "2"}
    assert before["data"] == {"a": "1", "b": "2"}
