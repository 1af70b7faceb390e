"""The reading commands of `stackledger`, asked about the ledger of a session: the same code, options and words."""

import re
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from audit.source import LedgerSource
from cli import sim_words as words
from cli.failures import EXIT_OK
from cli.invocation import ledger_of_session
from cli.sim_tape import MisuseError, Tape

#: Commands that are about one platform, unless they are told which.
ABOUT_ONE = ("show", "history", "explain-why", "diff")
ABOUT_ALL = ("verify", "replay", "status")
READING = (*ABOUT_ONE, *ABOUT_ALL, "export", "rebuild")
#: What differs from build to build and from run to run: digests, hashes, uids, the time that something took.
_VOLATILE = (
    (re.compile(r"(sha256:)[0-9a-f]+…?"), r"\1..."),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UID"),
    (re.compile(r" in \d+ ms"), ""),
    (re.compile(r"\b(Event/[\w.-]+?)\.[0-9a-f]{8}\.[0-9a-f]{8}"), r"\1..."),
    (re.compile(r"(head )[0-9a-f]{6,64}"), r"\1..."),
    (re.compile(r"(Pod/[a-z0-9.-]+)-[a-z0-9]{8,10}-[a-z0-9]{5}\b"), r"\1-..."),
    (re.compile(r"(ReplicaSet/[a-z0-9.-]+)-[a-z0-9]{8,10}\b"), r"\1-..."),
)


class _Borrowed(LedgerSource):
    """A ledger that stays open."""

    def __exit__(self, *_: object) -> None:
        return None


def ask_ledger(tape: Tape, given: Sequence[str]) -> Iterator[str]:
    """What `stackledger` answers to the words, line by line."""
    from cli.main import execute

    said = StringIO()
    source = _Borrowed(tape.session.universe.log, "of this session")
    with ledger_of_session(source, tape.session.universe.clock.now()), redirect_stdout(said), redirect_stderr(said):
        code = execute(_completed(tape, list(given)))
    if code != EXIT_OK:
        tape.fail()
    yield from said.getvalue().splitlines()


def _completed(tape: Tape, given: list[str]) -> list[str]:
    """The words, with the platform or --all that a session need not say."""
    named = len(given) > 1 and not given[1].startswith("-")
    if given[0] == "diff" and len([word for word in given[1:] if not word.startswith("-")]) == 2:
        named = False
    if given[0] in ABOUT_ONE and not named:
        return [given[0], words.current(tape), *given[1:]]
    if given[0] in ("verify", "replay") and not named and "--all" not in given:
        return [*given, "--all"]
    if given[0] not in READING:
        raise MisuseError(f"{given[0]} does not read a ledger", f"one of: {', '.join(READING)}")
    return given


def masked(line: str, hashes: frozenset[str]) -> str:
    """The line without what no two builds have in common; `hashes`: beginnings of the hashes of events."""
    for pattern, instead in _VOLATILE:
        line = pattern.sub(instead, line)
    return re.sub(r"\b[0-9a-f]{6}\b", lambda found: "......" if found[0] in hashes else found[0], line)
