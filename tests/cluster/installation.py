"""What an administrator does once: deploy/base on the control plane, and a migrated database for each operator."""

import fcntl
import re
import secrets
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tests.cluster.process import ROOT, stackledger_command
from tests.fixtures.kubectl import Kubectl
from tests.fixtures.postgres import PostgresServer

SYSTEM_NAMESPACE = "stackledger-system"
SERVICE_ACCOUNT = "stackledger"
APP_ROLE = "stackledger_app"
#: Must be found in no log, ledger, status or Event.
APP_PASSWORD = "Zq7-database-canary-5Kd"
HMAC_KEY = "Zq7-fingerprint-key-canary-8Lm"
#: Their pods would need the image: what they run, the tests start as processes.
NOT_APPLIED = frozenset({"Deployment", "Job"})


def rendered(kubectl: Kubectl, overlay: str = "deploy/base") -> list[dict[str, Any]]:
    """Every object of a kustomization, as `kubectl kustomize` renders it."""
    return [body for body in yaml.safe_load_all(kubectl.ok("kustomize", str(ROOT / overlay))) if body]


#: URLs of the servers on which this process has done it.
_installed: set[str] = set()


def install_base(kubectl: Kubectl, server: str = "") -> None:
    """Apply deploy/base without the workloads; with the server's URL, once per process. Safe for many at once."""
    if server and server in _installed:
        return
    bodies = [body for body in rendered(kubectl) if body["kind"] not in NOT_APPLIED]
    with (Path(tempfile.gettempdir()) / "stackledger-install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kubectl.ok("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(bodies), seconds=60)
    names = [f"crd/{body['metadata']['name']}" for body in bodies if body["kind"] == "CustomResourceDefinition"]
    # One that was made this moment has no conditions yet, which kubectl takes for an error: first until there are some.
    kubectl.ok("wait", *names, "--for=jsonpath={.status.conditions[0].type}", "--timeout=60s", seconds=70)
    kubectl.ok("wait", *names, "--for=condition=Established", "--timeout=60s", seconds=70)
    _installed.add(server)


class Database:
    """A ledger's database as the migrate Job leaves it, and its two URLs."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self._server, self._name = server, name
        #: URL of the owner of the tables.
        self.owner_dsn = server.dsn(name)
        #: URL of the operator's role, which may not write tables.
        self.dsn = server.dsn(name, user=APP_ROLE, password=quote(APP_PASSWORD))

    def drop(self) -> None:
        """Drop it, whoever is connected."""
        self._server.drop_database(self._name)


class Databases:
    """Makes migrated databases: the first by `stackledger db migrate` as the Job calls it, the others as its copies."""

    def __init__(self, server: PostgresServer, directory: Path) -> None:
        self._server, self._directory = server, directory
        self._template = ""

    def create(self) -> Database:
        """A new one."""
        if not self._template:
            self._template = self._migrate()
        return Database(self._server, self._server.create_database(self._template))

    def drop_template(self) -> None:
        """The end of the test run."""
        if self._template:
            self._server.drop_database(self._template)

    def _migrate(self) -> str:
        # Another test process may be making the same role.
        self._server.execute(
            f"DO $$ BEGIN CREATE ROLE {APP_ROLE} LOGIN PASSWORD '{APP_PASSWORD}'; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        name = self._server.create_database()
        file = self._directory / "owner-uri"
        file.write_text(self._server.dsn(name))
        command = [*stackledger_command(), *_job_arguments(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return name


def _job_arguments(owner_uri: Path) -> list[str]:
    """The arguments of the migrate Job, with the path of its file replaced."""
    job = yaml.safe_load((ROOT / "deploy/base/migrate.yaml").read_text())
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return [re.sub(r"^/etc/stackledger/database/owner-uri$", str(owner_uri), word) for word in container["args"]]


def deployment_environment() -> dict[str, str]:
    """The environment that deploy/base gives the operator."""
    deployment = yaml.safe_load((ROOT / "deploy/base/deployment.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def new_namespace(stem: str = "obs") -> str:
    """A name nobody else uses."""
    return f"{stem}-{secrets.token_hex(4)}"
