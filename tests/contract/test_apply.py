"""Server-side apply: who owns what, what an apply may take, must leave, and removes."""

import json
from typing import Any

import pytest

from reconciler.core.ownership import last_spec_manager, owned_digest, owners_of_changes, read_ownership, render_path
from tests.contract.bodies import (
    config_map,
    deployment,
    owned_by,
    platform,
    secret,
    service,
    stateful_set,
    widget,
    with_metadata,
)
from tests.contract.server import APPLY, Object, Server

OTHER_UID = "11111111-2222-4333-8444-555555555555"


def meta(item: Object) -> Object:
    found: Object = item["metadata"]
    return found


def entry(item: Object, manager: str, operation: str = "Apply") -> Object:
    """The one entry of a manager in managedFields."""
    (found,) = (
        one for one in meta(item)["managedFields"] if (one["manager"], one["operation"]) == (manager, operation)
    )
    return dict(found)


def fields(item: Object, manager: str, operation: str = "Apply") -> Object:
    """The fields of the one entry of a manager."""
    found: Object = entry(item, manager, operation)["fieldsV1"]
    return found


def managers(item: Object) -> list[tuple[str, str]]:
    """(manager, operation) of every entry, sorted."""
    return sorted((one["manager"], one["operation"]) for one in meta(item).get("managedFields") or [])


# -- what is owned -------------------------------------------------------------------------------------------------


def test_an_apply_creates_what_is_absent_and_owns_what_it_sent(server: Server) -> None:
    answer = server.apply(widget(size=2, parts=[{"name": "x", "value": "1"}], tags=["p"]), "one")
    assert answer.status == 201
    item = answer.ok()
    found = entry(item, "one")
    assert found["fieldsV1"] == {
        "f:spec": {
            "f:parts": {'k:{"name":"x"}': {".": {}, "f:name": {}, "f:value": {}}},
            "f:size": {},
            "f:tags": {'v:"p"': {}},
        }
    }
    assert found["time"].endswith("Z")
    del found["time"], found["fieldsV1"]
    assert found == {
        "manager": "one",
        "operation": "Apply",
        "apiVersion": "example.com/v1beta1",
        "fieldsType": "FieldsV1",
    }
    assert managers(item) == [("one", "Apply")]
    assert server.apply(widget(size=2), "one").status == 200


def test_defaults_are_owned_by_nobody(server: Server) -> None:
    item = server.apply(deployment(container={"ports": [{"containerPort": 80}]})).ok()
    assert item["spec"]["revisionHistoryLimit"] == 10
    assert fields(item, "stackledger") == {
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"main"}': {
                            ".": {},
                            "f:name": {},
                            "f:image": {},
                            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                        }
                    }
                },
            },
        }
    }


def test_metadata_that_is_applied_is_owned_field_by_field(server: Server) -> None:
    owner = server.create(config_map("owner")).ok()
    body = with_metadata(
        owned_by(config_map(), owner, controller=True),
        labels={"a": "1"},
        annotations={"n/b": "2"},
        finalizers=["example.com/hold"],
    )
    item = server.apply(body).ok()
    assert fields(item, "stackledger") == {
        "f:data": {"f:a": {}},
        "f:metadata": {
            "f:labels": {"f:a": {}},
            "f:annotations": {"f:n/b": {}},
            "f:finalizers": {'v:"example.com/hold"': {}},
            "f:ownerReferences": {f'k:{{"uid":"{meta(owner)["uid"]}"}}': {}},
        },
    }
    # The finalizer, no longer applied, goes: otherwise the namespace could not.
    assert "finalizers" not in meta(server.apply(owned_by(config_map(), owner)).ok())


def test_a_creation_owns_as_update_what_it_set_and_was_given(server: Server) -> None:
    item = server.create(with_metadata(widget(version="v1"), labels={"a": "1"}), fieldManager="maker").ok()
    found = entry(item, "maker", "Update")
    assert found["fieldsV1"] == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {".": {}, "f:size": {}, "f:version": {}},
    }


def test_a_write_without_a_manager_is_named_after_the_client(server: Server) -> None:
    assert managers(server.create(widget()).ok()) == [("contract", "Update")]


def test_an_apply_without_a_manager_is_refused(server: Server) -> None:
    answer = server.request("PATCH", server.path(widget()), widget(), content_type=APPLY)
    assert answer.refusal() == (
        422,
        "Invalid",
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
    )


def test_one_client_that_updates_and_applies_is_two_managers(server: Server) -> None:
    server.create(widget(size=1, version="v1"), fieldManager="one").ok()
    item = server.apply(widget(size=2), "one", force=True).ok()
    assert managers(item) == [("one", "Apply"), ("one", "Update")]
    assert fields(item, "one") == {"f:spec": {"f:size": {}}}
    assert fields(item, "one", "Update") == {"f:spec": {".": {}, "f:version": {}}}


def test_the_update_manager_of_the_same_client_conflicts_like_any_other(server: Server) -> None:
    server.create(widget(size=1), fieldManager="one").ok()
    code, reason, message = server.apply(widget(size=2), "one").refusal()
    assert (code, reason) == (409, "Conflict")
    assert message.startswith('Apply failed with 1 conflict: conflict with "one" using example.com/v1beta1')


def test_an_object_nobody_was_written_down_for_is_tracked_from_the_first_apply_on(server: Server) -> None:
    account: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "plain"}}
    assert managers(server.create(account).ok()) == []
    edited = server.patch(account, {"metadata": {"labels": {"a": "1"}}}, fieldManager="edit").ok()
    assert managers(edited) == []
    other = with_metadata(account, labels={"a": "2"})
    assert server.apply(other).refusal()[2] == (
        'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .metadata.labels.a'
    )
    item = server.apply(with_metadata(account, labels={"b": "2"})).ok()
    assert fields(item, "before-first-apply", "Update") == {"f:metadata": {"f:labels": {".": {}, "f:a": {}}}}
    assert meta(item)["labels"] == {"a": "1", "b": "2"}


# -- nothing to do -------------------------------------------------------------------------------------------------


def test_a_second_equal_apply_writes_nothing(server: Server) -> None:
    server.apply(widget(size=1)).ok()
    for body in (widget(size=2), config_map(), secret(data={"a": "eA=="}), service(), stateful_set("idle")):
        first = server.apply(body).ok()
        second = server.apply(body, force=True).ok()
        if body["kind"] == "StatefulSet":
            # Its controller may write the status meanwhile; what is ours is the same all the same.
            assert (entry(first, "stackledger"), first["spec"]) == (entry(second, "stackledger"), second["spec"])
        else:
            assert first == second


def test_an_apply_of_less_that_others_hold_changes_owners_only(server: Server) -> None:
    server.apply(widget(size=2, version="v1"), "one").ok()
    first = server.apply(widget(size=2, version="v1"), "two").ok()
    second = server.apply(widget(size=2), "one").ok()
    assert second["spec"] == first["spec"]
    assert meta(second)["generation"] == meta(first)["generation"]
    assert meta(second)["resourceVersion"] != meta(first)["resourceVersion"]
    assert fields(second, "one") == {"f:spec": {"f:size": {}}}


# -- conflicts -----------------------------------------------------------------------------------------------------


def test_another_value_is_a_conflict_that_names_manager_and_field(server: Server) -> None:
    server.apply(widget(size=2), "one").ok()
    answer = server.apply(widget(size=3), "two")
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'Apply failed with 1 conflict: conflict with "one": .spec.size',
        "reason": "Conflict",
        "details": {
            "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".spec.size"}]
        },
        "code": 409,
    }
    assert server.get(widget()).ok()["spec"]["size"] == 2


def test_several_conflicts_are_listed_by_manager(server: Server) -> None:
    server.apply(widget(size=2, version="v1"), "one").ok()
    server.apply(widget(mode="a"), "other").ok()
    assert server.apply(widget(size=3, version="v2"), "two").refusal()[2] == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.size\n- .spec.version'
    )
    message = server.apply(widget(size=3, mode="b"), "two").refusal()[2]
    assert message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .spec.size\nconflicts with "other":\n- .spec.mode'
    )


def test_a_conflict_with_an_update_names_the_version(server: Server) -> None:
    server.create(widget(size=2), fieldManager="maker").ok()
    assert server.apply(widget(size=3), "two").refusal()[2] == (
        'Apply failed with 1 conflict: conflict with "maker" using example.com/v1beta1: .spec.size'
    )


def test_a_conflict_with_a_write_of_the_status_names_the_subresource(server: Server) -> None:
    server.create(widget(size=2)).ok()
    server.patch(widget(), {"status": {"phase": "x"}}, subresource="status", fieldManager="other").ok()
    assert server.apply({**widget(), "status": {"phase": "y"}}, "one", "status").refusal()[2] == (
        'Apply failed with 1 conflict: conflict with "other" with subresource "status" using example.com/v1beta1: '
        ".status.phase"
    )


def test_a_conflict_in_a_list_is_shown_with_its_key(server: Server) -> None:
    server.apply(deployment(), "one").ok()
    assert server.apply(deployment(container={"image": "web:2.0"}), "two").refusal()[2] == (
        'Apply failed with 1 conflict: conflict with "one": .spec.template.spec.containers[name="main"].image'
    )


def test_a_forced_apply_takes_the_field_away(server: Server) -> None:
    server.apply(widget(size=2, version="v1"), "one").ok()
    item = server.apply(widget(size=3), "two", force=True).ok()
    assert item["spec"]["size"] == 3
    assert fields(item, "one") == {"f:spec": {"f:version": {}}}
    assert fields(item, "two") == {"f:spec": {"f:size": {}}}
    item = server.apply(widget(size=3, version="v2"), "two", force=True).ok()
    assert managers(item) == [("two", "Apply")]


def test_force_on_another_patch_is_refused(server: Server) -> None:
    server.create(widget()).ok()
    answer = server.patch(widget(), {"spec": {"size": 2}}, force=True)
    assert answer.refusal() == (
        422,
        "Invalid",
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
    )


def test_equal_values_are_owned_together_and_survive_one_owner(server: Server) -> None:
    server.apply(widget(size=2, version="v1"), "one").ok()
    item = server.apply(widget(size=2), "two").ok()
    assert managers(item) == [("one", "Apply"), ("two", "Apply")]
    item = server.apply(widget(version="v1"), "one").ok()
    assert item["spec"] == {"size": 2, "version": "v1"}


# -- pruning -------------------------------------------------------------------------------------------------------


def test_a_field_no_longer_applied_goes_unless_another_owns_it(server: Server) -> None:
    server.apply(widget(size=2, version="v1", mode="a"), "one").ok()
    server.apply(widget(size=2, version="v1"), "two").ok()
    item = server.apply(widget(size=2), "one").ok()
    assert item["spec"] == {"size": 2, "version": "v1"}


def test_a_field_with_a_default_falls_back_to_it(server: Server) -> None:
    server.apply(widget(size=1, version="v1"), "one").ok()
    item = server.apply(widget(version="v1"), "one").ok()
    assert item["spec"] == {"size": 1, "version": "v1"}
    server.apply(deployment(revisionHistoryLimit=3), "one").ok()
    assert server.apply(deployment(), "one").ok()["spec"]["revisionHistoryLimit"] == 10


def test_a_container_no_longer_applied_goes_whole(server: Server) -> None:
    both = deployment()
    both["spec"]["template"]["spec"]["containers"].append({"name": "side", "image": "side:1"})
    server.apply(both).ok()
    item = server.apply(deployment()).ok()
    assert [part["name"] for part in item["spec"]["template"]["spec"]["containers"]] == ["main"]


def test_a_struct_no_longer_applied_goes_with_its_defaults(server: Server) -> None:
    probe = {"httpGet": {"path": "/", "port": 80}}
    first = server.apply(deployment(container={"readinessProbe": probe})).ok()
    shown = first["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert shown == {
        "httpGet": {"path": "/", "port": 80, "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    item = server.apply(deployment()).ok()
    assert "readinessProbe" not in item["spec"]["template"]["spec"]["containers"][0]


def test_a_probe_changes_its_kind_in_one_apply(server: Server) -> None:
    server.apply(deployment(container={"readinessProbe": {"httpGet": {"path": "/", "port": 80}}})).ok()
    item = server.apply(deployment(container={"readinessProbe": {"tcpSocket": {"port": 80}}})).ok()
    probe = item["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]
    assert probe["tcpSocket"] == {"port": 80}
    assert "httpGet" not in probe


def test_a_map_no_longer_applied_goes_key_by_key(server: Server) -> None:
    server.apply(with_metadata(config_map(a="1", b="2"), labels={"x": "1", "y": "2"}), "one").ok()
    server.patch(config_map(), {"metadata": {"labels": {"z": "3"}}}).ok()
    item = server.apply(with_metadata(config_map(a="1"), labels={"x": "1"}), "one").ok()
    assert item["data"] == {"a": "1"}
    assert meta(item)["labels"] == {"x": "1", "z": "3"}
    item = server.apply(config_map(a="1"), "one").ok()
    assert meta(item)["labels"] == {"z": "3"}


def test_the_last_label_takes_the_map_with_it(server: Server) -> None:
    server.apply(with_metadata(config_map(), labels={"x": "1"})).ok()
    assert "labels" not in meta(server.apply(config_map()).ok())


def test_data_no_longer_applied_leaves_no_map(server: Server) -> None:
    server.apply(config_map()).ok()
    empty = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c1"}}
    item = server.apply(empty).ok()
    assert "data" not in item
    assert managers(item) == []


# -- lists ---------------------------------------------------------------------------------------------------------


def test_items_of_others_survive_an_apply(server: Server) -> None:
    server.apply(widget(size=1, parts=[{"name": "x", "value": "1"}], tags=["p"]), "one").ok()
    item = server.apply(widget(size=1, parts=[{"name": "y", "value": "2"}], tags=["q"]), "two").ok()
    assert sorted(part["name"] for part in item["spec"]["parts"]) == ["x", "y"]
    assert sorted(item["spec"]["tags"]) == ["p", "q"]
    item = server.apply(widget(size=1), "two").ok()
    assert [part["name"] for part in item["spec"]["parts"]] == ["x"]
    assert item["spec"]["tags"] == ["p"]


@pytest.mark.parametrize(
    ("live", "sent", "wanted"),
    [
        (["a", "b", "c"], ["c", "a"], ["b", "c", "a"]),
        (["a", "b"], ["b", "x", "a"], ["b", "x", "a"]),
        (["a", "b", "c", "d"], ["d", "b"], ["a", "c", "d", "b"]),
        (["a"], ["x", "a", "y"], ["x", "a", "y"]),
        (["a", "b"], ["x"], ["a", "b", "x"]),
        (["a", "b", "c"], ["x", "b"], ["a", "x", "b", "c"]),
    ],
)
def test_the_order_of_an_apply_wins_and_others_keep_theirs(
    server: Server, live: list[str], sent: list[str], wanted: list[str]
) -> None:
    server.apply(widget(size=1, parts=[{"name": name} for name in live], tags=live), "one").ok()
    item = server.apply(widget(size=1, parts=[{"name": name} for name in sent], tags=sent), "two").ok()
    assert ([part["name"] for part in item["spec"]["parts"]], item["spec"]["tags"]) == (wanted, wanted)


def test_an_atomic_list_is_owned_and_replaced_whole(server: Server) -> None:
    server.apply(deployment(container={"args": ["a", "b"]}), "one").ok()
    code, _, message = server.apply(deployment(container={"args": ["a"]}), "two").refusal()
    assert code == 409
    assert message.endswith('.spec.template.spec.containers[name="main"].args')
    item = server.apply(deployment(container={"args": ["a"]}), "two", force=True).ok()
    assert item["spec"]["template"]["spec"]["containers"][0]["args"] == ["a"]


def test_env_is_merged_by_name(server: Server) -> None:
    server.apply(deployment(container={"env": [{"name": "A", "value": "1"}]}), "one").ok()
    item = server.apply(deployment(container={"env": [{"name": "B", "value": "2"}]}), "two", force=True).ok()
    assert {one["name"]: one["value"] for one in item["spec"]["template"]["spec"]["containers"][0]["env"]} == {
        "A": "1",
        "B": "2",
    }


def test_ports_are_told_apart_by_number_and_protocol(server: Server) -> None:
    ports = [{"containerPort": 53, "name": "tcp"}, {"containerPort": 53, "protocol": "UDP", "name": "udp"}]
    item = server.apply(deployment(container={"ports": ports})).ok()
    assert len(item["spec"]["template"]["spec"]["containers"][0]["ports"]) == 2
    assert len(server.apply(deployment(container={"ports": ports}), force=True).ok()["spec"]) == len(item["spec"])
    service_ports = [{"port": 53, "name": "tcp"}, {"port": 53, "protocol": "UDP", "name": "udp"}]
    item = server.apply(service(ports=service_ports)).ok()
    assert [port["protocol"] for port in item["spec"]["ports"]] == ["TCP", "UDP"]


def test_the_same_port_twice_cannot_be_applied(server: Server) -> None:
    ports = [{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "b"}]
    code, _, message = server.apply(deployment(container={"ports": ports})).refusal()
    assert code == 500
    assert message == (
        "failed to create typed patch object (/web; apps/v1, Kind=Deployment): "
        '.spec.template.spec.containers[name="main"].ports: duplicate entries for key '
        '[containerPort=80,protocol="TCP"]'
    )


def test_the_same_port_twice_made_by_an_update_stays_through_an_apply(server: Server) -> None:
    ports = [{"containerPort": 80, "name": "a"}, {"containerPort": 80, "name": "b"}]
    server.create(deployment(container={"ports": ports})).ok()
    item = server.apply(deployment(container={"image": "web:2.0"}), force=True).ok()
    assert [port["name"] for port in item["spec"]["template"]["spec"]["containers"][0]["ports"]] == ["a", "b"]


def test_owner_references_are_merged_by_uid(server: Server) -> None:
    first, second = server.create(config_map("o1")).ok(), server.create(config_map("o2")).ok()
    server.apply(owned_by(config_map(), first), "one").ok()
    item = server.apply(owned_by(config_map(), second), "two").ok()
    assert [owner["name"] for owner in meta(item)["ownerReferences"]] == ["o1", "o2"]
    item = server.apply(config_map(), "one").ok()
    assert [owner["name"] for owner in meta(item)["ownerReferences"]] == ["o2"]


# -- drift ---------------------------------------------------------------------------------------------------------


def test_an_edit_takes_what_it_changed_and_no_more(server: Server) -> None:
    server.apply(widget(size=2, version="v1")).ok()
    item = server.patch(widget(), {"spec": {"size": 3, "version": "v1"}}, fieldManager="kubectl-edit").ok()
    assert fields(item, "stackledger") == {"f:spec": {"f:version": {}}}
    assert fields(item, "kubectl-edit", "Update") == {"f:spec": {"f:size": {}}}


def test_a_deleted_field_is_owned_by_nobody(server: Server) -> None:
    server.apply(config_map(a="1", b="2")).ok()
    item = server.patch(config_map(), {"data": {"b": None}}, fieldManager="kubectl-edit").ok()
    assert fields(item, "stackledger") == {"f:data": {"f:a": {}}}
    assert managers(item) == [("stackledger", "Apply")]


def test_an_edit_that_is_undone_does_not_give_the_field_back(server: Server) -> None:
    server.apply(widget(size=2, version="v1")).ok()
    server.patch(widget(), {"spec": {"version": "v2"}}, fieldManager="kubectl-edit").ok()
    item = server.patch(widget(), {"spec": {"version": "v1"}}, fieldManager="kubectl-edit").ok()
    assert fields(item, "stackledger") == {"f:spec": {"f:size": {}}}


def test_applying_again_repairs_a_drift_and_owns_it_again(server: Server) -> None:
    first = server.apply(config_map(a="1", b="2")).ok()
    server.patch(config_map(), {"data": {"a": "x", "b": None, "c": "3"}}, fieldManager="kubectl-edit").ok()
    item = server.apply(config_map(a="1", b="2"), force=True).ok()
    assert item["data"] == {"a": "1", "b": "2", "c": "3"}
    assert fields(item, "stackledger") == fields(first, "stackledger")
    assert fields(item, "kubectl-edit", "Update") == {"f:data": {"f:c": {}}}


def drifted(server: Server, body: Object, change: Object) -> tuple[Object, Object]:
    """The object as applied, and as it is after somebody's edit."""
    before = server.apply(body).ok()
    return before, server.patch(body, change, fieldManager="kubectl-edit").ok()


def test_the_operator_sees_who_changed_what(server: Server) -> None:
    body = deployment()
    image = [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "web:9"}]
    before = server.apply(body).ok()
    path = server.path(body)
    after = server.request(
        "PATCH", path, image, {"fieldManager": "kubectl-edit"}, content_type="application/json-patch+json"
    ).ok()
    assert owned_digest(before) != owned_digest(after) != ""
    assert owners_of_changes(after, body) == (
        ("kubectl-edit",),
        ("spec.template.spec.containers[name=main].image",),
    )
    assert last_spec_manager(after) == "kubectl-edit"
    assert owned_digest(server.apply(body, force=True).ok()) == owned_digest(before)


def test_the_operator_sees_what_was_removed(server: Server) -> None:
    before, after = drifted(server, config_map(a="1", b="2"), {"data": {"b": None}})
    assert owned_digest(before) != owned_digest(after)
    assert owners_of_changes(after, config_map(a="1", b="2")) == ((), ("data.b",))


def test_what_others_add_beside_ours_is_no_drift(server: Server) -> None:
    before, after = drifted(server, config_map(a="1"), {"data": {"z": "9"}, "metadata": {"labels": {"l": "1"}}})
    assert owned_digest(before) == owned_digest(after)
    (writer,) = read_ownership(after).others
    assert sorted(render_path(path) for path in writer.paths) == ["data.z", "metadata.labels.l"]
    assert owners_of_changes(after, config_map(a="1")) == ((), ())


def test_scaling_is_seen_as_the_scalers_doing(server: Server) -> None:
    before = server.apply(stateful_set()).ok()
    server.kubectl.ok("scale", "statefulset/web", "--replicas", "1")
    after = server.get(stateful_set()).ok()
    assert owned_digest(before) != owned_digest(after)
    assert ".replicas" not in json.dumps(fields(after, "stackledger")).replace("f:", ".")
    scaled = next(one for one in meta(after)["managedFields"] if one.get("subresource") == "scale")
    assert (scaled["manager"], scaled["operation"]) == ("kubectl", "Update")
    assert scaled["fieldsV1"] == {"f:spec": {"f:replicas": {}}}


# -- fences --------------------------------------------------------------------------------------------------------


def test_an_apply_with_a_stale_resource_version_is_a_conflict(server: Server) -> None:
    first = server.apply(widget(size=2)).ok()
    server.patch(widget(), {"metadata": {"labels": {"a": "b"}}}).ok()
    body = with_metadata(widget(size=2), resourceVersion=meta(first)["resourceVersion"])
    code, reason, message = server.apply(body, force=True).refusal()
    assert (code, reason) == (409, "Conflict")
    assert message.endswith(
        "the object has been modified; please apply your changes to the latest version and try again"
    )


def test_an_apply_with_the_current_resource_version_goes_through(server: Server) -> None:
    first = server.apply(widget(size=2)).ok()
    body = with_metadata(widget(size=3), resourceVersion=meta(first)["resourceVersion"])
    assert server.apply(body).ok()["spec"]["size"] == 3


def test_an_apply_with_a_uid_is_fenced(server: Server) -> None:
    body = with_metadata(config_map(), uid=OTHER_UID)
    code, reason, message = server.apply(body).refusal()
    assert (code, reason) == (409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on configmaps "c1": uid mismatch: the provided object specified uid '
        f"{OTHER_UID}, and no existing object was found"
    )
    made = server.apply(config_map()).ok()
    assert server.apply(body).refusal() == (
        422,
        "Invalid",
        f'ConfigMap "c1" is invalid: metadata.uid: Invalid value: "{OTHER_UID}": field is immutable',
    )
    assert server.apply(with_metadata(config_map(), uid=meta(made)["uid"])).ok() == made


def test_an_apply_with_a_resource_version_and_no_object_creates_it(server: Server) -> None:
    # No fence at all, and a surprise: only the uid keeps a gone object from coming back.
    assert server.apply(with_metadata(config_map(), resourceVersion="1")).status == 201


# -- what cannot be applied ----------------------------------------------------------------------------------------


def test_managed_fields_cannot_be_applied(server: Server) -> None:
    code, reason, message = server.apply(with_metadata(config_map(), managedFields=[{"manager": "x"}])).refusal()
    assert (code, reason, message) == (400, "BadRequest", "metadata.managedFields must be nil")


def test_the_body_must_name_version_kind_and_name(server: Server) -> None:
    path = server.path(config_map())

    def sent(**fields: Any) -> tuple[int, str, str]:
        body = {key: value for key, value in {**config_map(), **fields}.items() if value is not None}
        return server.request("PATCH", path, body, {"fieldManager": "one"}, content_type=APPLY).refusal()

    assert sent(apiVersion=None)[:2] == (400, "BadRequest")
    assert sent(kind=None)[:2] == (400, "BadRequest")
    assert sent(kind="Secret")[:2] == (400, "BadRequest")
    assert sent(metadata={"name": "other"})[:2] == (400, "BadRequest")


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ({"size": "big"}, ".spec.size: expected numeric (int or float), got string"),
        ({"sise": 1}, ".spec.sise: field not declared in schema"),
        ({"parts": [{"name": "x"}, {"name": "x"}]}, '.spec.parts: duplicate entries for key [name="x"]'),
        ({"parts": {"name": "x"}}, ".spec.parts: expected list, got &{map[name:x]}"),
        ({"parts": "x"}, ".spec.parts: expected list, got &{x}"),
        ({"version": 3}, ".spec.version: expected string, got &value.valueUnstructured{Value:3}"),
        (
            {"parts": [{"value": "x"}]},
            (
                ".spec.parts: element 0: associative list with keys has an element that omits all key fields "
                '["name"] (and doesn\'t have default values for any key fields)'
            ),
        ),
        ({"tags": ["a", "a"]}, '.spec.tags: duplicate entries for key [="a"]'),
    ],
    ids=[
        "text-for-number",
        "unknown-field",
        "duplicate-key",
        "map-for-list",
        "text-for-list",
        "number-for-text",
        "item-without-key",
        "duplicate-in-set",
    ],
)
def test_what_cannot_be_typed_is_a_500(server: Server, spec: Object, fault: str) -> None:
    code, reason, message = server.apply(widget(**spec)).refusal()
    prefix = "failed to create typed patch object (/w1; example.com/v1beta1, Kind=Widget): "
    assert (code, reason, message) == (500, "", prefix + fault)


def test_what_cannot_be_typed_names_the_namespace_that_the_body_names(server: Server) -> None:
    body = with_metadata(config_map(), namespace=server.namespace)
    assert server.apply({**body, "foo": 1}).refusal()[2] == (
        f"failed to create typed patch object ({server.namespace}/c1; /v1, Kind=ConfigMap): "
        ".foo: field not declared in schema"
    )


def test_a_value_that_breaks_the_schema_is_invalid(server: Server) -> None:
    answer = server.apply(widget(size=9, version="x"))
    assert answer.status == 422
    assert {field for _, field, _ in answer.causes} == {"spec.size", "spec.version"}


def test_text_beyond_ascii_is_kept(server: Server) -> None:
    text = "µ-日本-\U0001f600"
    assert server.apply(config_map(a=text)).ok()["data"]["a"] == text


def test_escaped_surrogates_are_refused_in_an_apply_and_in_nothing_else(server: Server) -> None:
    escaped = json.dumps(config_map(a="\U0001f600"))
    answer = server.request("PATCH", server.path(config_map()), escaped, {"fieldManager": "x"}, content_type=APPLY)
    assert answer.refusal() == (
        400,
        "BadRequest",
        "error decoding patch: error converting YAML to JSON: yaml: found invalid Unicode character escape code",
    )
    assert server.request("POST", server.path(config_map(), name=""), escaped).ok()["data"]["a"] == "\U0001f600"


def test_an_applier_keeps_one_entry_through_both_versions(server: Server) -> None:
    server.apply(platform()).ok()
    item = server.apply({**platform(), "apiVersion": "observability.io/v1alpha1"}).ok()
    assert entry(item, "stackledger")["apiVersion"] == "observability.io/v1alpha1"
    assert managers(item) == [("stackledger", "Apply")]


def test_secret_values_sent_as_string_data_are_owned_as_that(server: Server) -> None:
    item = server.apply(secret(stringData={"a": "x"})).ok()
    assert item["data"] == {"a": "eA=="}
    assert fields(item, "stackledger") == {"f:stringData": {"f:a": {}}}
