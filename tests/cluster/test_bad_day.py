"""A bad day for the API server. Nothing lost, nothing repeated, no hot loop, back to steady state unaided.

Each fault meets one platform at rest and one in the middle of its installation.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.bad_day import BadDay
from tests.cluster.installation import Databases
from tests.cluster.stage import PAIR, ClusterStage
from tests.controlplane.launch import ControlPlane

APISERVER = "kube-apiserver"


@pytest.fixture
def day(own_control_plane: ControlPlane, databases: Databases, tmp_path: Path) -> Iterator[BadDay]:
    """A control plane to break; at the end, no secret and no traceback in any log, and every stream verifies."""
    with ClusterStage(own_control_plane, tmp_path / "stage", databases) as stage:
        yield BadDay(own_control_plane, stage)


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


def test_connections_that_break_again_and_again(day: BadDay) -> None:
    day.begin(PAIR)
    with day.fault():
        for _ in range(10):
            day.stage.faults.drop_connections()
            time.sleep(0.7)
    day.check()


@pytest.mark.parametrize(
    ("status", "retry_after_seconds", "plain"), [(429, 2, False), (429, 1, True), (500, None, False), (503, 3, False)]
)
def test_an_api_server_that_answers_nothing_but_errors(
    day: BadDay, status: int, retry_after_seconds: int | None, plain: bool
) -> None:
    day.begin(PAIR)
    with day.fault():
        day.stage.faults.inject(status, remaining=None, retry_after_seconds=retry_after_seconds, plain=plain)
        day.stage.faults.drop_connections()
        time.sleep(10)
    day.stage.faults.clear()
    day.check()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_api_server_that_can_be_read_and_not_written(day: BadDay, status: int) -> None:
    day.begin(PAIR)
    with day.fault():
        for verb in ("create", "update", "patch", "delete"):
            day.stage.faults.inject(status, verb=verb, remaining=None, retry_after_seconds=2)
        time.sleep(10)
    day.stage.faults.clear()
    day.check()


def test_answers_that_are_lost_after_the_deed(day: BadDay) -> None:
    day.begin(PAIR)
    for verb in ("create", "patch"):
        day.stage.faults.inject(verb=verb, after=True, remaining=3)
    day.check()
