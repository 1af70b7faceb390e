"""The ledger's database goes away for a while: nothing is written meanwhile, it shows, and it comes back by itself."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.verification import verify_stream
from reconciler.app import Operator
from reconciler.shell.resources import STATEFUL_SET
from tests.operator.stage import NAMESPACE, WRITES, Stage
from tests.operator.test_refusals import unreadiness

SMALL: dict[str, Any] = {"components": {"prometheus": {}}}
EDITED: dict[str, Any] = {"components": {"prometheus": {"retention": "3d"}}}

#: A stage, how its database goes away, and how it comes back.
Switch = tuple[Stage, Callable[[], object], Callable[[], object]]


@pytest.fixture
def sqlite_switch(tmp_path: Path) -> Iterator[Switch]:
    """Somebody holds the file locked."""
    stage = Stage(tmp_path).open()
    lock = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    yield stage, lambda: lock.execute("BEGIN EXCLUSIVE"), lambda: lock.execute("ROLLBACK")
    lock.close()
    stage.close()


@pytest.fixture
def postgres_switch(tmp_path: Path, own_postgres_server: Any) -> Iterator[Switch]:
    """The server is stopped and started."""
    server = own_postgres_server
    stage = Stage(tmp_path, server.dsn(server.create_database(server.migrated_template()))).open()
    yield stage, server.stop, server.start
    stage.close()


def check_survives(switch: Switch) -> None:
    stage, away, back = switch
    operator = stage.operate(health_bind="127.0.0.1:0")
    uid = stage.install(SMALL)
    away()
    stage.wait("red", lambda: _is_red(operator), seconds=30)
    writes = stage.calls(*WRITES)
    stage.apply(EDITED)
    stage.delete("prod-prometheus", STATEFUL_SET)
    ours = stage.calls(*WRITES)
    assert ours == writes + 2
    time.sleep(4.0)
    assert stage.calls(*WRITES) == ours
    assert stage.cluster.get(STATEFUL_SET, NAMESPACE, "prod-prometheus") is None
    back()
    stage.wait("Ready", stage.is_ready, seconds=40)
    stage.wait("green", lambda: not unreadiness(operator), seconds=30)
    assert verify_stream(stage.log, uid).faults == ()


def _is_red(operator: Operator) -> bool:
    return "store" in unreadiness(operator)


def test_a_locked_sqlite_file_is_waited_for_without_a_write(sqlite_switch: Switch) -> None:
    check_survives(sqlite_switch)


def test_a_stopped_postgres_is_waited_for_without_a_write(postgres_switch: Switch) -> None:
    check_survives(postgres_switch)
