"""The `stackledger` command (also `kubectl stackledger`): the tree of commands and the one place that sets exit codes.

Imported for every `--help`: nothing here or in the command modules may import the database, Kubernetes or validation
libraries at the top.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.exceptions import TyperException

from cli import crd, database, diff, explain, export, history, operate, replay, show, sim, status, verify
from cli.failures import EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, report
from cli.output import note
from eventstore.dsn import mask_passwords

app = typer.Typer(
    name="stackledger",
    help="""Run the operator, and ask its ledger what happened, when, by whom and why.

    Nothing here changes a platform: changes go through the ObservabilityPlatform resource.

    \b
    Where the ledger is: --dsn URL, --dsn-file FILE, --state-dir DIR, --bundle FILE, or $STACKLEDGER_DSN.
    Exit codes: 0 fine, 1 finding (differs, broken, diverged), 2 usage, 3 not found, 4 ledger unreachable.

    \b
    Examples:
      stackledger demo                                 a platform, from nothing to Ready, on this machine
      stackledger history prod -n obs                  its transitions
      stackledger show prod --at 10:18 -o yaml         its .status as it was
      stackledger explain-why prod                     the root cause first
      stackledger verify --all                         prove that nothing was altered
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("run", short_help="Run the operator")(operate.run)
app.command("demo", short_help="The operator, an emulated cluster and a ledger on this machine")(operate.demo)
app.command("sim", short_help="A platform's life by hand, on virtual time")(sim.sim)
app.command("status", short_help="All platforms, or one as a page")(status.status)
app.command("history", short_help="What happened to a platform, in order")(history.history)
app.command("show", short_help="A platform as it was at any point")(show.show)
app.command("diff", short_help="What changed between two points, and who did it")(diff.diff)
app.command("explain-why", short_help="The root cause first, then the chain to it")(explain.explain_why)
app.command("replay", short_help="Decide recorded history again, and compare")(replay.replay)
app.command("verify", short_help="Prove that nothing was altered")(verify.verify)
app.command("rebuild", short_help="Build the read models again, and compare")(database.rebuild)
app.command("export", short_help="A history as a file")(export.export)
app.add_typer(database.app, name="db", short_help="The schema of the database")
app.add_typer(crd.app, name="crd", short_help="The schema of the resource")
app.command("version", short_help="The version of this build")(operate.version)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code."""
    try:
        command = typer.main.get_command(app)
        if _print_help(command, arguments):
            return EXIT_OK
        code = command.main(args=list(arguments), prog_name=_program_name(), standalone_mode=False)
    except TyperException as error:
        return _report_usage(error)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever reads us has seen enough (`| head`): no message, and none from the interpreter's last flush either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:  # the boundary: everything becomes a message and an exit code
        return report(error)
    return code if isinstance(code, int) else EXIT_OK


def _print_help(command: Any, arguments: Sequence[str]) -> bool:
    """Print the help if it is asked for; typer would load pydantic first, which takes longer than all the rest."""
    before_dashes = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    if not {"-h", "--help"} & set(before_dashes):
        return False
    context = typer.Context(command, info_name=_program_name(), **command.context_settings)
    for word in before_dashes:
        commands = getattr(context.command, "commands", None)
        if commands is None:
            break
        if word not in commands:
            if word.startswith("-"):
                break
            return False
        inner = commands[word]
        context = typer.Context(inner, info_name=word, parent=context, **inner.context_settings)
    sys.stdout.write(context.get_help() + "\n")
    return True


def _report_usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        # Typer's own message is the whole help, which would come out as one escaped line.
        sys.stderr.write(context.get_help() + "\n")
        return EXIT_USAGE
    note(f"error: {mask_passwords(error.format_message())}")
    if context is not None:
        note(f"next:  {context.command_path} --help")
    return EXIT_USAGE


def _program_name() -> str:
    """kubectl shows a plugin's own words: they should read as they are typed."""
    started_as = os.path.basename(sys.argv[0]) if sys.argv else ""
    return "kubectl stackledger" if started_as.startswith("kubectl") else "stackledger"


def main() -> None:
    """Entry point of the `stackledger` and `kubectl-stackledger` commands."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A terminal without UTF-8 gets escapes instead of an exception.
            stream.reconfigure(errors="backslashreplace")
    code = execute(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
