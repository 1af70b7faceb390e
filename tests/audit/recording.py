"""A platform's life as events written by hand, for any log: the same events at the same instants every time."""

from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import msgspec

from eventstore import events as e
from eventstore.codec import encode
from eventstore.envelope import StateRecord
from eventstore.log import EventLog
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger
from projections.platform import evolve, initial
from projections.state import FOLD_VERSION, PlatformState

PROD = "6f1c2d3e-0000-4000-8000-000000000001"
LAB = "6f1c2d3e-0000-4000-8000-000000000002"
DAY = datetime(2026, 11, 23, tzinfo=UTC)
OPERATOR = "stackledger/epoch-4"
GRAFANA = e.ObjectRef("apps/v1", "Deployment", "prod-grafana")
MANIFESTS = {version: f'{{"image":"grafana:{version}"}}'.encode() for version in ("10.2.0", "99.0.0")}


def digest(document: bytes) -> str:
    return "sha256:" + sha256(document).hexdigest()


def at(clock: str) -> datetime:
    """`10:15:40` of the day on which it all happens."""
    hour, minute, second = (int(part) for part in clock.split(":"))
    return DAY.replace(hour=hour, minute=minute, second=second)


class Recorder:
    """Appends passes to one stream as the operator does: events, folded state and documents in one append."""

    def __init__(self, log: EventLog, stream_id: str, *, keep_state: bool = True) -> None:
        self.log, self.stream_id, self.keep_state = log, stream_id, keep_state
        self.state: PlatformState = initial(stream_id)
        self._passes = 0

    def record(
        self, clock: str, *events: e.Event, actor: str = OPERATOR, contents: dict[str, bytes] | None = None
    ) -> int:
        """One pass at this time of day; the version of its last event."""
        self._passes += 1
        now, before = at(clock), self.state.version
        new = []
        for index, event in enumerate(events):
            self.state = evolve(self.state, event, now)
            new.append(
                encode(
                    event,
                    event_id=self._id(before + index + 1),
                    occurred_at=now,
                    causation_id=None if isinstance(event, e.Observation) or index == 0 else self._id(before + 1),
                    correlation_id=UUID(int=UUID(self.stream_id).int + (self._passes << 16), version=4),
                    actor=event.field_manager if isinstance(event, e.PlatformObserved) else actor,
                )
            )
        self.log.append(self.stream_id, before, new, epoch=0, state=self._record(), contents=contents)
        return self.state.version

    def _id(self, version: int) -> UUID:
        return UUID(int=UUID(self.stream_id).int + (version << 64))

    def _record(self) -> StateRecord | None:
        if not self.keep_state:
            return None
        return StateRecord(
            state=msgspec.json.encode(self.state),
            fold_version=FOLD_VERSION,
            namespace=self.state.namespace,
            name=self.state.name,
            phase=str(self.state.phase or ""),
            due_at=None,
            closed=self.state.closed,
        )


def observed(generation: int, grafana: str, manager: str, name: str = "prod", namespace: str = "obs") -> e.Event:
    return e.PlatformObserved(
        namespace=namespace,
        name=name,
        generation=generation,
        spec={"components": {"grafana": {"enabled": True, "version": grafana}}},
        digest=f"sha256:{generation}",
        field_manager=manager,
        changed_paths=("components.grafana.version",) if generation > 1 else (),
        created_at=at("09:00:00"),
    )


def phase(
    before: Phase | None, after: Phase, trigger: Trigger, reason: str, message: str, generation: int = 1
) -> e.Event:
    return e.PhaseChanged(
        from_phase=before, to_phase=after, trigger=trigger, reason=reason, message=message, generation=generation
    )


def grafana(
    before: ComponentPhase | None, after: ComponentPhase, reason: str, version: str, message: str = ""
) -> e.Event:
    return e.ComponentPhaseChanged(
        component=ComponentName.GRAFANA,
        from_phase=before,
        to_phase=after,
        reason=reason,
        message=message,
        version=version,
    )


def seen(ready: int, version: str, *problems: e.Problem) -> e.Event:
    return e.ComponentObserved(
        component=ComponentName.GRAFANA,
        desired_replicas=1,
        ready_replicas=ready,
        updated_replicas=ready,
        rolled_out=not problems,
        running_version=version,
        problems=problems,
    )


def apply(version: str, reason: str) -> e.Event:
    return e.ApplyRequested(
        ref=GRAFANA, component=ComponentName.GRAFANA, digest=digest(MANIFESTS[version]), reason=reason
    )


def record_prod(log: EventLog, *, keep_state: bool = True) -> Recorder:
    """Created, installed, Ready; then somebody asks for a Grafana that does not exist. 26 events."""
    prod = Recorder(log, PROD, keep_state=keep_state)
    kubectl, argocd = "kubectl-client-side-apply", "argocd-controller"
    prod.record(
        "09:00:00",
        observed(1, "10.2.0", kubectl),
        e.PolicyAdopted(policy=e.Policy(), operator_version="0.1.0"),
        phase(None, Phase.PENDING, Trigger.CREATE, "PlatformCreated", "obs/prod was seen for the first time"),
        e.SpecAccepted(generation=1, digest="sha256:1", versions={"grafana": "10.2.0"}),
        e.FinalizerAddRequested(),
    )
    prod.record(
        "09:00:02",
        e.FinalizerAdded(request=5),
        phase(Phase.PENDING, Phase.INSTALLING, Trigger.VALIDATED, "PreflightPassed", "everything is there"),
        grafana(None, ComponentPhase.INSTALLING, "Installing", "10.2.0"),
        apply("10.2.0", "Create"),
        contents={digest(MANIFESTS["10.2.0"]): MANIFESTS["10.2.0"]},
    )
    prod.record("09:00:03", e.ActionSucceeded(request=9, ref=GRAFANA, uid="u1"))
    prod.record(
        "09:02:05",
        seen(1, "10.2.0"),
        grafana(ComponentPhase.INSTALLING, ComponentPhase.READY, "Healthy", "10.2.0"),
        phase(
            Phase.INSTALLING, Phase.READY, Trigger.ALL_COMPONENTS_READY, "AllComponentsReady", "1 of 1 components ready"
        ),
        e.LastKnownGoodRecorded(
            generation=1,
            digest="sha256:1",
            versions={"grafana": "10.2.0"},
            manifests={GRAFANA.key: digest(MANIFESTS["10.2.0"])},
        ),
    )
    prod.record(
        "10:15:40",
        observed(2, "99.0.0", argocd),
        e.SpecAccepted(generation=2, digest="sha256:2", versions={"grafana": "99.0.0"}),
        phase(Phase.READY, Phase.UPGRADING, Trigger.VERSION_CHANGE, "VersionChanged", "grafana 10.2.0 to 99.0.0", 2),
        e.UpgradeStarted(from_versions={"grafana": "10.2.0"}, to_versions={"grafana": "99.0.0"}),
        grafana(ComponentPhase.READY, ComponentPhase.UPGRADING, "Upgrading", "99.0.0"),
        apply("99.0.0", "Update"),
        contents={digest(MANIFESTS["99.0.0"]): MANIFESTS["99.0.0"]},
    )
    prod.record("10:15:41", e.ActionSucceeded(request=20, ref=GRAFANA, uid="u1"))
    pull = "grafana/grafana:99.0.0: manifest unknown"
    prod.record(
        "10:16:52", seen(0, "10.2.0", e.Problem(reason="ImagePullBackOff", message=pull, subject="Pod/prod-grafana-0"))
    )
    prod.record(
        "10:20:52",
        grafana(ComponentPhase.UPGRADING, ComponentPhase.FAILED, "ImagePullBackOff", "99.0.0", pull),
        phase(Phase.UPGRADING, Phase.FAILED, Trigger.UPGRADE_ERROR, "ImagePullBackOff", f"grafana: {pull}", 2),
        e.RetryScheduled(
            attempt=1, due_at=at("10:21:02"), category=ErrorCategory.COMPONENT, reason="ImagePullBackOff", message=pull
        ),
        e.ConditionsChanged(statuses={"Ready": "False", "Degraded": "True"}),
    )
    return prod


def record_small(log: EventLog, stream_id: str, *, name: str, namespace: str, clock: str = "08:00:00") -> Recorder:
    """A platform that was created and nothing else."""
    small = Recorder(log, stream_id)
    small.record(
        clock,
        observed(1, "10.2.0", "kubectl-create", name, namespace),
        phase(
            None, Phase.PENDING, Trigger.CREATE, "PlatformCreated", f"{namespace}/{name} was seen for the first time"
        ),
    )
    return small
