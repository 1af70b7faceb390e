"""Whatever is seen and whatever comes of writes, in any order, even what no shell would tell: the core answers.

A platform that cannot be decided on would stop its worker in every pass. What the core itself decided is not made up
here: that a log holds such things is for `verify` to find, and for the chain to prove.
"""

import os
from datetime import datetime, timedelta
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore import events as e
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger
from projections.platform import initial
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.deadlines import next_due
from reconciler.core.desired import desired_objects
from reconciler.core.plan import open_requests
from reconciler.core.status import status
from reconciler.shell.states import state_record
from tests.reconciler.core.little_world import PLATFORM_REF
from tests.reconciler.core.model_machine import POLICIES, SPECS
from tests.reconciler.core.story import MINIMAL, START, Story

#: Set STACKLEDGER_WALKS for a longer search.
WALKS = int(os.environ.get("STACKLEDGER_WALKS", "150"))


def _known_refs() -> list[e.ObjectRef]:
    story = Story(SPECS["dashboards"])
    return [wanted.ref for wanted in desired_objects(story.state)]


REFS = [*_known_refs(), e.ObjectRef("v1", "ConfigMap", "another"), PLATFORM_REF]
refs = st.sampled_from(REFS)
words = st.sampled_from(["", "a", "Missing", "Changed", "Replaced", "Recovered", "NewGeneration", "3.13.1", "3.13.2"])
#: By the name of a field, where its type says too little.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "spec": st.sampled_from([*SPECS.values(), {}, {"components": None}, {"components": []}, {"paused": True}]),
    "generation": st.integers(1, 4),
    "request": st.integers(0, 40),
    "digest": st.sampled_from(["sha256:1", "sha256:2", "sha256:3"]),
    "limits": st.dictionaries(st.sampled_from(["pods", "x"]), st.tuples(st.just("1"), st.just("0"))),
    "keys": st.dictionaries(st.sampled_from(["id", "x"]), st.sampled_from(["", "hmac"])),
    "policy": st.sampled_from(list(POLICIES.values())),
    "namespace": st.just("demo"),
    "name": st.sampled_from(["prod", "loki-s3"]),
}
OF_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    str: words,
    int: st.integers(0, 3),
    float: st.sampled_from([0.0, 1.0, 400.0]),
    Any: words,
    e.ObjectRef: refs,
    datetime: st.integers(-1000, 1000).map(lambda seconds: START + timedelta(seconds=seconds)),
    **{kind: st.sampled_from(list(kind)) for kind in (ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger)},
}


def _of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type."""
    if hint in OF_TYPE:
        return OF_TYPE[hint]
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return _struct(hint)
    outer, inner = get_origin(hint), get_args(hint)
    if outer is dict:
        return st.dictionaries(_of(inner[0]), _of(inner[1]), max_size=2)
    if outer is tuple:
        endless = inner[-1] is Ellipsis
        return st.lists(_of(inner[0]), max_size=2).map(tuple) if endless else st.tuples(*map(_of, inner))
    return st.one_of(*[st.none() if part is type(None) else _of(part) for part in inner])


def _struct(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    named = {name: FIELDS[name] if name in FIELDS else _of(hints[name]) for name in kind.__struct_fields__}
    return st.builds(kind, **named)


INPUTS = [kind for kind in e.EVENT_TYPES.values() if not issubclass(kind, e.Decision)]
anything = st.one_of(*[_struct(kind) for kind in INPUTS])


def begun(name: str) -> PlatformState:
    """A platform in some state."""
    if name == "new":
        return initial("6f1c2b7e-0000-4000-8000-000000000001")
    story = Story(MINIMAL if name == "installing" else SPECS["dashboards"])
    story.carry_out()
    if name == "ready":
        story.install()
    return story.state


BEGINNINGS = {name: begun(name) for name in ("new", "installing", "ready")}


@settings(max_examples=WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    beginning=st.sampled_from(sorted(BEGINNINGS)),
    fed=st.lists(st.tuples(anything, st.sampled_from([-400.0, 0.0, 1.0, 31.0, 1000.0])), min_size=1, max_size=12),
)
def test_whatever_is_fed_in_the_core_answers_and_asked_again_is_silent(
    beginning: str, fed: list[tuple[e.Event, float]]
) -> None:
    state, now = BEGINNINGS[beginning], START + timedelta(seconds=100)
    for event, seconds in fed:
        now += timedelta(seconds=seconds)
        state, _ = conclude(apply_events(state, [event], now), now)
        assert conclude(state, now) == (state, ())
        open_requests(state, now)
        due = next_due(state, now)
        assert due is None or due > now
        status(state)
        assert msgspec.json.decode(state_record(state, now).state, type=PlatformState) == state
