"""Ownership: who wrote what, from managedFields as real API servers write them."""

from typing import Any

import pytest

from reconciler.core.ownership import (
    OWNERSHIP_KEY,
    PATHS_MAX,
    last_spec_manager,
    owned_digest,
    owners_of_changes,
    read_ownership,
    render_path,
)

IMAGE: dict[str, Any] = {"f:spec": {"f:containers": {'k:{"name":"grafana"}': {".": {}, "f:image": {}, "f:name": {}}}}}


def entry(manager: str, fields: dict[str, Any], operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def workload(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "x", "managedFields": list(entries)}, **more}


APPLIED = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "replicas": 1,
        "selector": {},
        "ports": [{"port": 80, "name": "http"}],
        "containers": [{"name": "grafana", "image": "g:1", "args": ["--x"]}],
    },
}


def test_the_digest_changes_with_the_set_of_fields_and_with_nothing_else() -> None:
    ours = workload(entry("stackledger", {"f:spec": {"f:replicas": {}, "f:paused": {}}}, time="2026-01-01T00:00:00Z"))
    same = workload(
        entry("kubectl", {"f:spec": {"f:x": {}}}, "Update"),
        entry("stackledger", {"f:spec": {"f:paused": {}, "f:replicas": {}}}, time="2026-02-02T00:00:00Z"),
        entry("stackledger-status", {"f:status": {}}, subresource="status"),
    )
    fewer = workload(entry("stackledger", {"f:spec": {"f:replicas": {}}}))
    assert owned_digest(ours) == owned_digest(same) != owned_digest(fewer)
    assert owned_digest(ours).startswith("sha256:")


@pytest.mark.parametrize(
    "obj",
    [
        {},
        {"metadata": {}},
        {"metadata": {"managedFields": None}},
        {"metadata": {"managedFields": ["x", {"manager": 3}]}},
        workload(entry("stackledger", IMAGE, "Update")),
        workload(entry("stackledger", IMAGE, subresource="status")),
    ],
)
def test_an_object_we_never_applied_has_no_digest(obj: dict[str, Any]) -> None:
    assert owned_digest(obj) == ""


def test_what_others_took_is_named_with_manager_and_path() -> None:
    obj = workload(
        entry("stackledger", {"f:metadata": {}}),
        entry("kubectl-edit", IMAGE, "Update"),
        entry("hpa", {"f:spec": {"f:replicas": {}}}, "Update"),
        entry("kube-controller-manager", {"f:status": {"f:replicas": {}}}, "Update", subresource="status"),
        spec=APPLIED["spec"],
        kind="Deployment",
    )
    obj["metadata"]["labels"] = {"a": "b"}
    managers, paths = owners_of_changes(obj, APPLIED)
    assert managers == ("hpa", "kubectl-edit")
    assert paths == ("spec.containers[name=grafana].image", "spec.containers[name=grafana].name", "spec.replicas")


def test_fields_that_we_do_not_set_are_nobodys_drift() -> None:
    obj = workload(
        entry("istio", {"f:metadata": {"f:annotations": {"f:sidecar": {}}}}, "Update"),
        entry("other", {"f:spec": {"f:containers": {'k:{"name":"sidecar"}': {"f:image": {}}}}}, "Update"),
        spec=APPLIED["spec"],
    )
    obj["metadata"]["labels"] = {"a": "b"}
    assert owners_of_changes(obj, APPLIED) == ((), ())


def test_without_the_applied_body_everything_others_own_is_named() -> None:
    obj = workload(entry("istio", {"f:metadata": {"f:annotations": {"f:sidecar": {}}}}, "Update"))
    assert owners_of_changes(obj) == (("istio",), ("metadata.annotations.sidecar",))


def test_a_removed_field_is_named_though_nobody_owns_it() -> None:
    live = {
        "metadata": {"name": "x", "labels": {}},
        "spec": {"replicas": 1, "ports": [], "containers": [{"name": "grafana", "image": "g:1"}]},
    }
    assert owners_of_changes(live, APPLIED) == (
        (),
        ("metadata.labels.a", "spec.containers[name=grafana].args", "spec.ports[name=http]"),
    )


def test_a_defaulted_protocol_in_a_port_key_still_finds_our_port() -> None:
    fields: dict[str, Any] = {
        "f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {"f:targetPort": {}, "f:port": {}}}}
    }
    obj = workload(entry("kubectl-edit", fields, "Update"), spec=APPLIED["spec"])
    obj["metadata"]["labels"] = {"a": "b"}
    managers, paths = owners_of_changes(obj, APPLIED)
    assert managers == ("kubectl-edit",)
    assert paths == ("spec.ports[port=80,protocol=TCP].port",)


def test_the_newest_writer_of_the_spec_is_named_and_we_are_not() -> None:
    spec: dict[str, Any] = {"f:spec": {"f:paused": {}}}
    obj = workload(
        entry("kubectl-create", spec, "Update", time="2026-01-01T00:00:00Z"),
        entry("argocd-controller", spec, time="2026-03-01T00:00:00Z"),
        entry("labeller", {"f:metadata": {"f:labels": {}}}, "Update", time="2026-04-01T00:00:00Z"),
        entry("stackledger-finalizer", {"f:metadata": {"f:finalizers": {}}}, "Update", time="2026-05-01T00:00:00Z"),
        entry("kubectl", spec, "Update", subresource="status", time="2026-06-01T00:00:00Z"),
    )
    assert last_spec_manager(obj) == "argocd-controller"
    assert last_spec_manager({"metadata": {}}) == "unknown"


def test_paths_are_written_as_people_write_them() -> None:
    path = ("f:spec", "f:containers", 'k:{"name":"a"}', "f:env", 'k:{"name":"b.c"}', "f:value")
    assert render_path(path) == "spec.containers[name=a].env[name=b.c].value"
    assert render_path(("f:metadata", "f:finalizers", 'v:"x/y"')) == "metadata.finalizers[x/y]"
    assert render_path(("f:spec", "f:list", "i:3")) == "spec.list[3]"
    assert render_path(("f:metadata", "f:annotations", "f:a.b/c:d")) == "metadata.annotations.a.b/c:d"


def test_what_was_kept_of_managed_fields_answers_the_same_and_is_bounded() -> None:
    fields: dict[str, Any] = {"f:data": {f"f:k{number}": {} for number in range(PATHS_MAX * 3)}}
    obj = workload(entry("stackledger", IMAGE), entry("other", fields, "Update"))
    kept = {"metadata": {"name": "x"}, OWNERSHIP_KEY: read_ownership(obj)}
    assert owned_digest(kept) == owned_digest(obj)
    assert owners_of_changes(kept) == owners_of_changes(obj)
    assert len(read_ownership(obj).others[0].paths) == PATHS_MAX
