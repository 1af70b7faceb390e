"""A bad day for the API server. Nothing lost, nothing repeated, no hot loop, back to steady state unaided.

Each fault meets one platform at rest and one in the middle of its installation.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bad_day import BadDay, BadDayStage
from tests.cluster.installation import SERVICE_ACCOUNT, SYSTEM_NAMESPACE, Databases, install_base
from tests.cluster.stage import PAIR
from tests.controlplane.launch import ControlPlane

APISERVER = "kube-apiserver"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests here: each leaves it in order."""
    with ControlPlane(tmp_path_factory.mktemp("plane")) as plane:
        yield plane


@pytest.fixture
def day(plane: ControlPlane, databases: Databases, tmp_path: Path) -> Iterator[BadDay]:
    """A control plane to break; at the end, no secret and no traceback in any log, and every stream verifies."""
    with BadDayStage(plane, tmp_path / "stage", databases) as stage:
        yield BadDay(plane, stage)
        plane.faults.clear()


def test_an_api_server_that_is_killed_and_comes_back_after_some_seconds(day: BadDay) -> None:
    day.begin(PAIR)
    with day.fault():
        day.plane.kill(APISERVER)
        time.sleep(5)
        day.plane.start_process(APISERVER)
    day.check()


def test_an_api_server_that_stands_still_for_twenty_seconds_with_its_connections_open(day: BadDay) -> None:
    day.begin(PAIR)
    with day.fault():
        day.plane.pause(APISERVER)
        time.sleep(20)
        day.plane.resume(APISERVER)
    day.check()


@pytest.mark.parametrize(
    ("status", "retry_after_seconds", "plain"), [(429, 2, True), (500, None, False), (503, 3, False)]
)
def test_an_api_server_that_answers_nothing_but_errors(
    day: BadDay, status: int, retry_after_seconds: int | None, plain: bool
) -> None:
    day.begin(PAIR)
    with day.fault():
        day.plane.faults.inject(status, remaining=None, retry_after_seconds=retry_after_seconds, plain=plain)
        day.plane.faults.drop_connections()
        time.sleep(10)
    day.plane.faults.clear()
    day.check()


def test_an_api_server_that_can_be_read_and_not_written(day: BadDay) -> None:
    day.begin(PAIR)
    with day.fault():
        for verb in ("create", "update", "patch", "delete"):
            day.plane.faults.inject(503, verb=verb, remaining=None, retry_after_seconds=2)
        time.sleep(12)
    day.plane.faults.clear()
    day.check()


def test_answers_that_are_lost_and_connections_that_break_again_and_again(day: BadDay) -> None:
    day.begin(PAIR)
    for verb in ("create", "patch"):
        day.plane.faults.inject(verb=verb, after=True, remaining=3)
    for _ in range(8):
        day.plane.faults.drop_connections()
        time.sleep(0.7)
    day.check()


def test_a_token_that_is_refused_and_then_replaced_in_its_file(day: BadDay) -> None:
    day.begin(PAIR, ready_seconds=6)
    kubectl = day.stage.kubectl
    with day.fault():
        kubectl.ok("delete", "serviceaccount", SERVICE_ACCOUNT, "-n", SYSTEM_NAMESPACE)
        # For ten seconds the server goes on believing a token that it has just checked.
        time.sleep(10.5)
        day.plane.faults.drop_connections()
        day.stage.wait("refused", lambda: any(one.status == 401 for one in day.plane.faults.counts()))
        time.sleep(4)
    assert "Unauthorized" in day.operator.unreadiness()
    install_base(kubectl)
    day.stage.write_token()
    day.check()
