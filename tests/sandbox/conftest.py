"""An emulated cluster, over HTTP and in process, with a small custom kind beside the built-in ones."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import deletion
from sandbox.assembly import Sandbox
from sandbox.kubeconfig import write_kubeconfig
from sandbox.model import APPLY, MERGE, ClusterModel, Write
from sandbox.server import SandboxServer
from sandbox.world import Settings, World
from tests.fixtures.kubectl import Kubectl, kubectl_binary

Object = dict[str, Any]
WIDGETS = (Path(__file__).parent / "widgets.yaml").read_text()
START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


class Bench:
    """A model on a virtual clock with repeatable ids, and short words for what tests do to it."""

    def __init__(self) -> None:
        self.now = START
        ids = count(1)
        self.model = ClusterModel(now=lambda: self.now, new_id=lambda: f"00000000-0000-4000-8000-{next(ids):012d}")
        self.world = World(self.model, Settings())
        self.world.bootstrap()
        self.create(yaml.safe_load(WIDGETS))

    def target(self, body: Object) -> tuple[Any, Any, str, str]:
        kind = self.model.registry.by_kind(body["apiVersion"], body["kind"])
        assert kind is not None, body
        namespace = body["metadata"].get("namespace", "default") if kind.namespaced else ""
        version = kind.version(body["apiVersion"].rpartition("/")[2])
        return kind, version, namespace, body["metadata"].get("name", "")

    def create(self, body: Object, **write: Any) -> Object:
        kind, version, namespace, _ = self.target(body)
        return self.model.create(kind, version, namespace, body, Write(**{"manager": "kubectl-create", **write}))

    def apply(self, body: Object, manager: str = "kubectl", subresource: str = "", **write: Any) -> Object:
        kind, version, namespace, name = self.target(body)
        options = Write(manager=manager, **write)
        return self.model.patch(kind, version, namespace, name, APPLY, body, options, subresource)

    def patch(
        self, item: Object, body: Any, patch_type: str = MERGE, subresource: str = "", manager: str = "kubectl-edit"
    ) -> Object:
        kind, version, namespace, name = self.target(item)
        return self.model.patch(kind, version, namespace, name, patch_type, body, Write(manager=manager), subresource)

    def replace(self, body: Object, subresource: str = "", manager: str = "kubectl-replace") -> Object:
        kind, version, namespace, name = self.target(body)
        return self.model.replace(kind, version, namespace, name, body, Write(manager=manager), subresource)

    def delete(self, item: Object, **options: Any) -> deletion.Deleted:
        kind, _, namespace, name = self.target(item)
        return deletion.delete(self.model, kind, namespace, name, deletion.Options(**options))

    def find(self, item: Object) -> Object | None:
        return self.model.find(item["apiVersion"], item["kind"], self.target(item)[2], item["metadata"]["name"])

    def get(self, api_version: str, kind: str, name: str, namespace: str = "default") -> Object:
        found = self.model.find(api_version, kind, namespace, name)
        assert found is not None, f"{kind}/{name} is not there"
        return found

    def all(self, kind: str, api_version: str = "v1") -> list[Object]:
        found = self.model.registry.by_kind(api_version, kind)
        assert found is not None
        return self.model.list_all(found, None).items

    def names(self, kind: str, api_version: str = "v1") -> list[str]:
        return [item["metadata"]["name"] for item in self.all(kind, api_version)]

    def pass_time(self, seconds: float = 0.0) -> None:
        """Step to everything that falls due until then."""
        ends = self.now + timedelta(seconds=seconds)
        self.world.step(self.now)
        while (due := self.world.next_due()) is not None and due <= ends:
            self.now = max(self.now, due)
            self.world.step(self.now)
        self.now = ends
        self.world.step(self.now)


@pytest.fixture
def bench() -> Bench:
    """A fresh model."""
    return Bench()


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxServer]:
    """A running sandbox whose pods are ready almost at once, with the kind Widget."""
    sandbox = Sandbox(settings=Settings(ready_delay_seconds=0.1, stop_delay_seconds=0.05))
    with SandboxServer(sandbox=sandbox) as running:
        model = sandbox.model
        kind, version = model.resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        model.create(kind, version, "", yaml.safe_load(WIDGETS), Write())
        yield running


@pytest.fixture(scope="module")
def kubectl(server: SandboxServer, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    """The real kubectl, talking to `server`."""
    home = tmp_path_factory.mktemp("home")
    write_kubeconfig(home / "kubeconfig", server.url)
    return Kubectl(kubectl_binary(), home / "kubeconfig", home)


@pytest.fixture
def namespace(server: SandboxServer, kubectl: Kubectl, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own, and the default of its kubectl."""
    name = f"ns-{next(_NAMES)}"
    model = server.sandbox.model
    kind, version = model.resource("", "v1", "namespaces")
    model.create(kind, version, "", {"metadata": {"name": name}}, Write())
    kubectl.ok("config", "set-context", "--current", "--namespace", name)
    return name


_NAMES = count(1)


def widget(name: str = "w1", **spec: Any) -> Object:
    """A Widget."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "example.com/v1beta1", "kind": "Widget", "metadata": meta, "spec": spec or {"size": 1}}


def config_map(name: str = "c1", **data: str) -> Object:
    """A ConfigMap."""
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data or {"a": "1"}}


def workload(
    kind: str = "Deployment", name: str = "web", replicas: int = 1, image: str = "web:1.0", **spec: Any
) -> Object:
    """A Deployment or a StatefulSet of one container."""
    labels = {"app": name}
    container = {"name": "main", "image": image, "ports": [{"containerPort": 80}]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    body: Object = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec}
    if kind == "StatefulSet":
        body["serviceName"] = name
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": body}
