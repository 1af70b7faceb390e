"""The three logs, one fixture: whoever takes `log` runs on all of them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.log import EventLog
from eventstore.opening import open_log
from migrations.runner import migrate
from tests.fixtures.postgres import *  # noqa: F403 - fixtures

STORES = ["memory", "sqlite", "postgres"]
DATABASES = ["sqlite", "postgres"]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


def dsn_of(store: str, request: pytest.FixtureRequest) -> str:
    """URL of an empty store with the newest schema."""
    if store == "memory":
        return "memory://"
    if store == "sqlite":
        path: Path = request.getfixturevalue("tmp_path") / "ledger.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


@pytest.fixture(params=STORES)
def log(request: pytest.FixtureRequest) -> Iterator[EventLog]:
    """An empty log."""
    log = open_log(dsn_of(request.param, request))
    yield log
    log.close()


@pytest.fixture(params=DATABASES)
def dsn(request: pytest.FixtureRequest) -> str:
    """URL of an empty database with the newest schema."""
    return dsn_of(request.param, request)
