"""`observe`: from what is there to events, by comparison with what was last recorded. Pure.

A watch event is only a hint to look. Nothing changed, nothing observed; a sight older than what is recorded is ignored.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from eventstore.events import (
    ChildFound,
    ChildGone,
    ClusterRewound,
    ComponentObserved,
    DeletionRequested,
    DependencyObserved,
    DriftDetected,
    FinalizerStripped,
    LedgerReset,
    ObjectRef,
    Observation,
    PlatformGone,
    PlatformObserved,
    Policy,
    PolicyAdopted,
    RetryRequested,
)
from eventstore.vocabulary import ComponentName
from projections.state import ComponentState, ObjectState, PlatformState

#: Paths that one event names, and characters of each; an edit can touch any number, an event has a size.
PATHS_MAX, PATH_LENGTH_MAX = 100, 300


class PlatformSighting(msgspec.Struct, frozen=True, kw_only=True):
    """The resource as it is now, already redacted."""

    namespace: str
    name: str
    uid: str
    generation: int
    spec: dict[str, Any]
    digest: str
    inline_secrets: dict[str, str] = {}
    field_manager: str = "unknown"
    created_at: datetime | None = None
    deletion_requested_at: datetime | None = None
    has_finalizer: bool = False
    retry_token: str = ""
    unknown_fields: tuple[str, ...] = ()
    #: It was read from the API server itself, so that no watch that lags behind explains that it is older.
    fresh: bool = False
    #: What a lost log left behind in `.status.ledger`; evidence only, nothing is decided on it.
    ledger_sequence: int = 0
    ledger_head: str = ""


class ObjectSighting(msgspec.Struct, frozen=True, kw_only=True):
    """A child object as it is now."""

    ref: ObjectRef
    uid: str
    owned_digest: str
    component: ComponentName | None = None
    #: Managers, other than ours, that own fields of it, and the paths of those fields.
    managers: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a platform and everything that belongs to it."""

    #: None: the resource does not exist (any more).
    platform: PlatformSighting | None
    objects: dict[str, ObjectSighting] = {}
    components: dict[str, ComponentObserved] = {}
    dependencies: dict[str, DependencyObserved] = {}
    policy: Policy = Policy()
    operator_version: str = ""


def observe(state: PlatformState, sighting: Sighting) -> tuple[Observation, ...]:
    """The observations that `sighting` adds to what is recorded; () if there is nothing new."""
    platform = sighting.platform
    if platform is None:
        return () if state.closed or state.version == 0 else (PlatformGone(),)
    if is_behind(state, platform) and not platform.fresh and platform.deletion_requested_at is None:
        return ()  # a cache that lags behind what was already seen
    if state.closed and platform.deletion_requested_at is not None and not (platform.fresh and platform.has_finalizer):
        return ()  # our part is done: others still hold it with finalizers of their own
    return (
        *_observe_policy(state, sighting),
        *_observe_platform(state, platform),
        *_observe_dependencies(state, sighting.dependencies),
        *_observe_objects(state, sighting.objects),
        *_observe_components(state, sighting.components),
    )


def is_behind(state: PlatformState, seen: PlatformSighting) -> bool:
    """Older than what is recorded: a lagging cache, or a cluster restored from a backup.

    A deletion counts all the same: it cannot be taken back, and the finalizer must not hold the resource for ever.
    """
    return state.observed is not None and seen.generation < state.observed.generation


def _observe_policy(state: PlatformState, sighting: Sighting) -> Iterator[Observation]:
    if state.policy != sighting.policy or state.operator_version != sighting.operator_version:
        yield PolicyAdopted(policy=sighting.policy, operator_version=sighting.operator_version)


def _observe_platform(state: PlatformState, seen: PlatformSighting) -> Iterator[Observation]:
    if state.version == 0 and seen.has_finalizer:
        yield LedgerReset(lost_sequence=seen.ledger_sequence, lost_head=seen.ledger_head)
    before = state.observed
    rewound = seen.fresh and is_behind(state, seen)
    if before is not None and rewound:
        yield ClusterRewound(recorded_generation=before.generation, generation=seen.generation)
    # One that was taken for gone and is there again (a cluster restored from a backup) is taken up again.
    changed = before is None or before.generation != seen.generation or before.digest != seen.digest
    if (changed or state.closed) and (rewound or not is_behind(state, seen)):
        yield PlatformObserved(
            namespace=seen.namespace,
            name=seen.name,
            generation=seen.generation,
            spec=canonical(seen.spec),
            digest=seen.digest,
            field_manager=seen.field_manager,
            changed_paths=named_paths(changed_paths(before.spec if before else {}, seen.spec)),
            inline_secrets=seen.inline_secrets,
            created_at=seen.created_at,
            unknown_fields=seen.unknown_fields,
        )
    if seen.retry_token and seen.retry_token != state.retry_token:
        yield RetryRequested(token=seen.retry_token)
    if seen.deletion_requested_at is not None and (rewound or state.closed or state.deletion_requested_at is None):
        # Of a log that was lost, of a backup, of a process that ended before it could say so: what is to be taken off
        # need not be what this log put on.
        unknown = seen.has_finalizer and not state.finalizer
        yield DeletionRequested(requested_at=seen.deletion_requested_at, finalizer=unknown)
    if state.finalizer and not seen.has_finalizer:
        yield FinalizerStripped()


def _observe_dependencies(state: PlatformState, seen: dict[str, DependencyObserved]) -> Iterator[Observation]:
    for key, dependency in sorted(seen.items()):
        before = state.dependencies.get(key)
        # The resourceVersion alone changes with every touch of the object; only its content is a change for us.
        if before is None or dependency != replace(before, resource_version=dependency.resource_version):
            yield dependency


def _observe_objects(state: PlatformState, seen: dict[str, ObjectSighting]) -> Iterator[Observation]:
    for key, child in sorted(state.objects.items()):
        sighted = seen.get(key)
        if sighted is None:
            yield from _observe_absence(state, child)
        elif not child.uid or (child.deleting and child.uid != sighted.uid):
            yield ChildFound(ref=child.ref, uid=sighted.uid, component=child.component)
        elif child.drift is None and child.applied_digest and not child.deleting:
            yield from _observe_drift(child, sighted)
    for key, sighted in sorted(seen.items()):
        if key not in state.objects:
            yield ChildFound(ref=sighted.ref, uid=sighted.uid, component=sighted.component)


def _observe_absence(state: PlatformState, child: ObjectState) -> Iterator[Observation]:
    going = child.deleting or state.deletion_requested_at is not None
    if going and not (child.request and not child.requested_digest):
        yield ChildGone(ref=child.ref)
    elif not going and child.uid and child.drift is None and not child.request:
        yield DriftDetected(ref=child.ref, kind="Missing")


def _observe_drift(child: ObjectState, seen: ObjectSighting) -> Iterator[Observation]:
    if child.request:
        return
    if seen.uid != child.uid:
        yield DriftDetected(ref=child.ref, kind="Replaced", managers=seen.managers)
    elif seen.owned_digest != child.owned_digest:
        yield DriftDetected(ref=child.ref, kind="Changed", managers=seen.managers, paths=seen.paths)


def _observe_components(state: PlatformState, seen: dict[str, ComponentObserved]) -> Iterator[Observation]:
    for name, observation in seen.items():
        before = state.components.get(name)
        if before is not None and not (before.observed and _same(before, observation)):
            yield observation


def _same(before: ComponentState, seen: ComponentObserved) -> bool:
    return (
        before.desired_replicas == seen.desired_replicas
        and before.ready_replicas == seen.ready_replicas
        and before.updated_replicas == seen.updated_replicas
        and before.rolled_out == seen.rolled_out
        and before.running_version == seen.running_version
        and before.problems == seen.problems
    )


def canonical(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec as it comes back from the log, keys sorted: memory must render what a replay renders."""
    sorted_again: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(spec, order="sorted"))
    return sorted_again


def named_paths(paths: tuple[str, ...]) -> tuple[str, ...]:
    """As many of the paths, and as much of each, as an event names."""
    return tuple(path[:PATH_LENGTH_MAX] for path in paths[:PATHS_MAX])


def changed_paths(before: Any, after: Any, prefix: str = "") -> tuple[str, ...]:
    """Paths of the leaves that differ, sorted: `components.loki.version`."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = sorted(before.keys() | after.keys())
        return tuple(
            path
            for key in keys
            for path in changed_paths(before.get(key), after.get(key), f"{prefix}.{key}" if prefix else str(key))
        )
    return () if before == after else (prefix,)
