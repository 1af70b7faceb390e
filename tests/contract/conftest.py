"""One suite, two servers: `server` is the sandbox, and with `--control-plane` a real kube-apiserver as well.

Where a test passes on one and not on the other, the sandbox is wrong.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from sandbox.assembly import Sandbox
from sandbox.kubeconfig import write_kubeconfig
from sandbox.server import SandboxServer
from sandbox.world import Settings
from tests.contract.server import Connection, Server, install_definitions
from tests.fixtures.controlplane import *  # noqa: F403  # fixtures are used by name


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for `server` runs on each server there is."""
    if "server" in metafunc.fixturenames:
        metafunc.parametrize("server", _names(metafunc.config), indirect=True)


def _names(config: pytest.Config) -> list[str]:
    return ["sandbox", *(["apiserver"] if config.getoption("--control-plane") else [])]


@pytest.fixture(scope="session")
def sandbox_connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A running sandbox whose pods are ready almost at once."""
    sandbox = Sandbox(settings=Settings(ready_delay_seconds=0.1, stop_delay_seconds=0.05))
    with SandboxServer(sandbox=sandbox) as running:
        kubeconfig = tmp_path_factory.mktemp("sandbox") / "kubeconfig"
        write_kubeconfig(kubeconfig, running.url)
        yield from _connection(kubeconfig)


@pytest.fixture(scope="session")
def apiserver_connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The real one."""
    yield from _connection(request.getfixturevalue("control_plane").kubeconfig)


@pytest.fixture(scope="session")
def contract_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """kubectl's home: what it discovers is kept for the next test."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def server(request: pytest.FixtureRequest, contract_home: Path) -> Iterator[Server]:
    """The server under test, with a namespace of the test's own that goes away with all others at the end."""
    with _fresh(request.getfixturevalue(f"{request.param}_connection"), contract_home) as fresh:
        yield fresh


@pytest.fixture
def servers(request: pytest.FixtureRequest, contract_home: Path) -> Iterator[list[Server]]:
    """All servers there are at once, to compare what they make of the same."""
    with ExitStack() as stack:
        connections = [request.getfixturevalue(f"{name}_connection") for name in _names(request.config)]
        yield [stack.enter_context(_fresh(connection, contract_home)) for connection in connections]


@contextmanager
def _fresh(connection: Connection, home: Path) -> Iterator[Server]:
    namespace = f"contract-{uuid4().hex[:12]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    assert connection.request("POST", "/api/v1/namespaces", body).status == 201
    connection.namespaces.append(namespace)
    yield Server(connection, namespace, home)


def _connection(kubeconfig: Path) -> Iterator[Connection]:
    connection = Connection(kubeconfig)
    install_definitions(connection)
    yield connection
    # Not after each test: the controller that empties them would have no time for those whose end a test waits for.
    for namespace in connection.namespaces:
        connection.request("DELETE", f"/api/v1/namespaces/{namespace}")
    connection.close()
