"""Commands from a prompt, or line by line from a pipe."""

import sys
from typing import TextIO

from cli.failures import EXIT_FINDING, EXIT_OK, EXIT_USAGE
from cli.output import note, write_json_line, write_line
from cli.sim_commands import COMMANDS, perform
from cli.sim_script import document
from cli.sim_tape import Answer, MisuseError, Tape, Typed
from cli.sim_telling import tell, when
from cli.sim_words import REASONS, VERBS, WAYS
from eventstore.vocabulary import ComponentName, Phase

_ENDS = frozenset({"exit", "quit"})
_WELCOME = """A cluster, a ledger and the operator, on virtual time. Nothing moves until you `wait` or `step`. Try:
  apply prod prometheus grafana
  wait until Ready
  break grafana OOMKilled
`help` lists the commands, Ctrl-D ends."""


def read_commands(stream: TextIO, *, seed: int, as_json: bool, no_color: bool) -> int:
    """Carry out what is typed, to the end; the exit code."""
    tape = Tape(seed)
    if not stream.isatty():
        return _read_pipe(stream, tape, as_json=as_json, no_color=no_color)
    _offer_completion(tape)
    for line in _WELCOME.splitlines():
        write_line(line)
    while True:
        try:
            line = input(f"{when(tape.view.now)}> ").strip()
            if line in _ENDS:
                return EXIT_OK
            if line and not line.startswith("#"):
                _carry_out_or_take_back(tape, Typed(line, _body() if line.endswith("-f -") else ""), as_json, no_color)
        except MisuseError as error:
            _complain(error)
        except KeyboardInterrupt:
            write_line()
        except EOFError:
            write_line()
            return EXIT_OK


def _read_pipe(stream: TextIO, tape: Tape, *, as_json: bool, no_color: bool) -> int:
    code = EXIT_OK
    for number, line in enumerate(stream, 1):
        words = line.strip().removeprefix(">").strip()
        if words in _ENDS:
            break
        if not words or words.startswith("#"):
            continue
        try:
            answer = _carry_out(tape, Typed(words), as_json, no_color)
        except MisuseError as error:
            note(f"line {number}: {error.what}")
            if error.next_step:
                note(f"next:  {error.next_step}")
            return EXIT_USAGE
        code = EXIT_FINDING if answer.failed else code
    return code


def _carry_out_or_take_back(tape: Tape, typed: Typed, as_json: bool, no_color: bool) -> None:
    """Carry out a command; one that is interrupted was never given."""
    before = list(tape.typed)
    try:
        _carry_out(tape, typed, as_json, no_color)
    except KeyboardInterrupt:
        # The cluster has moved on by half a command, which no tape can tell. Once more Ctrl-C ends it all.
        tape.tell_again(before, lambda one: perform(tape, one))
        write_line()
        write_line(f"interrupted; it is {when(tape.view.now)} again")


def _carry_out(tape: Tape, typed: Typed, as_json: bool, no_color: bool) -> Answer:
    answer = perform(tape, typed)
    if as_json:
        write_json_line(document(answer))
    else:
        tell(answer, no_color=no_color)
    sys.stdout.flush()
    return answer


def _body() -> str:
    """Lines until an empty one."""
    lines = []
    while line := input("| "):
        lines.append(line)
    return "\n".join(lines)


def _complain(error: MisuseError) -> None:
    write_line(f"error: {error.what}")
    if error.next_step:
        write_line(f"next:  {error.next_step}")


def _offer_completion(tape: Tape) -> None:
    """History and completion, where this Python has them."""
    try:
        import readline
    except ImportError:
        return

    def complete(text: str, state: int) -> str | None:
        begun = readline.get_line_buffer()[: readline.get_begidx()].split()
        found = [word for word in candidates(tape, begun) if word.startswith(text)]
        return f"{found[state]} " if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")


def candidates(tape: Tape, begun: list[str]) -> list[str]:
    """What may come after these words."""
    if not begun:
        return sorted([*COMMANDS, *_ENDS])
    names = sorted({view.name for view in tape.view.platforms.values()})
    objects = [f"{kind.kind}/{item['metadata']['name']}" for kind, item in tape.session.hands.objects()]
    components = [name.value for name in ComponentName]
    replicas = [view.name for view in tape.view.operators]
    known: dict[str, list[str]] = {
        "apply": [*names, *components],
        "edit": [*names, *components, *objects],
        "delete": [*names, *objects],
        "replace": objects,
        "break": [*components, *tape.session.hands.workloads()] if len(begun) == 1 else list(REASONS),
        "repair": list(tape.session.hands.broken()),
        "wait": ["until"] if len(begun) == 1 else [*Phase, "idle", "gone", "leader", "Paused"],
        "fail": ["next"] if len(begun) == 1 else [*VERBS, "with", *WAYS],
        "api": ["down", "up"],
        "store": ["down", "up"],
        "help": sorted(COMMANDS),
        "expect": ["phase", "component", "condition", "event", "object", "plan", "no"],
        **dict.fromkeys(("crash", "stop", "freeze", "thaw", "clock"), replicas),
    }
    return known.get(begun[0], names)
