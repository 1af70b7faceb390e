"""`stackledger diff`: what changed between two points."""

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.failures import EXIT_FINDING, EXIT_OK, CommandError
from cli.invocation import Invocation, Name, Namespace, Uid, current_time, reads_ledger
from cli.output import Column, Format, counted, note, write_json, write_table, write_yaml

if TYPE_CHECKING:
    from audit.difference import Change
    from projections.state import PlatformState

EXTERNAL_DIFF = "KUBECTL_EXTERNAL_DIFF"
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_DIGEST_SHOWN = 19


@reads_ledger
def diff(
    run: Invocation,
    name: Name,
    start: Annotated[str, typer.Argument(metavar="FROM", help="Sequence, time, -1h, gen:1 or live.")],
    end: Annotated[str, typer.Argument(metavar="[TO]", help="The same; default: live.")] = "live",
    namespace: Namespace = None,
    uid: Uid = None,
    only: Annotated[
        str, typer.Option("--only", metavar="LIST", help="Of spec,status,objects.")
    ] = "spec,status,objects",
    as_patch: Annotated[
        bool, typer.Option("--as-patch", help="The merge patch that turns FROM's spec into TO's (YAML).")
    ] = False,
) -> int:
    """Show what changed between two points of a platform's history, which event changed it, and whose it was.

    Exits 0 if nothing differs, 1 if something does. KUBECTL_EXTERNAL_DIFF is honoured, as by kubectl diff.

    \b
    Examples:
      stackledger diff prod 8 17 -n obs
      stackledger diff prod gen:1 gen:2 --only spec
      stackledger diff prod live gen:1 --as-patch > back.yaml     for kubectl patch --type merge, or a commit
    """
    from audit.difference import difference
    from audit.time_travel import parse_point, state_after, version_at

    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    sections = _sections(only)
    now = current_time()
    points = parse_point(start, now), parse_point(end, now)
    with run.open() as source:
        stream = source.resolve(name, namespace, uid)
        events = source.events(stream.stream_id)
    low, high = (version_at(events, point) for point in points)
    if as_patch:
        return _print_patch(state_after(events, low), state_after(events, high))
    if os.environ.get(EXTERNAL_DIFF) and form is Format.TABLE:
        return _external(state_after(events, low), state_after(events, high), sections, (low, high))
    found = difference(events, low, high, sections)
    if form is Format.JSON:
        write_json(found)
    elif form is Format.YAML:
        write_yaml(found)
    elif found.changes:
        rows = [_cells(change) for change in found.changes]
        columns = [Column("FIELD"), Column("SEQ", right=True), Column("BY", optional=True), Column("CHANGE")]
        write_table(columns, rows, headers=run.headers, no_color=run.no_color)
    note(f"seq {low} to {high}: {counted(len(found.changes), 'difference')}")
    return EXIT_FINDING if found.changes else EXIT_OK


def _sections(text: str) -> list[str]:
    from audit.difference import SECTIONS

    asked = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in asked if word not in SECTIONS]
    if unknown or not asked:
        raise CommandError(f"--only {text!r} names no section", next_step=f"use a list of {', '.join(SECTIONS)}")
    return asked


def _cells(change: "Change") -> list[object]:
    before = "(absent)" if change.added else _shown(change.before)
    after = "(absent)" if change.removed else _shown(change.after)
    return [change.path, change.sequence, change.by, f"{before} → {after}"]


def _shown(value: Any) -> str:
    import json

    if isinstance(value, str) and value:
        return f"{value[:_DIGEST_SHOWN]}…" if _DIGEST.fullmatch(value) else value
    return json.dumps(value, ensure_ascii=False, default=str)


def _print_patch(before: "PlatformState", after: "PlatformState") -> int:
    from audit.difference import merge_patch, secret_paths, spec_of

    secrets = secret_paths(before, after)
    patch = merge_patch(spec_of(before), spec_of(after), secrets.__contains__)
    for path in sorted(secrets):
        note(f"left out: {path} (a secret; its value is not in the ledger)")
    write_yaml({"spec": patch})
    return EXIT_FINDING if patch else EXIT_OK


def _external(before: "PlatformState", after: "PlatformState", sections: list[str], versions: tuple[int, int]) -> int:
    """Run the user's own diff on two directories, as kubectl does; its exit code is ours."""
    import yaml

    from audit.difference import flatten

    command = shlex.split(os.environ[EXTERNAL_DIFF])
    with tempfile.TemporaryDirectory(prefix="stackledger-diff-") as folder:
        paths = []
        for side, state, version in (("FROM", before, versions[0]), ("TO", after, versions[1])):
            directory = Path(folder) / f"{side}-{version}"
            directory.mkdir()
            flat = {path: str(value) for path, value in sorted(flatten(state, sections).items())}
            (directory / f"{state.namespace}.{state.name}.yaml").write_text(yaml.safe_dump(flat, allow_unicode=False))
            paths.append(str(directory))
        try:
            done = subprocess.run([*command, *paths], check=False)  # noqa: S603  # the user's own choice of program
        except OSError as error:
            raise CommandError(f"{EXTERNAL_DIFF} cannot be run", f"{command[:1]}: {error.strerror}") from error
    return done.returncode
