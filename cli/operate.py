"""`stackledger run`, `demo` and `version`: the commands that do not read a ledger."""

from pathlib import Path
from typing import Annotated

import typer

from cli.invocation import Dsn, DsnFile, LedgerOptions, StateDir
from cli.output import write_line
from cli.product import product_version


def run(dsn: Dsn = None, dsn_file: DsnFile = None, state_dir: StateDir = None) -> int:
    """Run the operator until it is told to stop. Settings come from the environment (STACKLEDGER_...).

    \b
    Example:
      STACKLEDGER_DSN_FILE=/etc/stackledger/uri stackledger run
    """
    from reconciler.app import run_operator

    return int(run_operator(LedgerOptions(dsn, dsn_file, state_dir, None).resolved_dsn()) or 0)


def demo(
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", metavar="DIR", help="Keep ledger.db and kubeconfig there; goes on from them."),
    ] = None,
    tour: Annotated[
        bool, typer.Option("--tour", help="Install, break, recover, upgrade, delete; then history and verdicts.")
    ] = False,
    leave: Annotated[bool, typer.Option("--exit", help="Stop once it is Ready, or the tour is over.")] = False,
) -> int:
    """Show it all on this machine: the operator, an emulated cluster and a ledger; no cluster, no Docker.

    \b
    Examples:
      stackledger demo
      stackledger demo --tour --exit
      stackledger demo --state-dir ./demo
    """
    from cli.demo import demo as run_demo

    return int(run_demo(state_dir=state_dir, tour=tour, leave=leave) or 0)


def version() -> int:
    """Print the version of this build."""
    write_line(f"stackledger {product_version()}")
    return 0
