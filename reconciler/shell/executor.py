"""Carries out what the log asks for: one request, one call, one outcome. It has no choices left.

Every outcome is a frozen event, success or not. Nothing is retried in here: the retry policy is a decision.
"""

import secrets
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from api.naming import inline_secret_name
from api.redaction import redact
from components.manifest import Manifest, SecretSource
from eventstore.events import (
    ActionFailed,
    ActionSucceeded,
    DriftCorrected,
    FinalizerAdded,
    FinalizerReleased,
    ObjectRef,
    Outcome,
)
from eventstore.log import EventLog
from eventstore.vocabulary import (
    FIELD_MANAGER,
    FINALIZER,
    GROUP,
    KIND,
    RETRY_AT_ANNOTATION,
    STORED_VERSION,
    ErrorCategory,
)
from projections.state import PlatformState
from reconciler.core.desired import desired_manifest
from reconciler.core.ownership import owned_digest
from reconciler.core.plan import Request
from reconciler.shell.cache import ObjectCache
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject, Resource
from reconciler.shell.resources import PLATFORM, resource_for

#: How often a finalizer change is tried again after somebody else's write came in between.
FINALIZER_ATTEMPTS_MAX = 5
#: How often an apply is tried again after others wrote the object's status in between.
CONFLICTS_MAX = 5
#: A namespace on its way out takes nothing new, whatever its kind.
NAMESPACE_ENDS = frozenset({"NamespaceTerminating", "NamespaceGone"})
_decode_manifest = msgspec.json.Decoder(Manifest).decode


class MayAct(Protocol):
    """Whether this process may still write: by its own clock, or `surely`, which asks the log."""

    def __call__(self, *, surely: bool = False) -> bool: ...


def _always(*, surely: bool = False) -> bool:  # noqa: ARG001  # part of what it stands for
    return True


class Executor:
    """Sends the writes of one platform to the cluster."""

    def __init__(self, cluster: Cluster, cache: ObjectCache, log: EventLog) -> None:
        self._cluster, self._cache, self._log = cluster, cache, log

    def execute(
        self,
        state: PlatformState,
        requests: Iterable[Request],
        platform: KubernetesObject,
        may_act: MayAct = _always,
    ) -> Iterator[Outcome]:
        """Outcome after outcome; it stops where the next call would fail as well: no server, or no namespace.

        `may_act` is asked before each write: a process that stood still may have lost its lease in the middle. What it
        does not carry out stays open, for whoever has the lease now. Before what could undo a successor's work the log
        is asked: a lease that was taken away before its time is not known to any clock.
        """
        for request in requests:
            if not may_act():
                return
            try:
                yield from self._carry_out(state, request, platform, may_act)
            except ClusterError as error:
                yield _failed(request, state, error)
                if error.category is ErrorCategory.TRANSIENT or error.reason in NAMESPACE_ENDS:
                    return

    def _carry_out(
        self, state: PlatformState, request: Request, platform: KubernetesObject, may_act: MayAct
    ) -> Iterator[Outcome]:
        if request.ref is None:
            yield self._change_finalizer(state, request, platform)
        elif request.digest:
            yield from self._apply(state, request, request.ref, platform, may_act)
        else:
            # A successor may want it again by now; a platform on its way out wants nothing any more.
            if state.deletion_requested_at is not None or may_act(surely=True):
                yield self._delete(state, request, request.ref)

    # -- finalizer -------------------------------------------------------------------------------------------------

    def _change_finalizer(self, state: PlatformState, request: Request, platform: KubernetesObject) -> Outcome:
        """Put the finalizer on, or take it off. Others write this object too: after a conflict it is read afresh."""
        adding = state.deletion_requested_at is None
        found: KubernetesObject | None = platform
        for attempt in range(FINALIZER_ATTEMPTS_MAX):
            if found is None or found["metadata"]["uid"] != state.stream_id:
                self._note_gone(state, adding=adding)
                break
            present = list(found["metadata"].get("finalizers", []))
            wanted = [*present, FINALIZER] if adding else [name for name in present if name != FINALIZER]
            if (FINALIZER in present) == adding:
                break
            if not adding and not found["metadata"].get("deletionTimestamp"):
                text = f"{KIND} {state.namespace}/{state.name} is not on its way out any more"
                raise ClusterError(ErrorCategory.TRANSIENT, "Conflict", text)
            try:
                if not self._write_finalizers(state, wanted, found):
                    self._note_gone(state, adding=adding)
                break
            except ClusterError as error:
                if error.reason != "Conflict" or attempt == FINALIZER_ATTEMPTS_MAX - 1:
                    raise
                found = self._cluster.get(PLATFORM, state.namespace, state.name)
                if found is not None:
                    # The watch may not have told yet what is read here.
                    self._cache.remember(PLATFORM, found)
        return FinalizerAdded(request=request.version) if adding else FinalizerReleased(request=request.version)

    def _note_gone(self, state: PlatformState, *, adding: bool) -> None:
        """The server says so before the watch does: taken for there, the finalizer would be missed again and again."""
        self._cache.forget(PLATFORM, state.namespace, state.name, state.stream_id)
        if adding:
            raise ClusterError(ErrorCategory.TRANSIENT, "NotFound", f"{KIND} {state.namespace}/{state.name} is gone")

    def _write_finalizers(self, state: PlatformState, wanted: list[str], found: KubernetesObject) -> bool:
        """Whether it was there."""
        updated = self._cluster.set_finalizers(
            PLATFORM,
            state.namespace,
            state.name,
            wanted,
            uid=state.stream_id,
            resource_version=found["metadata"]["resourceVersion"],
        )
        if updated is not None:
            self._cache.remember(PLATFORM, updated)
        return updated is not None

    # -- apply -----------------------------------------------------------------------------------------------------

    def _apply(
        self,
        state: PlatformState,
        request: Request,
        ref: ObjectRef,
        platform: KubernetesObject,
        may_act: MayAct,
    ) -> Iterator[Outcome]:
        manifest = self._manifest(state, request.digest)
        if _is_behind(platform, manifest, state):
            return
        resource = resource_for(ref.api_version, ref.kind)
        child = state.objects[ref.key]
        body = _complete(manifest, state, platform)
        before = self._cache.get(resource, state.namespace, ref.name)
        if before is not None and not _is_ours(before, state):
            # It may be gone by now: nobody is to be refused on old knowledge.
            before = None
        after: KubernetesObject | None = None
        if before is None:
            after = self._cluster.apply_new(resource, state.namespace, body, manager=FIELD_MANAGER)
        if after is None:
            before = before or self._what_is_there(resource, state.namespace, ref)
            _refuse_foreign(before, ref, state, platform)
            if manifest.create_only:
                yield _succeeded(request, ref, before, changed=False)
                return
            after = self._apply_over(resource, body, before, may_act)
            if after is None:
                return
        self._cache.remember(resource, after)
        yield _succeeded(request, ref, after, changed=_version(before) != _version(after))
        if child.drift is not None:
            yield DriftCorrected(
                request=request.version, ref=ref, managers=child.drift.managers, paths=child.drift.paths
            )

    def _apply_over(
        self, resource: Resource, body: KubernetesObject, before: KubernetesObject, may_act: MayAct
    ) -> KubernetesObject | None:
        """Apply over this very object as it was seen, and nothing newer; None if this process may not act any more.

        What is known of it may be old: what has its name by now may be another's, and while this process stood still a
        successor may have applied something newer. A status that others wrote in between is no reason to stop.
        """
        namespace = body["metadata"]["namespace"]
        for _ in range(CONFLICTS_MAX):
            if not may_act(surely=True):
                return None
            seen = {key: before["metadata"][key] for key in ("uid", "resourceVersion")}
            try:
                return self._cluster.apply(
                    resource, namespace, {**body, "metadata": {**body["metadata"], **seen}}, manager=FIELD_MANAGER
                )
            except ClusterError as error:
                if error.reason != "Conflict":
                    raise
                conflict = error
            found = self._cluster.get(resource, namespace, body["metadata"]["name"])
            if found is None or _content(found) != _content(before):
                raise conflict
            before = found
        raise conflict

    def _what_is_there(self, resource: Resource, namespace: str, ref: ObjectRef) -> KubernetesObject:
        """What the watches do not show: a Secret, what they have yet to tell of, or what does not carry our labels."""
        found = self._cluster.get(resource, namespace, ref.name)
        if found is None:
            text = f"{ref.kind} {namespace}/{ref.name} was there, and went while it was looked at"
            raise ClusterError(ErrorCategory.TRANSIENT, "Conflict", text)
        return found

    def _manifest(self, state: PlatformState, digest: str) -> Manifest:
        rendered = desired_manifest(state, digest)
        if rendered is not None:
            return rendered
        # Asked for by an earlier process or build: the log kept what exactly.
        content = self._log.get_content(digest)
        if content is None:
            raise ClusterError(ErrorCategory.TRANSIENT, "ContentMissing", f"manifest {digest} is not in the store")
        return _decode_manifest(content)

    # -- delete ----------------------------------------------------------------------------------------------------

    def _delete(self, state: PlatformState, request: Request, ref: ObjectRef) -> Outcome:
        resource = resource_for(ref.api_version, ref.kind)
        self._cluster.delete(resource, state.namespace, ref.name, uid=request.uid)
        return ActionSucceeded(request=request.version, ref=ref, uid=request.uid)


def platform_ref(name: str) -> ObjectRef:
    """The resource itself, as the subject of an outcome."""
    return ObjectRef(f"{GROUP}/{STORED_VERSION}", KIND, name)


def _failed(request: Request, state: PlatformState, error: ClusterError) -> ActionFailed:
    return ActionFailed(
        request=request.version,
        ref=request.ref or platform_ref(state.name),
        category=error.category,
        reason=error.reason,
        message=error.message,
        retry_after_seconds=error.retry_after_seconds or 0.0,
    )


def _succeeded(request: Request, ref: ObjectRef, found: KubernetesObject, *, changed: bool) -> ActionSucceeded:
    metadata = found["metadata"]
    return ActionSucceeded(
        request=request.version,
        ref=ref,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        owned_digest=owned_digest(found),
        changed=changed,
    )


def _version(found: KubernetesObject | None) -> str:
    return str(found["metadata"].get("resourceVersion", "")) if found else ""


def _content(found: KubernetesObject) -> tuple[object, ...]:
    """What changes with the content of an object, and not with its status: without a generation, the version does."""
    metadata = found["metadata"]
    return metadata["uid"], metadata.get("generation") or metadata["resourceVersion"], metadata.get("labels")


def _is_ours(found: KubernetesObject, state: PlatformState) -> bool:
    return any(owner.get("uid") == state.stream_id for owner in found["metadata"].get("ownerReferences") or ())


def _refuse_foreign(found: KubernetesObject, ref: ObjectRef, state: PlatformState, platform: KubernetesObject) -> None:
    """Never take over silently what somebody else made; `spec.adopt: true` permits it."""
    if _is_ours(found, state) or (platform.get("spec") or {}).get("adopt") is True:
        return
    message = (
        f"{ref.kind} {state.namespace}/{ref.name} exists and was not made for this platform; "
        "set spec.adopt: true to take it over, or rename or delete it and ask for a retry with the annotation "
        f"{RETRY_AT_ANNOTATION}"
    )
    raise ClusterError(ErrorCategory.CONFIGURATION, "AdoptionRefused", message)


def _complete(manifest: Manifest, state: PlatformState, platform: KubernetesObject) -> KubernetesObject:
    """The manifest with namespace, owner and secret values: only what is sent ever holds the latter."""
    body = dict(manifest.body)
    body["metadata"] = {
        **body["metadata"],
        "namespace": state.namespace,
        "ownerReferences": [
            {
                "apiVersion": f"{GROUP}/{STORED_VERSION}",
                "kind": KIND,
                "name": state.name,
                "uid": state.stream_id,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }
    if manifest.secret_sources:
        inline = _inline_values(state, platform)
        values = {key: _secret_value(source, inline) for key, source in manifest.secret_sources.items()}
        # `data` and not `stringData`: the server turns the latter into the former, and then nobody owns what was sent.
        encoded = {key: b64encode(value.encode()).decode() for key, value in values.items()}
        body["data"] = {**body.get("data", {}), **encoded}
    return body


def _is_behind(platform: KubernetesObject, manifest: Manifest, state: PlatformState) -> bool:
    """Whether a password would be taken from an older spec than the one that asked: the watch brings it soon."""
    recorded = state.observed.generation if state.observed else 0
    from_spec = any(source.kind != "generated" for source in manifest.secret_sources.values())
    return from_spec and int(platform["metadata"].get("generation", 0)) < recorded


def _inline_values(state: PlatformState, platform: KubernetesObject) -> dict[str, str]:
    return dict(redact(platform.get("spec") or {}, secret_name=inline_secret_name(state.name)).inline)


def _secret_value(source: SecretSource, inline: dict[str, str]) -> str:
    if source.kind == "generated":
        return secrets.token_urlsafe(source.length)[: source.length]
    if source.path not in inline:
        message = f"the value that stood at spec.{source.path} is gone from the resource"
        raise ClusterError(ErrorCategory.TRANSIENT, "InlineSecretGone", message)
    return inline[source.path]
