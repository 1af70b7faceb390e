"""Whatever happens to a platform, in whatever order: the rules hold at every step, and in the end it comes to rest."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.vocabulary import ErrorCategory, Phase
from reconciler.core.deadlines import next_due
from tests.reconciler.core.little_world import LittleWorld

S3 = {"bucket": "logs", "accessKeyId": {"secretKeyRef": {"name": "loki-s3", "key": "id"}}}
VALID: dict[str, dict[str, Any]] = {
    "one": {"components": {"prometheus": {"version": "3.13.1"}}},
    "one, shorter": {"components": {"prometheus": {"version": "3.13.1", "retention": "3d"}}},
    "one, newer": {"components": {"prometheus": {"version": "3.13.2"}}},
    "two": {"components": {"prometheus": {"version": "3.13.1"}, "loki": {"version": "3.7.5"}}},
    "two, newer": {"components": {"prometheus": {"version": "3.13.2"}, "loki": {"version": "3.7.6"}}},
    "two, secret": {
        "components": {"prometheus": {"version": "3.13.1"}, "loki": {"version": "3.7.5", "s3": S3}},
    },
    "two, newer, secret": {
        "components": {"prometheus": {"version": "3.13.2"}, "loki": {"version": "3.7.6", "s3": S3}},
    },
}
for given_spec in VALID.values():
    given_spec["allowDowngrade"] = True
INVALID: dict[str, dict[str, Any]] = {
    "empty": {"components": {}},
    "unsupported": {"components": {"prometheus": {"version": "99.0.0"}}},
}
SPECS = VALID | INVALID
NAMES = ("prometheus", "loki")
#: Of each kind; set STACKLEDGER_WALKS for a longer search.
WALKS = int(os.environ.get("STACKLEDGER_WALKS", "150"))

CATEGORIES = [ErrorCategory.TRANSIENT, ErrorCategory.CONFIGURATION, ErrorCategory.RESOURCE]
KINDS = ["", "StatefulSet", "ConfigMap", "ObservabilityPlatform"]

Step = tuple[str, Any]


def _spec(world: LittleWorld, name: str) -> None:
    paused = world.spec.get("paused", False)
    world.edit({**SPECS[name], "paused": paused})


def _health(world: LittleWorld, which: tuple[str, str]) -> None:
    name, health = which
    if name in world.pods:
        world.pods[name].health = health


def _retry(world: LittleWorld, _: None) -> None:
    world.token = f"{world.token}+"


def _pause(world: LittleWorld, paused: bool) -> None:
    world.edit({**world.spec, "paused": paused})


def _drift(world: LittleWorld, kind: str) -> None:
    if not world.children:
        return
    key = sorted(world.children)[len(world.told) % len(world.children)]
    if kind == "missing":
        del world.children[key]
    elif kind == "replaced":
        world.children[key].uid += "'"
    else:
        world.children[key].owned = "theirs"


def _strip(world: LittleWorld, _: None) -> None:
    world.finalizer = False
    world.exists = not world.deleting


def _set(name: str, world: LittleWorld, value: Any) -> None:
    setattr(world, name, value)


def _delete(world: LittleWorld, _: None) -> None:
    world.delete()


def rest(world: LittleWorld, seconds: float = 1200) -> None:
    """Time in which Kubernetes does its part, until nothing changes any more."""
    for _ in range(int(seconds / 10)):
        before = world.state.version
        world.settle()
        world.reconcile()
        world.wait(10)
        if world.state.version == before and next_due(world.state, world.now) is None:
            return


STEPS: dict[str, Callable[[LittleWorld, Any], None]] = {
    "edit": _spec,
    "pause": _pause,
    "delete": _delete,
    "retry": _retry,
    "health": _health,
    "drift": _drift,
    "strip": _strip,
    "settle": lambda world, _: world.settle(),
    "wait": lambda world, seconds: world.wait(seconds),
    "rest": rest,
    **{name: partial(_set, name) for name in ("secret", "fault", "bad_versions", "crashing")},
}

names = st.sampled_from(sorted(SPECS))
steps = st.one_of(
    st.tuples(st.just("edit"), st.sampled_from(sorted(SPECS))),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("retry"), st.none()),
    st.tuples(st.just("health"), st.tuples(st.sampled_from(NAMES), st.sampled_from(["healthy", "broken", "unready"]))),
    st.tuples(st.just("drift"), st.sampled_from(["missing", "replaced", "changed"])),
    st.tuples(st.just("strip"), st.none()),
    st.tuples(st.just("settle"), st.none()),
    st.tuples(st.just("secret"), st.sampled_from(["good", "missing", "refused"])),
    st.tuples(st.just("fault"), st.none() | st.tuples(st.sampled_from(CATEGORIES), st.sampled_from(KINDS))),
    st.tuples(st.just("crashing"), st.just(value=True)),
    st.tuples(st.just("bad_versions"), st.sampled_from([set(), {"3.13.2"}, {"3.7.6"}])),
    st.tuples(st.just("rest"), st.just(60)),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 6.0, 31.0, 301.0, 1000.0])),
)


def play(world: LittleWorld, taken: list[Step]) -> None:
    """Each step, and after it a look."""
    for name, argument in taken:
        STEPS[name](world, argument)
        world.reconcile()


def begun(name: str, *, ready: bool) -> LittleWorld:
    """A platform just created, or one that has had its time."""
    world = LittleWorld()
    world.create(SPECS[name])
    world.reconcile()
    if ready:
        rest(world)
    return world


def installed(name: str) -> LittleWorld:
    """A platform that is Ready."""
    world = begun(name, ready=True)
    assert world.state.phase is Phase.READY
    return world


def mend(world: LittleWorld) -> None:
    """All that was broken is not any more."""
    world.fault, world.secret, world.bad_versions = None, "good", set()
    for pods in world.pods.values():
        pods.health = "healthy"


def check_silence(world: LittleWorld) -> None:
    """At rest, nothing is recorded."""
    before = world.state.version
    world.wait(3600)
    world.reconcile()
    assert world.state.version == before, world.told[-5:]


@settings(max_examples=WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=names, ready=st.booleans(), taken=st.lists(steps, max_size=14), last=st.sampled_from(sorted(VALID)))
def test_after_any_walk_a_platform_becomes_what_was_asked_for_last(
    first: str, ready: bool, taken: list[Step], last: str
) -> None:
    world = begun(first, ready=ready)
    play(world, taken)
    mend(world)
    world.edit(SPECS[last])
    _retry(world, None)
    rest(world)
    assert world.state.phase is Phase.READY
    assert {key: child.digest for key, child in world.children.items()} == fresh(last)
    check_silence(world)


@settings(max_examples=WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=st.sampled_from(sorted(VALID)), ready=st.booleans(), taken=st.lists(steps, max_size=14))
def test_once_the_faults_are_over_a_platform_gets_ready_without_anybody_asking(
    first: str, ready: bool, taken: list[Step]
) -> None:
    world = begun(first, ready=ready)
    play(world, [step for step in taken if not _needs_a_person(step)])
    mend(world)
    rest(world, 1800)
    assert world.state.phase is Phase.READY
    check_silence(world)


def _needs_a_person(step: Step) -> bool:
    """What nobody but the user can end: a pause, a rejected spec, an object that the API server refuses."""
    name, argument = step
    refused = name == "fault" and argument is not None and argument[0] is ErrorCategory.CONFIGURATION
    return refused or name == "pause" or (name == "edit" and argument in INVALID)


@settings(max_examples=WALKS, deadline=None, suppress_health_check=list(HealthCheck))
@given(first=names, ready=st.booleans(), before=st.lists(steps, max_size=8), after=st.lists(steps, max_size=4))
def test_after_any_walk_a_deleted_platform_goes_and_leaves_nothing(
    first: str, ready: bool, before: list[Step], after: list[Step]
) -> None:
    world = begun(first, ready=ready)
    play(world, [*before, ("delete", None), *after])
    mend(world)
    rest(world, 1800)
    assert not world.exists
    assert world.state.closed
    check_silence(world)


_fresh: dict[str, dict[str, str]] = {}


def fresh(name: str) -> dict[str, str]:
    """The objects of a platform that never knew another spec."""
    if name not in _fresh:
        _fresh[name] = {key: child.digest for key, child in installed(name).children.items()}
    return _fresh[name]


@pytest.mark.parametrize("name", sorted(VALID))
def test_a_fresh_platform_comes_to_rest(name: str) -> None:
    check_silence(installed(name))
