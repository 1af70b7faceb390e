"""`stackledger explain-why`: the root cause first."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.invocation import Invocation, Name, Namespace, Uid, current_time, reads_ledger
from cli.output import Format, instant, write_json, write_line, write_yaml

if TYPE_CHECKING:
    from audit.explain import Explanation, Link

#: Links beyond this depth are indented no further: a long story must still fit a terminal.
_DEPTH_MAX = 8


@reads_ledger
def explain_why(
    run: Invocation,
    name: Name,
    namespace: Namespace = None,
    uid: Uid = None,
    at: Annotated[str, typer.Option("--at", metavar="POINT", help="Sequence, time, -1h, gen:2 or live.")] = "live",
    component: Annotated[str, typer.Option("--component", "-c", metavar="NAME", help="Explain this component.")] = "",
) -> int:
    """Explain why a platform is in its phase: the deepest failing fact first, then how it came to that.

    \b
    Examples:
      stackledger explain-why prod -n obs
      stackledger explain-why prod --at 17
      stackledger explain-why prod --component grafana -o json
    """
    from audit.explain import explain
    from audit.time_travel import parse_point, version_at

    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    point = parse_point(at, current_time())
    with run.open() as source:
        stream = source.resolve(name, namespace, uid)
        events = source.events(stream.stream_id)
    explanation = explain(events, version_at(events, point), component)
    if form is Format.JSON:
        write_json(explanation)
    elif form is Format.YAML:
        write_yaml(explanation)
    else:
        _print(explanation)
    return 0


def _print(explanation: "Explanation") -> None:
    write_line(explanation.headline)
    root = explanation.root_cause
    if root is not None:
        subject = f"{root.subject} " if root.subject else ""
        write_line(f"ROOT CAUSE  {subject}{root.reason}: {root.message}   seen at seq {root.sequence}")
    else:
        waiting = explanation.waiting_for
        write_line(f"ROOT CAUSE  none: {f'nothing failed; {waiting}' if waiting else 'nothing is wrong'}")
    for depth, link in enumerate(explanation.chain):
        write_line(f"{'  ' * min(depth, _DEPTH_MAX)} └ {_place(link):<8}  {link.type}  {link.text}")
    if explanation.kept_running:
        write_line(f"KEPT RUNNING  {explanation.kept_running}")
    if explanation.next_attempt_at is not None:
        write_line(f"NEXT ATTEMPT  {instant(explanation.next_attempt_at)}")
    if explanation.fix:
        write_line(f"FIX  {explanation.fix}")


def _place(link: "Link") -> str:
    if link.first_sequence == link.last_sequence:
        return f"seq {link.last_sequence}"
    return f"{link.first_sequence}-{link.last_sequence}"
