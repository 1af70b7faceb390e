"""`kubectl wait` returns when it is so: not before the newest spec is rolled out, and not long after."""

import json
import subprocess
import time
from typing import Any

import pytest

from reconciler.shell.resources import POD
from tests.cluster.stage import ALL_FIVE, PAIR, ClusterStage, edited

READY = ("wait", "obsp/prod", "--for=condition=Ready", "--timeout=60s")
#: The command itself, and what a busy machine takes to start it.
SLACK_SECONDS = 2.0


def pods(stage: ClusterStage, component: str) -> list[dict[str, Any]]:
    return [pod for pod in stage.children(POD) if pod["metadata"]["labels"]["stackledger.io/component"] == component]


def is_pod_ready(pod: dict[str, Any]) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ()))


def check_rolled_out(stage: ClusterStage, component: str, word: str) -> None:
    """Every pod of the component has the new template, and is ready."""
    found = pods(stage, component)
    assert found
    for pod in found:
        assert word in json.dumps(pod["spec"]), f"{component} runs without {word}"
        assert is_pod_ready(pod), pod["status"]


@pytest.mark.parametrize("component", ["prometheus", "alertmanager"])
def test_after_an_edit_it_returns_when_every_pod_has_the_new_template(stage: ClusterStage, component: str) -> None:
    stage.operate()
    stage.install(ALL_FIVE)
    for turn in range(3):
        stage.apply(edited(ALL_FIVE, component, extraEnv=[{"name": "TURN", "value": f"turn-{turn}"}]))
        stage.kubectl.ok(*READY, seconds=70)
        check_rolled_out(stage, component, f"turn-{turn}")
        assert stage.is_ready()


def test_it_returns_at_once_when_nothing_is_left_to_do(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    began = time.monotonic()
    stage.kubectl.ok(*READY)
    assert time.monotonic() - began < SLACK_SECONDS


def test_an_edit_that_comes_while_another_is_rolled_out_is_waited_for_too(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    stage.apply(edited(PAIR, "prometheus", extraEnv=[{"name": "TURN", "value": "first"}]))
    waiting = stage.kubectl.start(*READY)
    time.sleep(0.3)
    stage.apply(edited(PAIR, "prometheus", extraEnv=[{"name": "TURN", "value": "second"}]))
    stage.kubectl.ok(*READY, seconds=70)
    check_rolled_out(stage, "prometheus", "second")
    assert waiting.wait(60) == 0


def test_after_a_version_change_it_returns_when_the_new_version_runs(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    stage.apply(edited(PAIR, "grafana", version="13.2.2"))
    stage.kubectl.ok(*READY, seconds=70)
    check_rolled_out(stage, "grafana", "13.2.2")


def test_the_phases_of_an_upgrade_can_be_waited_for_one_after_the_other(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    stage.apply(edited(PAIR, "grafana", version="13.2.2"))
    for phase in ("Upgrading", "Ready"):
        stage.kubectl.ok("wait", "obsp/prod", f"--for=jsonpath={{.status.phase}}={phase}", "--timeout=60s", seconds=70)
    check_rolled_out(stage, "grafana", "13.2.2")


def test_whoever_waits_for_an_upgrade_that_is_rolled_back_is_not_told_that_it_is_ready(stage: ClusterStage) -> None:
    stage.operate(progress_deadline_seconds=10)
    stage.install(PAIR)
    _ = stage.node
    stage.apply(edited(PAIR, "grafana", version="13.2.2", image="docker.io/grafana/grafana:13.2.2-broken"))
    waiting = stage.kubectl.start("wait", "obsp/prod", "--for=condition=Ready", "--timeout=25s")
    stage.wait("rolled back", lambda: stage.condition("Degraded") == ("True", "RolledBack"))
    stage.wait("serving", lambda: stage.condition("Ready")[0] == "True")
    assert waiting.wait(40) != 0
    assert "timed out" in waiting.stderr.read() if waiting.stderr else ""


def test_a_failure_can_be_waited_for(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    stage.node.break_workload(stage.namespace, "prod-grafana")
    stage.kubectl.ok("wait", "obsp/prod", "--for=condition=Degraded", "--timeout=40s", seconds=50)
    stage.kubectl.ok("wait", "obsp/prod", "--for=condition=Ready=false", "--timeout=40s", seconds=50)
    stage.node.repair_workload(stage.namespace, "prod-grafana")
    stage.kubectl.ok(*READY, seconds=70)
    assert is_pod_ready(pods(stage, "grafana")[0])


def test_deletion_can_be_waited_for(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    stage.delete()
    stage.kubectl.ok("wait", "obsp/prod", "--for=delete", "--timeout=60s", seconds=70)
    assert stage.platform() is None


def test_rollout_status_of_a_child_agrees_with_ready(stage: ClusterStage) -> None:
    stage.operate()
    stage.install(PAIR)
    stage.install(edited(PAIR, "prometheus", extraEnv=[{"name": "TURN", "value": "next"}]))
    try:
        stage.kubectl.ok("rollout", "status", "statefulset/prod-prometheus", "--timeout=1s")
    except subprocess.TimeoutExpired:
        pytest.fail("the StatefulSet is still being rolled out although the platform is Ready")
