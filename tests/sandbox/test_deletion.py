"""Finalizers, propagation, garbage, namespaces and definitions on their way out."""

from typing import Any

import pytest

from sandbox.errors import StatusError
from sandbox.values import Object
from tests.sandbox.conftest import Bench, config_map, widget


def child_of(owner: Object, name: str = "child", *, blocking: bool = True, **meta: Any) -> Object:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "blockOwnerDeletion": blocking,
    }
    body = config_map(name)
    body["metadata"] |= {"ownerReferences": [reference], **meta}
    return body


def test_a_finalizer_holds_the_object_until_it_is_taken_off(bench: Bench) -> None:
    body = widget()
    body["metadata"]["finalizers"] = ["example.com/hold"]
    bench.create(body)
    deleted = bench.delete(widget())
    assert not deleted.gone
    assert deleted.item["metadata"]["deletionTimestamp"] == "2026-03-01T12:00:00Z"
    assert deleted.item["metadata"]["generation"] == 2
    again = bench.delete(widget())
    assert again.item["metadata"]["resourceVersion"] == deleted.item["metadata"]["resourceVersion"]
    bench.patch(widget(), {"metadata": {"finalizers": []}})
    assert bench.find(widget()) is None


def test_no_finalizer_can_be_added_to_a_deleted_object(bench: Bench) -> None:
    body = widget()
    body["metadata"]["finalizers"] = ["example.com/hold"]
    bench.create(body)
    bench.delete(widget())
    with pytest.raises(StatusError) as refused:
        bench.patch(widget(), {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}})
    assert refused.value.code == 422
    assert refused.value.message == (
        'Widget.example.com "w1" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the '
        'object is being deleted, found new finalizers []string{"example.com/more"}'
    )


def test_children_go_after_their_owner_in_the_background(bench: Bench) -> None:
    owner = bench.create(widget())
    bench.create(child_of(owner))
    assert bench.delete(widget()).gone
    assert bench.find(config_map("child")) is not None
    bench.pass_time()
    assert bench.find(config_map("child")) is None


def test_children_go_before_their_owner_in_the_foreground(bench: Bench) -> None:
    owner = bench.create(widget())
    bench.create(child_of(owner, finalizers=["example.com/hold"]))
    assert not bench.delete(widget(), policy="Foreground").gone
    bench.pass_time()
    assert bench.find(widget()) is not None
    bench.patch(config_map("child"), {"metadata": {"finalizers": []}})
    bench.pass_time()
    assert bench.find(widget()) is None


def test_orphans_stay_and_forget_their_owner(bench: Bench) -> None:
    owner = bench.create(widget())
    bench.create(child_of(owner))
    bench.delete(widget(), policy="Orphan")
    bench.pass_time()
    assert bench.find(widget()) is None
    child = bench.find(config_map("child"))
    assert child is not None
    assert "ownerReferences" not in child["metadata"]


def test_a_child_of_nobody_or_of_another_namespace_is_garbage(bench: Bench) -> None:
    bench.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}})
    owner = bench.create(widget())
    foreign = child_of(owner)
    foreign["metadata"]["namespace"] = "other"
    bench.create(foreign)
    stranger = child_of(owner, "stranger")
    stranger["metadata"]["ownerReferences"][0]["uid"] = "11111111-0000-4000-8000-000000000000"
    bench.create(stranger)
    bench.create(child_of(owner, "rightful"))
    bench.pass_time()
    assert "child" not in bench.names("ConfigMap")
    assert "stranger" not in bench.names("ConfigMap")
    assert "rightful" in bench.names("ConfigMap")


def test_a_recreated_owner_does_not_inherit_the_children(bench: Bench) -> None:
    bench.create(child_of(bench.create(widget())))
    bench.delete(widget())
    bench.create(widget())
    bench.pass_time()
    assert bench.find(config_map("child")) is None


def test_a_terminating_namespace_takes_nothing_in_and_ends_when_empty(bench: Bench) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "short"}}
    bench.create(namespace)
    held = config_map()
    held["metadata"] |= {"namespace": "short", "finalizers": ["example.com/hold"]}
    bench.create(held)
    bench.delete(namespace)
    bench.pass_time()
    assert bench.get("v1", "Namespace", "short", "")["status"]["phase"] == "Terminating"
    late = config_map("late")
    late["metadata"]["namespace"] = "short"
    with pytest.raises(StatusError) as refused:
        bench.create(late)
    assert refused.value.code == 403
    assert refused.value.message == (
        'configmaps "late" is forbidden: unable to create new content in namespace short because it is being terminated'
    )
    bench.patch(held, {"metadata": {"finalizers": []}})
    bench.pass_time()
    assert bench.find(namespace) is None


def test_custom_resources_go_with_their_definition(bench: Bench) -> None:
    body = widget()
    body["metadata"]["finalizers"] = ["example.com/hold"]
    bench.create(body)
    definition = bench.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com", "")
    bench.delete(definition)
    bench.pass_time()
    assert bench.find(widget()) is not None
    bench.patch(widget(), {"metadata": {"finalizers": []}})
    bench.pass_time()
    assert bench.model.registry.by_kind("example.com/v1beta1", "Widget") is None
