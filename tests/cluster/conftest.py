"""Fixtures of the tests that run the operator, as users run it, against a real control plane."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.installation import Databases
from tests.cluster.stage import ClusterStage
from tests.fixtures.controlplane import *  # noqa: F403  # fixtures are used by name
from tests.fixtures.controlplane import Cluster
from tests.fixtures.postgres import *  # noqa: F403  # fixtures are used by name
from tests.fixtures.postgres import PostgresServer


@pytest.fixture(scope="session")
def databases(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Migrated databases, as the migrate Job leaves them."""
    databases = Databases(postgres_server, tmp_path_factory.mktemp("migrate"))
    yield databases
    databases.drop_template()


@pytest.fixture
def stage(control_plane: Cluster, databases: Databases, tmp_path: Path) -> Iterator[ClusterStage]:
    """deploy/base on the shared control plane, one namespace and an empty ledger; no operator yet.

    At the end: no secret and no traceback in any log, and every stream verifies and replays.
    """
    with ClusterStage(control_plane, tmp_path / "stage", databases) as stage:
        yield stage
