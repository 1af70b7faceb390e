"""`PlatformState`: everything that is known about one platform, folded from its stream and from nothing else.

All structures are frozen; the mappings in them are never changed in place.
"""

from datetime import datetime
from typing import Any

import msgspec

from eventstore.events import DependencyObserved, Finding, ObjectRef, Policy, Problem
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase

#: Change it whenever `evolve` or a field here changes meaning: stored states are then refolded.
FOLD_VERSION = "6"


class SpecState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A spec as it was recorded."""

    generation: int
    digest: str
    #: Redacted: no secret values.
    spec: dict[str, Any]
    #: Path in the spec -> HMAC of the value moved to the inline Secret.
    inline_secrets: dict[str, str] = {}
    #: Version per enabled component; empty until accepted.
    versions: dict[str, str] = {}


class KnownGood(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What last worked, whole."""

    #: Stream version of `LastKnownGoodRecorded`.
    sequence: int
    spec: SpecState
    #: Object key -> manifest digest in the content store.
    manifests: dict[str, str]


class ComponentState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One component: what is wanted, what runs, since when."""

    phase: ComponentPhase
    #: When it entered its phase.
    phase_since: datetime
    reason: str = ""
    message: str = ""
    desired_version: str = ""
    running_version: str = ""
    #: The version that was seen running last, whether or not it does now; "" if none was.
    ran_version: str = ""
    #: Version before the running upgrade; "" outside one.
    upgrading_from: str = ""
    desired_replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    rolled_out: bool = False
    observed: bool = False
    problems: tuple[Problem, ...] = ()
    #: Since when all replicas are ready; None while they are not.
    ready_since: datetime | None = None
    #: Since when it is not ready, though it was; None while it is.
    unready_since: datetime | None = None
    #: Since when pods report problems.
    problem_since: datetime | None = None
    #: When the newest change to its objects was applied: start of the progress deadline; None when rolled out.
    rollout_since: datetime | None = None


class Drift(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a child differs from what was applied."""

    kind: str
    managers: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class ObjectState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One child object."""

    ref: ObjectRef
    component: ComponentName | None = None
    #: Manifest digest of the newest successful apply; "" before the first.
    applied_digest: str = ""
    owned_digest: str = ""
    uid: str = ""
    drift: Drift | None = None
    #: How often it drifted, each time soon after the time before; and when it last did.
    drifts: int = 0
    drifted_at: datetime | None = None
    #: Stream version of the open request (apply or delete), 0 if none.
    request: int = 0
    #: Digest the open apply request asks for; "" for a delete request.
    requested_digest: str = ""
    #: A delete was asked for and accepted; the object is on its way out.
    deleting: bool = False


class Retry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where the retry policy stands."""

    #: Retries begun since the last reset, 0..retries_max.
    attempt: int = 0
    #: Next attempt; None if none is scheduled.
    due_at: datetime | None = None
    exhausted: bool = False
    #: The scheduled attempt is a slow probe, not a counted retry.
    probe: bool = False
    category: ErrorCategory | None = None
    reason: str = ""
    message: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The error that is not dealt with yet: the newest failed action or component."""

    category: ErrorCategory
    reason: str
    message: str
    subject: str = ""
    component: ComponentName | None = None
    #: The server asked to be left alone for so long.
    retry_after_seconds: float = 0.0


class Transition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A phase change as `.status.history` shows it."""

    sequence: int
    from_phase: Phase | None
    to_phase: Phase
    reason: str
    message: str
    at: datetime


class PlatformState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fold of one stream."""

    stream_id: str
    #: Stream version of the last event folded in.
    version: int = 0
    namespace: str = ""
    name: str = ""
    created_at: datetime | None = None
    #: Instant of the newest event.
    updated_at: datetime | None = None
    policy: Policy = Policy()
    operator_version: str = ""

    phase: Phase | None = None
    phase_since: datetime | None = None
    phase_reason: str = ""
    phase_message: str = ""
    #: Newest five, newest first.
    history: tuple[Transition, ...] = ()

    #: The newest spec seen in the cluster.
    observed: SpecState | None = None
    #: The spec the platform is brought to.
    accepted: SpecState | None = None
    #: Generation that was accepted or rejected last.
    judged_generation: int = 0
    #: What is wrong with `observed`, if it was rejected.
    findings: tuple[Finding, ...] = ()
    #: Digest of a spec that was rolled back; "" if none.
    quarantined: str = ""
    known_good: KnownGood | None = None
    #: A rollback has begun and is not complete.
    rolling_back: bool = False
    #: The platform runs an older spec than the user asked for, because the newer one failed.
    rolled_back: bool = False
    rollback_message: str = ""
    #: Target versions of the running upgrade; empty outside one.
    upgrading_to: dict[str, str] = {}

    paused: bool = False
    finalizer: bool = False
    finalizer_request: int = 0
    deletion_requested_at: datetime | None = None
    #: The finalizer was released or the resource is gone: nothing more happens here.
    closed: bool = False
    #: Last handled value of the retry annotation.
    retry_token: str = ""
    #: Why the retry counter is to start again: a reason of `RetryReset`; "" if it is not.
    retry_wanted: str = ""
    unknown_fields: tuple[str, ...] = ()

    #: `Secret/loki-s3` -> what was seen.
    dependencies: dict[str, DependencyObserved] = {}
    #: What the platform waits for.
    missing: tuple[Finding, ...] = ()

    components: dict[str, ComponentState] = {}
    #: Object key -> child.
    objects: dict[str, ObjectState] = {}

    failure: Failure | None = None
    retry: Retry = Retry()
    #: Condition type -> (status, since).
    conditions: dict[str, tuple[str, datetime]] = {}
