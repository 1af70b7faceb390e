"""What the operator stands on is taken away: the cluster's data, or the definition of its resource."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventstore import events as e
from reconciler.shell.cluster import ClusterError
from tests.cluster.bad_day import AT_REST, HALF_WAY, BadDay, BadDayStage
from tests.cluster.installation import Databases, install_base
from tests.cluster.stage import PAIR, SMALL
from tests.controlplane.launch import ControlPlane

DEFINITION = "observabilityplatforms.observability.io"
#: Deleted since the backup; made since the backup.
DOOMED, LATE = "doomed", "late"


@pytest.fixture
def day(own_control_plane: ControlPlane, databases: Databases, tmp_path: Path) -> Iterator[BadDay]:
    """A control plane to break; at the end, no secret and no traceback in any log, and every stream verifies."""
    with BadDayStage(own_control_plane, tmp_path / "stage", databases) as stage:
        yield BadDay(own_control_plane, stage)


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


def test_a_definition_that_is_deleted_and_put_back(day: BadDay) -> None:
    stage = day.stage
    day.begin(PAIR)
    with day.fault(calm=False):
        stage.kubectl.ok("delete", "crd", DEFINITION, "--timeout=60s", seconds=70)
    with day.fault():
        time.sleep(8)
    for name, uid in day.uids.items():
        stage.wait("closed", lambda uid=uid: stage.is_closed(uid))  # type: ignore[misc]  # bound at once
        assert all(key.startswith("PersistentVolumeClaim/") for key in day.children(name)), day.children(name)
    install_base(stage.kubectl)
    for name in list(day.uids):
        before = day.uids[name]
        day.uids[name] = stage.install(PAIR, name)
        assert day.uids[name] != before
        day.check_requests(before)
    day.check(kept=False)


def test_a_version_that_is_not_served_for_a_while(day: BadDay) -> None:
    day.begin(PAIR)
    # The children are served all the while: the installation goes on.
    with day.fault(calm=False):
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
