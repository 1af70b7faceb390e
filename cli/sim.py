"""`stackledger sim`: a platform's life by hand, on virtual time, from a prompt or from scripts."""

import sys
from typing import Annotated

import typer

from cli.failures import EXIT_FINDING, EXIT_OK, EXIT_USAGE, CommandError
from cli.output import Format, counted, note


def sim(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Scripts to run; - is standard input.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare what is printed with what the script says.")] = False,
    update: Annotated[bool, typer.Option("--update", help="Write what is printed into the script.")] = False,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="0: everybody is prompt; others: an order by chance.")
    ] = 0,
    output: Annotated[Format, typer.Option("--output", "-o", help="table, or json: a line for each command.")] = (
        Format.TABLE
    ),
    no_color: Annotated[bool, typer.Option("--no-color", help="As NO_COLOR=1.")] = False,
) -> int:
    """Play through what could happen to a platform: the real operator on virtual time, nothing to install.

    Without a FILE there is a prompt; `help` lists its commands. After each command it shows what is new: events, state
    and plan. `undo` takes a command back. A script has a command on each line that begins with >, and below it what is
    printed. Exits 1 for a difference, an expectation that is not met or a broken invariant, 2 for a line that makes no
    sense.

    \b
    Examples:
      stackledger sim                                 a prompt: try `apply prod prometheus`, `wait until Ready`
      stackledger sim story.sim                       run a script, and print it with its output
      stackledger sim --check stories/*.sim           exit 1 where something else happens than is written
      stackledger sim --update story.sim              write what happens into the script
      echo 'apply prod prometheus' | stackledger sim -o json
    """
    from cli.sim_prompt import read_commands
    from cli.sim_script import play

    if output not in {Format.TABLE, Format.JSON, Format.JSONL}:
        raise CommandError(f"-o {output} is not known here", next_step="use table or json")
    if check and update:
        raise CommandError("--check and --update exclude each other")
    as_json = output is not Format.TABLE
    if not files:
        if check or update:
            raise CommandError("no script was named", next_step="stackledger sim --check FILE...")
        return read_commands(sys.stdin, seed=seed, as_json=as_json, no_color=no_color)
    codes = [play(name, seed=seed, check=check, update=update, as_json=as_json) for name in files]
    if check:
        failed = sum(code != EXIT_OK for code in codes)
        scripts = counted(len(codes), "script")
        note(f"{scripts}, {failed} failed" if failed else f"{scripts}, {'all ' if len(codes) > 1 else ''}as written")
    return EXIT_USAGE if EXIT_USAGE in codes else EXIT_FINDING if EXIT_FINDING in codes else EXIT_OK
