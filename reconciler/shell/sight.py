"""Looks at one platform: the resource, its children, their pods and what the spec refers to, as one `Sighting`.

Everything comes from the watches' cache but what may not be watched (Secrets), which is read by name.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import structlog
from msgspec.structs import replace

from api.naming import inline_secret_name
from api.parsing import parse_spec
from api.redaction import hmac_value, redact, within_limit
from components.health import component_observation
from components.manifest import Manifest
from eventstore.events import ComponentObserved, DependencyObserved, ObjectRef, Policy
from eventstore.vocabulary import (
    FINALIZER,
    LABEL_COMPONENT,
    RETRY_AT_ANNOTATION,
    ComponentName,
    ComponentPhase,
    ErrorCategory,
    Phase,
)
from projections.platform import WORKLOAD_KINDS
from projections.state import ObjectState, PlatformState, SpecState
from reconciler.core.desired import accepted_references, desired_manifests, desired_objects, references_of
from reconciler.core.observe import ObjectSighting, PlatformSighting, Sighting, is_behind, named_paths
from reconciler.core.ownership import last_spec_manager, owned_digest, owners_of_changes
from reconciler.core.preflight import PERMISSION_DENIED, QUOTA_EXCEEDED
from reconciler.shell.cache import ObjectCache
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject
from reconciler.shell.dependencies import Dependencies
from reconciler.shell.resources import PLATFORM, POD, RESOURCE_QUOTA, SECRET, resource_for

_log = structlog.get_logger(__name__)


class _Spec(msgspec.Struct, frozen=True):
    """What a generation of a spec comes to; worked out once."""

    uid: str
    generation: int
    spec: dict[str, Any]
    digest: str
    inline_secrets: dict[str, str]
    unknown_fields: tuple[str, ...]


class Sight:
    """The eyes of the reconciler."""

    def __init__(
        self,
        cluster: Cluster,
        cache: ObjectCache,
        dependencies: Dependencies,
        hmac_key: bytes,
        *,
        policy: Policy,
        operator_version: str,
        monotonic: Callable[[], float],
        secrets_seconds: float,
    ) -> None:
        """`cache` must keep Secrets too; `secrets_seconds`: how long a look at our own Secrets is good."""
        self._cluster, self._cache, self._dependencies = cluster, cache, dependencies
        self._hmac_key, self._policy, self._operator_version = hmac_key, policy, operator_version
        self._monotonic, self._secrets_seconds = monotonic, secrets_seconds
        self._specs: dict[tuple[str, str], _Spec] = {}
        self._secrets_checked: dict[str, float] = {}

    def resource(self, namespace: str, name: str) -> KubernetesObject | None:
        """The resource as the watch last saw it."""
        return self._cache.get(PLATFORM, namespace, name)

    def look(self, state: PlatformState, platform: KubernetesObject | None) -> Sighting:
        """One look at everything that belongs to the platform.

        Raises:
            ClusterError: what is not watched could not be read.
        """
        if platform is None:
            return Sighting(platform=None, policy=self._policy, operator_version=self._operator_version)
        seen = self._platform(platform)
        if is_behind(state, seen) or (state.closed and seen.deletion_requested_at is not None and seen.has_finalizer):
            seen = self._look_again(seen)
        self._check_secrets(state)
        return Sighting(
            platform=seen,
            objects=self._objects(state, seen),
            components=self._components(state, seen),
            dependencies=self._dependencies_of(state, seen),
            policy=self._policy,
            operator_version=self._operator_version,
        )

    def forget(self, state: PlatformState) -> None:
        """Keep nothing of a platform that is gone."""
        self._specs.pop((state.namespace, state.name), None)
        self._secrets_checked.pop(state.stream_id, None)
        self._dependencies.forget(state.namespace, state.name)

    def _check_secrets(self, state: PlatformState) -> None:
        """Read our own Secrets now and then: they are not watched, so that only this tells of changes by others."""
        now = self._monotonic()
        checked = self._secrets_checked.get(state.stream_id)
        # Trouble may come from a Secret that is gone: look more often until it is over.
        seconds = self._secrets_seconds if _is_calm(state) else self._policy.prerequisite_poll_seconds / 2
        fresh = checked is not None and now - checked < seconds and state.deletion_requested_at is None
        for child in state.objects.values():
            # One on its way out may be wanted again, and can only be made again once it is seen to be gone.
            if child.ref.kind == SECRET.kind and (child.deleting or not fresh):
                self._check_secret(state.namespace, child)
        if not fresh:
            self._secrets_checked[state.stream_id] = now

    def _check_secret(self, namespace: str, child: ObjectState) -> None:
        try:
            found = self._cluster.get(SECRET, namespace, child.ref.name)
        except ClusterError as error:
            if error.reason != PERMISSION_DENIED:
                raise
            # It is told where the Secret is needed; what else there is to see of the platform is seen all the same.
            _log.warning("secret_not_checked", secret=f"{namespace}/{child.ref.name}", why=error.message)
            return
        if found is not None:
            self._cache.remember(SECRET, found)
        elif child.uid:
            self._cache.forget(SECRET, namespace, child.ref.name, child.uid)

    def _look_again(self, seen: PlatformSighting) -> PlatformSighting:
        """The resource itself: only that tells a watch that lags behind from a cluster that was restored."""
        found = self._cluster.get(PLATFORM, seen.namespace, seen.name)
        if found is None or found["metadata"]["uid"] != seen.uid:
            return seen
        return replace(self._platform(found), fresh=True)

    # -- the resource ----------------------------------------------------------------------------------------------

    def _platform(self, platform: KubernetesObject) -> PlatformSighting:
        metadata = platform["metadata"]
        spec = self._spec(platform)
        ledger = (platform.get("status") or {}).get("ledger") or {}
        return PlatformSighting(
            namespace=metadata["namespace"],
            name=metadata["name"],
            uid=metadata["uid"],
            generation=spec.generation,
            spec=spec.spec,
            digest=spec.digest,
            inline_secrets=spec.inline_secrets,
            field_manager=last_spec_manager(platform),
            created_at=_instant(metadata.get("creationTimestamp")),
            deletion_requested_at=_instant(metadata.get("deletionTimestamp")),
            has_finalizer=FINALIZER in metadata.get("finalizers", ()),
            retry_token=str((metadata.get("annotations") or {}).get(RETRY_AT_ANNOTATION, ""))[:256],
            unknown_fields=spec.unknown_fields,
            ledger_sequence=_number(ledger.get("sequence")),
            ledger_head=str(ledger.get("headHash", ""))[:64],
        )

    def _spec(self, platform: KubernetesObject) -> _Spec:
        metadata = platform["metadata"]
        key, generation = (metadata["namespace"], metadata["name"]), int(metadata.get("generation", 1))
        known = self._specs.get(key)
        if known is not None and (known.uid, known.generation) == (metadata["uid"], generation):
            return known
        raw = platform.get("spec")
        redacted = redact(raw, secret_name=inline_secret_name(metadata["name"]))
        macs = {path: hmac_value(self._hmac_key, value) for path, value in sorted(redacted.inline.items())}
        recorded, macs = within_limit(redacted.spec, macs)
        spec = _Spec(
            uid=metadata["uid"],
            generation=generation,
            spec=recorded,
            digest=spec_digest(recorded, macs),
            inline_secrets=macs,
            unknown_fields=named_paths(parse_spec(recorded, name=metadata["name"]).unknown_fields),
        )
        self._specs[key] = spec
        return spec

    # -- what belongs to it ----------------------------------------------------------------------------------------

    def _objects(self, state: PlatformState, platform: PlatformSighting) -> dict[str, ObjectSighting]:
        children = [
            child
            for child in self._cache.children(platform.namespace, platform.name)
            if child["kind"] != POD.kind and _owned_by(child, platform.uid)
        ]
        sightings = [self._object(state, child) for child in children]
        return {sighting.ref.key: sighting for sighting in sightings}

    def _object(self, state: PlatformState, child: KubernetesObject) -> ObjectSighting:
        metadata = child["metadata"]
        ref = ObjectRef(child["apiVersion"], child["kind"], metadata["name"])
        digest = owned_digest(child)
        managers, paths = self._evidence(state, ref, digest, child)
        return ObjectSighting(
            ref=ref,
            uid=metadata["uid"],
            owned_digest=digest,
            component=_component(metadata.get("labels")),
            managers=managers,
            paths=paths,
        )

    def _evidence(
        self, state: PlatformState, ref: ObjectRef, digest: str, child: KubernetesObject
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Who wrote what we own; looked for only where something is not as it was."""
        known = state.objects.get(ref.key)
        if known is None or not known.applied_digest or digest == known.owned_digest:
            return (), ()
        applied = desired_manifests(state).get(known.applied_digest)
        return owners_of_changes(child, _as_sent(applied) if applied else None)

    def _components(self, state: PlatformState, platform: PlatformSighting) -> dict[str, ComponentObserved]:
        pods = self._cache.children(platform.namespace, platform.name, POD)
        workloads = {
            wanted.component: wanted.ref for wanted in desired_objects(state) if wanted.ref.kind in WORKLOAD_KINDS
        }
        return {
            name: component_observation(
                ComponentName(name),
                self._workload(platform, ref),
                [pod for pod in pods if _component(pod["metadata"].get("labels")) == name],
            )
            for name, component in state.components.items()
            if component.phase is not ComponentPhase.PENDING and (ref := workloads.get(ComponentName(name))) is not None
        }

    def _workload(self, platform: PlatformSighting, ref: ObjectRef) -> KubernetesObject | None:
        found = self._cache.get(resource_for(ref.api_version, ref.kind), platform.namespace, ref.name)
        return found if found is not None and _owned_by(found, platform.uid) else None

    # -- what it needs ---------------------------------------------------------------------------------------------

    def _dependencies_of(self, state: PlatformState, platform: PlatformSighting) -> dict[str, DependencyObserved]:
        if platform.deletion_requested_at is not None:
            return {}
        newest = SpecState(generation=platform.generation, digest=platform.digest, spec=platform.spec)
        needed = {*references_of(newest, platform.name), *accepted_references(state)}
        seen = self._dependencies.look(platform.namespace, platform.name, sorted(needed))
        return seen | self._quotas(state, platform.namespace)

    def _quotas(self, state: PlatformState, namespace: str) -> dict[str, DependencyObserved]:
        """Quotas count while something depends on them; their use changes with every pod of the namespace."""
        if not _depends_on_quota(state):
            return {}
        found = {quota["metadata"]["name"]: quota for quota in self._cache.list_kind(RESOURCE_QUOTA, namespace)}
        gone = [seen.name for seen in state.dependencies.values() if seen.kind == "ResourceQuota"]
        return {f"ResourceQuota/{name}": _quota(name, found.get(name)) for name in {*found, *gone}}


def _depends_on_quota(state: PlatformState) -> bool:
    """Before the first install, unless that waits for something else, and while a limit holds it up."""
    if state.failure is not None and state.failure.category is ErrorCategory.RESOURCE:
        return True
    waits_for = {finding.reason for finding in state.missing}
    return state.phase in {None, Phase.PENDING} and (not waits_for or QUOTA_EXCEEDED in waits_for)


def _as_sent(manifest: Manifest) -> dict[str, Any]:
    """The body with the keys that are filled in when it is sent; not with their values, which are secret."""
    if not manifest.secret_sources:
        return manifest.body
    return {**manifest.body, "data": {**manifest.body.get("data", {}), **dict.fromkeys(manifest.secret_sources, "***")}}


def _is_calm(state: PlatformState) -> bool:
    # Problems of pods that start are left to their grace: waiting for a volume is one.
    troubled = any(component.unready_since is not None for component in state.components.values())
    return not troubled and state.failure is None and state.phase in {Phase.INSTALLING, Phase.READY, Phase.UPGRADING}


def spec_digest(spec: dict[str, Any], inline_secrets: dict[str, str]) -> str:
    """What tells two specs apart: everything but `paused`, which changes what is done, not what is wanted."""
    wanted = {key: value for key, value in spec.items() if key != "paused"}
    content = msgspec.json.encode([wanted, inline_secrets], order="sorted")
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _quota(name: str, found: KubernetesObject | None) -> DependencyObserved:
    status = (found or {}).get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    return DependencyObserved(
        kind="ResourceQuota",
        name=name,
        found=found is not None,
        uid=found["metadata"]["uid"] if found else "",
        limits={resource: (str(limit), str(used.get(resource, "0"))) for resource, limit in sorted(hard.items())},
    )


def _owned_by(child: KubernetesObject, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in child["metadata"].get("ownerReferences") or ())


def _component(labels: dict[str, str] | None) -> ComponentName | None:
    try:
        return ComponentName((labels or {}).get(LABEL_COMPONENT, ""))
    except ValueError:
        return None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
