"""The rules of the model lead to every type of event the log can hold: what no rule leads to is not examined."""

from collections import Counter
from collections.abc import Callable

from eventstore import events as e
from eventstore.vocabulary import Phase
from tests.reconciler.core.model_machine import PlatformMachine

#: What no order of the rules leads to, and why.
UNREACHED: dict[type[e.Event], str] = {
    # Becoming Ready and recording what works are decided in one step: there is always something to put by.
    e.BackupFailed: "a platform that is Ready has a last known good",
}


def _install(machine: PlatformMachine) -> None:
    machine.create(spec="two", ready=True)


def _edit_upgrade_and_fail(machine: PlatformMachine) -> None:
    machine.edit(spec="two, newer")
    machine.rest()
    machine.break_versions(versions=("3.14.0",))
    machine.edit(spec="one, newest")
    machine.rest()
    machine.rest()
    machine.break_versions(versions=())
    machine.ask_for_retry()
    machine.rest()


def _pause(machine: PlatformMachine) -> None:
    machine.pause(paused=True)
    machine.edit(spec="one")
    machine.pause(paused=False)
    machine.rest()


def _want_what_is_missing(machine: PlatformMachine) -> None:
    machine.change_secret(secret="missing")
    machine.edit(spec="two, secret")
    machine.change_secret(secret="good")
    machine.rest()
    machine.edit(spec="unsupported")
    machine.edit(spec="two, secret")
    machine.rest()


def _refuse(machine: PlatformMachine) -> None:
    machine.refuse(refusal="unreachable", kind="")
    machine.edit(spec="one, shorter")
    machine.edit(spec="one")
    for _ in range(8):
        machine.wait(seconds=301.0)
    machine.refuse(refusal=None, kind="")
    machine.rest()
    machine.refuse(refusal="quota", kind="Service")
    machine.edit(spec="two")
    machine.refuse(refusal=None, kind="")
    machine.ask_for_retry()
    machine.rest()


def _lay_hands_on(machine: PlatformMachine) -> None:
    machine.drift(place=0, kind="changed")
    machine.drift(place=1, kind="missing")
    machine.strip_finalizer()
    machine.change_policy(policy="patient")
    machine.rest()


def _lose_and_restore(machine: PlatformMachine) -> None:
    machine.back_up()
    machine.edit(spec="one, shorter")
    machine.rest()
    machine.restore()
    machine.rest()
    machine.lose_log(kept=0, sure=True)
    machine.rest()


def _go(machine: PlatformMachine) -> None:
    machine.delete(sure=2)
    for _ in range(4):
        machine.rest()
    machine.recreate(spec="one")
    machine.rest()
    machine.delete(sure=2)
    machine.strip_finalizer()
    machine.look()


TOUR: tuple[Callable[[PlatformMachine], None], ...] = (
    _install,
    _edit_upgrade_and_fail,
    _pause,
    _want_what_is_missing,
    _refuse,
    _lay_hands_on,
    _lose_and_restore,
    _go,
)


def toured() -> PlatformMachine:
    """A machine on which every rule of the tour was played."""
    machine = PlatformMachine()
    for part in TOUR:
        part(machine)
    return machine


def test_the_rules_lead_to_every_type_of_event() -> None:
    machine = toured()
    met: Counter[type[e.Event]] = Counter(map(type, machine.world.told))
    machine.teardown()
    unmet = set(e.EVENT_TYPES.values()) - met.keys()
    assert unmet == UNREACHED.keys(), "a new event? Lead a rule of model_machine.py to it, and the tour"


def test_the_rules_lead_to_every_phase_and_along_every_arrow() -> None:
    arrows = {(event.from_phase, event.to_phase) for event in toured().world.told if isinstance(event, e.PhaseChanged)}
    assert arrows == {
        (None, Phase.PENDING),
        (Phase.PENDING, Phase.INSTALLING),
        (Phase.INSTALLING, Phase.READY),
        (Phase.INSTALLING, Phase.FAILED),
        (Phase.READY, Phase.UPGRADING),
        (Phase.READY, Phase.FAILED),
        (Phase.READY, Phase.READY),
        (Phase.FAILED, Phase.INSTALLING),
        (Phase.UPGRADING, Phase.READY),
        (Phase.UPGRADING, Phase.FAILED),
    }
