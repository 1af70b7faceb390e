"""What a spectator of the demo reads: one line for each event that matters, and what to try next. Pure."""

from pathlib import Path
from typing import Any

from eventstore import events as e
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent


def tell(recorded: RecordedEvent) -> str:
    """One line about an event, in the form of `stackledger history`; "" for what a spectator need not see."""
    event = decode(recorded)
    at = recorded.occurred_at.strftime("%H:%M:%S")
    if isinstance(event, e.PhaseChanged):
        came_from = event.from_phase or "—"
        return f"{at} {recorded.version:>4}  {came_from:<10} → {event.to_phase:<10}  {event.reason}: {event.message}"
    if isinstance(event, e.ComponentPhaseChanged) and event.from_phase is not None:
        arrow = f"{event.from_phase:<10} → {event.to_phase:<10}"
        return f"{at} {recorded.version:>4}    {event.component:<12} {arrow}  {event.version}  {event.message}".rstrip()
    if isinstance(event, e.RetryScheduled):
        return f"{at} {recorded.version:>4}    retry {event.attempt} is due at {event.due_at:%H:%M:%S}"
    if isinstance(event, e.DeletionRequested):
        return f"{at} {recorded.version:>4}  deletion was asked for"
    if isinstance(event, e.FinalizerReleased):
        return f"{at} {recorded.version:>4}  finalizer released: nothing is left but the volumes (spec.deletionPolicy)"
    return ""


def ready_in_words(status: dict[str, Any]) -> str:
    """The Ready condition in words."""
    ready = next((c for c in status.get("conditions", ()) if c["type"] == "Ready"), None)
    if ready is None:
        return "it has no conditions yet"
    return f"Ready={ready['status']} {ready['reason']}: {ready.get('message', '')}".rstrip(": ")


def invitation(namespace: str, name: str, kubeconfig: Path, state_dir: Path, server_url: str) -> list[str]:
    """What to try in another terminal."""
    where = f"--state-dir {state_dir}"
    loki = f'{{"namespace":"{namespace}","workload":"{name}-loki"}}'
    lines = f"""
Try, in another terminal:
  export KUBECONFIG={kubeconfig}
  kubectl get obsp -A                                       kubectl describe obsp {name}
  kubectl edit obsp {name}                                  # grafana.version: 13.2.2 is an upgrade
  curl -d '{loki}' {server_url}/sandbox/break         # and /sandbox/repair
  stackledger status {name} {where}
  stackledger history {name} {where}
  stackledger show {name} --at -1m {where}
  stackledger explain-why {name} {where}
  stackledger replay {name} {where}
  stackledger verify --all {where}
Ctrl-C stops; the directory is kept."""
    return lines.splitlines()
