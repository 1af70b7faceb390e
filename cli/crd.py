"""`stackledger crd`: the schema of the resource."""

import sys
from typing import Annotated

import typer

from cli.output import write_json

app = typer.Typer(
    help="The ObservabilityPlatform CustomResourceDefinition.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def crd() -> None:
    """The ObservabilityPlatform CustomResourceDefinition."""


@app.command("print")
def print_crd(
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="yaml or json.")] = "yaml",
) -> int:
    """Print the CRD that this build understands.

    \b
    Example:
      stackledger crd print | kubectl apply --server-side -f -
    """
    from cli.failures import CommandError

    if output == "json":
        from api.crd import build_crd

        write_json(build_crd())
    elif output == "yaml":
        from api.crd import render_crd

        sys.stdout.write(render_crd())
    else:
        raise CommandError(f"-o {output} is not known here", next_step="use yaml or json")
    return 0
