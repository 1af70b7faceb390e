"""A platform's life as a user sees it, on SQLite and on PostgreSQL."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from eventstore import events as e
from eventstore.vocabulary import INSTALL_ORDER
from migrations.runner import migrate
from reconciler.shell.resources import SECRET, STATEFUL_SET, resource_for
from tests.fixtures.postgres import PostgresServer
from tests.operator.stage import WRITES, Stage

MINIMAL: dict[str, Any] = {"components": {"prometheus": {"enabled": True}}}
FULL: dict[str, Any] = {"components": {name.value: {} for name in INSTALL_ORDER}}


def test_from_creation_to_ready_upgrade_and_deletion(either_stage: Stage) -> None:
    stage = either_stage
    stage.operate()
    uid = stage.install({"components": {name.value: {} for name in INSTALL_ORDER} | {"grafana": {"version": "13.2.0"}}})
    assert stage.status()["phase"] == "Ready"
    assert stage.status()["componentsReady"] == "5/5"
    stage.install({"components": {name.value: {} for name in INSTALL_ORDER} | {"grafana": {"version": "13.2.2"}}})
    stage.remove()
    stage.wait("closed", lambda: stage.log.load_state(uid).record.closed)  # type: ignore[union-attr]  # it is there
    taken = [(t.from_phase, t.to_phase) for t in stage.events(e.PhaseChanged, uid)]
    assert taken == [
        (None, "Pending"),
        ("Pending", "Installing"),
        ("Installing", "Ready"),
        ("Ready", "Upgrading"),
        ("Upgrading", "Ready"),
    ]
    assert stage.sandbox.model.find("apps/v1", "StatefulSet", "demo", "prod-loki") is None


def test_a_platform_at_rest_costs_nothing(stage: Stage) -> None:
    stage.operate()
    stage.install(FULL)
    time.sleep(1.5)
    events, writes, lists = stage.log.head_position(), stage.calls(*WRITES), stage.calls("list")
    time.sleep(2.0)
    assert stage.log.head_position() == events
    assert stage.calls(*WRITES) == writes
    assert stage.calls("list") == lists


def test_a_change_is_acted_on_by_watch_and_not_by_poll(stage: Stage) -> None:
    stage.operate(tick_seconds=30)
    stage.install(MINIMAL)
    before = len(stage.events(e.SpecAccepted))
    stage.apply({"components": {"prometheus": {"enabled": True, "retention": "3d"}}})
    stage.wait("accepted", lambda: len(stage.events(e.SpecAccepted)) > before, seconds=1.0)


def test_a_minor_edit_is_rolled_out_and_recorded(stage: Stage) -> None:
    stage.operate()
    stage.install(MINIMAL)
    stage.install({"components": {"prometheus": {"enabled": True, "retention": "3d"}}})
    last = stage.events(e.PhaseChanged)[-1]
    assert (last.from_phase, last.to_phase, last.reason) == ("Ready", "Ready", "MinorUpdate")


@pytest.mark.parametrize(
    ("api_version", "kind", "name"),
    [
        ("apps/v1", "StatefulSet", "prod-grafana"),
        ("v1", "Service", "prod-grafana"),
        ("v1", "ConfigMap", "prod-grafana-config"),
        ("v1", "ServiceAccount", "prod-grafana"),
        ("networking.k8s.io/v1", "Ingress", "prod-grafana"),
    ],
)
def test_a_deleted_child_is_back_within_seconds(stage: Stage, api_version: str, kind: str, name: str) -> None:
    stage.operate()
    stage.install({"components": {"grafana": {"ingress": {"host": "grafana.example.com"}}}})
    before = stage.get(api_version, kind, name)
    assert before is not None
    stage.delete(name, resource_for(api_version, kind))
    old = before["metadata"]["uid"]
    stage.wait("back", lambda: (stage.get(api_version, kind, name) or before)["metadata"]["uid"] != old)
    stage.wait("Ready", stage.is_ready)
    stage.wait("recorded", lambda: stage.events(e.DriftCorrected))
    assert stage.events(e.DriftDetected)[0].kind == "Missing"


def test_an_edit_by_hand_is_taken_back_and_its_author_named(stage: Stage) -> None:
    stage.operate()
    stage.install(MINIMAL)
    found = stage.get("apps/v1", "StatefulSet", "prod-prometheus")
    assert found is not None
    body = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "prod-prometheus"},
        "spec": {"replicas": 3},
    }
    stage.cluster.apply(STATEFUL_SET, "demo", body, manager="somebody")
    stage.wait("corrected", lambda: stage.events(e.DriftCorrected))
    drift = stage.events(e.DriftDetected)[-1]
    assert (drift.kind, drift.managers, drift.paths) == ("Changed", ("somebody",), ("spec.replicas",))
    again = stage.get("apps/v1", "StatefulSet", "prod-prometheus")
    assert again is not None
    assert again["spec"]["replicas"] == 1


def test_while_paused_nothing_is_written_to_children(stage: Stage) -> None:
    stage.operate()
    stage.install(MINIMAL)
    stage.apply({**MINIMAL, "paused": True})
    stage.wait("paused", lambda: stage.condition("Paused")[0] == "True")
    stage.delete("prod-prometheus", resource_for("v1", "Service"))
    stage.apply({"components": {"prometheus": {"enabled": True, "retention": "3d"}}, "paused": True})
    time.sleep(1.0)
    assert stage.get("v1", "Service", "prod-prometheus") is None
    assert stage.events(e.DriftDetected), "observing goes on"
    stage.install({"components": {"prometheus": {"enabled": True, "retention": "3d"}}})
    assert stage.get("v1", "Service", "prod-prometheus") is not None


def test_a_platform_made_again_under_the_same_name_is_a_new_stream(stage: Stage) -> None:
    stage.operate()
    first = stage.install(MINIMAL)
    stage.remove()
    second = stage.install(MINIMAL)
    assert first != second
    assert [event.type for event in stage.recorded(second)[:2]] == ["PolicyAdopted", "PlatformObserved"]
    stage.wait("closed", lambda: stage.log.load_state(first).record.closed)  # type: ignore[union-attr]  # it is there


def test_a_broken_component_fails_the_platform_and_heals_it(stage: Stage) -> None:
    stage.operate()
    stage.install(FULL)
    stage.sandbox.break_workload("demo", "prod-tempo")
    stage.wait("Failed", lambda: stage.status().get("phase") == "Failed")
    assert stage.condition("Available")[0] == "True"
    assert stage.condition("Degraded") == ("True", "ComponentFailed")
    stage.sandbox.repair_workload("demo", "prod-tempo")
    stage.wait("Ready", stage.is_ready)


def test_a_lost_ledger_is_begun_anew_and_nothing_is_torn_down(stage: Stage) -> None:
    operator = stage.operate()
    stage.install(MINIMAL)
    before = stage.get("apps/v1", "StatefulSet", "prod-prometheus")
    assert before is not None
    stage.stop(operator)
    deletes = stage.calls("delete")
    stage.dsn = f"sqlite:///{stage.directory / 'another.db'}"
    stage.operate()
    stage.wait("re-adopted", lambda: stage.events(e.LastKnownGoodRecorded))
    assert stage.events(e.LedgerReset)[0].lost_sequence > 0
    after = stage.get("apps/v1", "StatefulSet", "prod-prometheus")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert stage.calls("delete") == deletes


def test_of_two_replicas_one_acts_and_the_other_takes_over(either_stage: Stage) -> None:
    stage = either_stage
    first, second = stage.operate(), stage.operate()
    stage.install(MINIMAL)
    leader, standby = (first, second) if first.epoch() else (second, first)
    assert standby.epoch() is None
    stage.stop(leader)
    stage.wait("taken over", lambda: standby.epoch() is not None)
    stage.install({"components": {"prometheus": {"enabled": True, "retention": "3d"}}})
    epochs = [event.epoch for event in stage.recorded()]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2


def test_the_operator_needs_no_more_of_the_database_than_its_role_has(
    tmp_path: Path, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    role = f"operator_{tmp_path.name[-8:].replace('-', '_').lower()}_{os.getpid()}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    migrate(postgres_dsn, app_role=role)
    stage = Stage(tmp_path, postgres_dsn.replace("postgres:@", f"{role}:@")).open()
    try:
        stage.operate()
        stage.install(MINIMAL)
        stage.wait("announced", lambda: stage.sandbox.model.find("v1", "Event", "demo", _first_event(stage)))
    finally:
        stage.close()


def _first_event(stage: Stage) -> str:
    """Name of the Event about the platform's creation."""
    return f"prod.{stage.state().stream_id[:8]}.00000003"


def test_a_secret_of_ours_that_is_gone_is_noticed_as_soon_as_there_is_trouble(stage: Stage) -> None:
    stage.operate()
    stage.install({"components": {"grafana": {}}})
    stage.delete("prod-grafana-admin", SECRET)
    stage.sandbox.break_workload("demo", "prod-grafana", "CreateContainerConfigError")
    stage.wait("made again", lambda: stage.get("v1", "Secret", "prod-grafana-admin"), seconds=10)
    stage.sandbox.repair_workload("demo", "prod-grafana")
    stage.wait("Ready", stage.is_ready)


def test_who_changed_a_secret_of_ours_is_named_though_its_values_are_not_kept(stage: Stage) -> None:
    stage.operate()
    stage.install({"components": {"grafana": {"adminPassword": "correct horse"}}})
    (secret,) = {event.ref.name for event in stage.events(e.ApplyRequested) if event.ref.kind == "Secret"}
    found = stage.get("v1", "Secret", secret)
    assert found is not None
    (key,) = found["data"]
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": {key: "Zm9yZ2Vk"}}
    stage.cluster.apply(SECRET, "demo", body, manager="mallory")
    # Looked at more often while something is wrong.
    stage.sandbox.break_workload("demo", "prod-grafana")
    stage.wait("corrected", lambda: stage.events(e.DriftCorrected), seconds=10)
    drift = stage.events(e.DriftDetected)[-1]
    assert (drift.managers, drift.paths) == (("mallory",), (f"data.{key}",))
    again = stage.get("v1", "Secret", secret)
    assert again is not None
    assert again["data"] == found["data"]
