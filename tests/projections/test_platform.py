"""`evolve` knows every event, changes nothing in place, and `fold` is nothing but `evolve` over a stream."""

import hashlib
import json
from datetime import UTC, datetime

import msgspec

from eventstore import events as e
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger
from projections.platform import _EVOLVERS, RECORD_ONLY, evolve, initial
from projections.state import FOLD_VERSION, PlatformState
from tests.reconciler.core.story import MINIMAL, Story

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
REF = e.ObjectRef("v1", "Service", "prod-loki")


def test_every_event_type_is_either_folded_or_said_to_be_a_record_only() -> None:
    assert set(_EVOLVERS) | RECORD_ONLY == set(e.EVENT_TYPES.values())
    assert not set(_EVOLVERS) & RECORD_ONLY


def test_every_event_moves_the_version_by_one_and_takes_its_time() -> None:
    state = evolve(initial("s"), e.LedgerReset(), AT)
    assert (state.version, state.updated_at) == (1, AT)


def test_a_whole_story_folds_to_the_state_it_ended_in() -> None:
    story = Story(MINIMAL)
    story.install()
    state = initial(story.state.stream_id)
    # Times differ between the events of a story; the fold of what does not depend on them must not.
    for event in story.told:
        state = evolve(state, event, story.now)
    assert (state.phase, state.version) == (story.state.phase, story.state.version)
    assert state.objects == story.state.objects


def test_folding_leaves_the_earlier_state_as_it_was() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    before = story.state
    frozen = msgspec.json.encode(before)
    story.install()
    assert msgspec.json.encode(before) == frozen


def test_a_state_survives_its_way_through_json() -> None:
    story = Story(MINIMAL)
    story.install()
    assert msgspec.json.decode(msgspec.json.encode(story.state), type=PlatformState) == story.state


def test_the_outcome_of_a_superseded_request_changes_nothing() -> None:
    state = evolve(initial("s"), e.ApplyRequested(ref=REF, component=None, digest="sha256:a", reason="Create"), AT)
    state = evolve(state, e.ApplyRequested(ref=REF, component=None, digest="sha256:b", reason="Update"), AT)
    late = evolve(state, e.ActionSucceeded(request=1, ref=REF, uid="u"), AT)
    assert late.objects == state.objects
    current = evolve(state, e.ActionSucceeded(request=2, ref=REF, uid="u"), AT)
    assert current.objects[REF.key].applied_digest == "sha256:b"


def test_success_of_what_had_failed_clears_the_failure() -> None:
    state = evolve(initial("s"), e.ApplyRequested(ref=REF, component=None, digest="sha256:a", reason="Create"), AT)
    failed = e.ActionFailed(request=1, ref=REF, category=ErrorCategory.TRANSIENT, reason="Timeout", message="slow")
    state = evolve(state, failed, AT)
    assert state.failure is not None
    state = evolve(state, e.ApplyRequested(ref=REF, component=None, digest="sha256:a", reason="Retry"), AT)
    state = evolve(state, e.ActionSucceeded(request=3, ref=REF, uid="u"), AT)
    assert state.failure is None


def test_history_keeps_the_newest_five() -> None:
    state = initial("s")
    for number in range(7):
        changed = e.PhaseChanged(
            from_phase=Phase.READY,
            to_phase=Phase.READY,
            trigger=Trigger.MINOR_UPDATE,
            reason=f"R{number}",
            message="",
            generation=1,
        )
        state = evolve(state, changed, AT)
    assert [transition.reason for transition in state.history] == ["R6", "R5", "R4", "R3", "R2"]


def test_a_rollout_is_over_when_the_newest_template_is_healthy() -> None:
    loki = ComponentName.LOKI
    state = evolve(
        initial("s"),
        e.ComponentPhaseChanged(component=loki, from_phase=None, to_phase=ComponentPhase.INSTALLING, reason="x"),
        AT,
    )
    assert state.components[loki].rollout_since == AT
    seen = e.ComponentObserved(
        component=loki, desired_replicas=2, ready_replicas=2, updated_replicas=1, rolled_out=False
    )
    state = evolve(state, seen, AT)
    assert state.components[loki].rollout_since == AT
    state = evolve(state, msgspec.structs.replace(seen, rolled_out=True), AT)
    assert state.components[loki].rollout_since is None
    assert state.components[loki].ready_since == AT


def _fields(schema: object) -> object:
    """A JSON schema without its prose."""
    if isinstance(schema, dict):
        return {key: _fields(value) for key, value in schema.items() if key not in {"description", "title"}}
    return [_fields(value) for value in schema] if isinstance(schema, list) else schema


def test_another_shape_of_the_state_is_another_fold_version() -> None:
    """A build that does not know a field would drop it from a stored state: it must refold instead."""
    shape = json.dumps(_fields(msgspec.json.schema(PlatformState)), sort_keys=True)
    digest = hashlib.sha256(shape.encode()).hexdigest()[:16]
    # The state's fields changed? Raise FOLD_VERSION, then mend this line.
    assert (FOLD_VERSION, digest) == ("6", "6369d8df015841c7")
