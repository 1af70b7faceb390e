"""Scripts: story text after #, a command after >, lines that belong to it after |, and below it what is printed."""

import difflib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cli.failures import EXIT_FINDING, EXIT_OK, EXIT_USAGE, CommandError
from cli.output import note, write_json_line
from cli.sim_commands import perform
from cli.sim_ledger import masked
from cli.sim_tape import Answer, MisuseError, Tape, Typed
from cli.sim_telling import tell

if TYPE_CHECKING:
    from simulator.checking import Checker
    from simulator.facts import Facts

_HASH_LENGTH = 6


class Entry(NamedTuple):
    """A command of a script."""

    #: Comments and blank lines above it.
    above: tuple[str, ...]
    number: int
    typed: Typed
    #: What stands below it.
    printed: tuple[str, ...]


class Script(NamedTuple):
    """A whole script."""

    name: str
    entries: tuple[Entry, ...]
    #: Comments and blank lines below the last command.
    below: tuple[str, ...]


class Played(NamedTuple):
    """What came of a script."""

    #: It as it would stand with what was printed now.
    text: str
    #: Lines of commands of which something did not hold.
    failed: tuple[int, ...]


class ScriptError(Exception):
    """A line makes no sense."""

    def __init__(self, number: int, what: str, next_step: str) -> None:
        super().__init__(what)
        self.number, self.what, self.next_step = number, what, next_step


def read_script(text: str, name: str) -> Script:
    """Take a script apart.

    Raises:
        ScriptError: text stands above the first command.
    """
    entries: list[Entry] = []
    above: list[str] = []
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        line = lines[place]
        place += 1
        if line.startswith(">"):
            number = place
            body, place = _taken(lines, place, "|")
            printed, place = _printed(lines, place)
            typed = Typed(line[1:].strip(), "\n".join(one[1:].removeprefix(" ") for one in body))
            entries.append(Entry(tuple(above), number, typed, printed))
            above = []
        elif not line.strip() or line.startswith("#"):
            above.append(line)
        else:
            raise ScriptError(
                place, f"{line[:40]!r} belongs to no command", "put > before a command, # before a comment"
            )
    return Script(name, tuple(entries), tuple(above))


def _taken(lines: Sequence[str], place: int, mark: str) -> tuple[list[str], int]:
    end = place
    while end < len(lines) and lines[end].startswith(mark):
        end += 1
    return list(lines[place:end]), end


def _printed(lines: Sequence[str], place: int) -> tuple[tuple[str, ...], int]:
    end = place
    while end < len(lines) and lines[end].strip() and not lines[end].startswith(("#", ">")):
        end += 1
    return tuple(lines[place:end]), end


def play_script(script: Script, seed: int = 0, checkers: "Iterable[Callable[[Facts], Checker]]" = ()) -> Played:
    """Carry out all of it.

    Raises:
        ScriptError: a command makes no sense.
    """
    tape = Tape(seed, checkers)
    lines: list[str] = []
    failed: list[int] = []
    for entry in script.entries:
        answer = _carried_out(tape, entry)
        lines += [*entry.above, f"> {entry.typed.line}"]
        lines += [f"| {line}".rstrip() for line in entry.typed.body.splitlines()]
        lines += printed_lines(tape, answer)
        if answer.failed:
            failed.append(entry.number)
    return Played("".join(f"{line}\n" for line in (*lines, *script.below)), tuple(failed))


def _carried_out(tape: Tape, entry: Entry) -> Answer:
    if not entry.typed.line:
        raise ScriptError(entry.number, "there is no command after >", "`stackledger sim` and `help` list them")
    try:
        return perform(tape, entry.typed)
    except MisuseError as error:
        raise ScriptError(entry.number, error.what, error.next_step) from None


def printed_lines(tape: Tape, answer: Answer) -> Iterator[str]:
    """What an answer looks like in a script: without what differs from build to build."""
    printed = StringIO()
    with redirect_stdout(printed):
        tell(answer)
    streams = tape.session.simulation.facts.streams.values()
    hashes = frozenset(one.hash.hex()[:_HASH_LENGTH] for stream in streams for one in stream.recorded)
    for line in printed.getvalue().splitlines():
        line = masked(line, hashes).rstrip()
        # Blank lines part the commands; a line that looks like one of the script is moved aside.
        if line:
            yield f" {line}" if line.startswith((">", "#", "|")) else line


def script_of(typed: Sequence[Typed], seed: int) -> str:
    """A script of these commands."""
    entries = tuple(Entry(("",) if index else (), 0, one, ()) for index, one in enumerate(typed))
    return play_script(Script("", entries, ()), seed).text


# -- the command line ----------------------------------------------------------------------------------------------


def play(name: str, *, seed: int, check: bool, update: bool, as_json: bool) -> int:
    """Run a script file (or `-`); the exit code."""
    text = _text_of(name)
    try:
        script = read_script(text, name)
        if not script.entries:
            note(f"{name}: there is no command in it")
            note("next:  put > before each command, as in: > apply prod prometheus")
            return EXIT_USAGE
        if as_json:
            return _play_as_json(script, seed)
        played = play_script(script, seed)
    except ScriptError as error:
        note(f"{name}:{error.number}: {error.what}")
        if error.next_step:
            note(f"next:  {error.next_step}")
        return EXIT_USAGE
    for number in played.failed:
        note(f"{name}:{number}: this does not hold")
    if check:
        sys.stdout.writelines(difference(script, text, played.text))
    elif update and name != "-":
        if played.text != text:
            Path(name).write_text(played.text, encoding="utf-8")
            note(f"wrote {name}")
    else:
        sys.stdout.write(played.text)
    return EXIT_FINDING if played.failed or (check and played.text != text) else EXIT_OK


def _text_of(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {name}", getattr(error, "strerror", None) or "it is not text") from error


def difference(script: Script, written: str, printed: str) -> Iterator[str]:
    """Where it differs: the place, then a unified diff."""
    before, after = written.splitlines(keepends=True), printed.splitlines(keepends=True)
    for index, (one, other) in enumerate(zip([*before, ""], [*after, ""], strict=False), 1):
        if one != other:
            entry = next((entry for entry in reversed(script.entries) if entry.number <= index), None)
            yield f"{script.name}:{index}: otherwise than written, after > {entry.typed.line if entry else ''}\n"
            break
    yield from difflib.unified_diff(before, after, script.name, f"{script.name} as it came")


def _play_as_json(script: Script, seed: int) -> int:
    tape, code = Tape(seed), EXIT_OK
    for entry in script.entries:
        answer = _carried_out(tape, entry)
        write_json_line(document(answer))
        code = EXIT_FINDING if answer.failed else code
    return code


def document(answer: Answer) -> dict[str, object]:
    """An answer for programs."""
    return {
        "command": answer.line,
        "time": answer.after.now,
        "said": answer.said,
        "failed": answer.failed,
        "events": [{"platform": new.platform, **msgspec.to_builtins(new.row)} for new in answer.rows],
        "operators": answer.after.operators,
        "platforms": list(answer.after.platforms.values()),
    }
