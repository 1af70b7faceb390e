"""The operator's port on the model: the same answers and the same reasons as over HTTP."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.shell.cluster import Cluster, ClusterError, Resource, ResourceExpiredError
from sandbox.assembly import Sandbox
from sandbox.cluster import SandboxCluster
from sandbox.faults import FaultPlan
from sandbox.model import Write
from sandbox.server import SandboxServer
from sandbox.values import clone
from tests.sandbox.conftest import Bench, config_map, widget, workload

WIDGET = Resource("example.com/v1beta1", "Widget", "widgets")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
STATEFUL_SET = Resource("apps/v1", "StatefulSet", "statefulsets")


@pytest.fixture
def faults() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def cluster(bench: Bench, faults: FaultPlan) -> Cluster:
    """Typed as the port: mypy holds the class to it."""
    return SandboxCluster(bench.model, faults)


def test_applies_gets_lists_and_deletes(cluster: Cluster) -> None:
    made = cluster.apply(CONFIG_MAP, "default", config_map(), manager="stackledger")
    uid = made["metadata"]["uid"]
    assert cluster.get(CONFIG_MAP, "default", "c1") == made
    assert [item["metadata"]["name"] for item in cluster.list_all(CONFIG_MAP, "default").items] == ["c1"]
    cluster.delete(CONFIG_MAP, "default", "c1", uid="another")
    assert cluster.get(CONFIG_MAP, "default", "c1") is not None
    cluster.delete(CONFIG_MAP, "default", "c1", uid=uid)
    cluster.delete(CONFIG_MAP, "default", "c1", uid=uid)
    assert cluster.get(CONFIG_MAP, "default", "c1") is None


def test_what_it_hands_out_can_be_changed_without_harm(cluster: Cluster) -> None:
    cluster.apply(CONFIG_MAP, "default", config_map(), manager="stackledger")["data"]["a"] = "spoilt"
    found = cluster.get(CONFIG_MAP, "default", "c1")
    assert found is not None
    found["data"]["a"] = "spoilt"
    cluster.list_all(CONFIG_MAP).items[0]["data"]["a"] = "spoilt"
    again = cluster.get(CONFIG_MAP, "default", "c1")
    assert again is not None
    assert again["data"] == {"a": "1"}


def test_a_watch_yields_what_changed_and_where_to_go_on(cluster: Cluster) -> None:
    revision = cluster.list_all(CONFIG_MAP).resource_version
    cluster.apply(CONFIG_MAP, "default", config_map(), manager="stackledger")
    *events, mark = cluster.watch(CONFIG_MAP, revision)
    assert [(event.type, event.object["metadata"]["name"]) for event in events] == [("ADDED", "c1")]
    assert mark.type == "BOOKMARK"
    (again,) = cluster.watch(CONFIG_MAP, mark.object["metadata"]["resourceVersion"])
    assert again.type == "BOOKMARK"


def test_an_expired_watch_is_told_so(bench: Bench, cluster: Cluster) -> None:
    bench.model.store.expire()
    with pytest.raises(ResourceExpiredError):
        list(cluster.watch(CONFIG_MAP, "1"))


def test_finalizers_are_set_under_their_preconditions(bench: Bench, cluster: Cluster) -> None:
    item = bench.create(widget())
    meta = item["metadata"]
    there = {"uid": meta["uid"], "resource_version": meta["resourceVersion"]}
    held = cluster.set_finalizers(WIDGET, "default", "w1", ["example.com/hold"], **there)
    assert held is not None
    assert held["metadata"]["finalizers"] == ["example.com/hold"]
    with pytest.raises(ClusterError) as refused:
        cluster.set_finalizers(WIDGET, "default", "w1", [], **there)
    assert refused.value.reason == "Conflict"
    bench.delete(widget())
    now = cluster.get(WIDGET, "default", "w1")
    assert now is not None
    there["resource_version"] = now["metadata"]["resourceVersion"]
    with pytest.raises(ClusterError) as refused:
        cluster.set_finalizers(WIDGET, "default", "w1", ["example.com/hold", "example.com/more"], **there)
    assert refused.value.reason == "BeingDeleted"
    cluster.set_finalizers(WIDGET, "default", "w1", [], **there)
    assert cluster.set_finalizers(WIDGET, "default", "w1", [], **there) is None


@pytest.mark.parametrize(
    ("reason", "act"),
    [
        ("AlreadyExists", lambda c: c.create(CONFIG_MAP, "default", config_map("there"))),
        ("NamespaceGone", lambda c: c.create(CONFIG_MAP, "nowhere", _moved(config_map(), "nowhere"))),
        ("ApiMissing", lambda c: c.list_all(Resource("nothing.here/v1", "Thing", "things"))),
        ("InvalidName", lambda c: c.delete(CONFIG_MAP, "default", "", uid="x")),
        ("InvalidName", lambda c: c.delete(CONFIG_MAP, "default", "..", uid="x")),
        ("InvalidName", lambda c: c.delete(CONFIG_MAP, "default", "there", uid="")),
        ("Rejected", lambda c: c.apply(WIDGET, "default", widget(size=9), manager="m")),
        ("Rejected", lambda c: c.apply(WIDGET, "default", widget(sise=9), manager="m")),
        ("ImmutableField", lambda c: c.apply(STATEFUL_SET, "default", _renamed(), manager="m")),
    ],
)
def test_refusals_carry_the_reasons_of_the_http_client(
    bench: Bench, cluster: Cluster, reason: str, act: Callable[[Cluster], Any]
) -> None:
    bench.create(config_map("there"))
    bench.create(workload("StatefulSet", "db"))
    with pytest.raises(ClusterError) as refused:
        act(cluster)
    assert refused.value.reason == reason


def _moved(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    body["metadata"]["namespace"] = namespace
    return body


def _renamed() -> dict[str, Any]:
    body = workload("StatefulSet", "db")
    body["spec"]["serviceName"] = "other"
    return body


def test_faults_reach_the_port(faults: FaultPlan, cluster: Cluster) -> None:
    faults.inject(503, verb="get", retry_after_seconds=9)
    with pytest.raises(ClusterError) as refused:
        cluster.get(CONFIG_MAP, "default", "c1")
    assert (refused.value.reason, refused.value.retry_after_seconds) == ("ServerUnavailable", 9.0)
    faults.deny("patch", "configmaps")
    with pytest.raises(ClusterError) as refused:
        cluster.apply(CONFIG_MAP, "default", config_map(), manager="m")
    assert refused.value.reason == "PermissionDenied"
    faults.clear()
    faults.inject(verb="patch", after=True)
    with pytest.raises(ClusterError) as refused:
        cluster.apply(CONFIG_MAP, "default", config_map(), manager="m")
    assert refused.value.reason == "Unreachable"
    assert cluster.get(CONFIG_MAP, "default", "c1") is not None


def test_a_quota_and_a_terminating_namespace_have_reasons_of_their_own(bench: Bench, cluster: Cluster) -> None:
    bench.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "small"}})
    meta = {"name": "q", "namespace": "small"}
    spec = {"hard": {"configmaps": "0"}}
    bench.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
    with pytest.raises(ClusterError) as refused:
        cluster.apply(CONFIG_MAP, "small", _moved(config_map(), "small"), manager="m")
    assert refused.value.reason == "QuotaExceeded"
    bench.delete({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "small"}})
    with pytest.raises(ClusterError) as refused:
        cluster.apply(CONFIG_MAP, "small", _moved(config_map(), "small"), manager="m")
    assert refused.value.reason == "NamespaceTerminating"


def test_a_sandbox_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with SandboxServer(sandbox=Sandbox(state_dir=tmp_path)) as first:
        cluster = SandboxCluster(first.sandbox.model)
        made = cluster.apply(CONFIG_MAP, "default", config_map(a="🔭"), manager="m")
        first.sandbox.break_workload("default", "web", "hang")
    assert (tmp_path / "sandbox.json").stat().st_mode & 0o077 == 0
    revision = first.sandbox.model.store.revision
    with SandboxServer(sandbox=Sandbox(state_dir=tmp_path)) as second:
        cluster = SandboxCluster(second.sandbox.model)
        assert cluster.get(CONFIG_MAP, "default", "c1") == made
        assert second.sandbox.world.settings.broken == {("default", "web"): "hang"}
        changed = cluster.apply(CONFIG_MAP, "default", config_map(a="2"), manager="m")
        assert int(changed["metadata"]["resourceVersion"]) > revision
        with pytest.raises(ResourceExpiredError):
            list(cluster.watch(CONFIG_MAP, "1"))


def test_a_restored_sandbox_serves_its_definitions_and_collects_garbage(tmp_path: Path, bench: Bench) -> None:
    definition = clone(bench.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.example.com", ""))
    del definition["metadata"]["resourceVersion"]
    first = Sandbox(state_dir=tmp_path)
    first.world.bootstrap()
    kind, version = first.model.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    first.model.create(kind, version, "", definition, Write())
    SandboxCluster(first.model).create(WIDGET, "default", widget())
    first.save()
    second = Sandbox(state_dir=tmp_path)
    second.world.bootstrap()
    assert SandboxCluster(second.model).get(WIDGET, "default", "w1") is not None


def test_a_file_that_is_no_snapshot_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "sandbox.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="remove it to start afresh"):
        Sandbox(state_dir=tmp_path)
