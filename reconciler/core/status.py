"""`.status` of the resource, from the folded state. Written from the log, never read back."""

from datetime import UTC, datetime
from typing import Any

from components.registry import COMPONENTS
from eventstore.vocabulary import ComponentName, ConditionType
from projections.state import ComponentState, PlatformState
from reconciler.core.conditions import MESSAGE_LENGTH_MAX, Condition, conditions, ready_components
from reconciler.core.progress import wanted_components

#: Reason of the conditions of a platform whose stream this build cannot read.
QUARANTINED = "Quarantined"


def status(state: PlatformState, head_hash: str = "") -> dict[str, Any]:
    """The `.status` mapping; times are RFC 3339 UTC seconds, absent facts are left out.

    Args:
        state: the folded state.
        head_hash: hex hash of the stream's newest event, for `.status.ledger`.
    """
    if state.observed is None or state.phase is None:
        return {}
    wanted = list(wanted_components(state))
    document: dict[str, Any] = {
        "observedGeneration": state.observed.generation,
        "phase": state.phase.value,
        "componentsReady": f"{len(ready_components(state))}/{len(wanted)}",
        "conditions": [_condition(state, condition) for condition in conditions(state)],
        "components": [
            _component(name, component) for name in wanted if (component := state.components.get(name)) is not None
        ],
        "endpoints": [{"name": name.value, "url": _url(state, name)} for name in wanted],
        "ledger": {"streamId": state.stream_id, "sequence": state.version, "headHash": head_hash},
        "history": [
            _without_empty(
                {
                    "sequence": transition.sequence,
                    "from": transition.from_phase.value if transition.from_phase else "",
                    "to": transition.to_phase.value,
                    "reason": transition.reason,
                    "message": transition.message[:MESSAGE_LENGTH_MAX],
                    "time": instant(transition.at),
                }
            )
            for transition in state.history
        ],
    }
    if state.known_good is not None:
        good = state.known_good
        document["lastKnownGood"] = {
            "sequence": good.sequence,
            "specHash": good.spec.digest,
            "generation": good.spec.generation,
        }
    if state.retry.attempt or state.retry.due_at:
        document["retry"] = _retry(state)
    if state.unknown_fields:
        document["unknownFields"] = [path[:512] for path in state.unknown_fields[:32]]
    if state.retry_token:
        document["lastHandledRetryAt"] = state.retry_token
    return document


def quarantined_status(shown: dict[str, Any], generation: int, why: str, now: datetime) -> dict[str, Any]:
    """The status of a platform whose stream cannot be read: what was shown last, and that it counts no more."""
    message = f"its ledger cannot be read, so nothing is done about it: {why}; see `stackledger verify`"
    kept = {condition["type"]: condition for condition in shown.get("conditions") or ()}
    for kind, value in ((ConditionType.READY, "Unknown"), (ConditionType.DEGRADED, "True")):
        same = kept.get(kind.value, {}).get("reason") == QUARANTINED
        kept[kind.value] = {
            "type": kind.value,
            "status": value,
            "reason": QUARANTINED,
            "message": message[:MESSAGE_LENGTH_MAX],
            "observedGeneration": generation,
            "lastTransitionTime": kept[kind.value]["lastTransitionTime"] if same else instant(now),
        }
    return {**shown, "conditions": list(kept.values())}


def instant(at: datetime) -> str:
    """`2026-11-23T09:00:02Z`"""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(state: PlatformState, condition: Condition) -> dict[str, Any]:
    assert state.observed is not None
    generation = state.observed.generation
    if condition.type is ConditionType.READY and state.rolled_back and state.accepted is not None:
        # Ready, but not with what was asked for last: whoever waits for that generation must not be told it is there.
        generation = state.accepted.generation
    # Before the flip is recorded the state's own time stands in; the next append brings the recorded one.
    _, since = state.conditions.get(condition.type, ("", state.updated_at))
    return {
        "type": condition.type.value,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": generation,
        "lastTransitionTime": instant(since) if since else "",
    }


def _component(name: ComponentName, component: ComponentState) -> dict[str, Any]:
    return _without_empty(
        {
            "name": name.value,
            "phase": component.phase.value,
            "desiredVersion": component.desired_version,
            "runningVersion": component.running_version,
            "readyReplicas": component.ready_replicas,
            "desiredReplicas": component.desired_replicas,
            "reason": component.reason,
            "message": component.message[:MESSAGE_LENGTH_MAX],
            "since": instant(component.phase_since),
        }
    )


def _url(state: PlatformState, name: ComponentName) -> str:
    """Where pods of the cluster reach the component's first port, the one people and datasources use."""
    return f"http://{state.name}-{name}.{state.namespace}.svc:{COMPONENTS[name].facts.ports[0].number}"


def _retry(state: PlatformState) -> dict[str, Any]:
    return _without_empty(
        {
            "attempt": state.retry.attempt,
            "max": state.policy.retries_max,
            "nextAttemptTime": instant(state.retry.due_at) if state.retry.due_at else "",
            "category": state.retry.category.value if state.retry.category else "",
        }
    )


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value != ""}
