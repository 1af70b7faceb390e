"""`stackledger export`: a history as a file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli.failures import CommandError
from cli.invocation import Invocation, Namespace, OptionalName, Uid, current_time, reads_ledger
from cli.output import counted, note, size, write_json
from cli.product import product_version
from cli.replay import chosen_streams

FORMATS = ("bundle", "jsonl", "csv", "cloudevents")


@reads_ledger
def export(
    run: Invocation,
    name: OptionalName = "",
    namespace: Namespace = None,
    uid: Uid = None,
    every: Annotated[bool, typer.Option("--all", help="Every platform of the ledger.")] = False,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=f"One of {', '.join(FORMATS)}.")] = "bundle",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Where to; default NAME.slb, or - for stdout.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> int:
    """Write a platform's history to a file.

    A bundle holds the events byte for byte, the documents they refer to and the stored state: everything that verify,
    replay, show, history, diff and explain-why need, anywhere. The other formats are for other tools.

    \b
    Examples:
      stackledger export prod -n obs -f prod.slb
      stackledger verify --bundle prod.slb
      stackledger export prod --format csv -f - | column -s, -t
    """
    from audit.bundle_file import write_atomically
    from audit.export import ExportFormat, export_lines, make_bundle
    from eventstore.schema_version import newest_revision

    if form not in FORMATS:
        raise CommandError(f"--format {form} is not known", next_step=f"use one of {', '.join(FORMATS)}")
    wanted = ExportFormat(form)
    with run.open() as source:
        streams = chosen_streams(run, source, name, namespace, uid, every=every)
        bundle = make_bundle(
            source, streams, exported_at=current_time(), operator_version=product_version(), schema=newest_revision()
        )
    path = file or Path(f"{streams[0].name if len(streams) == 1 else 'ledger'}{_suffix(wanted.value)}")
    events = sum(len(stream) for stream in bundle.events.values())
    if str(path) == "-":
        sys.stdout.buffer.writelines(export_lines(bundle, wanted))
        sys.stdout.buffer.flush()
        return 0
    if path.exists() and not force:
        raise CommandError(f"{path} is there already", next_step="give another --file, or --force")
    try:
        written = write_atomically(path, export_lines(bundle, wanted))
    except OSError as error:
        raise CommandError(f"cannot write {path}", error.strerror or str(error)) from error
    if run.output.value == "json":
        write_json({"file": str(path), "format": form, "events": events, "bytes": written})
        return 0
    note(f"wrote {path} ({counted(events, 'event')}, {size(written)})")
    if wanted is ExportFormat.BUNDLE:
        note(f"check anywhere: stackledger verify --bundle {path} && stackledger replay --bundle {path}")
    return 0


def _suffix(form: str) -> str:
    return {"bundle": ".slb", "cloudevents": ".cloudevents.jsonl"}.get(form, f".{form}")
