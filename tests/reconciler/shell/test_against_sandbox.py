"""The port and the watches against the emulated API server: the same calls that a real one gets."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from eventstore.vocabulary import LABEL_MANAGED_BY, LABEL_PLATFORM, MANAGED_BY_VALUE
from reconciler.core.ownership import last_spec_manager, owned_digest, owners_of_changes
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_transport import ApiTransport, Question
from reconciler.shell.cache import ObjectCache
from reconciler.shell.cluster import ClusterError, Resource
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.metrics import Metrics
from reconciler.shell.resources import CONFIG_MAP, DEPLOYMENT, PLATFORM, WATCHED
from reconciler.shell.watches import WatchSet, WatchTimes
from sandbox.kubeconfig import write_kubeconfig
from sandbox.server import SandboxServer

CRD = Path(__file__).parents[3] / "deploy" / "crds" / "observabilityplatforms.yaml"


@cache
def custom_resource_definition() -> dict[str, Any]:
    found = yaml.safe_load(CRD.read_text())
    assert isinstance(found, dict)
    return found


@pytest.fixture
def sandbox() -> Iterator[SandboxServer]:
    """A fresh emulated cluster."""
    with SandboxServer() as server:
        yield server


@pytest.fixture
def transport(sandbox: SandboxServer, tmp_path: Path) -> Iterator[ApiTransport]:
    """A connection by kubeconfig, with the namespace `obs` and the CRD in place."""
    write_kubeconfig(tmp_path / "kubeconfig", sandbox.url)
    transport = ApiTransport(
        lambda: load_configuration(str(tmp_path / "kubeconfig"), "sandbox"), monotonic=time.monotonic
    )
    post(transport, "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "obs"}})
    post(transport, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", custom_resource_definition())
    yield transport
    transport.close()


@pytest.fixture
def cluster(transport: ApiTransport) -> KubernetesCluster:
    """The real port."""
    return KubernetesCluster(transport, page_size=3, stall_seconds=5)


def post(transport: ApiTransport, path: str, body: dict[str, Any]) -> None:
    question = Question(
        call=Call(verb="create"),
        method="POST",
        path=path,
        query={"fieldManager": "kubectl-edit"},
        content_type="application/json",
        body=json.dumps(body).encode(),
    )
    answer = transport.ask(question)
    assert answer.status == 201, answer.body


def config_map(name: str = "prod-loki", **data: str) -> dict[str, Any]:
    labels = {LABEL_MANAGED_BY: MANAGED_BY_VALUE, LABEL_PLATFORM: "prod"}
    metadata = {"name": name, "namespace": "obs", "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def platform(**metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "observability.io/v1beta1",
        "kind": "ObservabilityPlatform",
        "metadata": {"name": "prod", "namespace": "obs", **metadata},
        "spec": {"components": {"prometheus": {"enabled": True}}},
    }


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_applying_twice_writes_once(cluster: KubernetesCluster) -> None:
    first = cluster.apply(CONFIG_MAP, "obs", config_map(title="😀"), manager="stackledger")
    second = cluster.apply(CONFIG_MAP, "obs", config_map(title="😀"), manager="stackledger")
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert owned_digest(first) == owned_digest(second) != ""
    found = cluster.get(CONFIG_MAP, "obs", "prod-loki")
    assert found is not None
    assert found["data"] == {"title": "😀"}


def test_a_field_that_is_no_longer_applied_disappears(cluster: KubernetesCluster) -> None:
    cluster.apply(CONFIG_MAP, "obs", config_map(a="1", b="2"), manager="stackledger")
    assert cluster.apply(CONFIG_MAP, "obs", config_map(a="1"), manager="stackledger")["data"] == {"a": "1"}


def test_a_foreign_write_shows_in_the_digest_with_its_manager_and_path(
    cluster: KubernetesCluster, transport: ApiTransport
) -> None:
    before = cluster.apply(CONFIG_MAP, "obs", config_map(a="1", b="2"), manager="stackledger")
    question = Question(
        call=Call(verb="patch"),
        method="PATCH",
        path="/api/v1/namespaces/obs/configmaps/prod-loki",
        query={"fieldManager": "kubectl-edit"},
        content_type="application/merge-patch+json",
        body=b'{"data":{"a":"changed"}}',
    )
    assert transport.ask(question).status == 200
    after = cluster.get(CONFIG_MAP, "obs", "prod-loki")
    assert after is not None
    assert owned_digest(after) != owned_digest(before)
    assert owners_of_changes(after, config_map(a="1", b="2")) == (("kubectl-edit",), ("data.a",))
    mended = cluster.apply(CONFIG_MAP, "obs", config_map(a="1", b="2"), manager="stackledger")
    assert owned_digest(mended) == owned_digest(before)
    assert owners_of_changes(mended, config_map(a="1", b="2")) == ((), ())


def test_a_delete_spares_an_object_that_was_made_anew(cluster: KubernetesCluster) -> None:
    old = cluster.create(CONFIG_MAP, "obs", config_map(a="1"))
    cluster.delete(CONFIG_MAP, "obs", "prod-loki", uid=old["metadata"]["uid"])
    new = cluster.create(CONFIG_MAP, "obs", config_map(a="2"))
    cluster.delete(CONFIG_MAP, "obs", "prod-loki", uid=old["metadata"]["uid"])
    found = cluster.get(CONFIG_MAP, "obs", "prod-loki")
    assert found is not None
    assert found["metadata"]["uid"] == new["metadata"]["uid"]
    with pytest.raises(ClusterError) as caught:
        cluster.create(CONFIG_MAP, "obs", config_map())
    assert caught.value.reason == "AlreadyExists"


def test_finalizers_are_put_on_and_taken_off_under_preconditions(
    cluster: KubernetesCluster, transport: ApiTransport
) -> None:
    post(transport, "/apis/observability.io/v1beta1/namespaces/obs/observabilityplatforms", platform())
    found = cluster.get(PLATFORM, "obs", "prod")
    assert found is not None
    assert last_spec_manager(found) == "kubectl-edit"
    uid, version = found["metadata"]["uid"], found["metadata"]["resourceVersion"]
    held = cluster.set_finalizers(
        PLATFORM, "obs", "prod", ["stackledger.io/finalizer"], uid=uid, resource_version=version
    )
    assert held is not None
    with pytest.raises(ClusterError) as caught:
        cluster.set_finalizers(PLATFORM, "obs", "prod", [], uid=uid, resource_version=version)
    assert caught.value.reason == "Conflict"
    cluster.delete(PLATFORM, "obs", "prod", uid=uid)
    dying = cluster.get(PLATFORM, "obs", "prod")
    assert dying is not None
    assert dying["metadata"]["deletionTimestamp"]
    version = dying["metadata"]["resourceVersion"]
    with pytest.raises(ClusterError) as caught:
        cluster.set_finalizers(PLATFORM, "obs", "prod", ["a.b/c", "x.y/z"], uid=uid, resource_version=version)
    assert caught.value.reason == "BeingDeleted"
    cluster.set_finalizers(PLATFORM, "obs", "prod", [], uid=uid, resource_version=version)
    assert cluster.get(PLATFORM, "obs", "prod") is None
    assert cluster.set_finalizers(PLATFORM, "obs", "prod", [], uid=uid, resource_version=version) is None


def test_status_is_written_under_its_own_manager_and_leaves_the_spec_alone(
    cluster: KubernetesCluster, transport: ApiTransport
) -> None:
    post(transport, "/apis/observability.io/v1beta1/namespaces/obs/observabilityplatforms", platform())
    body = {key: value for key, value in platform().items() if key != "spec"} | {"status": {"phase": "Pending"}}
    after = cluster.apply_status(PLATFORM, "obs", body)
    assert after["status"]["phase"] == "Pending"
    assert after["metadata"]["generation"] == 1
    managers = {entry["manager"]: entry.get("subresource") for entry in after["metadata"]["managedFields"]}
    assert managers["stackledger-status"] == "status"


def test_lists_come_in_pages_and_by_label(cluster: KubernetesCluster) -> None:
    for number in range(8):
        cluster.create(CONFIG_MAP, "obs", config_map(f"c{number}"))
    page = cluster.list_all(CONFIG_MAP, None, f"{LABEL_MANAGED_BY}={MANAGED_BY_VALUE}")
    assert len(page.items) == 8
    assert cluster.list_all(CONFIG_MAP, "obs", f"{LABEL_PLATFORM}=other").items == []


@pytest.mark.parametrize(
    ("body", "resource", "namespace", "reason"),
    [
        (config_map(), CONFIG_MAP, "nowhere", "NamespaceGone"),
        (
            {"apiVersion": "example.io/v1", "kind": "Thing", "metadata": {"name": "x"}},
            Resource("example.io/v1", "Thing", "things"),
            "obs",
            "ApiMissing",
        ),
    ],
)
def test_an_absent_namespace_is_told_from_an_absent_kind(
    cluster: KubernetesCluster, body: dict[str, Any], resource: Resource, namespace: str, reason: str
) -> None:
    body = {**body, "metadata": {**body["metadata"], "namespace": namespace}}
    with pytest.raises(ClusterError) as caught:
        cluster.apply(resource, namespace, body, manager="stackledger")
    assert caught.value.reason == reason


def test_denied_verbs_name_the_rule_to_add(cluster: KubernetesCluster, sandbox: SandboxServer) -> None:
    sandbox.sandbox.faults.deny("patch", "configmaps")
    with pytest.raises(ClusterError) as caught:
        cluster.apply(CONFIG_MAP, "obs", config_map(), manager="stackledger")
    assert caught.value.reason == "PermissionDenied"
    assert '{apiGroups: [""], resources: ["configmaps"], verbs: ["patch"]}' in caught.value.message


def test_an_answer_that_was_lost_after_the_fact_changes_nothing_when_asked_again(
    cluster: KubernetesCluster, sandbox: SandboxServer
) -> None:
    sandbox.sandbox.faults.inject(verb="patch", resource="configmaps", after=True)
    with pytest.raises(ClusterError) as caught:
        cluster.apply(CONFIG_MAP, "obs", config_map(a="1"), manager="stackledger")
    assert caught.value.reason == "Unreachable"
    before = cluster.get(CONFIG_MAP, "obs", "prod-loki")
    after = cluster.apply(CONFIG_MAP, "obs", config_map(a="1"), manager="stackledger")
    assert before is not None
    assert before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]


def test_all_watches_see_creation_change_and_deletion_and_survive_expiry_and_ended_streams(
    cluster: KubernetesCluster, sandbox: SandboxServer, transport: ApiTransport
) -> None:
    seen, metrics, woken = ObjectCache(), Metrics(), threading.Event()
    before = threading.active_count()

    def on_change(namespace: str, name: str) -> None:
        assert (namespace, name) == ("obs", "prod")
        woken.set()

    watches = WatchSet(
        cluster,
        WATCHED,
        seen,
        on_change,
        monotonic=time.monotonic,
        observer=metrics,
        times=WatchTimes(backoff_initial_seconds=0.02, reopen_seconds=0.02),
        interrupt=cluster.interrupt_watches,
    )
    watches.start()
    assert watches.wait_synced(10), watches.problems()
    post(transport, "/apis/observability.io/v1beta1/namespaces/obs/observabilityplatforms", platform())
    assert woken.wait(5)
    assert seen.platforms() == [("obs", "prod")]
    created = cluster.create(CONFIG_MAP, "obs", config_map(a="1"))
    eventually(lambda: seen.get(CONFIG_MAP, "obs", "prod-loki") is not None)
    sandbox.sandbox.faults.drop_watches()
    cluster.create(CONFIG_MAP, "obs", config_map("second"))
    eventually(lambda: seen.get(CONFIG_MAP, "obs", "second") is not None)
    sandbox.sandbox.expire_history()
    cluster.delete(CONFIG_MAP, "obs", "prod-loki", uid=created["metadata"]["uid"])
    eventually(lambda: seen.get(CONFIG_MAP, "obs", "prod-loki") is None)
    eventually(lambda: watches.problems() == [])
    assert watches.healthy() == []
    interruptions = metrics.render().count(b'reason="error"')
    watches.stop()
    assert watches.problems() == [], "being stopped is no problem"
    assert metrics.render().count(b'reason="error"') == interruptions
    # Connections of the server end later than our threads: when it next has something to say, or looks.
    eventually(lambda: threading.active_count() <= before + 2, 60)


def test_a_platform_at_rest_causes_no_calls(cluster: KubernetesCluster, sandbox: SandboxServer) -> None:
    woken: list[tuple[str, str]] = []
    watches = WatchSet(
        cluster,
        [watched for watched in WATCHED if watched.resource in (DEPLOYMENT, CONFIG_MAP)],
        ObjectCache(),
        lambda namespace, name: woken.append((namespace, name)),
        monotonic=time.monotonic,
        observer=Metrics(),
        interrupt=cluster.interrupt_watches,
    )
    watches.start()
    assert watches.wait_synced(5)
    time.sleep(0.2)
    calls = dict(sandbox.sandbox.faults.calls)
    time.sleep(0.5)
    assert dict(sandbox.sandbox.faults.calls) == calls
    assert woken == []
    watches.stop()


def test_a_kind_is_served_or_not(cluster: KubernetesCluster) -> None:
    assert cluster.serves(PLATFORM)
    assert cluster.serves(DEPLOYMENT)
    assert not cluster.serves(Resource("example.io/v1", "Thing", "things"))
    assert not cluster.serves(Resource("apps/v1", "Thing", "things"))
