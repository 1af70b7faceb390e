"""Every event in one line, for the tables people read. The JSON output carries the whole payload instead."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from eventstore import events as e

_SHOWN_MAX = 3


def summary(event: e.Event) -> str:
    """What happened, in one line without line breaks of its own; texts from the cluster are not escaped here."""
    words = _WORDS.get(type(event))
    return words(event) if words else _fields(event)


def component_of(event: e.Event) -> str:
    """The component an event is about, "" if it is about the whole platform or about an object of unknown origin."""
    return str(getattr(event, "component", None) or "")


def _fields(event: e.Event) -> str:
    values: dict[str, Any] = msgspec.to_builtins(event)
    return " ".join(f"{key}={_short(value)}" for key, value in values.items() if value not in (None, "", [], {}))


def _short(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"({len(value)})"
    return str(value)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_MAX
    return ", ".join(names[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def _versions(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    changed = {name: version for name, version in after.items() if before.get(name) != version}
    return _listed([f"{name} {before.get(name) or '-'} → {version}" for name, version in changed.items()])


def _findings(findings: Sequence[e.Finding]) -> str:
    return "; ".join(f"{finding.reason} {finding.subject}: {finding.message}".strip() for finding in findings)


def _platform_observed(event: e.PlatformObserved) -> str:
    changed = f": {_listed(event.changed_paths)}" if event.changed_paths else ""
    return f"generation {event.generation}{changed}"


def _component_observed(event: e.ComponentObserved) -> str:
    version = f" {event.running_version}" if event.running_version else ""
    problems = "".join(f"; {p.subject} {p.reason}: {p.message}".rstrip(": ") for p in event.problems)
    rollout = "" if event.rolled_out else ", rolling out"
    return f"{event.component}{version} {event.ready_replicas}/{event.desired_replicas} ready{rollout}{problems}"


def _dependency_observed(event: e.DependencyObserved) -> str:
    state = f"refused: {event.refused}" if event.refused else ("found" if event.found else "not found")
    return f"{event.kind}/{event.name} {state}"


def _drift(event: e.DriftDetected | e.DriftCorrected) -> str:
    kind = f" {event.kind}" if isinstance(event, e.DriftDetected) else ""
    by = f" by {', '.join(event.managers)}" if event.managers else ""
    paths = f": {_listed(event.paths)}" if event.paths else ""
    return f"{event.ref}{kind}{by}{paths}"


def _phase_changed(event: e.PhaseChanged) -> str:
    return f"{arrow(event.from_phase, event.to_phase)}  {event.reason}: {event.message}".rstrip(": ")


def _component_phase_changed(event: e.ComponentPhaseChanged) -> str:
    change = f"{event.component} {arrow(event.from_phase, event.to_phase)}"
    return f"{change}  {event.reason}: {event.message}".rstrip(": ")


def arrow(before: str | None, after: str) -> str:
    """`Pending → Installing`; `—` stands for "not there before"."""
    return f"{before or '—'} → {after}"


def _retry(event: e.RetryScheduled) -> str:
    return f"retry {event.attempt} due {event.due_at:%H:%M:%S}: {event.reason}: {event.message}".rstrip(": ")


def _ref(event: Any) -> str:
    return str(event.ref)


_WORDS: dict[type[e.Event], Callable[[Any], str]] = {
    e.PlatformObserved: _platform_observed,
    e.PolicyAdopted: lambda event: f"{event.policy.retries_max} retries, operator {event.operator_version}",
    e.ComponentObserved: _component_observed,
    e.DependencyObserved: _dependency_observed,
    e.DriftDetected: _drift,
    e.DriftCorrected: _drift,
    e.ChildFound: _ref,
    e.ChildGone: _ref,
    e.DeletionRequested: lambda event: f"at {event.requested_at:%H:%M:%S}",
    e.RetryRequested: lambda event: f"by annotation: {event.token}",
    e.ClusterRewound: lambda event: f"generation {event.recorded_generation} is {event.generation} again",
    e.SpecQuarantined: lambda event: f"generation {event.generation}: not tried again until it changes",
    e.RetryReset: lambda event: str(event.reason),
    e.BackupStarted: lambda event: _listed([f"{name} {version}" for name, version in event.versions.items()]),
    e.FinalizerAdded: lambda event: f"(request {event.request})",
    e.FinalizerReleased: lambda event: f"(request {event.request})",
    e.SpecAccepted: lambda event: f"generation {event.generation}",
    e.SpecRejected: lambda event: f"generation {event.generation}: {_findings(event.findings)}",
    e.PrerequisiteMissing: lambda event: _findings(event.findings),
    e.PhaseChanged: _phase_changed,
    e.ComponentPhaseChanged: _component_phase_changed,
    e.ConditionsChanged: lambda event: " ".join(f"{kind}={to or 'gone'}" for kind, to in event.statuses.items()),
    e.ApplyRequested: lambda event: f"{event.ref} {event.reason} {event.digest[:14]}",
    e.DeleteRequested: lambda event: f"{event.ref} {event.reason}",
    e.RequestSuperseded: lambda event: f"{event.ref} request {event.request}",
    e.RetryScheduled: _retry,
    e.ProbeScheduled: lambda event: f"looks again {event.due_at:%H:%M:%S}: {event.reason}: {event.message}",
    e.RetriesExhausted: lambda event: f"after {event.attempts} retries: {event.reason}: {event.message}",
    e.UpgradeStarted: lambda event: _versions(event.from_versions, event.to_versions),
    e.RollbackStarted: lambda event: f"{_versions(event.from_versions, event.to_versions)}: {event.message}",
    e.RollbackCompleted: lambda event: _listed([f"{name} {version}" for name, version in event.versions.items()]),
    e.ComponentUpgraded: lambda event: f"{event.component} {event.from_version} → {event.to_version}",
    e.LastKnownGoodRecorded: lambda event: f"generation {event.generation}, {len(event.manifests)} objects",
    e.BackupCompleted: lambda event: f"{len(event.manifests)} objects",
    e.ActionSucceeded: lambda event: f"{event.ref}{'' if event.changed else ' unchanged'} (request {event.request})",
    e.ActionFailed: lambda event: f"{event.ref} {event.category} {event.reason}: {event.message}",
}
