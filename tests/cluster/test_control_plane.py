"""The control plane itself: what the other tests take for granted."""

import http.client
import time
from pathlib import Path

import pytest

from tests.controlplane import build
from tests.controlplane.launch import ControlPlane
from tests.fixtures.controlplane import Cluster, begin_own
from tests.fixtures.kubectl import Kubectl, kubectl_binary

#: From the start of the first process until pods can be made; the machine may be busy with other tests.
START_SECONDS_MAX = 15.0


def test_the_go_code_passes_its_own_tests(control_plane: Cluster) -> None:
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("nothing was built: STACKLEDGER_TEST_KUBECONFIG names a cluster to use instead")
    build.test()


def test_it_is_usable_within_seconds_and_leaves_nothing_behind(tmp_path: Path) -> None:
    began = time.monotonic()
    with begin_own(tmp_path / "plane") as plane:
        assert time.monotonic() - began < START_SECONDS_MAX
        kubectl = Kubectl(kubectl_binary(), plane.kubeconfig, tmp_path)
        assert f"v{build.kubernetes_version()}" in kubectl.ok("version")
        kubectl.ok("create", "deployment", "web", "--image=web:1")
        kubectl.ok("rollout", "status", "deployment/web", "--timeout=30s", seconds=40)
        port = plane.ports.apiserver
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPSConnection("127.0.0.1", port, timeout=1).connect()


def test_a_restored_snapshot_undoes_what_came_after_it(own_control_plane: ControlPlane, tmp_path: Path) -> None:
    kubectl = Kubectl(kubectl_binary(), own_control_plane.kubeconfig, tmp_path)
    kubectl.ok("create", "configmap", "before")
    own_control_plane.snapshot(tmp_path / "snapshot")
    kubectl.ok("create", "configmap", "after")
    own_control_plane.restore(tmp_path / "snapshot")
    found = kubectl.ok("get", "configmaps", "-o", "name")
    assert "configmap/before" in found
    assert "configmap/after" not in found
