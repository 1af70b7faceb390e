"""What changed between two points, who changed it, and the patch that takes it back."""

import pytest

from audit.difference import difference, merge_patch, secret_paths, spec_of
from audit.time_travel import state_after
from eventstore import events as e
from eventstore.envelope import RecordedEvent
from eventstore.memory import InMemoryEventLog
from tests.audit.recording import PROD, Recorder


def test_each_changed_field_names_the_event_and_the_hand(events: list[RecordedEvent]) -> None:
    found = {change.path: change for change in difference(events, 14, 26).changes}
    version = found["spec.components.grafana.version"]
    assert (version.before, version.after, version.sequence, version.by) == (
        "10.2.0",
        "99.0.0",
        15,
        "argocd-controller",
    )
    status = found["status.phase"]
    assert (status.before, status.after, status.sequence, status.by) == ("Ready", "Failed", 24, "stackledger/epoch-4")
    assert found["objects[apps/v1/Deployment/prod-grafana].manifest"].sequence == 21


def test_the_same_point_twice_differs_in_nothing(events: list[RecordedEvent]) -> None:
    assert difference(events, 14, 14).changes == ()


def test_backwards_swaps_before_and_after(events: list[RecordedEvent]) -> None:
    forth = {c.path: (c.before, c.after, c.sequence) for c in difference(events, 14, 26).changes}
    back = {c.path: (c.after, c.before, c.sequence) for c in difference(events, 26, 14).changes}
    assert forth == back


def test_only_the_sections_asked_for_are_compared(events: list[RecordedEvent]) -> None:
    assert {change.path.split(".")[0] for change in difference(events, 14, 26, ["spec"]).changes} == {"spec"}


def test_from_the_first_event_on_everything_is_added(events: list[RecordedEvent]) -> None:
    found = difference(events, 1, 14, ["status"])
    assert {change.path for change in found.changes if change.added} >= {"status.phase", "status.componentsReady"}


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": 1, "b": 2}, {"a": 1}, {"b": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3}}, {"a": {"y": 3}}),
        ({"a": [1, 2]}, {"a": [2]}, {"a": [2]}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": 1}, {}),
    ],
)
def test_a_merge_patch_holds_only_what_differs(before: object, after: object, patch: object) -> None:
    assert merge_patch(before, after) == patch


def test_a_patch_never_carries_the_placeholder_of_a_secret() -> None:
    log = InMemoryEventLog()
    prod = Recorder(log, PROD)
    for generation, hmac in ((1, "hmac:aa"), (2, "hmac:bb")):
        spec = {"components": {"grafana": {"version": f"{generation}", "adminPassword": f"<redacted {generation}>"}}}
        prod.record(
            f"09:00:0{generation}",
            e.PlatformObserved(
                namespace="obs",
                name="prod",
                generation=generation,
                spec=spec,
                digest=f"sha256:{generation}",
                field_manager="kubectl",
                inline_secrets={"spec.components.grafana.adminPassword": hmac},
            ),
        )
    events = log.read_stream(PROD)
    before, after = state_after(events, 1), state_after(events, 2)
    secrets = secret_paths(before, after)
    assert merge_patch(spec_of(before), spec_of(after), secrets.__contains__) == {
        "components": {"grafana": {"version": "2"}}
    }
    changed = {change.path: change.after for change in difference(events, 1, 2, ["spec"]).changes}
    assert changed["spec.components.grafana.adminPassword"] == "(secret, hmac hmac:bb)"
