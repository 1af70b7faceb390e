"""The commands that make something go wrong: faults, outages, processes, clocks, backups."""

from collections.abc import Iterator, Sequence

from cli import sim_words as words
from cli.sim_tape import MisuseError, Tape
from simulator.faults import FaultKind
from simulator.session_trouble import CLUSTER, STORE, Order

Said = Iterator[str]


# -- faults --------------------------------------------------------------------------------------------------------


def fail(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`fail next [N] VERB [KIND[/NAME]] [with HOW]`"""
    form = "fail next apply Service with 503, or fail next 3 append"
    rest = list(given)
    how = "lost"
    if len(rest) >= 2 and rest[-2] == "with":
        how, rest = rest[-1], rest[:-2]
    if len(rest) < 2 or rest[0] != "next":
        raise MisuseError("which call is to fail, and how?", f"write {form}")
    count = int(rest.pop(1)) if rest[1].isdigit() else 1
    target = _order(tape, rest[1:], how, count, form)
    yield f"the next {f'{count} ' if count > 1 else ''}{target}: {how}"


def _order(tape: Tape, target: Sequence[str], how: str, count: int, form: str) -> str:
    if not 1 <= len(target) <= 2 or count < 1:
        raise MisuseError("which call is meant?", f"write {form}")
    if target[0] not in (*words.VERBS, "*"):
        raise MisuseError(f"{target[0]} is no call", words.near(target[0], words.VERBS))
    what = target[1] if len(target) == 2 else ""
    if what:
        kind, slash, name = what.partition("/")
        what = f"{tape.session.hands.kind(kind).kind}{slash}{name}"
    tape.session.trouble.orders.append(Order(verb=target[0], what=what, how=words.fault_of(how), left=count))
    return f"{target[0]} {what}".rstrip()


def api(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`api down` or `api up`"""
    yield from _outage(tape, CLUSTER, "the API server", given)


def store(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`store down` or `store up`"""
    yield from _outage(tape, STORE, "the database", given)


def _outage(tape: Tape, port: str, server: str, given: Sequence[str]) -> Said:
    if list(given) not in (["down"], ["up"]):
        raise MisuseError(f"is {server} up or down?", f"write {port} down, or {port} up")
    if given[0] == "down":
        tape.session.trouble.away.add(port)
        yield f"{server} does not answer"
    else:
        tape.session.trouble.away.discard(port)
        yield f"{server} answers"


def backup(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`backup`"""
    _no_more(given, "backup")
    tape.session.back_up()
    yield "the cluster is put by as it is"


def restore(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`restore`"""
    _no_more(given, "restore")
    tape.session.restore()
    yield "the backup is in the place of the cluster; every connection was cut"


def somebody(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`somebody DEED`"""
    deeds = [kind.value for kind in words.DEEDS]
    if len(given) != 1 or given[0] not in deeds:
        raise MisuseError("somebody does what?", words.near(given[0] if given else "", deeds))
    tape.session.somebody(FaultKind(given[0]))
    yield f"somebody did: {given[0]}"


def _no_more(given: Sequence[str], form: str) -> None:
    if given:
        raise MisuseError(f"{' '.join(given)}: one word too many", f"write {form}")


# -- processes -----------------------------------------------------------------------------------------------------


def crash(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`crash [REPLICA]`, `crash before VERB [KIND[/NAME]]`, `crash after VERB [KIND[/NAME]]`"""
    if given and given[0] in ("before", "after"):
        target = _order(tape, given[1:], f"die-{given[0]}", 1, f"crash {given[0]} apply StatefulSet")
        yield f"the operator dies {given[0]} the next {target}"
        return
    yield f"{tape.session.crash(_replica(given, 'crash'))} died; it is started again a second later"


def start(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`start [REPLICA]`"""
    taken = {one.name for one in tape.session.simulation.replicas}
    free = next(f"replica-{number}" for number in range(1000) if f"replica-{number}" not in taken)
    name = _replica(given, "start") or free
    tape.session.start(name)
    yield f"started {name}"


def stop(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`stop [REPLICA]`"""
    yield f"{tape.session.stop(_replica(given, 'stop'))} is killed, and nobody starts it again"


def freeze(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`freeze [REPLICA]`"""
    yield f"{tape.session.freeze(_replica(given, 'freeze'))} stands still, and does not know"


def thaw(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`thaw [REPLICA]`"""
    yield f"{tape.session.thaw(_replica(given, 'thaw'))} goes on where it stood"


def _replica(given: Sequence[str], verb: str) -> str:
    if len(given) > 1:
        raise MisuseError(f"{' '.join(given[1:])}: one word too many", f"write {verb} replica-0")
    return given[0] if given else ""


def clock(tape: Tape, given: Sequence[str], _body: str) -> Said:
    """`clock +30s [REPLICA]` or `clock -30s [REPLICA]`"""
    if not given or given[0][:1] not in "+-" or len(given) > 2:
        raise MisuseError("which way is the clock to be set?", "write clock +30s, or clock -5m replica-1")
    seconds = words.seconds_of(given[0][1:]) * (1 if given[0][0] == "+" else -1)
    name = tape.session.set_clock(seconds, given[1] if len(given) == 2 else "")
    yield f"the clock of {name} was set by {given[0]}"
