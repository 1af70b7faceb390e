"""Bad specs and unusable references through the whole operator: what the user reads, what is left alone, how it ends.

Both a platform that is bad from the start and one that was Ready before; the cluster has an older CRD without rules, so
that the operator's own validation is what answers. docs/bad-inputs.md says which test stands for which input.
"""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from api.crd import build_crd
from eventstore import events as e
from reconciler.shell.resources import PLATFORM, SECRET, SERVICE
from tests.operator.stage import NAMESPACE, Stage

GOOD: dict[str, Any] = {"components": {"prometheus": {"enabled": True, "storage": {"size": "10Gi"}}}}


def edited(**prometheus: Any) -> dict[str, Any]:
    spec = deepcopy(GOOD)
    spec["components"]["prometheus"].update(prometheus)
    return spec


def old_crd() -> dict[str, Any]:
    """As it might have been two years ago: it lets everything through."""
    crd = build_crd()
    for version in crd["spec"]["versions"]:
        spec = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
        version["schema"]["openAPIV3Schema"] = {"type": "object", "properties": {"spec": spec, "status": status}}
    return crd


@pytest.fixture
def old_stage(tmp_path: Path) -> Iterator[Stage]:
    """A cluster whose CRD refuses nothing."""
    stage = Stage(tmp_path).open(crd=False)
    stage.create("apiextensions.k8s.io/v1", "CustomResourceDefinition", old_crd())
    yield stage
    stage.close()


BIG_DASHBOARDS = [{"name": f"big-{number}", "json": '{"title": "' + "x" * 250_000 + '"}'} for number in range(5)]
#: id -> (spec, reason, words of the message)
BAD_SPECS: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "no-content": ({}, "InvalidSpec", ("spec",)),
    "nothing-enabled": (
        {"components": {"prometheus": {"enabled": False}}},
        "InvalidSpec",
        ("at least one component must be enabled",),
    ),
    "replicas": (edited(replicas=-1), "InvalidSpec", ("spec.components.prometheus.replicas",)),
    "version-is-none": (edited(version="latest"), "InvalidSpec", ("spec.components.prometheus.version",)),
    "version-unsupported": (edited(version="99.0.0"), "UnsupportedVersion", ("prometheus 99.0.0", "3.0 to 3.14")),
    "versions-incompatible": (
        {"components": {"prometheus": {"version": "3.13.2"}, "alertmanager": {"version": "0.26.0"}}},
        "IncompatibleVersions",
        ("prometheus 3.13.2", "alertmanager 0.26.0", "set alertmanager.version"),
    ),
    "quantity": (edited(storage={"size": "1GB"}), "InvalidSpec", ("spec.components.prometheus.storage.size",)),
    "request-above-limit": (
        edited(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        "InvalidSpec",
        ("raise the limit",),
    ),
    "retention": (edited(retention="forever"), "InvalidSpec", ("spec.components.prometheus.retention",)),
    "spec-too-long": (
        {"components": {"grafana": {"dashboards": BIG_DASHBOARDS}}},
        "ConfigTooLarge",
        ("spec.components", "more than 900 KiB", "ConfigMaps"),
    ),
    "config-does-not-parse": (
        edited(additionalScrapeConfigs="- job_name: a\n  static_configs: [{targets: [x]\n"),
        "ConfigInvalid",
        ("line 3, column 1",),
    ),
    "flag": (
        edited(extraArgs=[{"name": "web.enable-admin-api", "value": "true"}]),
        "InvalidSpec",
        ("extraArgs",),
    ),
    "paused-is-text": ({**GOOD, "paused": "yes"}, "InvalidSpec", ("spec.paused",)),
    "secret-name": (
        {"components": {"grafana": {"adminPassword": {"secretKeyRef": {"name": "../x", "key": "k"}}}}},
        "InvalidSpec",
        ("spec.components.grafana.adminPassword",),
    ),
}
each_bad_spec = pytest.mark.parametrize(("bad", "reason", "words"), BAD_SPECS.values(), ids=BAD_SPECS)


def check_failed(stage: Stage, reason: str, words: tuple[str, ...], name: str = "prod") -> None:
    stage.wait(f"Failed for {reason}", lambda: stage.condition("Ready", name) == ("False", reason))
    status = stage.status(name)
    assert status["phase"] == "Failed"
    message = next(c["message"] for c in status["conditions"] if c["type"] == "Ready")
    assert all(word in message for word in words), message
    assert len(message) <= 1024


def children(stage: Stage) -> dict[str, tuple[str, int]]:
    """`Kind/name` -> (uid, generation) of everything the operator made."""
    found = {}
    for kind in stage.sandbox.model.registry.all():
        for item in stage.sandbox.model.store.items(kind.key, NAMESPACE):
            if item["metadata"].get("ownerReferences") and kind.plural not in (
                "pods",
                "replicasets",
                "controllerrevisions",
            ):
                found[f"{kind.kind}/{item['metadata']['name']}"] = (
                    item["metadata"]["uid"],
                    item["metadata"].get("generation", 0),
                )
    return found


@each_bad_spec
def test_a_bad_spec_fails_at_once_before_any_write_and_goes_to_ready_when_mended(
    old_stage: Stage, bad: Any, reason: str, words: tuple[str, ...]
) -> None:
    stage = old_stage
    stage.operate()
    stage.apply(bad)
    check_failed(stage, reason, words)
    assert children(stage) == {}
    assert stage.events(e.RetryScheduled) == []
    stage.install(GOOD)
    assert stage.status()["phase"] == "Ready"


@each_bad_spec
def test_a_bad_edit_leaves_what_runs_alone_and_is_forgotten_when_taken_back(
    old_stage: Stage, bad: Any, reason: str, words: tuple[str, ...]
) -> None:
    stage = old_stage
    stage.operate()
    stage.install(GOOD)
    before = children(stage)
    stage.apply(bad)
    check_failed(stage, reason, words)
    assert children(stage) == before
    assert stage.condition("Available")[0] == "True"
    stage.install(GOOD)
    assert children(stage) == before
    assert stage.calls("delete") == 0


def test_a_spec_too_long_to_record_can_still_be_deleted(old_stage: Stage) -> None:
    stage = old_stage
    stage.operate()
    stage.install(GOOD)
    stage.apply(BAD_SPECS["spec-too-long"][0])
    stage.remove()
    assert children(stage) == {}


def test_storage_cannot_shrink_and_nothing_is_deleted_for_it(old_stage: Stage) -> None:
    stage = old_stage
    stage.operate()
    stage.install(GOOD)
    before = children(stage)
    stage.apply(edited(storage={"size": "5Gi"}))
    check_failed(stage, "StorageShrink", ("10Gi cannot shrink to 5Gi", "spec.components.prometheus.storage.size"))
    assert children(stage) == before
    assert stage.calls("delete") == 0
    stage.install(GOOD)
    assert children(stage) == before


def test_the_storage_class_of_a_volume_cannot_be_changed(old_stage: Stage) -> None:
    stage = old_stage
    stage.operate()
    stage.install(GOOD)
    before = children(stage)
    stage.apply(edited(storage={"size": "10Gi", "storageClassName": "fast"}))
    check_failed(
        stage, "ImmutableField", ("spec.components.prometheus.storage.storageClassName", "create another platform")
    )
    assert children(stage) == before
    stage.install(GOOD)


def test_a_storage_class_that_does_not_exist_is_named(stage: Stage) -> None:
    stage.operate()
    stage.apply(edited(storage={"size": "10Gi", "storageClassName": "nowhere"}))
    stage.wait("told", lambda: "StorageClass nowhere" in str(stage.status().get("conditions")))


def test_a_downgrade_that_loses_data_is_refused_unless_it_is_wanted(stage: Stage) -> None:
    stage.operate()
    stage.install({"components": {"grafana": {"version": "13.2.0"}}})
    before = children(stage)
    stage.apply({"components": {"grafana": {"version": "12.4.0"}}})
    check_failed(stage, "DowngradeRefused", ("from 13.2.0 to 12.4.0", "spec.allowDowngrade"))
    assert children(stage) == before
    stage.install({"components": {"grafana": {"version": "12.4.0"}}, "allowDowngrade": True})
    assert stage.status()["components"][0]["runningVersion"] == "12.4.0"


@pytest.mark.parametrize("name", ["p" * 60, "1st", "a.b"])
def test_a_name_that_derived_objects_cannot_have_fails_with_the_rule(old_stage: Stage, name: str) -> None:
    stage = old_stage
    stage.operate()
    stage.apply(GOOD, name)
    stage.wait("Failed", lambda: stage.status(name).get("phase") == "Failed")
    assert children(stage) == {}
    assert "name" in str(stage.status(name)["conditions"])
    stage.delete(name)
    stage.wait("gone", lambda: stage.platform(name) is None)


def test_an_unknown_field_is_warned_of_and_does_no_harm(old_stage: Stage) -> None:
    stage = old_stage
    stage.operate()
    stage.install({"components": {"prometheus": {}, "promethues": {"enabled": True}}})
    assert stage.status()["unknownFields"] == ["components.promethues"]
    stage.wait("announced", lambda: "UnknownField" in reasons(stage))
    stage.install(GOOD)
    stage.wait("taken back", lambda: "unknownFields" not in stage.status())


def reasons(stage: Stage) -> list[str]:
    """Of the Events on platforms."""
    kind, _ = stage.sandbox.model.resource("", "v1", "events")
    return [event["reason"] for event in stage.sandbox.model.list_all(kind, NAMESPACE).items]


# -- secrets -------------------------------------------------------------------------------------------------------

REFERRING: dict[str, Any] = {
    "components": {"grafana": {"adminPassword": {"secretKeyRef": {"name": "admin", "key": "password"}}}}
}
GRANTED = {"stackledger.io/allow": "prod"}


def put_secret(stage: Stage, data: dict[str, str], labels: dict[str, str] = GRANTED, kind: str = "Opaque") -> None:
    found = stage.cluster.get(SECRET, NAMESPACE, "admin")
    if found is not None:
        stage.delete("admin", SECRET)
    body = {"metadata": {"name": "admin", "namespace": NAMESPACE, "labels": labels}, "data": data, "type": kind}
    stage.create("v1", "Secret", body, NAMESPACE)


def test_a_missing_secret_is_waited_for_and_named(stage: Stage) -> None:
    stage.operate()
    stage.apply(REFERRING)
    stage.wait("waiting", lambda: stage.condition("Ready") == ("False", "SecretMissing"))
    assert stage.status()["phase"] == "Pending"
    assert "Secret demo/admin not found" in str(stage.status()["conditions"])
    assert children(stage) == {}
    put_secret(stage, {"password": "aHVudGVyMg=="})
    stage.wait("Ready", stage.is_ready)


@pytest.mark.parametrize("data", [{"other": "eA=="}, {"password": ""}], ids=["absent", "empty"])
def test_a_missing_key_is_waited_for_and_named(stage: Stage, data: dict[str, str]) -> None:
    stage.operate()
    put_secret(stage, data)
    stage.apply(REFERRING)
    stage.wait("waiting", lambda: stage.condition("Ready") == ("False", "SecretKeyMissing"))
    assert stage.status()["phase"] == "Pending"
    assert "'password'" in str(stage.status()["conditions"])
    put_secret(stage, {"password": "aHVudGVyMg=="})
    stage.wait("Ready", stage.is_ready)


@pytest.mark.parametrize(
    ("data", "labels", "kind", "reason", "words"),
    [
        ({"password": "/w=="}, GRANTED, "Opaque", "SecretInvalid", "no UTF-8 text under password"),
        ({"password": "eA=="}, {}, "Opaque", "SecretNotGranted", "stackledger.io/allow=prod"),
        ({"password": "eA=="}, {"stackledger.io/allow": "other"}, "Opaque", "SecretNotGranted", "allow=prod"),
    ],
    ids=["not-text", "not-granted", "granted-to-another"],
)
def test_a_secret_that_may_not_be_used_fails_and_recovers_when_it_is_changed(
    stage: Stage, data: dict[str, str], labels: dict[str, str], kind: str, reason: str, words: str
) -> None:
    stage.operate()
    put_secret(stage, data, labels, kind)
    stage.apply(REFERRING)
    check_failed(stage, reason, (words,))
    put_secret(stage, {"password": "aHVudGVyMg=="})
    stage.wait("Ready", stage.is_ready)


# -- at the wrong moment -------------------------------------------------------------------------------------------


def test_paused_upgraded_and_deleted_at_once_is_deleted_without_an_upgrade(stage: Stage) -> None:
    stage.operate()
    uid = stage.install({"components": {"grafana": {"version": "13.2.0"}}})
    stage.apply({"components": {"grafana": {"version": "13.2.0"}}, "paused": True})
    stage.apply({"components": {"grafana": {"version": "13.2.2"}}, "paused": True})
    stage.remove()
    stage.wait("closed", lambda: stage.log.load_state(uid).record.closed)  # type: ignore[union-attr]  # it is there
    assert stage.events(e.UpgradeStarted) == []
    assert children(stage) == {}


def test_an_edit_while_deleting_is_recorded_and_not_acted_on(stage: Stage) -> None:
    stage.operate()
    uid = stage.install(GOOD)
    with stage.denied("delete", "statefulsets"):
        stage.delete()
        stage.wait("deleting", lambda: stage.condition("Progressing") == ("True", "Deleting"))
        stage.apply(edited(retention="3d"))
        stage.wait("recorded", lambda: "3d" in str(stage.events(e.PlatformObserved)[-1].spec))
    stage.wait("gone", lambda: stage.platform() is None)
    assert len(stage.events(e.SpecAccepted, uid)) == 1


def test_a_status_written_by_hand_is_overwritten_and_believed_by_nobody(stage: Stage) -> None:
    stage.operate()
    stage.install(GOOD)
    events = stage.log.head_position()
    body: dict[str, Any] = {"apiVersion": PLATFORM.api_version, "kind": PLATFORM.kind}
    body |= {"metadata": {"name": "prod", "namespace": NAMESPACE}}
    for phase in ("Failed", "Upgrading"):
        body["status"] = {"phase": phase, "componentsReady": "9/9"}
        stage.cluster.apply_status(PLATFORM, NAMESPACE, body)
        stage.wait("overwritten", lambda: stage.status().get("phase") == "Ready")
        assert stage.status()["componentsReady"] == "1/1"
    assert stage.events(e.PhaseChanged)[-1].to_phase == "Ready"
    assert stage.log.head_position() == events


def test_a_child_that_somebody_else_made_is_not_taken_over_unless_it_is_wanted(stage: Stage) -> None:
    stage.operate()
    body = {
        "metadata": {"name": "prod-prometheus", "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "theirs", "port": 80}]},
    }
    stage.create("v1", "Service", body, NAMESPACE)
    stage.apply(GOOD)
    check_failed(stage, "AdoptionRefused", ("Service demo/prod-prometheus", "spec.adopt: true"))
    found = stage.get("v1", "Service", "prod-prometheus")
    assert found is not None
    assert "ownerReferences" not in found["metadata"]
    stage.install({**GOOD, "adopt": True})
    found = stage.get("v1", "Service", "prod-prometheus")
    assert found is not None
    assert found["metadata"]["ownerReferences"][0]["name"] == "prod"


def test_a_child_replaced_by_somebody_elses_is_not_taken_over(stage: Stage) -> None:
    stage.operate()
    stage.install(GOOD)
    stage.apply({**GOOD, "paused": True})
    stage.wait("paused", lambda: stage.condition("Paused")[0] == "True")
    stage.delete("prod-prometheus", SERVICE)
    body = {
        "metadata": {"name": "prod-prometheus", "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "theirs", "port": 80}]},
    }
    stage.create("v1", "Service", body, NAMESPACE)
    stage.apply(GOOD)
    check_failed(stage, "AdoptionRefused", ("Service demo/prod-prometheus",))
    found = stage.get("v1", "Service", "prod-prometheus")
    assert found is not None
    assert found["spec"]["ports"][0]["port"] == 80
