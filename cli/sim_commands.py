"""The commands of a session: what each is called, how it is written, and what carries it out."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from cli import sim_asking as asking
from cli import sim_expecting as expecting
from cli import sim_faults as faults
from cli import sim_ledger as ledger
from cli import sim_time as time
from cli import sim_wishes as wishes
from cli import sim_words as words
from cli.sim_tape import Answer, MisuseError, Tape, Typed

Does = Callable[[Tape, Sequence[str], str], Iterator[str]]


class Command(NamedTuple):
    """One command."""

    usage: str
    what: str
    example: str
    do: Does
    #: It may change something: it can be undone, and what is new is shown after it.
    acts: bool = True

    @property
    def name(self) -> str:
        """Its first word."""
        return self.usage.partition(" ")[0]


def _reading(name: str) -> Does:
    return lambda tape, given, _body: ledger.ask_ledger(tape, [name, *given])


def _c(usage: str, what: str, example: str, do: Does, *, acts: bool = True) -> Command:
    return Command(usage, what, example, do, acts)


#: By what they are about, in the order of `help`.
GROUPS: dict[str, tuple[Command, ...]] = {
    "A platform": (
        _c(
            "apply NAME FIELD...",
            "apply a spec: components with versions, their fields, fields of the spec",
            "apply prod prometheus=3.13.1 replicas=2 grafana paused=false",
            wishes.apply,
        ),
        _c("apply [NAME] -f FILE", "the same from YAML; - is the lines below", "apply -f prod.yaml", wishes.apply),
        _c(
            "edit [NAME] FIELD=VALUE...",
            "a merge patch of the spec; null takes a field out",
            "edit prod grafana=13.2.2 grafana.replicas=null",
            wishes.edit,
        ),
        _c("delete [NAME]", "delete it; what it consists of follows", "delete prod", wishes.delete),
        _c("pause [NAME]", "spec.paused: true", "pause", wishes.pause),
        _c("resume [NAME]", "spec.paused: false", "resume", wishes.resume),
        _c("retry [NAME]", "the annotation that asks for a retry at once", "retry", wishes.retry),
    ),
    "Its surroundings": (
        _c("break COMPONENT [REASON]", "let its pods fail", "break grafana OOMKilled", wishes.break_),
        _c("repair COMPONENT", "let its pods be well again", "repair grafana", wishes.repair),
        _c("delete KIND/NAME", "delete any object", "delete Service/prod-grafana", wishes.delete),
        _c(
            "edit KIND/NAME PATH=VALUE...",
            "a merge patch of any object",
            "edit StatefulSet/prod-grafana spec.replicas=0",
            wishes.edit,
        ),
        _c(
            "replace KIND/NAME",
            "put somebody's own object into the place of a child",
            "replace ConfigMap/prod-grafana-config",
            wishes.replace,
        ),
        _c("somebody DEED", "others do something to every platform", "somebody spoil-status", faults.somebody),
        _c("secret NAME KEY=VALUE...", "make or change a Secret", "secret grafana-login password=x", wishes.secret),
        _c("quota RESOURCE=LIMIT...", "limit the namespace; none lifts it", "quota pods=1", wishes.quota),
        _c("deny VERB RESOURCE", "take a permission away", "deny patch services", wishes.deny),
        _c("allow VERB RESOURCE", "give it back", "allow patch services", wishes.allow),
    ),
    "Faults": (
        _c(
            "fail next [N] VERB [KIND[/NAME]] [with HOW]",
            "an error at calls to come: lost, unanswered, 409, 429, 503, ...",
            "fail next 3 apply Service with 503",
            faults.fail,
        ),
        _c("api down|up", "the API server does not answer", "api down", faults.api),
        _c("store down|up", "the database does not answer", "store down", faults.store),
        _c("backup", "put the cluster by", "backup", faults.backup),
        _c("restore", "put the backup in its place", "restore", faults.restore),
        _c(
            "crash [REPLICA]",
            "kill the operator; it is started again a second later",
            "crash",
            faults.crash,
        ),
        _c(
            "crash before|after VERB [KIND[/NAME]]",
            "the same, at a call to come",
            "crash before apply StatefulSet",
            faults.crash,
        ),
        _c("stop [REPLICA]", "kill it for good", "stop", faults.stop),
        _c("start [REPLICA]", "start one more", "start", faults.start),
        _c("freeze [REPLICA]", "let it stand still without knowing", "freeze", faults.freeze),
        _c("thaw [REPLICA]", "let it go on", "thaw", faults.thaw),
        _c("clock +TIME [REPLICA]", "set the clock of its machine", "clock -30s", faults.clock),
    ),
    "Time": (
        _c("wait TIME", "let time pass", "wait 30s", time.wait),
        _c(
            "wait until WHAT [within TIME]",
            "until a phase, an event, Paused, gone, leader or idle",
            "wait until Ready within 10m",
            time.wait,
        ),
        _c("step [N]", "one thing at a time, with its calls", "step 3", time.step),
        _c("undo [N]", "take back the last commands", "undo", asking.undo, acts=False),
    ),
    "Looking": (
        _c("state", "everything as it is now, not only what is new", "state", asking.state, acts=False),
        _c("plan", "what is due, what is waited for", "plan", asking.plan, acts=False),
        _c("objects", "what the platforms own in the cluster", "objects", asking.objects, acts=False),
        _c("show [NAME]", "as `stackledger show`", "show --at -1m", _reading("show"), acts=False),
        _c("history [NAME]", "as `stackledger history`", "history --all", _reading("history"), acts=False),
        _c("explain [NAME]", "as `stackledger explain-why`", "explain", _reading("explain-why"), acts=False),
        _c("status [NAME]", "as `stackledger status`", "status", _reading("status"), acts=False),
        _c("diff [NAME] FROM TO", "as `stackledger diff`", "diff 9 17", _reading("diff"), acts=False),
        _c("verify", "as `stackledger verify --all`", "verify", _reading("verify"), acts=False),
        _c("replay", "as `stackledger replay --all`", "replay", _reading("replay"), acts=False),
    ),
    "Scripts": (
        _c(
            "expect ...",
            "phase, component, condition, event, no events, object, plan",
            "expect condition Ready=True",
            expecting.expect,
            acts=False,
        ),
        _c("save FILE", "write the session as a script", "save story.sim", asking.save, acts=False),
        _c(
            "quietly COMMAND",
            "show only the phase that it came to",
            "quietly wait until Ready",
            lambda tape, given, _: _help(tape, given),
            acts=False,
        ),
        _c("help [COMMAND]", "this", "help fail", lambda tape, given, _: _help(tape, given), acts=False),
    ),
}
#: Before a command: only the phase is shown that it came to.
QUIETLY = "quietly"
_ALIASES = {"explain-why": "explain", "show-state": "state"}
COMMANDS: dict[str, Command] = {}
for _group in GROUPS.values():
    for _command in _group:
        COMMANDS.setdefault(_command.name, _command)


def perform(tape: Tape, typed: Typed) -> Answer:
    """Carry out one command.

    Raises:
        MisuseError: it makes no sense.
    """
    given = words.split(typed.line)
    quiet = given[:1] == [QUIETLY]
    given = given[1:] if quiet else given
    if not given:
        raise MisuseError("there is no command", "`help` lists them")
    name = _ALIASES.get(given[0], given[0])
    command = COMMANDS.get(name)
    if command is None:
        raise MisuseError(f"{given[0]} is no command", f"{words.near(given[0], COMMANDS)}; `help` lists them")
    carry_out = tape.act if command.acts else tape.ask
    answer = carry_out(typed, lambda: command.do(tape, given[1:], typed.body))
    answer.quiet = quiet
    return answer


def _help(_tape: Tape, given: Sequence[str]) -> Iterator[str]:
    if given:
        found = [command for group in GROUPS.values() for command in group if command.name == given[0]]
        if not found:
            raise MisuseError(f"{given[0]} is no command", words.near(given[0], COMMANDS))
        for command in found:
            yield f"{command.usage}: {command.what}"
            yield f"  {command.example}"
        return
    width = max(len(command.usage) for group in GROUPS.values() for command in group)
    for title, group in GROUPS.items():
        yield f"{title}:"
        yield from (f"  {command.usage:<{width}}  {command.what}" for command in group)
    yield "`help COMMAND` gives an example. NAME may be left out: the platform that was spoken of last is meant."
