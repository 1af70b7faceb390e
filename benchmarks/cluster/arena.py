"""Where everything is measured: one control plane, one Postgres, operators as processes, and platforms to install.

The operator runs with its default settings, reads and writes the API server without the proxy, and keeps its ledger
in a Postgres whose fsync is on. Only what is named at `Arena.operate` differs. Nodes make a pod ready after
`READY_DELAY_SECONDS`, for everybody.
"""

import copy
import secrets
import shutil
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import yaml

from api.parsing import parse_spec
from benchmarks.cluster.bare import Plan, Took, run_bare
from benchmarks.cluster.eyes import Eyes, Key
from benchmarks.cluster.figures import AuditLog, cpu_seconds_below
from components.context import RenderContext
from components.manifest import Manifest
from components.registry import render
from eventstore.vocabulary import LABEL_MANAGED_BY, MANAGED_BY_VALUE
from reconciler.settings import Settings
from reconciler.shell.api_configuration import load_configuration
from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.cluster import KubernetesObject, Resource
from reconciler.shell.kubernetes_cluster import KubernetesCluster
from reconciler.shell.resources import CONFIG_MAP
from tests.cluster.installation import Databases, new_namespace
from tests.cluster.process import QUICK, OperatorProcess
from tests.cluster.stage import ClusterStage
from tests.controlplane.launch import ControlPlane
from tests.fixtures.postgres import PostgresServer

FULL = Path(__file__).parents[2] / "examples" / "full.yaml"
READY_DELAY_SECONDS = 0.2
#: What the tests shorten, as it is by default.
DEFAULTS = {key.lower(): Settings.model_fields[key.lower()].default for key in QUICK}
WORKERS: int = Settings.model_fields["workers"].default
SECONDS_MAX = 900.0


class Arena:
    """One installation on a control plane of its own."""

    def __init__(self, plane: ControlPlane, stage: ClusterStage, directory: Path, database: Path) -> None:
        """`database`: the directory that the Postgres server runs in."""
        self.plane, self.stage, self._directory, self._database = plane, stage, directory, database
        self._admin = ApiTransport(
            lambda: load_configuration(str(plane.kubeconfig)), monotonic=time.monotonic, user_agent="benchmark"
        )
        #: The administrator's.
        self.cluster = KubernetesCluster(self._admin)
        self.eyes = Eyes(self._admin)
        self.audit = AuditLog(plane.audit_log, "stackledger/")
        self._full: dict[str, Any] = yaml.safe_load(FULL.read_text())["spec"]

    # -- the operator ----------------------------------------------------------------------------------------------

    def operate(self, **settings: object) -> OperatorProcess:
        """The operator with its defaults, and what is named here; returns when it is ready and quiet."""
        operator = self.stage.operate(**{**DEFAULTS, **settings})
        time.sleep(2.0)
        return operator

    def stop(self, operator: OperatorProcess) -> None:
        """End it; what it has logged must be free of tracebacks."""
        operator.stop()
        assert "Traceback" not in operator.output(), operator.tail()

    # -- platforms -------------------------------------------------------------------------------------------------

    def namespace(self) -> str:
        """A new one."""
        name = new_namespace("bench")
        self.stage.make_namespace(name)
        return name

    def remove_namespace(self, name: str) -> None:
        """Delete it with all that is in it, and wait."""
        self.stage.kubectl.ok("delete", "namespace", name, "--timeout=600s", seconds=610)

    def spec(self, name: str, components: int = 5) -> dict[str, Any]:
        """That of examples/full.yaml, or its first components, with a host of its own."""
        spec = copy.deepcopy(self._full)
        spec["components"] = dict(list(spec["components"].items())[:components])
        if "grafana" in spec["components"]:
            spec["components"]["grafana"]["ingress"]["host"] = f"{name}.example.com"
        return spec

    def create(self, namespace: str, names: list[str], components: int = 5) -> list[Key]:
        """Create platforms, one after the other."""
        for name in names:
            self.stage.apply(self.spec(name, components), name, namespace)
        return [(namespace, name) for name in names]

    def install(self, namespace: str, names: list[str], components: int = 5) -> float:
        """Create platforms and wait until all are seen to be Ready; seconds."""
        began = time.monotonic()
        keys = self.create(namespace, names, components)
        self.eyes.wait_ready(keys, SECONDS_MAX)
        return max(self.eyes.ready_at(key) for key in keys) - began

    def cpu_seconds(self) -> float:
        """Processor time that the control plane, the nodes and the database have used so far."""
        return cpu_seconds_below(self.plane.directory, self._database)

    def remove(self, namespace: str, names: list[str]) -> None:
        """Delete platforms and wait until the operator let them go."""
        for name in names:
            self.stage.delete(name, namespace)
        self.stage.wait("gone", lambda: not self.stage.kubectl.ok("get", "obsp", "-n", namespace), SECONDS_MAX)

    def wait_settled(self, seconds: float = 5.0) -> None:
        """Until nothing was appended for so long."""
        deadline = time.monotonic() + SECONDS_MAX
        head, since = self.stage.log.head_position(), time.monotonic()
        while time.monotonic() - since < seconds:
            assert time.monotonic() < deadline, "it never comes to rest"
            time.sleep(0.5)
            now = self.stage.log.head_position()
            if now != head:
                head, since = now, time.monotonic()

    # -- the limit -------------------------------------------------------------------------------------------------

    def bare_install(self, names: list[str], components: int = 5) -> Took:
        """Have the bare client install the same; its objects are gone afterwards.

        They differ in one label, so that an operator that is running does not see them, and in the owner.
        """
        namespace = self.namespace()
        owner = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owner", "namespace": namespace}}
        made = self.cluster.apply(CONFIG_MAP, namespace, owner, manager="benchmark")
        plan = Plan(
            kubeconfig=str(self.stage.operator_kubeconfig),
            namespace=namespace,
            workers=WORKERS,
            platforms=[self._components(name, namespace, made, components) for name in names],
        )
        before = self.cpu_seconds()
        took = run_bare(plan, self._directory / "plan.json")
        took.servers_cpu_seconds = self.cpu_seconds() - before
        self.remove_namespace(namespace)
        return took

    def manifests(self, name: str, namespace: str, components: int = 5) -> list[Manifest]:
        """What a platform consists of, in the order in which it is applied."""
        parsed = parse_spec(self.spec(name, components), name=name)
        assert parsed.spec is not None, parsed.findings
        context = RenderContext(name=name, namespace=namespace, spec=parsed.spec, versions=parsed.spec.versions)
        return list(render(context))

    def _components(
        self, name: str, namespace: str, owner: KubernetesObject, components: int
    ) -> list[list[KubernetesObject]]:
        found = groupby(self.manifests(name, namespace, components), lambda manifest: manifest.component)
        return [[_complete(manifest, namespace, owner) for manifest in manifests] for _, manifests in found]

    def count(self, resource: Resource, namespace: str) -> int:
        """Objects of a kind in a namespace."""
        return len(self.cluster.list_all(resource, namespace).items)


def _complete(manifest: Manifest, namespace: str, owner: KubernetesObject) -> KubernetesObject:
    text = msgspec.json.encode(manifest.body).decode()
    body: KubernetesObject = msgspec.json.decode(
        text.replace(f'"{LABEL_MANAGED_BY}":"{MANAGED_BY_VALUE}"', f'"{LABEL_MANAGED_BY}":"bare-client"')
    )
    body["metadata"]["namespace"] = namespace
    body["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "name": "owner",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
    for key, source in manifest.secret_sources.items():
        value = secrets.token_urlsafe(source.length)[: source.length]
        body.setdefault("data", {})[key] = b64encode(value.encode()).decode()
    return body


@contextmanager
def arena() -> Iterator[Arena]:
    """Start everything; stop it at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as directory,
        ControlPlane(Path(directory) / "plane") as plane,
    ):
        plane.node.set_ready_delay(READY_DELAY_SECONDS)
        with _databases(Path(directory)) as (databases, server_directory):
            # All namespaces, as deploy/base has it.
            stage = ClusterStage(plane, Path(directory) / "stage", databases, namespaces=0, through_proxy=False).open()
            try:
                yield Arena(plane, stage, Path(directory), server_directory)
            finally:
                stage.close()


@contextmanager
def _databases(directory: Path) -> Iterator[tuple[Databases, Path]]:
    # Short: a socket's path holds 107 bytes.
    server_directory = Path(tempfile.mkdtemp(prefix="slpg-bench-"))
    server = PostgresServer(server_directory)
    try:
        # Tests do without; whoever measures may not.
        server.execute("ALTER SYSTEM RESET ALL")
        server.execute("SELECT pg_reload_conf()")
        yield Databases(server, directory), server_directory
    finally:
        server.cleanup()
        shutil.rmtree(server_directory, ignore_errors=True)
