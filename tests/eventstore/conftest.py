"""The three logs, one fixture: whoever takes `log` runs on all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore.log import EventLog
from eventstore.opening import open_log
from tests.fixtures.postgres import *  # noqa: F403 - fixtures

STORES = ["memory", "sqlite", "postgres"]
DATABASES = ["sqlite", "postgres"]


def dsn_of(store: str, request: pytest.FixtureRequest) -> str:
    """URL of an empty store with the newest schema (SQLite: to be created)."""
    if store == "memory":
        return "memory://"
    if store == "sqlite":
        path: Path = request.getfixturevalue("tmp_path")
        return f"sqlite:///{path / 'ledger.db'}"
    dsn: str = request.getfixturevalue("postgres_dsn")
    return dsn


@pytest.fixture(params=STORES)
def log(request: pytest.FixtureRequest) -> Iterator[EventLog]:
    """An empty log."""
    log = open_log(dsn_of(request.param, request), create=request.param == "sqlite")
    yield log
    log.close()


@pytest.fixture(params=DATABASES)
def dsn(request: pytest.FixtureRequest) -> str:
    """URL of an empty database with the newest schema."""
    url = dsn_of(request.param, request)
    open_log(url, create=True).close()
    return url
