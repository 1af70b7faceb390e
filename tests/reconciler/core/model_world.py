"""The little world with all that can happen to a platform in it, and with the laws that each pass must keep.

What it feeds to the core is what the shell can feed to it: sights of one moment, and outcomes of open requests.
"""

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from api.naming import inline_secret_name
from api.parsing import parse_spec
from api.redaction import hmac_value, redact
from components.manifest import Manifest
from eventstore import events as e
from eventstore.vocabulary import KIND, ComponentName, ErrorCategory
from projections.platform import initial
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.desired import desired_manifests, desired_objects
from reconciler.core.observe import ObjectSighting, PlatformSighting, Sighting, observe
from reconciler.core.plan import Request
from reconciler.core.progress import is_complete
from reconciler.shell.sight import _depends_on_quota, spec_digest
from tests.reconciler.core.laws import Laws
from tests.reconciler.core.little_world import PLATFORM_REF, Child, LittleWorld
from tests.reconciler.core.story import START

HMAC_KEY = b"a key for the model"
#: Health of a component -> (desired, ready, problem).
HEALTH: dict[str, tuple[int, int, str]] = {
    "healthy": (1, 1, ""),
    "noisy": (1, 1, "Evicted"),
    "half": (2, 1, ""),
    "unready": (1, 0, ""),
    "broken": (1, 0, "CrashLoopBackOff"),
    "unpullable": (1, 0, "ImagePullBackOff"),
    "unscheduled": (1, 0, "FailedScheduling"),
    "scaled to zero": (0, 0, ""),
}
#: What a Secret can be like; "rotated" is good, with another value.
SECRETS = ("good", "rotated", "missing", "keyless", "refused", "denied")


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """How writes fail."""

    category: ErrorCategory
    reason: str
    #: Kind of object they fail for; "" for all.
    kind: str = ""
    retry_after_seconds: float = 0.0
    #: How many fail; then it is over.
    count: int = 1_000
    #: The server did it all the same, and the answer was lost.
    took_effect: bool = False


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup of the cluster holds."""

    spec: dict[str, Any]
    generation: int
    deleting: bool
    finalizer: bool
    token: str
    children: dict[str, Child]
    pods: dict[str, Any]


class ModelWorld(LittleWorld):
    """One name in one cluster, and one log."""

    def __init__(self) -> None:
        super().__init__()
        self.streams = 1
        self.laws = Laws(self.state.stream_id)
        self.past_laws: list[Laws] = []
        self.operator_version = "1.0.0"
        self.refusal: Refusal | None = None
        self.quotas: dict[str, dict[str, tuple[str, str]]] = {}
        #: Names taken by objects of somebody else: key -> uid.
        self.foreign: dict[str, str] = {}
        #: The process loses its lease after so many writes of the next round; what came of them is not recorded.
        self.writes_left: int | None = None
        self.backup: Backup | None = None
        #: A law was broken: there is nothing more to learn from this run.
        self.broken = False

    # -- the loop --------------------------------------------------------------------------------------------------

    def _advance(self, outcomes: list[e.Event]) -> None:
        self.broken = True
        before = self.state
        bytes_before = msgspec.json.encode(before)
        seen = observe(
            apply_events(before, outcomes, self.now), self.sighting(apply_events(before, outcomes, self.now))
        )
        inputs = [*outcomes, *seen]
        self.state, concluded = conclude(apply_events(before, inputs, self.now), self.now)
        assert msgspec.json.encode(before) == bytes_before, "a state was changed in place"
        self.told += [*inputs, *concluded]
        self.laws.check_pass(before, inputs, concluded, self.state, self.now)
        self._check_conditions()
        self.broken = False

    def _check_ready(self, generation: int) -> None:
        if generation == self.generation and self.state.accepted is not None:
            assert self.state.accepted.digest == self.seen_spec().digest, "Ready for a spec that is not rolled out"
        assert is_complete(self.state)
        for wanted in desired_objects(self.state):
            child = self.children[wanted.key]
            assert wanted.create_only or child.digest == wanted.digest, child
            assert wanted.create_only or child.owned == "ours", child

    # -- eyes ------------------------------------------------------------------------------------------------------

    def seen_spec(self) -> PlatformSighting:
        """The resource as the shell shows it to the core: redacted."""
        redacted = redact(self.spec, secret_name=inline_secret_name("prod"))
        macs = {path: hmac_value(HMAC_KEY, value) for path, value in sorted(redacted.inline.items())}
        behind = self.state.observed is not None and self.generation < self.state.observed.generation
        return PlatformSighting(
            namespace="demo",
            name="prod",
            uid=self.state.stream_id,
            generation=self.generation,
            spec=redacted.spec,
            digest=spec_digest(redacted.spec, macs),
            inline_secrets=macs,
            created_at=START,
            deletion_requested_at=self.now if self.deleting else None,
            has_finalizer=self.finalizer,
            retry_token=self.token,
            unknown_fields=parse_spec(redacted.spec, name="prod").unknown_fields,
            # The shell looks again at what is older than what is recorded.
            fresh=behind or self.state.closed,
            ledger_sequence=self.state.version,
        )

    def sighting(self, state: PlatformState) -> Sighting:
        """What is there now."""
        seen = super().sighting(state)
        changes: dict[str, Any] = {"policy": self.policy, "operator_version": self.operator_version}
        if seen.platform is not None:
            changes["platform"] = self.seen_spec()
            changes["objects"] = {key: self._object(key, one) for key, one in seen.objects.items()}
            changes["dependencies"] = seen.dependencies | ({} if self.deleting else dict(self._quotas(state)))
        return msgspec.structs.replace(seen, **changes)

    def _object(self, key: str, seen: ObjectSighting) -> ObjectSighting:
        """What we own of it follows from what was applied."""
        if seen.owned_digest == "ours":
            return msgspec.structs.replace(seen, owned_digest=_owned(self.children[key]))
        return msgspec.structs.replace(seen, managers=("kubectl",), paths=("spec.replicas",))

    def _quotas(self, state: PlatformState) -> Iterator[tuple[str, e.DependencyObserved]]:
        if not _depends_on_quota(state):
            return
        known = {seen.name for seen in state.dependencies.values() if seen.kind == "ResourceQuota"}
        for name in sorted({*self.quotas, *known}):
            limits = self.quotas.get(name)
            yield (
                f"ResourceQuota/{name}",
                e.DependencyObserved(kind="ResourceQuota", name=name, found=limits is not None, limits=limits or {}),
            )

    def _dependencies(self, state: PlatformState, digest: str) -> Iterator[tuple[str, e.DependencyObserved]]:
        refused = {"refused": "SecretNotGranted", "denied": "PermissionDenied"}.get(self.secret, "")
        for key, seen in super()._dependencies(state, digest):
            value = {"missing": "", "keyless": "", "rotated": "another hmac"}.get(self.secret, "hmac")
            yield (
                key,
                msgspec.structs.replace(
                    seen,
                    found=self.secret != "missing",
                    keys=dict.fromkeys(seen.keys, value) if self.secret != "missing" else {},
                    refused_reason=refused,
                    refused="cannot be used" if refused else "",
                ),
            )

    def _component(self, name: ComponentName, exists: bool) -> e.ComponentObserved:
        pods = self.pods.get(name)
        if not exists or pods is None:
            return super()._component(name, exists)
        crashes = pods.version in self.bad_versions
        desired, ready, problem = HEALTH["broken" if crashes else pods.health]
        ready = ready if pods.rolled_out else 0
        problems = (e.Problem(reason=problem, message="says the node", subject=f"Pod/prod-{name}-0"),)
        return e.ComponentObserved(
            component=name,
            desired_replicas=desired,
            ready_replicas=ready,
            updated_replicas=desired,
            rolled_out=pods.rolled_out,
            running_version=pods.version if ready else "",
            problems=problems if problem else (),
        )

    # -- hands -----------------------------------------------------------------------------------------------------

    def _execute(self, requests: tuple[Request, ...]) -> Iterator[e.Event]:
        for request in requests:
            if self.writes_left is not None:
                if not self.writes_left:
                    # Its lease is another's by now: nothing is written any more, and nothing recorded.
                    self.writes_left, self.crashing = None, True
                    return
                self.writes_left -= 1
            failed = self._refused(request)
            if failed is not None:
                yield failed
                if failed.category is ErrorCategory.TRANSIENT:
                    return
            else:
                yield from self._carry_out(request)

    def _carry_out(self, request: Request) -> Iterator[e.Event]:
        if request.ref is None:
            yield self._change_finalizer(request)
        elif not request.digest:
            yield self._remove(request, request.ref)
        elif request.ref.key in self.foreign and self.spec.get("adopt") is not True:
            yield self._failure(request, ErrorCategory.CONFIGURATION, "AdoptionRefused")
        else:
            drift = self.state.objects[request.ref.key].drift
            yield self._apply(request, request.ref)
            if drift is not None:
                yield e.DriftCorrected(
                    request=request.version, ref=request.ref, managers=drift.managers, paths=drift.paths
                )

    def _refused(self, request: Request) -> e.ActionFailed | None:
        refusal = self.refusal
        kind = request.ref.kind if request.ref else KIND
        if refusal is None or refusal.kind not in {"", kind}:
            return None
        left = refusal.count - 1
        self.refusal = msgspec.structs.replace(refusal, count=left) if left else None
        if refusal.took_effect:
            list(self._carry_out(request))
        return self._failure(request, refusal.category, refusal.reason, refusal.retry_after_seconds)

    def _failure(
        self, request: Request, category: ErrorCategory, reason: str, retry_after_seconds: float = 0.0
    ) -> e.ActionFailed:
        return e.ActionFailed(
            request=request.version,
            ref=request.ref or PLATFORM_REF,
            category=category,
            reason=reason,
            message=f"{reason}, says the server",
            retry_after_seconds=retry_after_seconds,
        )

    def _apply(self, request: Request, ref: e.ObjectRef) -> e.Event:
        before = self.children.get(ref.key)
        adopted = self.foreign.pop(ref.key, None)
        if adopted is not None:
            self.children[ref.key] = Child(ref, adopted, "theirs", request.component, owned="theirs")
        elif before is not None and _manifest(self.state, request.digest).create_only:
            return e.ActionSucceeded(
                request=request.version, ref=ref, uid=before.uid, owned_digest=_owned(before), changed=False
            )
        applied = super()._apply(request, ref)
        # What is on its way out goes, whatever is applied to it.
        self.children[ref.key].terminating = before is not None and before.terminating
        assert isinstance(applied, e.ActionSucceeded)
        return msgspec.structs.replace(applied, owned_digest=_owned(self.children[ref.key]))

    # -- what else happens to clusters and logs --------------------------------------------------------------------

    def delete(self) -> None:
        """Asked for once; the API server counts it as a generation."""
        if not self.deleting:
            self.generation += 1
            super().delete()

    def save(self) -> None:
        """A backup of the cluster is made."""
        self.backup = Backup(
            spec=self.spec,
            generation=self.generation,
            deleting=self.deleting,
            finalizer=self.finalizer,
            token=self.token,
            children=copy.deepcopy(self.children),
            pods=copy.deepcopy(self.pods),
        )

    def restore(self) -> None:
        """The cluster goes back to its backup."""
        backup = self.backup
        assert backup is not None
        self.exists, self.spec, self.generation = True, backup.spec, backup.generation
        self.deleting, self.finalizer, self.token = backup.deleting, backup.finalizer, backup.token
        self.children, self.pods = copy.deepcopy(backup.children), copy.deepcopy(backup.pods)
        self.foreign.clear()

    def lose_log(self, kept: int) -> None:
        """The log is restored from a backup of its own: the newest passes are lost, or (kept 0) all of them."""
        self.state = self.laws.lose(kept)

    def recreate(self, spec: dict[str, Any]) -> None:
        """Another resource of the same name; what is left of the one before is not its own."""
        self.streams += 1
        self.past_laws.append(self.laws)
        self.state = initial(f"6f1c2b7e-0000-4000-8000-{self.streams:012d}")
        self.laws = Laws(self.state.stream_id)
        self.foreign |= {key: child.uid for key, child in self.children.items()}
        self.children, self.pods, self.backup = {}, {}, None
        self.finalizer, self.deleting, self.token = False, False, ""
        self.create(spec)

    def occupy(self, key: str) -> None:
        """Somebody else's object takes the place of a child."""
        self.children.pop(key, None)
        self.uids += 1
        self.foreign[key] = f"foreign-{self.uids}"

    def go_back(self, seconds: float) -> None:
        """The clock of the machine is set back."""
        self.now -= timedelta(seconds=seconds)


def _owned(child: Child) -> str:
    return f"owned {child.digest}" if child.owned == "ours" else child.owned


def _manifest(state: PlatformState, digest: str) -> Manifest:
    return desired_manifests(state)[digest]
