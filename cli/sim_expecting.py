"""What a session can wait for, and what a script can expect."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cli import sim_words as words
from cli.sim_tape import MisuseError, Tape
from cli.sim_telling import plan_words
from eventstore import events
from eventstore.vocabulary import Phase
from projections.state import PlatformState
from simulator.session_view import PlatformView

Said = Iterator[str]
_FORMS = (
    "expect phase Ready",
    "expect component grafana Failed",
    "expect condition Degraded=True/RolledBack",
    "expect event RetryScheduled",
    "expect no events",
    "expect no event ApplyRequested",
    "expect object Service/prod-loki",
    "expect no object Secret/loki-s3",
    "expect plan RetryDue",
)
EVENT_TYPES = frozenset(
    name for name, kind in vars(events).items() if isinstance(kind, type) and issubclass(kind, events.Event)
)


# -- waiting -------------------------------------------------------------------------------------------------------


def goal(tape: Tape, word: str) -> Callable[[], bool]:
    """`Ready`, `Failed`, ...: the phase, for the spec as it is now; `gone`, `idle`; or an event that comes in."""
    simulation = tape.session.simulation
    if word == "idle":
        return simulation.is_idle
    if word == "leader":
        return lambda: any(one.leads() and not one.stalled for one in simulation.replicas)
    name = words.current(tape)
    if word == "gone":
        return lambda: tape.session.universe.platform(name) is None
    if word == "Paused":
        return lambda: _status_says(tape, name, lambda status: _has_condition(status, "Paused"))
    if word in EVENT_TYPES:
        began = tape.session.universe.log.head_position()
        return lambda: any(one.type == word for one in tape.session.universe.log.read_all(began))
    if word not in tuple(Phase):
        known = ["idle", "gone", "leader", "Paused", *Phase, *sorted(EVENT_TYPES)]
        raise MisuseError(f"nobody can wait until {word}", words.near(word, known))
    return lambda: _status_says(tape, name, lambda status: status.get("phase") == word)


def _status_says(tape: Tape, name: str, holds: Callable[[dict[str, Any]], bool]) -> bool:
    """Whether what a user sees is so, for the newest generation."""
    found = tape.session.universe.platform(name)
    status = (found or {}).get("status") or {}
    current = status.get("observedGeneration") == (found or {"metadata": {}})["metadata"].get("generation")
    return current and holds(status)


def _has_condition(status: dict[str, Any], kind: str) -> bool:
    return any(one["type"] == kind and one["status"] == "True" for one in status.get("conditions") or ())


# -- expecting -----------------------------------------------------------------------------------------------------


def expect(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`expect ...`, one of `_FORMS`."""
    verb = given[0] if given else ""
    rest = list(given[1:])
    if verb == "no" and rest and rest[0] in ("event", "events", "object"):
        verdict = _absent(tape, rest[0], rest[1:])
    elif verb in _CHECKS and (rest or verb == "events"):
        verdict = _CHECKS[verb](tape, rest)
    else:
        raise MisuseError(f"cannot expect {' '.join(given) or 'nothing'}", "write " + "; ".join(_FORMS))
    if verdict:
        tape.fail()
        yield f"NOT MET  {verdict}"
    else:
        yield "as expected"


def platform_view(tape: Tape, name: str = "") -> PlatformView:
    """How the newest platform of the name stands."""
    wanted = name or words.current(tape)
    found = [view for view in tape.view.platforms.values() if view.name == wanted]
    if not found:
        names = sorted({view.name for view in tape.view.platforms.values()})
        raise MisuseError(f"the operator has not seen {wanted} yet", f"seen: {', '.join(names) or 'nothing'}")
    return found[-1]


def platform_state(tape: Tape, name: str = "") -> PlatformState:
    """Its folded state."""
    return tape.session.simulation.facts.streams[platform_view(tape, name).uid].state


def _phase(tape: Tape, rest: Sequence[str]) -> str:
    view = platform_view(tape, rest[1] if len(rest) > 1 else "")
    if rest[0] not in tuple(Phase):
        raise MisuseError(f"{rest[0]} is no phase", words.near(rest[0], tuple(Phase)))
    return "" if view.phase == rest[0] else f"{view.name} is {view.phase}, {view.reason}"


def _component(tape: Tape, rest: Sequence[str]) -> str:
    view = platform_view(tape)
    component = view.components.get(rest[0])
    if component is None:
        return f"{view.name} has no {rest[0]}"
    shown = (component.phase, component.version, component.replicas, *component.problems)
    missing = [word for word in rest[1:] if word not in shown]
    return f"{rest[0]} is {' '.join(shown)}" if missing else ""


def _condition(tape: Tape, rest: Sequence[str]) -> str:
    kind, sign, wanted = rest[0].partition("=")
    if not sign:
        raise MisuseError(f"{rest[0]} is not TYPE=STATUS/REASON", "write expect condition Degraded=True/RolledBack")
    condition = platform_view(tape).conditions.get(kind)
    if condition is None:
        return "" if wanted == "gone" else f"there is no condition {kind}"
    shown = f"{condition.status}/{condition.reason}"
    return "" if wanted in (shown, condition.status) else f"{kind}={shown}"


def _event(tape: Tape, rest: Sequence[str]) -> str:
    kind = _event_type(rest[0])
    if any(new.row.type == kind and all(word in new.row.summary for word in rest[1:]) for new in tape.newest):
        return ""
    seen = ", ".join(dict.fromkeys(new.row.type for new in tape.newest)) or "none"
    return f"no {' '.join(rest)} among the new events: {seen}"


def _event_type(word: str) -> str:
    if word not in EVENT_TYPES:
        raise MisuseError(f"{word} is no event", words.near(word, sorted(EVENT_TYPES)))
    return word


def _object(tape: Tape, rest: Sequence[str]) -> str:
    target = words.object_of(rest[0])
    if target is None:
        raise MisuseError(f"{rest[0]} names no object", "write expect object Service/prod-loki")
    return "" if tape.session.hands.exists(*target) else f"there is no {rest[0]}"


def _plan(tape: Tape, rest: Sequence[str]) -> str:
    shown = plan_words(platform_view(tape).plan)
    return "" if all(word in shown for word in rest) else f"plan: {shown}"


def _absent(tape: Tape, what: str, rest: Sequence[str]) -> str:
    if what == "events":
        return f"{len(tape.newest)} events: {', '.join(new.row.type for new in tape.newest)}" if tape.newest else ""
    if not rest:
        raise MisuseError(f"no {what} of which name?", f"write expect no {what} NAME")
    present = not (_event(tape, rest) if what == "event" else _object(tape, rest))
    return f"there is {' '.join(rest)}" if present else ""


_CHECKS: dict[str, Callable[[Tape, Sequence[str]], str]] = {
    "phase": _phase,
    "component": _component,
    "condition": _condition,
    "event": _event,
    "object": _object,
    "plan": _plan,
}
