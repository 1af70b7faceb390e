"""What the state machine model found, each as the shortest story that shows it."""

from eventstore.vocabulary import Phase
from tests.reconciler.core.story import MINIMAL, Story


def test_a_component_that_becomes_unready_before_it_counts_as_ready_has_a_deadline() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.carry_out()
    story.healthy("prometheus")
    story.see(story.sighted("prometheus", ready_replicas=0))
    story.wait(story.policy.progress_deadline_seconds)
    assert story.is_in(Phase.FAILED)
    assert story.state.phase_reason == "ProgressDeadlineExceeded"
