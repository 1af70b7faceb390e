"""A bad day for the API server. Nothing lost, nothing repeated, no hot loop, back to steady state unaided.

Each fault meets one platform at rest and one in the middle of its installation.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore import events as e
from reconciler.shell.cluster import ClusterError
from tests.cluster.bad_day import AT_REST, HALF_WAY, BadDay, BadDayStage
from tests.cluster.installation import SERVICE_ACCOUNT, SYSTEM_NAMESPACE, Databases, install_base
from tests.cluster.stage import PAIR, SMALL
from tests.controlplane.launch import ControlPlane
from tests.fixtures.controlplane import begin_own

APISERVER = "kube-apiserver"
DEFINITION = "observabilityplatforms.observability.io"
#: Deleted since the backup; made since the backup.
DOOMED, LATE = "doomed", "late"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests here: each leaves it in order."""
    with begin_own(tmp_path_factory.mktemp("plane")) as plane:
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
    first = day.plane.faults.last()
    for verb in ("create", "patch"):
        day.plane.faults.inject(verb=verb, after=True, remaining=3)
    for _ in range(8):
        day.plane.faults.drop_connections()
        time.sleep(0.7)
    day.check()
    lost = Counter(call.verb for call in day.sent(first) if call.status == 0 and call.duration is not None)
    assert lost["create"] >= 3, lost
    assert lost["patch"] >= 3, lost


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


# -- what it stands on is taken away -----------------------------------------------------------------------------------


def test_a_definition_that_is_deleted_and_put_back(day: BadDay) -> None:
    stage = day.stage
    day.begin(PAIR)
    with day.fault(busy=tuple(day.uids)):
        stage.kubectl.ok("delete", "crd", DEFINITION, "--timeout=60s", seconds=70)
    with day.fault():
        time.sleep(6)
    for name, uid in day.uids.items():
        stage.wait("closed", lambda uid=uid: stage.is_closed(uid))  # type: ignore[misc]  # bound at once
        assert all(key.startswith("PersistentVolumeClaim/") for key in day.children(name)), day.children(name)
    install_base(stage.kubectl)
    before, day.uids = day.uids, {name: stage.apply(PAIR, name) for name in day.uids}
    assert set(before.values()).isdisjoint(day.uids.values())
    for uid in before.values():
        day.check_requests(uid)
    day.check(kept=False)


def test_a_version_that_is_not_served_for_a_while(day: BadDay) -> None:
    day.begin(PAIR)
    # The children are served all the while: the installation goes on.
    with day.fault(busy=(HALF_WAY,)):
        _serve(day, served=False)
        time.sleep(8)
        _serve(day, served=True)
        day.stage.wait("served", lambda: _is_served(day))
    day.check()


def _is_served(day: BadDay) -> bool:
    try:
        return day.stage.platform(AT_REST) is not None
    except ClusterError:
        return False


def _serve(day: BadDay, *, served: bool) -> None:
    definition = json.loads(day.stage.kubectl.ok("get", "crd", DEFINITION, "-o", "json"))
    place = [version["name"] for version in definition["spec"]["versions"]].index("v1beta1")
    patch = [{"op": "replace", "path": f"/spec/versions/{place}/served", "value": served}]
    day.stage.kubectl.ok("patch", "crd", DEFINITION, "--type=json", "-p", json.dumps(patch))


def test_a_cluster_that_is_rolled_back_to_a_backup(day: BadDay, tmp_path: Path) -> None:
    stage, plane = day.stage, day.plane
    day.begin(PAIR, also={DOOMED: SMALL})
    doomed = day.children(DOOMED)
    plane.snapshot(tmp_path / "backup")
    stage.wait_ready(HALF_WAY)
    stage.install({"components": {**PAIR["components"], "prometheus": {"retention": "3d"}}}, AT_REST)
    late = stage.install(SMALL, LATE)
    stage.remove(DOOMED)
    stage.wait("closed", lambda: stage.is_closed(day.uids[DOOMED]))
    day.wait_still()
    head = stage.log.head_position()
    plane.restore(tmp_path / "backup")
    day.check(kept=False)
    assert stage.platform(LATE) is None
    stage.wait("closed", lambda: stage.is_closed(late))
    assert {key: seen.uid for key, seen in day.children(AT_REST).items()} == {
        key: seen.uid for key, seen in day.before.items()
    }
    assert {key: seen.uid for key, seen in day.children(DOOMED).items()} == {
        key: seen.uid for key, seen in doomed.items()
    }
    assert stage.events(e.ClusterRewound, day.uids[AT_REST]) == [e.ClusterRewound(recorded_generation=2, generation=1)]
    assert stage.status(AT_REST)["observedGeneration"] == 1
    since = [record for record in stage.recorded() if record.position > head]
    assert since
    assert {"DeleteRequested", "DeletionRequested"}.isdisjoint(record.type for record in since), "nothing is torn down"
