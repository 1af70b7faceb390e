"""The commands that only look at a session, and those about the session itself."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cli import sim_words as words
from cli.output import counted
from cli.sim_expecting import platform_view
from cli.sim_tape import MisuseError, Tape
from cli.sim_telling import UNDONE, changes, plan_words, when
from simulator.session_view import SessionView

Said = Iterator[str]


def state(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """Everything as it is now."""
    if given:
        raise MisuseError(f"{' '.join(given)}: one word too many", "write state; `show NAME` is about one platform")
    yield f"it is {when(tape.view.now)}"
    yield from changes(SessionView(tape.view.now, (), {}), tape.view)
    yield from (f"broken  {name} ({reason})" for name, reason in tape.session.hands.broken().items())
    trouble = tape.session.trouble
    yield from (f"down  {server}" for server in sorted(trouble.away))
    yield from (f"denied  {denial.verb} {denial.resource}" for denial in sorted(trouble.denied))
    yield from (f"to come  {order.how} at {order.verb} {order.what}".rstrip() for order in trouble.orders)


def plan(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """What is due, what is waited for."""
    name = words.platform_of(tape, given, "plan prod")
    yield f"{name}  {plan_words(platform_view(tape, name).plan)}"


def objects(tape: Tape, _given: Sequence[str], _body: str) -> Said:
    """What the platforms own."""
    for kind, item in tape.session.hands.objects():
        status = item.get("status") or {}
        ready = f"  {status.get('readyReplicas', 0)}/{item['spec'].get('replicas', 1)}" if kind.group == "apps" else ""
        going = "  on its way out" if item["metadata"].get("deletionTimestamp") else ""
        yield f"{kind.kind}/{item['metadata']['name']}{ready}{going}"


def undo(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """Begin anew, and do all but the last."""
    from cli.sim_commands import perform

    if len(given) > 1 or (given and not given[0].isdigit()):
        raise MisuseError("how many commands?", "write undo, or undo 3")
    count = int(given[0]) if given else 1
    if not 1 <= count <= len(tape.typed):
        raise MisuseError(f"{count} cannot be undone", f"{counted(len(tape.typed), 'command')} so far")
    for typed in reversed(tape.undo(count, lambda typed: perform(tape, typed))):
        yield f"{UNDONE}{typed.line}"
    yield f"it is {when(tape.session.universe.clock.now())} again"


def save(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """The commands so far as a script, with their output."""
    from cli.sim_script import script_of

    if len(given) != 1:
        raise MisuseError("into which file?", "write save story.sim")
    try:
        Path(given[0]).write_text(script_of(tape.typed, tape.seed), encoding="utf-8")
    except OSError as error:
        raise MisuseError(f"cannot write {given[0]}", error.strerror or "") from None
    yield f"wrote {given[0]} ({counted(len(tape.typed), 'command')})"
