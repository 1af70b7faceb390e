"""deploy/base as an administrator applies it, and the operator as a pod of it starts."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster.installation import SYSTEM_NAMESPACE, rendered
from tests.cluster.process import OperatorProcess
from tests.cluster.stage import SMALL, ClusterStage
from tests.controlplane.launch import ControlPlane

ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
#: In a mount namespace of its own: nobody else sees what is put under /run.
IN_A_POD = f"""
set -e
mount -t tmpfs none /run
mkdir -p {ACCOUNT}
cp "$POD_CA" {ACCOUNT}/ca.crt
cp "$POD_TOKEN" {ACCOUNT}/token
exec "$@"
"""


@pytest.mark.parametrize("overlay", ["deploy/base", "deploy/kind"])
def test_the_server_accepts_every_object_and_warns_of_none(stage: ClusterStage, overlay: str) -> None:
    bodies = rendered(stage.kubectl, overlay)
    assert {"Deployment", "Job"} <= {body["kind"] for body in bodies}
    done = stage.kubectl.run(
        "apply", "--server-side", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(bodies), seconds=60
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


def test_applied_again_it_changes_nothing(stage: ClusterStage) -> None:
    bodies = [body for body in rendered(stage.kubectl) if body["kind"] not in {"Deployment", "Job"}]
    done = stage.kubectl.run("diff", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(bodies), seconds=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_operators_pods_are_admitted_in_their_namespace(stage: ClusterStage) -> None:
    """Under Pod Security `restricted`, which the namespace enforces on pods and only warns of on their owners."""
    for body in rendered(stage.kubectl):
        if body["kind"] in {"Deployment", "Job"}:
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**body["spec"]["template"]["metadata"], "name": "probe", "namespace": SYSTEM_NAMESPACE},
                "spec": {**body["spec"]["template"]["spec"], "restartPolicy": "Never"},
            }
            stage.kubectl.ok("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod))


def test_the_schema_is_up_to_date_for_the_role_of_the_operator(stage: ClusterStage) -> None:
    done = stage.stackledger("db", "status")
    assert done.returncode == 0, done.stdout + done.stderr


def test_in_a_pod_it_finds_the_server_and_its_token_by_itself(stage: ClusterStage) -> None:
    unshare = shutil.which("unshare")
    inside = [unshare or "unshare", "--mount", "sh", "-c", IN_A_POD, "sh"]
    if not unshare or subprocess.run([*inside[:2], "mount", "-t", "tmpfs", "none", "/run"]).returncode != 0:
        pytest.skip("only root may make a mount namespace here: a pod's files cannot be laid out where it looks")
    if not isinstance(stage.plane, ControlPlane):
        pytest.skip("a pod's environment names the API server by its address: not on the cluster of somebody else")
    template = stage.operator()
    others = {"KUBECONFIG", "STACKLEDGER_METRICS_BIND", "STACKLEDGER_HEALTH_BIND"}
    environment = {key: value for key, value in template.environment.items() if key not in others}
    host, _, port = stage.plane.proxy_url.removeprefix("https://").rpartition(":")
    environment |= {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    environment |= {"POD_CA": str(stage.plane.ca_file), "POD_TOKEN": str(stage.token_file)}
    operator = OperatorProcess(Path(template.directory), environment, "in-a-pod", wrapper=inside)
    stage.operators.append(operator)
    operator.start()
    operator.wait_ready()
    stage.install(SMALL)
    assert operator.stop() == 0
