"""The stories of one platform: creation, minor edit, upgrade, pause, deletion. Every step is concluded twice."""

from typing import Any

import pytest
from msgspec.structs import replace

from eventstore import events as e
from eventstore.vocabulary import ComponentPhase, Phase
from reconciler.core.announce import announcement
from reconciler.core.plan import open_requests
from reconciler.core.status import status
from tests.reconciler.core.story import MINIMAL, PAIR, Story, with_versions

FULL: dict[str, Any] = {"components": {name: {} for name in ("prometheus", "loki", "tempo", "grafana", "alertmanager")}}


def installed(spec: dict[str, Any] | None = None, **policy: float) -> Story:
    story = Story(spec or MINIMAL, **policy)
    story.install()
    assert story.is_in(Phase.READY)
    return story


def condition(story: Story, kind: str) -> tuple[str, str]:
    found = {c["type"]: (c["status"], c["reason"]) for c in status(story.state)["conditions"]}
    return found.get(kind, ("", ""))


def test_a_new_platform_is_pending_until_its_finalizer_is_on() -> None:
    story = Story(MINIMAL)
    assert story.is_in(Phase.PENDING)
    assert story.all(e.ApplyRequested) == []
    assert [request.ref for request in open_requests(story.state, story.now)] == [None]
    story.carry_out()
    assert story.is_in(Phase.INSTALLING)


def test_the_way_to_ready_is_pending_installing_ready() -> None:
    story = installed(FULL)
    assert story.transitions() == [
        ("", "Pending", "PlatformCreated"),
        ("Pending", "Installing", "PreflightPassed"),
        ("Installing", "Ready", "AllComponentsReady"),
    ]
    assert condition(story, "Ready") == ("True", "AllComponentsReady")
    assert condition(story, "Available")[0] == "True"
    assert condition(story, "Progressing")[0] == "False"
    assert condition(story, "Degraded")[0] == "False"
    assert condition(story, "Reconciling") == ("", "")


def test_components_are_installed_one_after_the_other_in_order() -> None:
    story = installed(FULL)
    started = [c.component for c in story.all(e.ComponentPhaseChanged) if c.to_phase is ComponentPhase.INSTALLING]
    assert started == ["prometheus", "loki", "tempo", "grafana", "alertmanager"]
    order = [event for event in story.told if isinstance(event, e.ApplyRequested | e.ComponentPhaseChanged)]
    ready: set[str] = set()
    for event in order:
        if isinstance(event, e.ComponentPhaseChanged) and event.to_phase is ComponentPhase.READY:
            ready.add(event.component)
        elif isinstance(event, e.ApplyRequested) and event.component is not None:
            assert set(started[: started.index(event.component)]) <= ready


def test_a_component_must_stay_ready_for_the_stability_window() -> None:
    story = Story(MINIMAL, stability_seconds=5)
    story.carry_out()
    story.carry_out()
    story.healthy("prometheus")
    story.wait(4.9)
    assert story.state.components["prometheus"].phase is ComponentPhase.INSTALLING
    story.see(story.sighted("prometheus", ready_replicas=0))
    story.healthy("prometheus")
    story.wait(4.9)
    assert story.state.components["prometheus"].phase is ComponentPhase.INSTALLING
    story.wait(0.1)
    assert story.is_in(Phase.READY)


def test_no_write_is_asked_for_before_the_platform_is_installing() -> None:
    story = Story({"components": {"prometheus": {"version": "1.0.0"}}})
    assert story.is_in(Phase.FAILED)
    story.wait(3600)
    assert story.all(e.ApplyRequested) == []


def test_last_known_good_is_recorded_on_entry_to_ready_with_every_manifest() -> None:
    story = installed(PAIR)
    (good,) = story.all(e.LastKnownGoodRecorded)
    assert good.manifests == {key: child.applied_digest for key, child in story.state.objects.items()}
    assert set(good.versions) == {"prometheus", "loki"}


def test_a_minor_edit_goes_from_ready_to_ready_and_is_rolled_out() -> None:
    story = installed(MINIMAL)
    story.edit({"components": {"prometheus": {"retention": "3d"}}})
    assert story.transitions()[-1] == ("Ready", "Ready", "MinorUpdate")
    assert condition(story, "Ready") == ("Unknown", "UpdateInProgress")
    assert condition(story, "Available")[0] == "True"
    story.install()
    assert condition(story, "Ready") == ("True", "AllComponentsReady")
    assert story.state.known_good is not None
    assert story.state.known_good.spec.generation == 2


def test_pausing_and_resuming_is_no_update() -> None:
    story = installed(MINIMAL)
    story.edit({**MINIMAL, "paused": True})
    assert story.state.paused
    story.edit(MINIMAL)
    assert not story.state.paused
    assert [t[2] for t in story.transitions()].count("MinorUpdate") == 0


def test_while_paused_nothing_is_written_and_the_edit_is_taken_up_afterwards() -> None:
    story = installed(MINIMAL)
    story.edit({**MINIMAL, "paused": True})
    before = len(story.all(e.ApplyRequested))
    story.edit({"components": {"prometheus": {"retention": "3d"}}, "paused": True})
    story.see(e.DriftDetected(ref=next(iter(story.state.objects.values())).ref, kind="Missing"))
    story.wait(3600)
    assert len(story.all(e.ApplyRequested)) == before
    assert condition(story, "Paused")[0] == "True"
    story.edit({"components": {"prometheus": {"retention": "3d"}}})
    assert len(story.all(e.ApplyRequested)) > before


def test_an_upgrade_goes_one_component_at_a_time_in_order() -> None:
    story = installed(with_versions(prometheus="3.13.1", loki="3.7.5"))
    story.edit(with_versions(prometheus="3.13.2", loki="3.7.6"))
    assert story.is_in(Phase.UPGRADING)
    assert story.state.components["prometheus"].phase is ComponentPhase.UPGRADING
    assert story.state.components["loki"].phase is ComponentPhase.READY
    assert not [r for r in story.last if isinstance(r, e.ApplyRequested) and r.component == "loki"]
    story.install()
    assert story.is_in(Phase.READY)
    upgraded = [(c.component, c.from_version, c.to_version) for c in story.all(e.ComponentUpgraded)]
    assert upgraded == [("prometheus", "3.13.1", "3.13.2"), ("loki", "3.7.5", "3.7.6")]
    assert story.transitions()[-2:] == [
        ("Ready", "Upgrading", "VersionChanged"),
        ("Upgrading", "Ready", "UpgradeCompleted"),
    ]


def test_an_upgrade_is_not_over_while_a_component_that_was_done_is_unready_again() -> None:
    story = installed(with_versions(prometheus="3.13.1", loki="3.7.5"), problem_grace_seconds=30)
    good = story.state.known_good
    story.edit(with_versions(prometheus="3.13.2", loki="3.7.6"))
    story.carry_out()
    story.healthy("prometheus", running_version="3.13.2")
    story.wait(story.state.policy.stability_seconds)
    assert story.state.components["prometheus"].phase is ComponentPhase.READY
    story.carry_out()
    story.broken("prometheus")
    story.healthy("loki", running_version="3.7.6")
    story.wait(story.state.policy.stability_seconds)
    assert story.state.components["loki"].phase is ComponentPhase.READY
    assert story.is_in(Phase.UPGRADING)
    assert story.state.known_good == good
    story.wait(30)
    assert [t[:2] for t in story.transitions()[-2:]] == [("Upgrading", "Failed"), ("Failed", "Installing")]
    assert story.state.accepted is not None
    assert story.state.accepted.versions == {"prometheus": "3.13.1", "loki": "3.7.5"}


def test_an_upgrade_begins_with_a_backup_of_what_runs() -> None:
    story = installed(with_versions(prometheus="3.13.1"))
    running = story.state.known_good
    decided = story.edit(with_versions(prometheus="3.13.2"))
    kinds = [type(event) for event in decided]
    assert kinds.index(e.BackupStarted) < kinds.index(e.BackupCompleted) < kinds.index(e.UpgradeStarted)
    (backup,) = story.all(e.BackupCompleted)
    assert running is not None
    assert backup.manifests == running.manifests


def test_a_failed_upgrade_is_rolled_back_and_the_spec_is_not_tried_again() -> None:
    story = installed(with_versions(prometheus="3.13.1"), problem_grace_seconds=30)
    bad = with_versions(prometheus="3.13.2")
    story.edit(bad)
    story.carry_out()
    story.broken("prometheus", "ImagePullBackOff")
    story.wait(30)
    assert [t[:2] for t in story.transitions()[-2:]] == [("Upgrading", "Failed"), ("Failed", "Installing")]
    story.install()
    assert story.is_in(Phase.READY)
    assert story.state.components["prometheus"].desired_version == "3.13.1"
    assert condition(story, "Degraded") == ("True", "RolledBack")
    assert condition(story, "Stalled") == ("True", "RolledBack"), "kstatus sees no success in it"
    assert condition(story, "Ready")[0] == "True"
    conditions = {c["type"]: c["observedGeneration"] for c in status(story.state)["conditions"]}
    assert (conditions["Ready"], conditions["Degraded"]) == (1, 2), "who waits for generation 2 is not told it is ready"
    assert len(story.all(e.RollbackCompleted)) == 1
    story.wait(24 * 3600)
    assert story.state.components["prometheus"].desired_version == "3.13.1"
    story.edit(with_versions(prometheus="3.14.0"))
    assert story.is_in(Phase.UPGRADING)
    assert "Stalled" not in {c["type"] for c in status(story.state)["conditions"]}


def test_a_retry_request_takes_a_rolled_back_spec_up_again() -> None:
    story = installed(with_versions(prometheus="3.13.1"))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.broken("prometheus")
    story.wait(30)
    story.install()
    story.see(e.RetryRequested(token="now"))  # a token of the retry annotation
    assert story.is_in(Phase.UPGRADING)


def test_an_unsupported_version_fails_at_once_and_what_runs_is_left_alone() -> None:
    story = installed(MINIMAL)
    before = len(story.all(e.ApplyRequested))
    story.edit({"components": {"prometheus": {"version": "99.0.0"}}})
    assert story.is_in(Phase.FAILED)
    assert condition(story, "Ready") == ("False", "UnsupportedVersion")
    assert condition(story, "Available")[0] == "True"
    assert condition(story, "Stalled")[0] == "True"
    story.wait(24 * 3600)
    assert len(story.all(e.ApplyRequested)) == before
    story.edit(MINIMAL)
    story.install()
    assert story.is_in(Phase.READY)


def test_a_component_that_is_switched_off_loses_its_objects_only() -> None:
    story = installed(PAIR)
    story.edit(MINIMAL)
    removed = {request.ref.name for request in story.all(e.DeleteRequested)}
    assert removed
    assert all("loki" in name for name in removed)
    assert "loki" not in story.state.components


def test_a_drifted_object_is_applied_again() -> None:
    story = installed(MINIMAL)
    child = next(iter(story.state.objects.values()))
    (request,) = [
        event
        for event in story.see(e.DriftDetected(ref=child.ref, kind="Changed", managers=("kubectl",)))
        if isinstance(event, e.ApplyRequested)
    ]
    assert (request.ref, request.reason) == (child.ref, "Drift")


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_deletion_goes_in_reverse_order_and_ends_with_the_finalizer(paused: bool) -> None:
    story = installed(PAIR)
    if paused:
        story.edit({**PAIR, "paused": True})
    story.see(e.DeletionRequested(requested_at=story.now))
    deleted: list[str] = []
    for _ in range(20):
        requests = [r for r in open_requests(story.state, story.now) if r.ref]
        deleted += [r.component or "" for r in requests]
        story.carry_out()
        story.see(*[e.ChildGone(ref=c.ref) for c in story.state.objects.values() if c.deleting])
        if story.state.closed:
            break
    assert story.state.closed
    assert deleted == sorted(deleted, key=["loki", "prometheus", ""].index)
    assert len(story.all(e.FinalizerReleaseRequested)) == 1
    assert story.see() == ()


@pytest.mark.parametrize("phase", list(Phase))
def test_the_finalizer_is_released_in_bounded_time_in_every_phase(phase: Phase) -> None:
    story = _in_phase(phase)
    story.see(e.DeletionRequested(requested_at=story.now))
    for _ in range(50):
        if story.state.closed:
            break
        # Nothing is ever gone: only the deadline can end it.
        story.carry_out()
        story.wait(60)
    assert story.state.closed
    assert story.is_in(phase)


def _in_phase(phase: Phase) -> Story:
    if phase is Phase.PENDING:
        return Story(MINIMAL)
    if phase is Phase.INSTALLING:
        story = Story(MINIMAL)
        story.carry_out()
        story.carry_out()
        return story
    story = installed(with_versions(prometheus="3.13.1"))
    if phase is Phase.UPGRADING:
        story.edit(with_versions(prometheus="3.13.2"))
    elif phase is Phase.FAILED:
        story.broken("prometheus")
        story.wait(30)
    assert story.is_in(phase)
    return story


def test_the_order_in_which_a_spec_was_written_changes_nothing() -> None:
    jobs = [{"job_name": "shop", "static_configs": [{"targets": ["shop:80"], "labels": {"z": "1", "a": "2"}}]}]
    turned = [{"static_configs": [{"labels": {"a": "2", "z": "1"}, "targets": ["shop:80"]}], "job_name": "shop"}]
    given = ({"components": {"prometheus": {"additionalScrapeConfigs": written}}} for written in (jobs, turned))
    stories = [installed(spec) for spec in given]
    first, second = ({k: c.applied_digest for k, c in story.state.objects.items()} for story in stories)
    assert first == second


def test_a_spec_this_build_cannot_run_is_left_alone_entirely() -> None:
    story = installed(MINIMAL)
    assert story.state.accepted is not None
    # Accepted by another build, which knew this version.
    unknown = replace(story.state.accepted, spec={"components": {"prometheus": {"version": "1.2.3"}}}, digest="other")
    story.state = replace(story.state, accepted=unknown)
    asked = len(story.all(e.ApplyRequested)), len(story.all(e.DeleteRequested))
    story.see(e.DriftDetected(ref=next(iter(story.state.objects.values())).ref, kind="Missing"))
    story.wait(24 * 3600)
    assert (len(story.all(e.ApplyRequested)), len(story.all(e.DeleteRequested))) == asked
    assert condition(story, "Ready") == ("False", "SpecNotSupported")


def test_what_is_accepted_without_having_its_effect_is_said() -> None:
    story = Story({**MINIMAL, "backup": {"enabled": True, "schedule": "0 2 * * *"}})
    (accepted,) = story.all(e.SpecAccepted)
    assert [warning.reason for warning in accepted.warnings] == ["DataNotBackedUp"]
    announced = announcement(accepted)
    assert announced is not None
    assert announced.type == "Warning"
    assert Story(MINIMAL).all(e.SpecAccepted)[0].warnings == ()
