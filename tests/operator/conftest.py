"""Fixtures of the tests that run the whole operator against the emulated cluster."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.postgres import *  # noqa: F403  # fixtures are used by name
from tests.operator.stage import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An empty cluster with the CRD and a namespace; no operator yet."""
    stage = Stage(tmp_path).open()
    yield stage
    stage.close()


@pytest.fixture(params=["sqlite", "postgres"])
def either_stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """The same on either database."""
    dsn = request.getfixturevalue("postgres_dsn") if request.param == "postgres" else ""
    stage = Stage(tmp_path, dsn).open()
    yield stage
    stage.close()
