"""Which recorded events a person watching `kubectl describe` should see, and in which words. Pure.

At most one Kubernetes Event per recorded event: its name is made of the stream and the version, so that announcing it
twice is refused by the API server.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from eventstore import events as e
from eventstore.vocabulary import GROUP, KIND, STORED_VERSION, ComponentPhase, ErrorCategory, Phase
from projections.state import PlatformState

REPORTING_CONTROLLER = "stackledger.io/operator"
#: The API server refuses longer notes.
NOTE_LENGTH_MAX = 1024

_DELETED = "all that was made for it is gone; volumes stay unless deletionPolicy is Delete"


class Announcement(msgspec.Struct, frozen=True):
    """What an Event says."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    action: str = "Reconcile"


def announcement(event: e.Event) -> Announcement | None:
    """The announcement of a recorded event; None for what only the log needs to know."""
    announce = _ANNOUNCERS.get(type(event))
    return announce(event) if announce else None


def event_object(
    state: PlatformState, announced: Announcement, version: int, at: datetime, instance: str
) -> dict[str, Any]:
    """The body of an events.k8s.io/v1 Event; kubectl lists those of an object by name, so the version is padded.

    Args:
        state: the platform, for its name, namespace and uid.
        version: stream version of the recorded event.
        at: when it occurred.
        instance: name of this replica.
    """
    generation = state.observed.generation if state.observed else 0
    hint = f"kubectl stackledger show {state.name} -n {state.namespace} --at {version}"
    room = NOTE_LENGTH_MAX - len(hint) - 40
    note = f"seq={version} gen={generation} {announced.note[:room]}. {hint}"
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{state.name}.{state.stream_id[:8]}.{version:08x}", "namespace": state.namespace},
        "eventTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "regarding": {
            "apiVersion": f"{GROUP}/{STORED_VERSION}",
            "kind": KIND,
            "name": state.name,
            "namespace": state.namespace,
            "uid": state.stream_id,
        },
        "type": announced.type,
        "reason": announced.reason,
        "action": announced.action,
        "reportingController": REPORTING_CONTROLLER,
        "reportingInstance": instance[:128],
        "note": note,
    }


def _phase_changed(event: e.PhaseChanged) -> Announcement:
    arrow = f"{event.from_phase or 'none'} -> {event.to_phase}: {event.message}"
    kind: Literal["Normal", "Warning"] = "Warning" if event.to_phase is Phase.FAILED else "Normal"
    return Announcement(kind, event.reason, arrow, "Transition")


def _component_phase_changed(event: e.ComponentPhaseChanged) -> Announcement | None:
    if event.to_phase is ComponentPhase.READY:
        return Announcement("Normal", "ComponentReady", f"{event.component} {event.version} is ready")
    if event.to_phase in {ComponentPhase.INSTALLING, ComponentPhase.UPGRADING}:
        return Announcement("Normal", "ComponentDeploying", f"{event.component} {event.version} is being deployed")
    return None  # Pending says nothing yet, and Failed is the message of the platform's own transition


def _action_failed(event: e.ActionFailed) -> Announcement | None:
    if event.category is ErrorCategory.TRANSIENT:
        return None  # the retry that follows is announced
    if event.reason in {"NamespaceTerminating", "NamespaceGone"}:
        return None  # a namespace that is going does not take Events either
    return Announcement("Warning", event.reason, f"{event.ref}: {event.message}", "Apply")


def _findings(findings: tuple[e.Finding, ...]) -> str:
    return "; ".join(finding.message for finding in findings)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _correction(event: e.DriftCorrected) -> str:
    if not event.managers and not event.paths:
        return f"{event.ref} was gone and is made again"
    changed = f" ({', '.join(event.paths)})" if event.paths else ""
    return f"{event.ref} was changed by {', '.join(event.managers) or 'somebody'}{changed} and is as it was"


def _platform_observed(event: e.PlatformObserved) -> Announcement | None:
    if not event.unknown_fields:
        return None
    fields = ", ".join(event.unknown_fields)
    return Announcement("Warning", "UnknownField", f"the schema does not know, so nothing uses: {fields}")


_ANNOUNCERS: dict[type[e.Event], Callable[[Any], Announcement | None]] = {
    e.PlatformObserved: _platform_observed,
    e.PhaseChanged: _phase_changed,
    e.ComponentPhaseChanged: _component_phase_changed,
    e.ActionFailed: _action_failed,
    e.SpecAccepted: lambda event: (
        Announcement("Warning", event.warnings[0].reason, _findings(event.warnings)) if event.warnings else None
    ),
    e.SpecRejected: lambda event: Announcement("Warning", event.findings[0].reason, _findings(event.findings)),
    e.PrerequisiteMissing: lambda event: Announcement(
        "Warning", event.findings[0].reason, _findings(event.findings), "Preflight"
    ),
    e.PrerequisitesMet: lambda _: Announcement("Normal", "PrerequisitesMet", "all that was missing is there"),
    e.RetryScheduled: lambda event: Announcement(
        "Warning", "RetryScheduled", f"retry {event.attempt} because of {event.reason}: {event.message}", "Retry"
    ),
    e.RetriesExhausted: lambda event: Announcement(
        "Warning", "RetriesExhausted", f"{event.attempts} retries: {event.reason}: {event.message}", "Retry"
    ),
    e.ComponentUpgraded: lambda event: Announcement(
        "Normal", "ComponentUpgraded", f"{event.component} {event.from_version} to {event.to_version}", "Upgrade"
    ),
    e.BackupCompleted: lambda event: Announcement(
        "Normal", "BackupCompleted", f"{len(event.manifests)} manifests are kept for a rollback", "Upgrade"
    ),
    e.BackupFailed: lambda event: Announcement("Warning", event.reason, event.message, "Upgrade"),
    e.RollbackStarted: lambda event: Announcement("Warning", "RollbackStarted", event.message, "Rollback"),
    e.RollbackCompleted: lambda event: Announcement(
        "Normal", "RollbackCompleted", f"running again: {_versions(event.versions)}", "Rollback"
    ),
    e.DriftCorrected: lambda event: Announcement("Normal", "DriftCorrected", _correction(event), "Apply"),
    e.Paused: lambda _: Announcement("Normal", "Paused", "spec.paused is true: nothing is written"),
    e.Resumed: lambda _: Announcement("Normal", "Resumed", "spec.paused is no longer true"),
    e.DeletionRequested: lambda _: Announcement("Normal", "DeletionStarted", "components go in reverse order"),
    e.FinalizerReleaseRequested: lambda event: Announcement(
        "Warning" if event.orphaned else "Normal",
        "Orphaned" if event.orphaned else "DeletionCompleted",
        f"left behind: {', '.join(map(str, event.orphaned))}" if event.orphaned else _DELETED,
        "Delete",
    ),
    e.ClusterRewound: lambda event: Announcement(
        "Warning",
        "ClusterRewound",
        f"the cluster was restored from a backup: the resource went back from generation {event.recorded_generation} "
        f"to {event.generation}, which counts from now on",
    ),
    e.LedgerReset: lambda _: Announcement(
        "Warning", "LedgerReset", "the platform ran before this log began: it is re-adopted, nothing is torn down"
    ),
}
