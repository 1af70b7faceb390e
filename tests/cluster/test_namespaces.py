"""Namespaces: one that is deleted under the operator, two with a platform each, and those that are not its own."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.shell.resources import STATEFUL_SET
from tests.cluster.installation import Databases, new_namespace
from tests.cluster.stage import ALL_FIVE, SMALL, WRITES, ClusterStage
from tests.fixtures.controlplane import Cluster


@pytest.fixture
def two(control_plane: Cluster, databases: Databases, tmp_path: Path) -> Iterator[ClusterStage]:
    """A stage whose operators look after two namespaces."""
    with ClusterStage(control_plane, tmp_path / "stage", databases, namespaces=2) as stage:
        yield stage


def check_refused(stage: ClusterStage) -> None:
    """A namespace that goes was asked for one child a round at most, and each Event was tried once."""
    calls = [one for one in stage.faults.log() if one.namespace == stage.namespace and one.status == 403]
    children = [one for one in calls if not one.resource.startswith("events")]
    assert len(children) <= 6, children
    events = [one for one in calls if one.resource.startswith("events")]
    assert len(events) <= 20, events


def test_a_namespace_is_deleted_with_the_platform_in_it_and_nothing_is_fought_for(stage: ClusterStage) -> None:
    operator = stage.operate()
    uid = stage.install(ALL_FIVE)
    before = stage.calls(*WRITES)
    stage.kubectl.ok("delete", "namespace", stage.namespace, "--timeout=50s", seconds=60)
    stage.wait("closed", lambda: stage.is_closed(uid))
    time.sleep(2.0)
    calls = stage.calls(*WRITES) - before
    created = {key: count for key, count in calls.items() if key[0] in {"create", "patch"} and "status" not in key[1]}
    # The finalizer, a few Events that the namespace does not take any more; no child.
    assert not {key for key in created if "observability" not in key[1] and "events" not in key[1]}, created
    check_refused(stage)
    assert operator.unreadiness() == ""


def test_a_namespace_deleted_in_the_middle_of_an_install_goes(stage: ClusterStage) -> None:
    operator = stage.operate()
    uid = stage.apply(ALL_FIVE)
    stage.wait("begun", lambda: stage.children(STATEFUL_SET))
    stage.kubectl.ok("delete", "namespace", stage.namespace, "--timeout=50s", seconds=60)
    stage.wait("closed", lambda: stage.is_closed(uid))
    check_refused(stage)
    assert operator.unreadiness() == ""


def test_a_namespace_made_again_is_looked_after_again(stage: ClusterStage) -> None:
    stage.operate()
    first = stage.install(SMALL)
    stage.kubectl.ok("delete", "namespace", stage.namespace, "--timeout=50s", seconds=60)
    stage.make_namespace(stage.namespace)
    stage.kubectl.ok("wait", "serviceaccount/default", "--for=create", "--timeout=20s")
    second = stage.install(SMALL)
    assert first != second


def test_two_platforms_of_one_name_in_two_namespaces_have_nothing_to_do_with_each_other(two: ClusterStage) -> None:
    stage = two
    stage.operate()
    one, other = stage.watched_namespaces
    stage.apply(SMALL, namespace=one)
    second = stage.install(SMALL, namespace=other)
    stage.wait_ready(namespace=one)
    before = len(stage.recorded(second))
    stage.apply({"components": {"prometheus": {"retention": "3d"}}}, namespace=one)
    stage.wait_ready(namespace=one)
    stage.remove(namespace=one)
    assert stage.is_ready(namespace=other)
    assert len(stage.recorded(second)) == before


def test_a_namespace_that_is_not_named_is_left_alone(stage: ClusterStage) -> None:
    stage.operate()
    elsewhere = new_namespace("elsewhere")
    stage.make_namespace(elsewhere)
    try:
        uid = stage.apply(SMALL, namespace=elsewhere)
        stage.install(SMALL)
        assert stage.status(namespace=elsewhere).get("phase") is None
        assert stage.recorded(uid) == []
        assert stage.children(STATEFUL_SET, namespace=elsewhere) == []
    finally:
        stage.kubectl.run("delete", "namespace", elsewhere, "--wait=false")
