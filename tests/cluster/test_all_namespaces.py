"""The operator as deploy/base runs it: two replicas, every namespace, and what the API server's audit says of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.installation import SERVICE_ACCOUNT, SYSTEM_NAMESPACE, Databases, new_namespace
from tests.cluster.stage import PAIR, SMALL, ClusterStage
from tests.cluster.test_least_privilege import SPEC, grants
from tests.controlplane.launch import ControlPlane

USER = f"system:serviceaccount:{SYSTEM_NAMESPACE}:{SERVICE_ACCOUNT}"


@pytest.fixture
def whole(own_control_plane: ControlPlane, databases: Databases, tmp_path: Path) -> Iterator[ClusterStage]:
    """A stage on a control plane of its own, whose operators look after every namespace."""
    with ClusterStage(own_control_plane, tmp_path / "stage", databases, namespaces=0) as stage:
        yield stage


def audited(plane: ControlPlane) -> list[dict[str, Any]]:
    """Every call of the operator's ServiceAccount, as the API server has it."""
    entries = [json.loads(line) for line in plane.audit_log.read_text().splitlines()]
    return [entry for entry in entries if entry["user"]["username"] == USER]


def test_every_namespace_is_looked_after_and_no_call_is_refused(
    whole: ClusterStage, own_control_plane: ControlPlane
) -> None:
    stage = whole
    first = stage.operate()
    second = stage.operate()
    stage.install(SPEC)
    late = new_namespace("late")
    stage.make_namespace(late)
    stage.install(PAIR, namespace=late)
    stage.install(SMALL, namespace=late)
    stage.remove(namespace=late)
    stage.remove()
    assert first.stop() == 0
    assert second.stop() == 0
    calls = audited(own_control_plane)
    assert [entry for entry in calls if entry["responseStatus"]["code"] in {401, 403}] == []
    called = {_grant(entry) for entry in calls if "objectRef" in entry and entry["objectRef"].get("resource")}
    assert called <= set(grants())
    # An apply that creates is a patch in the audit. What else is not called in a life in which nothing goes wrong,
    # test_least_privilege.py has a use for.
    assert {verb for _, _, verb in set(grants()) - called} <= {"create", "get"}


def _grant(entry: dict[str, Any]) -> tuple[str, str, str]:
    target = entry["objectRef"]
    subresource = f"/{target['subresource']}" if target.get("subresource") else ""
    return target.get("apiGroup", ""), target["resource"] + subresource, entry["verb"]
