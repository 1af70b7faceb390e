"""What `kubectl describe` says of a platform's life: each thing once, in words, in order."""

from collections import Counter

from eventstore import events as e
from eventstore.vocabulary import Phase, Trigger
from reconciler.core.announce import NOTE_LENGTH_MAX, announcement, event_object
from tests.reconciler.core.story import Story, with_versions

#: What events.k8s.io/v1 demands of `action` and `reportingInstance`.
LENGTH_MAX = 128


def life() -> Story:
    """Install, break, recover, upgrade, fail an upgrade, delete."""
    story = Story(with_versions(prometheus="3.13.1", loki="3.7.5"))
    story.install()
    child = next(iter(story.state.objects.values()))
    story.see(e.DriftDetected(ref=child.ref, kind="Changed", managers=("kubectl",), paths=("data",)))
    story.install()
    story.broken("loki")
    story.wait(30)
    story.healthy("loki")
    story.install()
    story.edit(with_versions(prometheus="3.13.2", loki="3.7.5"))
    story.install()
    story.edit(with_versions(prometheus="3.14.0", loki="3.7.5"))
    story.carry_out()
    story.broken("prometheus", "ImagePullBackOff")
    story.wait(30)
    story.install()
    story.edit(with_versions(prometheus="1.0.0", loki="3.7.5"))
    story.see(e.DeletionRequested(requested_at=story.now))
    return story


def test_every_transition_is_announced_once_and_in_words() -> None:
    story = life()
    told = [(event, found) for event in story.told if (found := announcement(event)) is not None]
    transitions = [event for event, _ in told if isinstance(event, e.PhaseChanged)]
    assert transitions == story.all(e.PhaseChanged)
    for event, found in told:
        assert found.note.strip(), event
        assert "{" not in found.note, f"not words for people: {found.note}"
        assert found.reason.isalnum(), found.reason
        assert found.reason[0].isupper(), found.reason
        assert len(found.action) <= LENGTH_MAX


def test_one_upgrade_is_told_step_by_step_without_repeating_itself() -> None:
    story = Story(with_versions(prometheus="3.13.1"))
    story.install()
    before = len(story.told)
    story.edit(with_versions(prometheus="3.13.2"))
    story.install()
    told = [found for event in story.told[before:] if (found := announcement(event)) is not None]
    reasons = Counter(found.reason for found in told)
    assert sorted(reasons.elements()) == [
        "BackupCompleted",
        "ComponentDeploying",
        "ComponentReady",
        "ComponentUpgraded",
        "UpgradeCompleted",
        "VersionChanged",
    ]


def test_names_sort_as_the_events_happened_and_notes_fit() -> None:
    story = life()
    long = e.PhaseChanged(
        from_phase=None,
        to_phase=Phase.PENDING,
        trigger=Trigger.CREATE,
        reason="Long",
        message="x" * 5000,
        generation=1,
    )
    found = announcement(long)
    assert found is not None
    bodies = [event_object(story.state, found, version, story.now, "replica" * 100) for version in (2, 10, 300, 70000)]
    names = [body["metadata"]["name"] for body in bodies]
    assert names == sorted(names)
    for body in bodies:
        assert len(body["note"]) <= NOTE_LENGTH_MAX
        assert len(body["reportingInstance"]) <= LENGTH_MAX
        assert body["note"].endswith(body["note"].rpartition("--at ")[2])
