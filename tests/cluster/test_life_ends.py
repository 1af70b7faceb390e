"""Deletion: from every phase, paused or not, and a name that is used again at once."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from eventstore import events as e
from reconciler.shell.resources import POD, SECRET, STATEFUL_SET, WATCHED
from tests.cluster.stage import ALL_FIVE, PAIR, SMALL, ClusterStage

UPGRADED: dict[str, Any] = {"components": {"prometheus": {}, "grafana": {"version": "13.2.2"}}}


def pending(stage: ClusterStage) -> None:
    variable = {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "word"}}}
    stage.apply({"components": {"grafana": {"extraEnv": [variable]}}})
    stage.wait_reason("SecretMissing")


def installing(stage: ClusterStage) -> None:
    stage.node.break_workload(stage.namespace, "prod-prometheus", "hang")
    stage.apply(PAIR)
    stage.wait("the first pod", lambda: stage.children(POD))


def ready(stage: ClusterStage) -> None:
    stage.install(ALL_FIVE)


def failed(stage: ClusterStage) -> None:
    stage.install(PAIR)
    stage.node.break_workload(stage.namespace, "prod-grafana")
    stage.wait_phase("Failed")


def upgrading(stage: ClusterStage) -> None:
    stage.install(PAIR)
    stage.node.break_workload(stage.namespace, "prod-grafana", "hang")
    stage.apply(UPGRADED)
    stage.wait_phase("Upgrading")


def paused(stage: ClusterStage) -> None:
    stage.install(PAIR)
    stage.apply({**PAIR, "paused": True})
    stage.wait("paused", lambda: stage.condition("Paused")[0] == "True")


def children_left(stage: ClusterStage) -> list[str]:
    """Everything that carries the platform's label, but volumes and the quota."""
    return [
        f"{child['kind']}/{child['metadata']['name']}"
        for watched in WATCHED[1:]
        if watched.resource.kind != "ResourceQuota"
        for child in stage.children(watched.resource)
    ]


@pytest.mark.parametrize("arrive", [pending, installing, ready, failed, upgrading, paused])
def test_a_platform_can_be_deleted_in_every_phase(stage: ClusterStage, arrive: Callable[[ClusterStage], None]) -> None:
    stage.operate()
    arrive(stage)
    found = stage.platform()
    assert found is not None
    uid = found["metadata"]["uid"]
    stage.kubectl.ok("delete", "obsp", "prod", "--timeout=40s", seconds=50)
    stage.wait("closed", lambda: stage.is_closed(uid))
    stage.wait("cleared", lambda: children_left(stage) == [])
    assert stage.cluster.get(SECRET, stage.namespace, "prod-grafana-admin") is None
    orphaned = stage.events(e.FinalizerReleaseRequested, uid)
    assert [event.orphaned for event in orphaned] == ([()] if orphaned else [])


def test_components_go_in_reverse_order(stage: ClusterStage) -> None:
    stage.operate()
    uid = stage.install(ALL_FIVE)
    stage.remove()
    order = [event.component for event in stage.events(e.DeleteRequested, uid) if event.component is not None]
    seen = list(dict.fromkeys(order))
    assert seen == ["alertmanager", "grafana", "tempo", "loki", "prometheus"]


def test_a_name_used_again_at_once_is_a_new_platform(stage: ClusterStage) -> None:
    stage.operate()
    first = stage.install(PAIR)
    old = stage.children(STATEFUL_SET)[0]["metadata"]["uid"]
    stage.kubectl.ok("delete", "obsp", "prod", "--timeout=40s", seconds=50)
    second = stage.apply(PAIR)
    assert second != first
    stage.wait_ready()
    assert old not in {child["metadata"]["uid"] for child in stage.children(STATEFUL_SET)}
    assert stage.phases(second) == ["Pending", "Installing", "Ready"]
    stage.wait("closed", lambda: stage.is_closed(first))


def test_deleted_while_no_operator_runs_it_is_torn_down_by_the_next_one(stage: ClusterStage) -> None:
    operator = stage.operate()
    uid = stage.install(SMALL)
    operator.stop()
    stage.delete()
    time.sleep(0.5)
    assert stage.platform() is not None, "the finalizer holds it"
    operator.start()
    stage.wait("gone", lambda: stage.platform() is None)
    stage.wait("closed", lambda: stage.is_closed(uid))
    stage.wait("cleared", lambda: children_left(stage) == [])


def test_a_child_that_somebody_holds_back_is_left_behind_in_bounded_time_and_named(stage: ClusterStage) -> None:
    stage.operate(teardown_deadline_seconds=3)
    uid = stage.install(SMALL)
    held = '{"metadata":{"finalizers":["example.com/hold"]}}'
    stage.kubectl.ok("patch", "service", "prod-prometheus", "--type=merge", "-p", held)
    stage.remove(seconds=30)
    (released,) = stage.events(e.FinalizerReleaseRequested, uid)
    assert [str(ref) for ref in released.orphaned] == ["Service/prod-prometheus"]
    stage.wait("told", lambda: "Orphaned" in [event["reason"] for event in stage.kubernetes_events()])
    stage.kubectl.ok("patch", "service", "prod-prometheus", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
