"""`stackledger run`, `demo` and `version`: the commands that do not read a ledger."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cli.failures import EXIT_USAGE, CommandError
from cli.invocation import Dsn, DsnFile, LedgerOptions, StateDir
from cli.output import write_line
from cli.product import product_version


def run(
    dsn: Dsn = None,
    dsn_file: DsnFile = None,
    state_dir: StateDir = None,
    hmac_key_file: Annotated[
        Path | None,
        typer.Option("--hmac-key-file", metavar="FILE", help="Key of the fingerprints that stand for secrets."),
    ] = None,
    kubeconfig: Annotated[
        Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Default: the pod's service account.")
    ] = None,
    context: Annotated[str | None, typer.Option("--context", metavar="NAME", help="Context in it.")] = None,
    namespaces: Annotated[
        str | None, typer.Option("--namespaces", metavar="LIST", help="Namespaces looked after, a,b,c or *.")
    ] = None,
    workers: Annotated[str | None, typer.Option("--workers", metavar="N", help="Platforms worked on at once.")] = None,
    metrics_bind: Annotated[
        str | None, typer.Option("--metrics", metavar="HOST:PORT", help="Where /metrics is served.")
    ] = None,
    health_bind: Annotated[
        str | None, typer.Option("--health", metavar="HOST:PORT", help="Where /healthz and /readyz are served.")
    ] = None,
    log_format: Annotated[str | None, typer.Option("--log-format", metavar="json|console")] = None,
    log_level: Annotated[str | None, typer.Option("--log-level", metavar="LEVEL", help="debug to error.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting, e.g. retries_max=3; may be repeated."),
    ] = None,
) -> int:
    """Run the operator until it is told to stop. Every setting is an option, or STACKLEDGER_<KEY> in the environment.

    Exit codes: 0 ended as asked, 2 wrong settings, 3 the CRD is not installed, 4 the ledger has another schema.

    \b
    Examples:
      stackledger run --dsn-file /etc/stackledger/uri --hmac-key-file /etc/stackledger/hmac-key
      stackledger run --dsn sqlite:///ledger.db --hmac-key-file key --kubeconfig ~/.kube/config --log-format console
      stackledger run --set retries_max=3 --set stability_seconds=10
    """
    from reconciler.app import StartError, run_operator
    from reconciler.settings import SettingsError, load

    ledger = LedgerOptions(dsn, dsn_file, state_dir, None)
    arguments = {
        "dsn": ledger.resolved_dsn() if state_dir or dsn else None,
        "dsn_file": dsn_file,
        "hmac_key_file": hmac_key_file,
        "kubeconfig": kubeconfig,
        "context": context,
        "namespaces": namespaces,
        "workers": workers,
        "metrics_bind": metrics_bind,
        "health_bind": health_bind,
        "log_format": log_format,
        "log_level": log_level,
    }
    try:
        return run_operator(load(arguments | _pairs(settings or []), os.environ), product_version())
    except SettingsError as error:
        raise CommandError(str(error), next_step="stackledger run --help", exit_code=EXIT_USAGE) from None
    except StartError as error:
        raise CommandError(str(error), exit_code=error.exit_code) from None


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for key, separator, _ in pairs:
        if not key or not separator:
            raise CommandError(f"--set {key}: not KEY=VALUE", exit_code=EXIT_USAGE)
    return {key: value for key, _, value in pairs}


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
    from cli.tour import walk

    return run_demo(state_dir=state_dir, leave=leave, tour=walk if tour else None)


def version() -> int:
    """Print the version of this build."""
    write_line(f"stackledger {product_version()}")
    return 0
