"""Create, replace and patch: bookkeeping, preconditions, merge rules."""

from typing import Any

import pytest

from tests.contract.bodies import (
    claim,
    config_map,
    deployment,
    platform,
    secret,
    service,
    stateful_set,
    widget,
    with_metadata,
)
from tests.contract.server import JSON_PATCH, MERGE, STRATEGIC, Object, Server

OTHER_UID = "11111111-2222-4333-8444-555555555555"


def meta(answer: Object) -> Object:
    found: Object = answer["metadata"]
    return found


# -- create --------------------------------------------------------------------------------------------------------


def test_a_created_object_gets_what_the_server_gives(server: Server) -> None:
    answer = server.create({**widget(size=2), "status": {"phase": "Ready"}})
    assert answer.status == 201
    item = answer.ok()
    assert meta(item)["generation"] == 1
    assert meta(item)["namespace"] == server.namespace
    assert len(meta(item)["uid"]) == 36
    assert meta(item)["creationTimestamp"].endswith("Z")
    assert int(meta(item)["resourceVersion"]) > 0
    assert "selfLink" not in meta(item)
    assert item["status"] == {"observedGeneration": -1}
    assert server.get(widget()).ok() == item


def test_kinds_without_a_spec_to_count_have_no_generation(server: Server) -> None:
    assert "generation" not in meta(server.create(config_map()).ok())
    assert "generation" not in meta(server.create(secret()).ok())
    assert "generation" not in meta(server.create(service()).ok())
    assert "generation" not in meta(server.create(claim()).ok())
    assert meta(server.create(deployment()).ok())["generation"] == 1
    assert meta(server.create(stateful_set()).ok())["generation"] == 1


def test_what_only_the_server_writes_is_not_taken_from_a_creation(server: Server) -> None:
    sent = with_metadata(
        config_map(), uid=OTHER_UID, generation=7, creationTimestamp="2001-01-01T00:00:00Z", selfLink="/x"
    )
    made = meta(server.create(sent).ok())
    assert made["uid"] != OTHER_UID
    assert made["creationTimestamp"] > "2020"
    assert "selfLink" not in made


def test_a_creation_with_a_resource_version_is_refused(server: Server) -> None:
    answer = server.create(with_metadata(config_map(), resourceVersion="1"))
    assert answer.refusal() == (500, "", "resourceVersion should not be set on objects to be created")


def test_generate_name_makes_names_that_differ(server: Server) -> None:
    body = with_metadata(config_map(), generateName="c-")
    del body["metadata"]["name"]
    names = {meta(server.create(body).ok())["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("c-") and len(name) == 7 for name in names)


def test_a_long_generate_name_is_cut(server: Server) -> None:
    body = with_metadata(config_map(), generateName="x" * 70)
    del body["metadata"]["name"]
    assert len(meta(server.create(body).ok())["name"]) == 63


def test_a_creation_needs_a_name(server: Server) -> None:
    answer = server.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})
    code, reason, message = answer.refusal()
    assert (code, reason) == (422, "Invalid")
    assert message == 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'


def test_creating_twice_is_already_exists(server: Server) -> None:
    server.create(config_map()).ok()
    answer = server.create(config_map())
    assert answer.status == 409
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "c1" already exists',
        "reason": "AlreadyExists",
        "details": {"name": "c1", "kind": "configmaps"},
        "code": 409,
    }
    server.create(widget()).ok()
    answer = server.create(widget())
    assert answer.refusal() == (409, "AlreadyExists", 'widgets.example.com "w1" already exists')
    assert answer.body["details"] == {"name": "w1", "group": "example.com", "kind": "widgets"}


def test_an_absent_object_an_absent_namespace_and_an_absent_kind_are_told_apart(server: Server) -> None:
    answer = server.get(widget("absent"))
    assert answer.refusal() == (404, "NotFound", 'widgets.example.com "absent" not found')
    assert answer.body["details"] == {"name": "absent", "group": "example.com", "kind": "widgets"}
    nowhere = with_metadata(config_map(), namespace="contract-nowhere")
    answer = server.create(nowhere)
    assert answer.refusal() == (404, "NotFound", 'namespaces "contract-nowhere" not found')
    assert answer.body["details"] == {"name": "contract-nowhere", "kind": "namespaces"}
    assert server.get(nowhere).refusal() == (404, "NotFound", 'configmaps "c1" not found')
    answer = server.request("GET", f"/apis/example.com/v9/namespaces/{server.namespace}/widgets/w1")
    assert answer.status == 404
    answer = server.request("GET", f"/apis/example.com/v1beta1/namespaces/{server.namespace}/gadgets/w1")
    assert answer.status == 404


# -- generation ----------------------------------------------------------------------------------------------------


def test_generation_counts_changes_of_the_spec_only(server: Server) -> None:
    server.create(widget(size=1)).ok()

    def generation(patch: Object, subresource: str = "") -> Any:
        return meta(server.patch(widget(), patch, subresource=subresource).ok())["generation"]

    assert generation({"metadata": {"labels": {"a": "b"}}}) == 1
    assert generation({"status": {"phase": "Ready"}}, "status") == 1
    assert generation({"spec": {"size": 2}}) == 2
    assert generation({"spec": {"size": 2}}) == 2
    assert generation({"metadata": {"finalizers": ["example.com/x"]}}) == 2
    assert generation({"metadata": {"finalizers": None}, "spec": {"size": 3}}) == 3


def test_generation_of_built_in_workloads_counts_the_same_way(server: Server) -> None:
    for body in (deployment(), stateful_set()):
        server.create(body).ok()
        assert meta(server.patch(body, {"metadata": {"labels": {"a": "b"}}}).ok())["generation"] == 1
        assert meta(server.patch(body, {"spec": {"revisionHistoryLimit": 1}}).ok())["generation"] == 2


def test_an_annotation_counts_as_the_spec_of_a_deployment_and_of_nothing_else(server: Server) -> None:
    for body, generation in ((deployment(), 2), (stateful_set(), 1), (widget(), 1)):
        server.create(body).ok()
        annotated = server.patch(body, {"metadata": {"annotations": {"a": "b"}}}).ok()
        assert meta(annotated)["generation"] == generation


def test_a_client_cannot_set_the_generation(server: Server) -> None:
    server.create(widget(size=1)).ok()
    assert meta(server.patch(widget(), {"metadata": {"generation": 40}}).ok())["generation"] == 1


# -- replace -------------------------------------------------------------------------------------------------------


def test_a_replacement_needs_the_newest_resource_version(server: Server) -> None:
    first = server.create(widget(size=1)).ok()
    second = server.replace({**first, "spec": {"size": 2}}).ok()
    assert meta(second)["generation"] == 2
    answer = server.replace({**first, "spec": {"size": 3}})
    assert answer.refusal() == (
        409,
        "Conflict",
        (
            'Operation cannot be fulfilled on widgets.example.com "w1": the object has been modified; please apply '
            "your changes to the latest version and try again"
        ),
    )
    assert answer.body["details"] == {"name": "w1", "group": "example.com", "kind": "widgets"}


def test_a_replacement_of_a_custom_resource_must_name_a_resource_version(server: Server) -> None:
    server.create(widget(size=1)).ok()
    answer = server.replace(widget(size=2))
    assert answer.refusal() == (
        422,
        "Invalid",
        (
            'widgets.example.com "w1" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an '
            "update"
        ),
    )


def test_a_replacement_of_a_built_in_object_need_not(server: Server) -> None:
    server.create(config_map(a="1")).ok()
    assert server.replace(config_map(b="2")).ok()["data"] == {"b": "2"}


def test_a_replacement_of_an_absent_object_is_not_found(server: Server) -> None:
    assert server.replace(config_map()).refusal() == (404, "NotFound", 'configmaps "c1" not found')
    body = with_metadata(widget(), resourceVersion="1")
    assert server.replace(body).refusal() == (404, "NotFound", 'widgets.example.com "w1" not found')


def test_a_replacement_of_another_uid_is_a_conflict(server: Server) -> None:
    made = server.create(config_map()).ok()
    code, reason, message = server.replace(with_metadata(config_map(), uid=OTHER_UID)).refusal()
    assert (code, reason) == (409, "Conflict")
    assert message == (
        'Operation cannot be fulfilled on configmaps "c1": StorageError: invalid object, Code: 4, Key: '
        f"/registry/configmaps/{server.namespace}/c1, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        f"UID in precondition: {OTHER_UID}, UID in object meta: {meta(made)['uid']}"
    )


def test_a_replacement_of_the_status_leaves_spec_and_labels_alone(server: Server) -> None:
    first = server.create(with_metadata(widget(size=1), labels={"a": "1"})).ok()
    body = {**first, "spec": {"size": 5}, "status": {"phase": "Ready"}}
    body["metadata"] = {**meta(first), "labels": {"a": "2"}}
    done = server.replace(body, "status").ok()
    assert done["spec"] == {"size": 1}
    assert done["status"] == {"phase": "Ready", "observedGeneration": -1} or done["status"] == {"phase": "Ready"}
    assert meta(done)["labels"] == {"a": "1"}
    assert meta(done)["generation"] == 1


def test_a_replacement_of_the_spec_leaves_the_status_alone(server: Server) -> None:
    server.create(widget(size=1)).ok()
    first = server.patch(widget(), {"status": {"phase": "Ready"}}, subresource="status").ok()
    done = server.replace({**first, "spec": {"size": 2}, "status": {"phase": "Other"}}).ok()
    assert done["status"]["phase"] == "Ready"


# -- identity in body and URL --------------------------------------------------------------------------------------


def test_the_name_in_the_body_must_be_that_of_the_url(server: Server) -> None:
    server.create(config_map()).ok()
    answer = server.request("PUT", server.path(config_map()), config_map("other"))
    assert answer.refusal() == (
        400,
        "BadRequest",
        "the name of the object (other) does not match the name on the URL (c1)",
    )
    answer = server.patch(config_map(), {"metadata": {"name": "other"}})
    code, reason, message = answer.refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message == "the name of the object (other) does not match the name on the URL (c1)"


def test_the_namespace_in_the_body_must_be_that_of_the_url(server: Server) -> None:
    path = server.path(config_map(), name="")
    answer = server.request("POST", path, with_metadata(config_map(), namespace="default"))
    code, reason, message = answer.refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message == "the namespace of the provided object does not match the namespace sent on the request"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_the_version_and_kind_in_the_body_must_be_that_of_the_url(server: Server, method: str) -> None:
    server.create(deployment()).ok()
    path = server.path(deployment(), name="" if method == "POST" else "web")
    wrong = {**deployment(), "apiVersion": "apps/v2"}
    code, reason, message = server.request(method, path, wrong).refusal()
    assert (code, reason) == (400, "BadRequest")
    assert "apps/v2" in message
    wrong = {**deployment(), "kind": "DaemonSet"}
    code, reason, message = server.request(method, path, wrong).refusal()
    assert (code, reason) == (400, "BadRequest")
    assert "DaemonSet" in message


# -- merge patch ---------------------------------------------------------------------------------------------------


def test_a_merge_patch_removes_with_null_and_replaces_lists(server: Server) -> None:
    server.create(widget(size=1, version="v1", parts=[{"name": "x"}, {"name": "y"}])).ok()
    done = server.patch(widget(), {"spec": {"version": None, "parts": [{"name": "z"}]}}).ok()
    assert done["spec"] == {"size": 1, "parts": [{"name": "z"}]}


def test_a_patch_that_changes_nothing_keeps_the_resource_version(server: Server) -> None:
    server.create(widget(size=1)).ok()
    # The first write stores the default of the status, which the creation showed and did not store.
    first = server.patch(widget(), {"spec": {"size": 2}}).ok()
    assert server.patch(widget(), {"spec": {"size": 2}}).ok() == first
    first = server.create(service()).ok()
    assert server.patch(service(), {"spec": {"type": "ClusterIP"}}).ok() == first


def test_a_replacement_that_changes_nothing_keeps_the_resource_version(server: Server) -> None:
    first = server.create(config_map()).ok()
    assert meta(server.replace(first).ok())["resourceVersion"] == meta(first)["resourceVersion"]


def test_a_patch_with_a_stale_resource_version_is_a_conflict(server: Server) -> None:
    first = server.create(widget(size=1)).ok()
    server.patch(widget(), {"spec": {"size": 2}}).ok()
    stale = {"metadata": {"resourceVersion": meta(first)["resourceVersion"], "labels": {"a": "b"}}}
    code, reason, message = server.patch(widget(), stale).refusal()
    assert (code, reason) == (409, "Conflict")
    assert "the object has been modified; please apply your changes to the latest version and try again" in message


def test_a_patch_with_another_uid_is_refused(server: Server) -> None:
    server.create(widget(size=1)).ok()
    answer = server.patch(widget(), {"metadata": {"uid": OTHER_UID, "labels": {"a": "b"}}})
    assert answer.refusal() == (
        422,
        "Invalid",
        f'Widget.example.com "w1" is invalid: metadata.uid: Invalid value: "{OTHER_UID}": field is immutable',
    )


def test_a_patch_of_an_absent_object_is_not_found(server: Server) -> None:
    for patch_type in (MERGE, STRATEGIC):
        answer = server.patch(config_map(), {"data": {}}, patch_type)
        assert answer.refusal() == (404, "NotFound", 'configmaps "c1" not found')


def test_a_custom_resource_takes_no_strategic_patch(server: Server) -> None:
    server.create(widget()).ok()
    code, reason, message = server.patch(widget(), {"spec": {"size": 2}}, STRATEGIC).refusal()
    assert (code, reason) == (415, "UnsupportedMediaType")
    assert message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


# -- JSON patch ----------------------------------------------------------------------------------------------------


def test_a_json_patch_does_its_operations_in_order(server: Server) -> None:
    server.create(config_map(a="1", b="2")).ok()
    done = server.patch(
        config_map(),
        [
            {"op": "test", "path": "/data/a", "value": "1"},
            {"op": "replace", "path": "/data/a", "value": "x"},
            {"op": "remove", "path": "/data/b"},
            {"op": "add", "path": "/metadata/labels", "value": {"example.com/l": "y"}},
            {"op": "replace", "path": "/metadata/labels/example.com~1l", "value": "z"},
            {"op": "copy", "from": "/data/a", "path": "/data/c"},
            {"op": "move", "from": "/data/c", "path": "/data/d"},
        ],
        JSON_PATCH,
    ).ok()
    assert done["data"] == {"a": "x", "d": "x"}
    assert meta(done)["labels"] == {"example.com/l": "z"}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "other"},
        {"op": "add", "path": "/absent/below", "value": "x"},
        {"op": "remove", "path": "/data/absent"},
        {"op": "add", "path": "/metadata/finalizers/-", "value": "x"},
        {"op": "unknown", "path": "/data/a"},
    ],
    ids=["test-fails", "add-below-absent", "remove-absent", "append-to-absent", "unknown-operation"],
)
def test_a_json_patch_that_does_not_fit_is_refused(server: Server, operation: Object) -> None:
    server.create(config_map()).ok()
    answer = server.patch(config_map(), [operation], JSON_PATCH)
    assert answer.refusal() == (422, "Invalid", "the server rejected our request due to an error in our request")
    assert server.get(config_map()).ok()["data"] == {"a": "1"}


def test_a_json_patch_may_replace_what_is_not_there(server: Server) -> None:
    server.create(config_map()).ok()
    replaced = server.patch(config_map(), [{"op": "replace", "path": "/data/b", "value": "2"}], JSON_PATCH).ok()
    assert replaced["data"] == {"a": "1", "b": "2"}


def test_a_json_patch_must_be_a_list(server: Server) -> None:
    server.create(config_map()).ok()
    code, reason, message = server.patch(config_map(), {"op": "remove"}, JSON_PATCH).refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message.startswith("error decoding patch: json: cannot unmarshal object into Go value of type ")


# -- strategic merge patch -----------------------------------------------------------------------------------------


def test_a_strategic_patch_merges_containers_by_name_and_ports_by_number(server: Server) -> None:
    server.create(deployment(container={"ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]})).ok()
    container = {
        "name": "main",
        "env": [{"name": "B", "value": "2"}],
        "ports": [{"containerPort": 81, "name": "more"}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [container, {"name": "side", "image": "side:1"}]}}}}
    done = server.patch(deployment(), patch, STRATEGIC).ok()
    found = {part["name"]: part for part in done["spec"]["template"]["spec"]["containers"]}
    assert set(found) == {"main", "side"}
    assert sorted(entry["name"] for entry in found["main"]["env"]) == ["A", "B"]
    assert sorted(port["containerPort"] for port in found["main"]["ports"]) == [80, 81]
    assert found["main"]["image"] == "web:1.0"


def test_a_strategic_patch_deletes_items_by_directive(server: Server) -> None:
    server.create(deployment(container={"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})).ok()
    container = {"name": "main", "env": [{"name": "A", "$patch": "delete"}]}
    done = server.patch(deployment(), {"spec": {"template": {"spec": {"containers": [container]}}}}, STRATEGIC).ok()
    assert done["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "B", "value": "2"}]


def test_a_strategic_patch_merges_finalizers_and_owners(server: Server) -> None:
    server.create(with_metadata(config_map(), finalizers=["example.com/a"])).ok()
    done = server.patch(config_map(), {"metadata": {"finalizers": ["example.com/b"]}}, STRATEGIC).ok()
    assert sorted(meta(done)["finalizers"]) == ["example.com/a", "example.com/b"]
    removal = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a", "example.com/b"]}}
    assert "finalizers" not in meta(server.patch(config_map(), removal, STRATEGIC).ok())


def test_retain_keys_clears_the_old_strategy(server: Server) -> None:
    server.create(deployment()).ok()
    patch = {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}
    assert server.patch(deployment(), patch, STRATEGIC).ok()["spec"]["strategy"] == {"type": "Recreate"}


# -- dry run -------------------------------------------------------------------------------------------------------


def test_a_dry_run_answers_and_writes_nothing(server: Server) -> None:
    made = server.create(widget(size=1), dryRun="All").ok()
    assert meta(made)["uid"]
    assert "resourceVersion" not in meta(made)
    assert server.find(widget()) is None
    server.create(widget(size=2)).ok()
    first = server.patch(widget(), {"metadata": {"labels": {"a": "1"}}}).ok()
    for answer in (
        server.patch(widget(), {"spec": {"size": 3}}, dryRun="All"),
        server.replace({**first, "spec": {"size": 3}}, dryRun="All"),
        server.apply(widget(size=3), force=True, dryRun="All"),
    ):
        seen = answer.ok()
        assert seen["spec"]["size"] == 3
        assert meta(seen)["generation"] == 2
        assert meta(seen)["resourceVersion"] == meta(first)["resourceVersion"]
    assert server.delete(widget(), dryRun="All").status == 200
    assert server.get(widget()).ok() == first
    assert server.patch(widget(), {"status": {"phase": "x"}}, subresource="status", dryRun="All").status == 200
    assert server.get(widget()).ok() == first


def test_a_dry_run_refuses_what_the_write_would(server: Server) -> None:
    server.create(config_map()).ok()
    assert server.create(config_map(), dryRun="All").refusal()[:2] == (409, "AlreadyExists")
    assert server.create(widget(size=9), dryRun="All").refusal()[:2] == (422, "Invalid")
    answer = server.create(config_map("c2"), dryRun="Some")
    assert answer.body["details"] == {
        "group": "meta.k8s.io",
        "kind": "CreateOptions",
        "causes": [
            {
                "reason": "FieldValueNotSupported",
                "message": 'Unsupported value: ["Some"]: supported values: "All"',
                "field": "dryRun",
            }
        ],
    }
    assert server.delete(config_map(), dryRun="Some").refusal()[:2] == (422, "Invalid")


# -- fieldValidation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["built-in", "custom"])
def test_unknown_fields_are_refused_warned_about_or_ignored(server: Server, kind: str) -> None:
    body = {**deployment(), "spec": {**deployment()["spec"], "foo": 1}} if kind == "built-in" else widget(size=1, foo=1)
    answer = server.create(body, fieldValidation="Strict")
    code, reason, message = answer.refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message.endswith('strict decoding error: unknown field "spec.foo"')
    answer = server.create(body, fieldValidation="Warn", dryRun="All")
    assert "foo" not in answer.ok()["spec"]
    assert answer.warning == '299 - "unknown field \\"spec.foo\\""'
    answer = server.create(body, dryRun="All")
    assert answer.warning == '299 - "unknown field \\"spec.foo\\""'
    answer = server.create(body, fieldValidation="Ignore")
    assert "foo" not in answer.ok()["spec"]
    assert answer.warning == ""


def test_a_strict_refusal_names_the_kind(server: Server) -> None:
    body = {**deployment(), "spec": {**deployment()["spec"], "foo": 1}}
    assert server.create(body, fieldValidation="Strict").refusal()[2] == (
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.foo"'
    )
    assert server.create(widget(size=1, foo=1), fieldValidation="Strict").refusal()[2] == (
        'Widget in version "v1beta1" cannot be handled as a Widget: strict decoding error: unknown field "spec.foo"'
    )


def test_an_unknown_field_in_a_patch_is_warned_about(server: Server) -> None:
    server.create(widget(size=1)).ok()
    answer = server.patch(widget(), {"spec": {"foo": 1}})
    assert "foo" not in answer.ok()["spec"]
    assert answer.warning == '299 - "unknown field \\"spec.foo\\""'
    assert server.patch(widget(), {"spec": {"foo": 1}}, fieldValidation="Strict").status == 422


def test_a_duplicate_field_is_refused_under_strict(server: Server) -> None:
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c1"},"data":{"a":"1"},"data":{"a":"2"}}'
    path = server.path(config_map(), name="")
    answer = server.request("POST", path, text, {"fieldValidation": "Strict"})
    code, reason, message = answer.refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message.endswith('strict decoding error: duplicate field "data"')


def test_an_unknown_field_validation_is_refused(server: Server) -> None:
    assert server.create(config_map(), fieldValidation="Sometimes").refusal() == (
        422,
        "Invalid",
        (
            'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Sometimes": '
            'supported values: "", "Ignore", "Strict", "Warn"'
        ),
    )


# -- bodies that are none ------------------------------------------------------------------------------------------


def test_a_body_that_does_not_parse_is_a_bad_request(server: Server) -> None:
    path = server.path(config_map(), name="")
    assert server.request("POST", path, "{").refusal()[:2] == (400, "BadRequest")
    assert server.request("POST", path, "[]").refusal()[:2] == (400, "BadRequest")
    assert server.request("POST", path, b"").refusal()[:2] == (400, "BadRequest")


def test_an_unknown_media_type_is_refused(server: Server) -> None:
    path = server.path(config_map(), name="")
    answer = server.request("POST", path, "a=b", content_type="text/plain")
    code, reason, message = answer.refusal()
    assert (code, reason) == (415, "UnsupportedMediaType")
    assert message.startswith("the body of the request was in an unknown format - accepted media types include: ")
    answer = server.request("PATCH", server.path(config_map()), "{}", content_type="application/json")
    assert answer.refusal()[:2] == (415, "UnsupportedMediaType")


def test_a_yaml_body_is_read_as_json_is(server: Server) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c1}\ndata: {a: '1'}\n"
    answer = server.request("POST", server.path(config_map(), name=""), text, content_type="application/yaml")
    assert answer.ok()["data"] == {"a": "1"}


def test_a_wrong_type_is_a_bad_request_for_built_in_kinds(server: Server) -> None:
    code, reason, message = server.create(deployment(replicas="two")).refusal()
    assert (code, reason) == (400, "BadRequest")
    assert message == (
        'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct '
        "field DeploymentSpec.spec.replicas of type int32"
    )


def test_a_request_above_three_mebibytes_is_too_large(server: Server) -> None:
    answer = server.create(config_map(a="x" * (3 * 1024 * 1024 + 1)))
    assert answer.refusal()[:2] == (413, "RequestEntityTooLarge")


# -- our own resource ----------------------------------------------------------------------------------------------


def test_a_method_that_a_kind_does_not_have_is_not_allowed(server: Server) -> None:
    answer = server.request("POST", server.path(config_map()), config_map())
    assert answer.refusal()[:2] == (405, "MethodNotAllowed")


def test_our_resource_is_written_in_either_version_and_read_in_both(server: Server) -> None:
    body = {**platform(), "apiVersion": "observability.io/v1alpha1"}
    made = server.create(body).ok()
    assert made["apiVersion"] == "observability.io/v1alpha1"
    other = server.get(platform()).ok()
    assert other["apiVersion"] == "observability.io/v1beta1"
    assert other["spec"] == made["spec"]
    assert meta(other)["uid"] == meta(made)["uid"]
    # Which version a manager wrote stands in its entry.
    assert [entry["apiVersion"] for entry in meta(other)["managedFields"]] == ["observability.io/v1alpha1"]
