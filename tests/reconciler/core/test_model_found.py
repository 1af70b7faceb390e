"""What the state machine model found, each as the shortest story that shows it."""

import pytest

from eventstore import events as e
from eventstore.vocabulary import ErrorCategory, Phase
from reconciler.core.observe import Sighting, observe
from reconciler.core.plan import open_requests
from reconciler.core.progress import is_complete
from tests.reconciler.core.model_world import ModelWorld
from tests.reconciler.core.story import MINIMAL, PAIR, Story, with_versions


def test_a_component_that_becomes_unready_before_it_counts_as_ready_has_a_deadline() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.carry_out()
    story.healthy("prometheus")
    story.see(story.sighted("prometheus", ready_replicas=0))
    story.wait(story.policy.progress_deadline_seconds)
    assert story.is_in(Phase.FAILED)
    assert story.state.phase_reason == "ProgressDeadlineExceeded"


def test_a_platform_whose_log_was_lost_while_it_was_being_deleted_is_released() -> None:
    world = ModelWorld()
    world.create(MINIMAL)
    world.reconcile()
    world.delete()
    world.lose_log(0)
    let_go(world)


def test_a_platform_that_comes_back_from_a_backup_made_while_it_was_being_deleted_is_released() -> None:
    world = ModelWorld()
    world.create(MINIMAL)
    world.reconcile()
    world.delete()
    world.save()
    let_go(world)
    world.restore()
    let_go(world)


def deleted(story: Story) -> tuple[e.Observation, ...]:
    """What a look shows once somebody deletes the platform, on which our finalizer is."""
    world = ModelWorld()
    world.create(MINIMAL)
    world.state, world.finalizer, world.children = story.state, True, {}
    world.delete()
    sighting = Sighting(platform=world.seen_spec(), policy=story.policy, operator_version="test")
    return tuple(seen for seen in observe(story.state, sighting) if isinstance(seen, e.DeletionRequested))


def test_a_finalizer_put_on_by_a_process_that_ended_at_once_is_taken_off_though_that_fails_at_first() -> None:
    story = Story(MINIMAL)
    assert open_requests(story.state, story.now)
    story.see(*deleted(story))
    story.fail(ErrorCategory.TRANSIENT, "Unreachable")
    story.wait(10)
    story.carry_out()
    assert story.state.closed


def test_a_finalizer_asked_for_again_is_not_taken_off_before_the_children_are_gone() -> None:
    story = Story(MINIMAL)
    story.install()
    story.see(e.FinalizerStripped())
    story.see(*deleted(story))
    while open_requests(story.state, story.now):
        story.carry_out()
    assert not story.state.closed
    story.see(*[e.ChildGone(ref=child.ref) for child in story.state.objects.values()])
    story.carry_out()
    assert story.state.closed


def let_go(world: ModelWorld) -> None:
    for _ in range(20):
        world.reconcile()
        world.settle()
        world.wait(10)
    assert not world.exists
    assert world.state.closed


def test_what_last_worked_names_nothing_that_was_asked_for_and_never_made() -> None:
    story = Story(PAIR)
    story.carry_out()
    story.fail(ErrorCategory.TRANSIENT, "Unreachable")
    story.edit({"components": {"loki": {}}})
    story.wait(10)
    story.install()
    (good,) = story.all(e.LastKnownGoodRecorded)
    assert all(good.manifests.values())


@pytest.mark.parametrize(("stability", "grace"), [(0.0, 0.0), (60.0, 30.0)])
def test_a_component_that_is_ready_again_is_not_failed_because_a_pod_still_tells_of_trouble(
    stability: float, grace: float
) -> None:
    story = Story(MINIMAL, stability_seconds=stability, problem_grace_seconds=grace)
    story.install()
    story.broken("prometheus")
    story.wait(grace)
    story.see(story.sighted("prometheus", problems=(e.Problem(reason="Evicted", subject="Pod/prod-prometheus-1"),)))
    for _ in range(30):
        story.wait(10)
    assert story.is_in(Phase.READY)
    assert [t[1] for t in story.transitions()].count("Failed") == 1


def test_a_password_that_somebody_changed_in_the_secret_that_was_made_for_it_stays_and_holds_nothing_up() -> None:
    story = Story({"components": {"grafana": {}}})
    story.install()
    secret = next(child for child in story.state.objects.values() if child.ref.kind == "Secret")
    story.see(e.DriftDetected(ref=secret.ref, kind="Changed", managers=("kubectl",)))
    story.carry_out()
    assert is_complete(story.state)
    assert story.state.objects[secret.ref.key].drift is None


def test_a_version_that_ran_and_crashes_now_is_not_taken_back_through_a_one_way_door() -> None:
    story = Story(with_versions(grafana="11.6.0"))
    story.install()
    story.edit(with_versions(grafana="12.4.0"))
    story.carry_out()
    story.healthy("grafana")
    story.broken("grafana")
    story.wait(30)
    assert story.is_in(Phase.FAILED)
    assert "12.4.0 cannot go back to 11.6.0" in story.state.phase_message
    assert story.all(e.RollbackStarted) == []
