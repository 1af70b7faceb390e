"""The commands that let time pass."""

from collections.abc import Iterator, Sequence

from cli import sim_words as words
from cli.sim_expecting import goal
from cli.sim_tape import MisuseError, Tape
from cli.sim_telling import when

Said = Iterator[str]
#: How long `wait until` waits at most, unless it is told.
PATIENCE_SECONDS = 3600.0


def wait(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`wait 30s`, `wait until Ready|Failed|...|gone|idle [within 10m]`"""
    form = "wait 30s, or wait until Ready within 10m"
    if len(given) == 1:
        tape.session.wait(words.seconds_of(given[0]))
        return
    if len(given) not in (2, 4) or given[0] != "until" or (len(given) == 4 and given[2] != "within"):
        raise MisuseError("how long, or until what?", f"write {form}")
    patience = words.seconds_of(given[3]) if len(given) == 4 else PATIENCE_SECONDS
    if not tape.session.wait(patience, goal(tape, given[1])):
        tape.fail()
        yield f"NOT MET  not {given[1]} within {given[3] if len(given) == 4 else '1h'}"


def step(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`step [N]`"""
    if len(given) > 1 or (given and not given[0].isdigit()):
        raise MisuseError("how many steps?", "write step, or step 10")
    for _ in range(int(given[0]) if given else 1):
        calls = tape.session.simulation.calls
        before = len(calls)
        done = tape.session.step()
        if done is None:
            yield "nothing is ever due"
            return
        yield f"{when(tape.session.universe.clock.now())}  {done.who}  {done.what}"
        for call in calls[before:]:
            # Streams are named by uids, which nobody reads.
            about = "" if call.verb.startswith(("log.", "lease.", "outbox.")) else f" {call.key}"
            yield f"{'':10}{call.verb}{about}"
