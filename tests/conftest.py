"""What every test run knows: whether there is a real control plane to run against."""

from pathlib import Path

import pytest

from tests.fixtures.controlplane import begin, end

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--control-plane",
        action="store_true",
        help="run against a real Kubernetes API server too: one built from source for the run (tests/controlplane), "
        "or the cluster of STACKLEDGER_TEST_KUBECONFIG",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Once per run: the processes of pytest-xdist find the one that the first process started.
    if config.getoption("--control-plane") and not hasattr(config, "workerinput"):
        begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        end()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without a control plane there is nothing that tests/cluster could run on."""
    alone = collection_path == _HERE / "cluster" and not config.getoption("--control-plane")
    return True if alone else None
