"""Every fact the log can hold. Class names and field names ARE the storage format: change them only with an upcaster.

Three kinds, told apart by base class:
- `Observation`: something seen in the cluster or asked by a person. The input of `decide`.
- `Decision`: what `decide` and `plan` concluded. Replay makes them again and compares.
- `Outcome`: what came of an action. An input as well.

One fact per event. No secret values: names, resourceVersions and keyed HMACs only.
"""

from datetime import datetime
from typing import Any, ClassVar

import msgspec

from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all events; omitted fields have their default, so an added field with a default needs no upcaster."""

    schema_version: ClassVar[int] = 1


class Observation(Event, frozen=True):
    """Something seen in the cluster, or asked by a person."""


class Decision(Event, frozen=True):
    """Something `decide` or `plan` concluded from what was seen."""


class Outcome(Event, frozen=True):
    """What came of an action; `request` is the stream version of the event that asked for it."""

    request: int


# -- parts ---------------------------------------------------------------------------------------------------------


class ObjectRef(msgspec.Struct, frozen=True, order=True):
    """A namespaced object; the namespace is always the platform's own."""

    api_version: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def key(self) -> str:
        """`apps/v1/StatefulSet/prod-loki`: unique within a platform."""
        return f"{self.api_version}/{self.kind}/{self.name}"


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, in words for the person who can mend it."""

    #: PascalCase, stable: `SecretMissing`, `UnsupportedVersion`, ...
    reason: str
    message: str
    #: Path in the spec (`spec.components.loki.version`) or the object concerned (`Secret/loki-s3`).
    subject: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a workload is not healthy, as its pods tell it."""

    #: Kubernetes' own word: `CrashLoopBackOff`, `ImagePullBackOff`, `FailedScheduling`, ...
    reason: str
    message: str = ""
    #: `Pod/prod-loki-0`
    subject: str = ""


class Policy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every time and limit that `decide` uses; recorded, so that a replay decides under the same ones. Seconds."""

    retries_max: int = 5
    retry_initial_seconds: float = 10.0
    retry_max_seconds: float = 300.0
    retry_factor: float = 2.0
    #: A delay is spread over [1, 1 + retry_jitter) times its value, derived from stream and attempt.
    retry_jitter: float = 0.1
    prerequisite_poll_seconds: float = 30.0
    #: After the last retry, and for errors that wait for somebody else.
    slow_probe_seconds: float = 300.0
    #: A component must stay ready this long before the next one is started.
    stability_seconds: float = 5.0
    #: A ready component may be unready this long before it counts as failed.
    health_grace_seconds: float = 30.0
    #: A pod problem such as CrashLoopBackOff must last this long to count as a failure.
    problem_grace_seconds: float = 30.0
    #: A component must become ready within this time of its rollout.
    progress_deadline_seconds: float = 900.0
    #: Teardown of one component; after it the finalizer is released all the same.
    teardown_deadline_seconds: float = 300.0


# -- observations --------------------------------------------------------------------------------------------------


class PlatformObserved(Observation, frozen=True):
    """The resource was created or its spec changed. `spec` is redacted; secrets are HMACs in `inline_secrets`."""

    namespace: str
    name: str
    generation: int
    spec: dict[str, Any]
    #: `sha256:` over the canonical redacted spec and the HMACs.
    digest: str
    #: Field manager of the newest change to the spec; "unknown" if managedFields do not tell.
    field_manager: str
    #: Paths that differ from the spec recorded before: `components.loki.version`.
    changed_paths: tuple[str, ...] = ()
    #: Path in the spec -> HMAC of the inline secret that stood there.
    inline_secrets: dict[str, str] = {}
    created_at: datetime | None = None
    #: Fields the schema does not know (an older CRD lets them through).
    unknown_fields: tuple[str, ...] = ()


class PolicyAdopted(Observation, frozen=True):
    """The operator's settings for this platform are these from here on."""

    policy: Policy
    #: Version of the operator that decides from here on.
    operator_version: str


class DeletionRequested(Observation, frozen=True):
    """`metadata.deletionTimestamp` was seen; `finalizer`: and our finalizer, of which this log does not know."""

    requested_at: datetime
    finalizer: bool = False


class RetryRequested(Observation, frozen=True):
    """A new value of the annotation `stackledger.io/retry-at` was seen."""

    token: str


class FinalizerStripped(Observation, frozen=True):
    """Our finalizer is gone though we did not release it."""


class ClusterRewound(Observation, frozen=True):
    """The cluster came back from a backup: a fresh read shows an older resource than the one that was recorded.

    What is there counts from here on; what was seen and asked for since the backup did not happen there.
    """

    recorded_generation: int
    generation: int


class PlatformGone(Observation, frozen=True):
    """The resource no longer exists."""


class DependencyObserved(Observation, frozen=True):
    """An object the spec refers to, or a limit of the namespace, as it is now."""

    #: `Secret`, `ConfigMap`, `StorageClass`, `ResourceQuota`
    kind: str
    name: str
    found: bool
    uid: str = ""
    resource_version: str = ""
    #: Key -> HMAC of its value (Secret, ConfigMap); an empty value has the HMAC "".
    keys: dict[str, str] = {}
    #: ResourceQuota: resource -> [hard, used] as Kubernetes quantities.
    limits: dict[str, tuple[str, str]] = {}
    #: Why a found object cannot be used: reason (`SecretNotGranted`, `SecretInvalid`) and words; "" if it can.
    refused_reason: str = ""
    refused: str = ""


class ComponentObserved(Observation, frozen=True):
    """The workload of a component changed."""

    component: ComponentName
    desired_replicas: int
    ready_replicas: int
    updated_replicas: int
    #: The controller has seen the newest template and all replicas run it.
    rolled_out: bool
    #: Version of the image that ready pods run; "" if none is.
    running_version: str = ""
    problems: tuple[Problem, ...] = ()


class DriftDetected(Observation, frozen=True):
    """A child object no longer is what was applied."""

    ref: ObjectRef
    #: `Missing`, `Changed`, `Replaced` (other uid)
    kind: str
    #: Field managers that now own what we owned.
    managers: tuple[str, ...] = ()
    #: Paths we owned and lost.
    paths: tuple[str, ...] = ()


class ChildFound(Observation, frozen=True):
    """A child object that carries our labels and our owner reference but is not in this stream (an older log)."""

    ref: ObjectRef
    uid: str
    component: ComponentName | None = None


class ChildGone(Observation, frozen=True):
    """An object whose deletion was asked for no longer exists."""

    ref: ObjectRef


class LedgerReset(Observation, frozen=True):
    """The platform was running before this log began: it is re-adopted, nothing is torn down."""

    #: `.status.ledger` as it was found: stream version and head hash of the lost log.
    lost_sequence: int = 0
    lost_head: str = ""


# -- decisions -----------------------------------------------------------------------------------------------------


class SpecAccepted(Decision, frozen=True):
    """The recorded spec is valid and is what the platform is brought to."""

    generation: int
    digest: str
    #: Versions of the enabled components.
    versions: dict[str, str]
    #: What is accepted but has not the effect a reader would expect.
    warnings: tuple[Finding, ...] = ()


class SpecRejected(Decision, frozen=True):
    """The recorded spec cannot be used; what ran before goes on."""

    generation: int
    digest: str
    findings: tuple[Finding, ...]


class Paused(Decision, frozen=True):
    """`spec.paused` became true: no writes to children from here on."""


class Resumed(Decision, frozen=True):
    """`spec.paused` became false."""


class PrerequisiteMissing(Decision, frozen=True):
    """The platform waits in its phase for something it needs; checked again by poll and when it appears."""

    findings: tuple[Finding, ...]


class PrerequisitesMet(Decision, frozen=True):
    """All that was missing is there."""


class PhaseChanged(Decision, frozen=True):
    """An edge of the state transition diagram was taken."""

    #: None: the platform was created.
    from_phase: Phase | None
    to_phase: Phase
    trigger: Trigger
    reason: str
    message: str
    generation: int


class ComponentPhaseChanged(Decision, frozen=True):
    """A component entered another phase."""

    component: ComponentName
    from_phase: ComponentPhase | None
    to_phase: ComponentPhase
    reason: str
    message: str = ""
    #: Version that is being brought up or runs.
    version: str = ""


class ComponentRemoved(Decision, frozen=True):
    """A component is no longer asked for; its objects are deleted."""

    component: ComponentName


class ConditionsChanged(Decision, frozen=True):
    """The status of one or more conditions flipped; the time of this event is their lastTransitionTime."""

    #: Condition type -> `True`, `False`, `Unknown`; `` for one that is gone.
    statuses: dict[str, str]


class ApplyRequested(Decision, frozen=True):
    """A manifest is to be applied. The event's stream version identifies the request."""

    ref: ObjectRef
    component: ComponentName | None
    #: Digest of the manifest, a key of the content store.
    digest: str
    #: `Create`, `Update`, `Drift`, `Retry`
    reason: str


class RequestSuperseded(Decision, frozen=True):
    """An open request is not to be carried out any more: the platform wants something else by now."""

    ref: ObjectRef
    #: Stream version of the request.
    request: int


class DeleteRequested(Decision, frozen=True):
    """An object is to be deleted, if it still has this uid."""

    ref: ObjectRef
    component: ComponentName | None
    uid: str
    #: `Teardown`, `Pruned`
    reason: str


class FinalizerAddRequested(Decision, frozen=True):
    """Our finalizer is to be put on the resource, before the first child is created."""


class FinalizerReleaseRequested(Decision, frozen=True):
    """Our finalizer is to be taken off: nothing is left to clean up, or the deadline passed."""

    #: Objects that were still there when the deadline passed.
    orphaned: tuple[ObjectRef, ...] = ()


class RetryScheduled(Decision, frozen=True):
    """The next attempt is due at this instant. `attempt` counts from 1, after the first try."""

    attempt: int
    due_at: datetime
    category: ErrorCategory
    reason: str
    message: str


class RetriesExhausted(Decision, frozen=True):
    """The last retry failed; a slow probe goes on."""

    attempts: int
    category: ErrorCategory
    reason: str
    message: str


class ProbeScheduled(Decision, frozen=True):
    """Nothing more is retried quickly: look again at this instant, or at once when something changes."""

    due_at: datetime
    category: ErrorCategory
    reason: str
    message: str


class RetryReset(Decision, frozen=True):
    """The retry counter starts again from zero."""

    #: `NewGeneration`, `Requested`, `DependencyChanged`, `Recovered`
    reason: str


class BackupStarted(Decision, frozen=True):
    """Before an upgrade, the current state is put by."""

    versions: dict[str, str]


class BackupCompleted(Decision, frozen=True):
    """The current state is put by."""

    #: Object key -> manifest digest: what was running, in the content store.
    manifests: dict[str, str]
    versions: dict[str, str]


class BackupFailed(Decision, frozen=True):
    """There is nothing that could be put by, and why."""

    reason: str
    message: str


class UpgradeStarted(Decision, frozen=True):
    """One or more components go to another version, one at a time."""

    from_versions: dict[str, str]
    to_versions: dict[str, str]


class ComponentUpgraded(Decision, frozen=True):
    """A component runs its new version and is healthy."""

    component: ComponentName
    from_version: str
    to_version: str


class RollbackStarted(Decision, frozen=True):
    """The upgrade failed: the platform goes back to what last worked."""

    from_versions: dict[str, str]
    to_versions: dict[str, str]
    reason: str
    message: str


class RollbackCompleted(Decision, frozen=True):
    """The platform runs what last worked."""

    versions: dict[str, str]


class SpecQuarantined(Decision, frozen=True):
    """This spec failed and was rolled back: it is not tried again until it changes or a retry is asked for."""

    digest: str
    generation: int


class LastKnownGoodRecorded(Decision, frozen=True):
    """Every object of this spec was verified: the target of a rollback."""

    generation: int
    digest: str
    versions: dict[str, str]
    #: Object key -> manifest digest, in the content store.
    manifests: dict[str, str]


# -- outcomes ------------------------------------------------------------------------------------------------------


class ActionSucceeded(Outcome, frozen=True):
    """The API server did what was asked."""

    ref: ObjectRef
    uid: str = ""
    resource_version: str = ""
    #: Digest over the fields the API server says we own: another digest later is drift.
    owned_digest: str = ""
    #: False: the object already was as asked.
    changed: bool = True


class ActionFailed(Outcome, frozen=True):
    """The API server, or the way to it, refused."""

    ref: ObjectRef
    category: ErrorCategory
    reason: str
    message: str
    #: How long the server asked to be left alone; 0 if it did not say.
    retry_after_seconds: float = 0.0


class DriftCorrected(Outcome, frozen=True):
    """A drifted object is as it was asked for again."""

    ref: ObjectRef
    managers: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class FinalizerAdded(Outcome, frozen=True):
    """Our finalizer is on the resource."""


class FinalizerReleased(Outcome, frozen=True):
    """Our finalizer is off the resource; the stream is closed."""


def _leaves(base: type[Event]) -> dict[str, type[Event]]:
    found: dict[str, type[Event]] = {}
    for kind in base.__subclasses__():
        found.update(_leaves(kind) or {kind.__name__: kind})
    return found


#: Type name -> class, for every event the log can hold.
EVENT_TYPES: dict[str, type[Event]] = _leaves(Event)
