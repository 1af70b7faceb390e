"""`.status` of an ObservabilityPlatform: a copy of what the log says, for people and for `kubectl wait`.

The operator writes it and never reads it back.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictInt

from api.shapes import Block, keyed_by
from eventstore.vocabulary import ComponentPhase, Phase

_AT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}(Z|[+-][0-9:]{5})$"
Instant = Annotated[str, Field(pattern=_AT, max_length=40, json_schema_extra={"format": "date-time"})]
Words = Annotated[str, Field(max_length=1024)]
Reason = Annotated[str, Field(pattern=r"^([A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?)?$", max_length=256)]
Count = Annotated[StrictInt, Field(ge=0)]


class Condition(Block):
    """A Kubernetes condition."""

    type: Annotated[str, Field(max_length=64)] = Field(description="Ready, Available, Progressing, Degraded, ...")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: StrictInt | None = Field(default=None, description="Generation of the spec it speaks of.")
    last_transition_time: Instant = Field(description="When the status last flipped.")
    reason: Reason = Field(description="One stable word for the cause.")
    message: Words = Field(default="", description="Component, cause and next step, for people.")


class Endpoint(Block):
    """Where a component is reached."""

    name: Annotated[str, Field(max_length=64)] = Field(
        description="Component and purpose: `grafana`, `tempo-otlp-grpc`."
    )
    url: Annotated[str, Field(max_length=2048)] = Field(description="URL inside the cluster, or that of its Ingress.")


class ComponentStatus(Block):
    """One component."""

    name: Annotated[str, Field(max_length=64)] = Field(description="Name of the component.")
    phase: ComponentPhase = Field(description="Phase of the component.")
    desired_version: Annotated[str, Field(max_length=64)] = Field(default="", description="Version the spec asks for.")
    running_version: Annotated[str, Field(max_length=64)] = Field(
        default="", description="Version that ready pods run."
    )
    ready_replicas: Count = Field(default=0, description="Pods that are ready.")
    desired_replicas: Count = Field(default=0, description="Pods that are wanted.")
    reason: Reason = Field(default="", description="One stable word for why it is in this phase.")
    message: Words = Field(default="", description="The same for people.")
    since: Instant | None = Field(default=None, description="When it entered its phase.")


class RetryStatus(Block):
    """Where the retry policy stands; absent when nothing is retried."""

    attempt: Count = Field(default=0, description="Retries begun, not counting the first try.")
    max: Count = Field(default=0, description="Retries before only a slow probe goes on.")
    next_attempt_time: Instant | None = Field(default=None, description="When the next attempt is due.")
    category: Literal["transient", "configuration", "resource", "component"] | None = Field(
        default=None, description="Who can make the error go away."
    )


class LastKnownGood(Block):
    """The newest spec that ran with every object verified: the target of a rollback."""

    sequence: Count = Field(default=0, description="Where the ledger says so.")
    spec_hash: Annotated[str, Field(max_length=80)] = Field(default="", description="Digest of that spec.")
    generation: Count = Field(default=0, description="Generation of that spec.")


class LedgerStatus(Block):
    """Where this status stands in the event log."""

    stream_id: Annotated[str, Field(max_length=64)] = Field(default="", description="Stream: the resource's uid.")
    sequence: Count = Field(default=0, description="Stream version that this status was made from.")
    head_hash: Annotated[str, Field(max_length=80)] = Field(default="", description="Hash of that event.")


class HistoryEntry(Block):
    """A phase change."""

    sequence: Count = Field(description="Stream version of the event.")
    from_phase: Annotated[str, Field(max_length=32)] = Field(
        default="", alias="from", description="Phase before; empty at first."
    )
    to_phase: Phase = Field(alias="to", description="Phase after.")
    reason: Reason = Field(default="", description="One stable word for the cause.")
    message: Words = Field(default="", description="The same for people.")
    time: Instant = Field(description="When it happened.")


class PlatformStatus(Block):
    """Observed state of the platform, written by the operator from its event log."""

    schema_default: ClassVar[dict[str, Any]] = {"observedGeneration": -1}

    observed_generation: StrictInt = Field(
        default=-1, description="Newest generation of the spec that the operator has recorded; -1 before the first."
    )
    phase: Phase | None = Field(default=None, description="Phase of the platform.")
    components_ready: Annotated[str, Field(max_length=16)] = Field(
        default="", description="Ready of enabled components.", examples=["4/5"]
    )
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16)] = Field(
        default=(), description="Conditions.", json_schema_extra=keyed_by("type")
    )
    components: Annotated[tuple[ComponentStatus, ...], Field(max_length=16)] = Field(
        default=(), description="Each enabled component.", json_schema_extra=keyed_by("name")
    )
    endpoints: Annotated[tuple[Endpoint, ...], Field(max_length=64)] = Field(
        default=(), description="Where the components are reached.", json_schema_extra=keyed_by("name")
    )
    retry: RetryStatus | None = Field(default=None, description="Where the retry policy stands.")
    last_known_good: LastKnownGood | None = Field(default=None, description="Target of a rollback.")
    ledger: LedgerStatus | None = Field(default=None, description="Where this status stands in the event log.")
    history: Annotated[tuple[HistoryEntry, ...], Field(max_length=5)] = Field(
        default=(), description="Newest five phase changes, newest first; the ledger has them all."
    )
    last_handled_retry_at: Annotated[str, Field(max_length=256)] = Field(
        default="", description="Value of the annotation stackledger.io/retry-at that was last acted on."
    )
    unknown_fields: Annotated[tuple[Annotated[str, Field(max_length=512)], ...], Field(max_length=32)] = Field(
        default=(), description="Fields of the spec that no schema knows; they have no effect."
    )
