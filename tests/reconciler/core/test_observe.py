"""Observations are differences to what is recorded: the same sight twice says nothing the second time."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore import events as e
from reconciler.core.conclude import apply_events
from reconciler.core.observe import ObjectSighting, PlatformSighting, Sighting, changed_paths, observe
from reconciler.shell.sight import spec_digest
from tests.reconciler.core.story import MINIMAL, START, Story

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def sighted(story: Story, spec: dict[str, Any] | None = None, **fields: Any) -> Sighting:
    """Everything as the story recorded it; `fields` change what is seen of the resource."""
    wanted = spec or MINIMAL
    platform = PlatformSighting(
        namespace="demo",
        name="prod",
        uid=story.state.stream_id,
        generation=story.generation,
        spec=wanted,
        digest=spec_digest(wanted, {}),
        created_at=START,
        has_finalizer=story.state.finalizer,
    )
    objects = {
        key: ObjectSighting(ref=child.ref, uid=child.uid, owned_digest=child.owned_digest, component=child.component)
        for key, child in story.state.objects.items()
    }
    return Sighting(platform=replace(platform, **fields), objects=objects, policy=story.policy, operator_version="test")


@pytest.fixture
def story() -> Story:
    story = Story(MINIMAL)
    story.install()
    return story


def test_nothing_changed_nothing_observed(story: Story) -> None:
    assert observe(story.state, sighted(story)) == ()


def test_what_was_observed_once_is_not_observed_again(story: Story) -> None:
    changed = sighted(story, {"components": {"loki": {}}}, generation=2)
    state = apply_events(story.state, observe(story.state, changed), AT)
    assert state.version > story.state.version
    assert observe(state, changed) == ()


def test_a_sight_older_than_the_recorded_generation_is_ignored(story: Story) -> None:
    story.edit({"components": {"loki": {}}})
    assert observe(story.state, sighted(story, generation=1)) == ()


def test_an_older_generation_that_was_read_afresh_is_a_cluster_that_came_back_from_a_backup(story: Story) -> None:
    story.edit({"components": {"prometheus": {"enabled": True, "retention": "3d"}}})
    assert story.state.accepted is not None
    assert story.state.accepted.generation == 2
    sight = sighted(story, generation=1, fresh=True)
    seen = observe(story.state, sight)
    assert [type(event) for event in seen] == [e.ClusterRewound, e.PlatformObserved]
    story.see(*seen)
    assert story.state.accepted.generation == 1, "what is there is judged anew"
    assert observe(story.state, sight) == ()


def test_a_deletion_that_the_backup_does_not_know_is_not_carried_on(story: Story) -> None:
    story.generation += 1
    story.see(*observe(story.state, sighted(story, deletion_requested_at=AT)))
    story.carry_out()
    assert any(child.deleting for child in story.state.objects.values())
    seen = observe(story.state, sighted(story, generation=1, fresh=True, has_finalizer=True))
    story.see(*seen)
    assert story.state.deletion_requested_at is None
    assert not any(child.deleting for child in story.state.objects.values())
    assert all(child.requested_digest for child in story.state.objects.values()), "what is there is applied once more"
    assert not any(isinstance(event, e.DeleteRequested) for event in story.last)


def test_a_deletion_that_the_backup_knows_too_goes_on(story: Story) -> None:
    story.edit({"components": {"loki": {}}})
    story.see(*observe(story.state, sighted(story, deletion_requested_at=AT)))
    story.see(*observe(story.state, sighted(story, generation=1, fresh=True, deletion_requested_at=AT)))
    assert story.state.deletion_requested_at is not None


def test_a_deletion_counts_even_in_a_sight_older_than_the_recorded_generation(story: Story) -> None:
    story.edit({"components": {"loki": {}}})
    seen = observe(story.state, sighted(story, generation=1, deletion_requested_at=AT))
    assert e.DeletionRequested in map(type, seen)
    assert e.PlatformObserved not in map(type, seen), "its older spec is not taken for a newer one"


def test_an_edit_names_the_changed_paths(story: Story) -> None:
    edited = {"components": {"prometheus": {"enabled": True, "retention": "3d"}}}
    (event,) = observe(story.state, sighted(story, edited, generation=2))
    assert isinstance(event, e.PlatformObserved)
    assert event.changed_paths == ("components.prometheus.retention",)


def test_a_child_that_is_gone_is_drift(story: Story) -> None:
    sight = sighted(story)
    key, child = next(iter(story.state.objects.items()))
    del sight.objects[key]
    assert observe(story.state, sight) == (e.DriftDetected(ref=child.ref, kind="Missing"),)


def test_a_child_whose_owned_fields_changed_is_drift_with_evidence(story: Story) -> None:
    sight = sighted(story)
    key, seen = next(iter(sight.objects.items()))
    sight.objects[key] = replace(seen, owned_digest="sha256:less", managers=("kubectl",), paths=("spec.replicas",))
    (event,) = observe(story.state, sight)
    assert event == e.DriftDetected(ref=seen.ref, kind="Changed", managers=("kubectl",), paths=("spec.replicas",))


def test_a_child_made_again_by_somebody_else_is_drift(story: Story) -> None:
    sight = sighted(story)
    key, seen = next(iter(sight.objects.items()))
    sight.objects[key] = replace(seen, uid="another")
    (event,) = observe(story.state, sight)
    assert isinstance(event, e.DriftDetected)
    assert event.kind == "Replaced"


def test_a_finalizer_taken_off_by_hand_is_noticed(story: Story) -> None:
    assert observe(story.state, sighted(story, has_finalizer=False)) == (e.FinalizerStripped(),)


def test_deletion_is_observed_once(story: Story) -> None:
    sight = sighted(story, deletion_requested_at=AT)
    (event,) = observe(story.state, sight)
    assert isinstance(event, e.DeletionRequested)
    assert observe(apply_events(story.state, [event], AT), sight) == ()


def test_an_unknown_platform_that_has_our_finalizer_is_re_adopted_with_its_children() -> None:
    known = Story(MINIMAL)
    known.install()
    empty = Story()
    seen = observe(empty.state, sighted(known, has_finalizer=True))
    kinds = [type(event) for event in seen]
    assert e.LedgerReset in kinds
    assert kinds.count(e.ChildFound) == len(known.state.objects)
    assert e.DriftDetected not in kinds


def test_a_resource_that_is_gone_closes_its_stream_once(story: Story) -> None:
    gone = Sighting(platform=None)
    assert observe(story.state, gone) == (e.PlatformGone(),)
    assert observe(apply_events(story.state, [e.PlatformGone()], AT), gone) == ()


def test_changed_paths_are_the_differing_leaves() -> None:
    assert changed_paths({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1], "d": None}}) == ("a.b",)
    assert changed_paths({}, {"a": {"b": 1}}) == ("a",)
