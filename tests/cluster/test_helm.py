"""Helm's watcher (kstatus) and we agree on when a platform is there: `--wait` returns then, never before."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.shell.resources import POD
from tests.cluster.stage import PAIR, ClusterStage, edited
from tests.fixtures.kubectl import helm_binary


class Helm:
    """helm with the stage's kubeconfig and a chart that holds one platform."""

    def __init__(self, stage: ClusterStage, directory: Path) -> None:
        self._stage, self._home = stage, directory / "helm"
        self.chart = self._home / "chart"
        (self.chart / "templates").mkdir(parents=True)
        chart = {"apiVersion": "v2", "name": "platform", "version": "0.1.0"}
        (self.chart / "Chart.yaml").write_text(yaml.safe_dump(chart))

    def run(self, verb: str, spec: dict[str, Any] | None, *args: str, seconds: float = 90) -> tuple[int, str]:
        """(exit code, output) of `helm VERB prod CHART`; without a spec, of `helm VERB prod`."""
        chart = []
        if spec is not None:
            body = {
                "apiVersion": "observability.io/v1beta1",
                "kind": "ObservabilityPlatform",
                "metadata": {"name": "prod"},
                "spec": spec,
            }
            (self.chart / "templates" / "platform.yaml").write_text(yaml.safe_dump(body))
            chart = [str(self.chart)]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self._home), "KUBECONFIG": str(self._stage.kubeconfig)}
        command = [str(helm_binary()), verb, "prod", *chart, "-n", self._stage.namespace, *args]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def helm(stage: ClusterStage, tmp_path: Path) -> Helm:
    """helm beside an operator that runs."""
    stage.operate()
    return Helm(stage, tmp_path)


def check_runs(stage: ClusterStage, word: str) -> None:
    """At this moment the platform is Ready, and every pod of Grafana is ready and has the word in its template."""
    assert stage.is_ready(), stage.report()
    found = [pod for pod in stage.children(POD) if "grafana" in pod["metadata"]["name"]]
    assert found
    for pod in found:
        assert word in json.dumps(pod["spec"])
        assert {"type": "Ready", "status": "True"}.items() <= {
            key: value for c in pod["status"]["conditions"] if c["type"] == "Ready" for key, value in c.items()
        }.items()


def test_helm_install_returns_when_the_platform_is_ready(stage: ClusterStage, helm: Helm) -> None:
    code, said = helm.run("install", PAIR, "--wait", "--timeout=60s")
    assert code == 0, said
    check_runs(stage, "13.2.0")


def test_helm_upgrade_returns_when_a_minor_edit_is_rolled_out(stage: ClusterStage, helm: Helm) -> None:
    assert helm.run("install", PAIR, "--wait", "--timeout=60s")[0] == 0
    for turn in ("first", "second"):
        spec = edited(PAIR, "grafana", extraEnv=[{"name": "TURN", "value": turn}])
        code, said = helm.run("upgrade", spec, "--wait", "--timeout=60s")
        assert code == 0, said
        check_runs(stage, turn)


def test_helm_upgrade_returns_when_another_version_runs(stage: ClusterStage, helm: Helm) -> None:
    assert helm.run("install", PAIR, "--wait", "--timeout=60s")[0] == 0
    code, said = helm.run("upgrade", edited(PAIR, "grafana", version="13.2.2"), "--wait", "--timeout=60s")
    assert code == 0, said
    check_runs(stage, "13.2.2")


def test_helm_does_not_take_a_broken_component_for_ready(stage: ClusterStage, helm: Helm) -> None:
    stage.node.break_workload(stage.namespace, "prod-grafana")
    code, said = helm.run("install", PAIR, "--wait", "--timeout=12s")
    assert code != 0, said
    assert "prod" in said
    assert not stage.is_ready()


def test_helm_is_told_of_a_spec_that_can_never_work_without_waiting_for_its_timeout(
    stage: ClusterStage, helm: Helm
) -> None:
    stage.kubectl.ok("create", "service", "clusterip", "prod-prometheus", "--tcp=80:80")
    code, said = helm.run("install", PAIR, "--wait", "--timeout=60s", seconds=30)
    assert code != 0, said


def test_helm_sees_no_success_in_an_upgrade_that_was_rolled_back(stage: ClusterStage, helm: Helm) -> None:
    assert helm.run("install", PAIR, "--wait", "--timeout=60s")[0] == 0
    _ = stage.node
    bad = edited(PAIR, "grafana", version="13.2.2", image="docker.io/grafana/grafana:13.2.2-broken")
    code, said = helm.run("upgrade", bad, "--wait", "--timeout=25s")
    assert code != 0, said


def test_helm_uninstall_returns_when_the_platform_is_gone(stage: ClusterStage, helm: Helm) -> None:
    assert helm.run("install", PAIR, "--wait", "--timeout=60s")[0] == 0
    code, said = helm.run("uninstall", None, "--wait", "--timeout=60s")
    assert code == 0, said
    assert stage.platform() is None
