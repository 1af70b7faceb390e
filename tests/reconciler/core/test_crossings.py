"""One thing happens while another is under way."""

from datetime import timedelta

import pytest

from eventstore import events as e
from eventstore.vocabulary import ErrorCategory, Phase
from reconciler.core.plan import open_requests
from reconciler.core.status import status
from tests.reconciler.core.little_world import LittleWorld
from tests.reconciler.core.story import MINIMAL, PAIR, Story, with_versions


def installed(story: Story) -> Story:
    story.install()
    assert story.is_in(Phase.READY)
    return story


def test_a_version_changed_while_installing_is_what_gets_installed() -> None:
    story = Story(with_versions(prometheus="3.13.1"))
    story.carry_out()
    story.carry_out()
    story.edit(with_versions(prometheus="3.13.2"))
    story.install()
    assert story.is_in(Phase.READY)
    assert story.state.components["prometheus"].running_version == "3.13.2"


def test_an_upgrade_edited_on_the_way_ends_at_the_new_target_and_tells_where_it_began() -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.edit(with_versions(prometheus="3.14.0"))
    story.install()
    assert story.is_in(Phase.READY)
    assert story.state.components["prometheus"].running_version == "3.14.0"
    (upgraded,) = story.all(e.ComponentUpgraded)
    assert (upgraded.from_version, upgraded.to_version) == ("3.13.1", "3.14.0")


def condition(story: Story | LittleWorld, kind: str) -> tuple[str, str]:
    found = {c["type"]: (c["status"], c["reason"]) for c in status(story.state)["conditions"]}
    return found.get(kind, ("", ""))


def rolled_back() -> Story:
    """Ready on 3.13.1, because 3.13.2 failed."""
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.broken("prometheus")
    story.wait(30)
    return installed(story)


INVALID = with_versions(prometheus="99.0.0")


def test_a_spec_edited_while_paused_is_not_said_to_be_ready() -> None:
    story = installed(Story(MINIMAL))
    story.edit({**MINIMAL, "paused": True})
    assert condition(story, "Ready") == ("True", "AllComponentsReady")
    story.edit({"components": {"prometheus": {"retention": "3d"}}, "paused": True})
    assert condition(story, "Ready") == ("Unknown", "PausedBySpec")


def test_an_invalid_edit_during_an_upgrade_fails_and_takes_nothing_back() -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.edit(INVALID)
    assert story.transitions()[-1] == ("Upgrading", "Failed", "UnsupportedVersion")
    story.wait(24 * 3600)
    assert story.is_in(Phase.FAILED)
    story.edit(with_versions(prometheus="3.13.2"))
    story.install()
    assert story.is_in(Phase.READY)
    assert story.state.components["prometheus"].running_version == "3.13.2"
    assert story.all(e.RollbackStarted) == []


@pytest.mark.parametrize("category", [ErrorCategory.CONFIGURATION, ErrorCategory.TRANSIENT])
def test_a_rollback_that_fails_is_tried_again_only_when_that_is_due(category: ErrorCategory) -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.broken("prometheus")
    story.wait(30)
    failed = 0
    while open_requests(story.state, story.now) and failed < 10:
        story.fail(category, "Refused")
        failed += 1
    assert failed == 1
    assert story.state.phase is (Phase.FAILED if category is ErrorCategory.CONFIGURATION else Phase.INSTALLING)
    story.see(e.RetryRequested(token="now"))


def test_a_component_that_cannot_be_rolled_back_is_retried_with_the_usual_waits() -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.broken("prometheus")
    for _ in range(400):
        story.wait(10)
    assert [retry.attempt for retry in story.all(e.RetryScheduled)] == [1, 2, 3, 4, 5]
    assert len(story.all(e.RollbackStarted)) == 1
    assert [t[2] for t in story.transitions()].count("RollingBack") == 1


def test_a_retry_asked_for_while_a_later_spec_is_rejected_waits_for_an_edit() -> None:
    story = rolled_back()
    story.edit(INVALID)
    story.see(e.RetryRequested(token="now"))
    assert story.is_in(Phase.FAILED)
    story.edit(with_versions(prometheus="3.13.1"))
    installed(story)


def test_going_back_from_a_rejected_spec_to_the_rolled_back_one_runs_what_last_worked() -> None:
    story = rolled_back()
    story.edit(INVALID)
    assert story.is_in(Phase.FAILED)
    story.edit(with_versions(prometheus="3.13.2"))
    installed(story)
    assert story.state.components["prometheus"].running_version == "3.13.1"
    assert condition(story, "Degraded") == ("True", "RolledBack")


def test_an_upgrade_taken_back_by_the_user_is_not_held_against_the_spec_that_worked() -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit(with_versions(prometheus="3.13.2"))
    story.carry_out()
    story.edit({**with_versions(prometheus="3.13.1")})
    story.broken("prometheus")
    story.wait(60)
    assert story.all(e.SpecQuarantined) == []
    assert story.all(e.RollbackStarted) == []
    story.healthy("prometheus")
    installed(story)
    assert condition(story, "Degraded") == ("False", "AsExpected")


def test_nothing_is_applied_once_deletion_was_asked_for() -> None:
    story = installed(Story(PAIR))
    story.edit({**PAIR, "global": {"nodeSelector": {"disk": "ssd"}}})
    assert {request.component for request in open_requests(story.state, story.now)} >= {"prometheus", "loki"}
    story.see(e.DeletionRequested(requested_at=story.now))
    assert [request for request in open_requests(story.state, story.now) if request.digest] == []


def test_a_deletion_that_works_after_all_is_no_failure_any_more() -> None:
    story = installed(Story(PAIR))
    story.edit(MINIMAL)
    request = next(request for request in open_requests(story.state, story.now) if request.ref and not request.digest)
    assert request.ref is not None
    failed = e.ActionFailed(
        request=request.version, ref=request.ref, category=ErrorCategory.TRANSIENT, reason="Timeout", message="no"
    )
    story.see(failed)
    story.wait(10)
    story.carry_out()
    assert story.state.objects[request.ref.key].deleting
    assert story.state.failure is None


def test_an_object_made_again_under_the_name_of_a_deleted_one_is_deleted_too() -> None:
    story = installed(Story(PAIR))
    story.edit(MINIMAL)
    story.carry_out()
    child = next(child for child in story.state.objects.values() if child.deleting)
    decided = story.see(e.ChildFound(ref=child.ref, uid="another", component=child.component))
    assert [(d.ref, d.uid) for d in decided if isinstance(d, e.DeleteRequested)] == [(child.ref, "another")]


def test_a_platform_taken_for_gone_is_taken_up_again_when_it_is_there() -> None:
    world = LittleWorld()
    world.create(MINIMAL)
    world.reconcile()
    world.exists = False
    world.reconcile()
    assert world.state.closed
    world.exists = True
    world.reconcile()
    assert not world.state.closed


def test_a_platform_that_others_hold_after_our_part_is_done_is_left_alone() -> None:
    world = LittleWorld()
    world.create(MINIMAL)
    world.reconcile()
    world.delete()
    for _ in range(5):
        world.reconcile()
        world.settle()
    assert world.state.closed
    before = world.state.version
    world.exists, world.children = True, {}
    world.reconcile()
    assert world.state.version == before


def test_a_rollout_begun_by_an_operator_that_ended_before_it_could_say_so_is_waited_for() -> None:
    world = LittleWorld()
    world.create(MINIMAL)
    for _ in range(3):
        world.reconcile()
        world.settle()
        world.wait(10)
    assert world.state.phase is Phase.READY
    world.edit({"components": {"prometheus": {"retention": "3d"}}})
    world.crashing = True
    world.reconcile()
    assert condition(world, "Ready") == ("Unknown", "UpdateInProgress")
    world.settle()
    world.reconcile()
    assert condition(world, "Ready") == ("True", "AllComponentsReady")


def test_a_finalizer_that_cannot_be_put_back_is_retried_though_all_components_are_ready() -> None:
    story = installed(Story(MINIMAL))
    story.see(e.FinalizerStripped())
    for attempt in (1, 2, 3):
        story.fail(ErrorCategory.TRANSIENT, "Unreachable")
        assert story.state.retry.attempt == attempt
        story.wait(300)
    story.carry_out()
    assert story.state.finalizer
    assert story.state.retry.attempt == 0


def test_what_nobody_wants_any_more_is_not_applied_whatever_else_is_waited_for() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.see(e.FinalizerStripped())
    assert [request.ref for request in open_requests(story.state, story.now)] == [None], "the finalizer comes first"
    story.edit({"components": {"loki": {}}})
    assert [child.ref for child in story.state.objects.values() if child.requested_digest] == []
    installed(story)


def test_what_is_wanted_again_is_not_deleted_whatever_else_is_waited_for() -> None:
    story = installed(Story(PAIR))
    story.edit(MINIMAL)
    assert any(request.uid and not request.digest for request in open_requests(story.state, story.now))
    s3 = {"bucket": "logs", "accessKeyId": {"secretKeyRef": {"name": "absent", "key": "id"}}}
    story.edit({"components": {"prometheus": {}, "loki": {"s3": s3}}})
    assert condition(story, "Ready") == ("False", "SecretMissing")
    assert [request for request in open_requests(story.state, story.now) if not request.digest] == []


def test_a_component_that_fails_while_something_else_waits_is_retried_in_its_own_time() -> None:
    story = installed(Story(PAIR))
    story.edit({**PAIR, "global": {"nodeSelector": {"disk": "ssd"}}})
    story.fail(ErrorCategory.RESOURCE, "QuotaExceeded")
    story.broken("loki")
    story.wait(30)
    assert story.is_in(Phase.FAILED)
    assert story.state.retry.attempt == 1
    assert story.state.retry.due_at == story.now + timedelta(seconds=10)


def test_a_fight_for_a_field_is_fought_less_and_less_often_and_forgotten_when_it_is_over() -> None:
    world = LittleWorld()
    world.create(MINIMAL)
    for _ in range(3):
        world.reconcile()
        world.settle()
        world.wait(10)
    key = min(key for key in world.children if key.startswith("v1/"))

    def fights(seconds: int) -> int:
        before = len(world.told)
        for _ in range(seconds):
            world.children[key].owned = "theirs"
            world.reconcile()
            world.settle()
            world.wait(1)
        return len([event for event in world.told[before:] if isinstance(event, e.ApplyRequested)])

    assert fights(3) == 3
    fights(1800)
    assert fights(3600) <= 12
    world.reconcile()
    world.wait(3 * 3600)
    assert world.children[key].owned == "ours"
    assert fights(3) == 3


def test_what_was_broken_before_an_upgrade_began_is_not_at_once_held_against_it() -> None:
    story = installed(Story(with_versions(prometheus="3.13.1")))
    story.edit({**with_versions(prometheus="3.13.1"), "paused": True})
    story.see(story.sighted("prometheus", ready_replicas=0))
    story.wait(60)
    story.edit(with_versions(prometheus="3.13.2"))
    assert story.is_in(Phase.UPGRADING)
    installed(story)
    assert story.state.components["prometheus"].running_version == "3.13.2"


def test_time_in_which_the_platform_was_held_up_is_not_held_against_its_components() -> None:
    story = installed(Story(PAIR))
    s3 = {"bucket": "logs", "accessKeyId": {"secretKeyRef": {"name": "late", "key": "id"}}}
    story.edit({"components": {"prometheus": {"version": "3.14.0"}, "loki": {"s3": s3}}})
    story.wait(3600)
    story.see(e.DependencyObserved(kind="Secret", name="late", found=True, keys={"id": "hmac"}))
    assert story.is_in(Phase.UPGRADING)
    story.edit({**story.state.observed.spec, "paused": True} if story.state.observed else {})
    story.wait(3600)
    story.edit({**story.state.observed.spec, "paused": False} if story.state.observed else {})
    installed(story)
    assert story.all(e.RollbackStarted) == []
    assert story.state.components["prometheus"].running_version == "3.14.0"
