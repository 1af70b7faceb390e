"""`stackledger db` and `stackledger rebuild`: the schema of the ledger, and its read models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.failures import EXIT_FINDING, EXIT_OK, CommandError
from cli.invocation import Dsn, DsnFile, Invocation, LedgerOptions, StateDir, current_time, open_ledger, reads_ledger
from cli.output import Column, Format, length, note, write_json, write_line, write_table, write_yaml
from eventstore.dsn import mask_passwords

if TYPE_CHECKING:
    from projections.rebuild import RebuildReport

app = typer.Typer(
    help="""The schema of the ledger's database.

    Database URLs: sqlite:///relative/ledger.db, sqlite:////absolute/ledger.db, postgresql://user@host/database.
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("migrate")
def migrate(
    dsn: Dsn = None,
    dsn_file: DsnFile = None,
    state_dir: StateDir = None,
    app_role: Annotated[
        str | None,
        typer.Option("--app-role", metavar="ROLE", help="Postgres role the operator runs as; gets its rights."),
    ] = None,
) -> int:
    """Create the ledger's tables, or bring them up to this build's schema. Nothing to do is fine.

    \b
    Examples:
      stackledger db migrate --state-dir ./state
      stackledger db migrate --dsn-file /etc/stackledger/owner-uri --app-role stackledger
    """
    from migrations.runner import migrate as run_migrations

    url = LedgerOptions(dsn, dsn_file, state_dir, None).resolved_dsn()
    if state_dir is not None:
        _make_directory(state_dir)
    applied = run_migrations(url, app_role=app_role)
    if applied:
        write_line(f"{mask_passwords(url)}: applied {', '.join(applied)}")
    else:
        write_line(f"{mask_passwords(url)}: up to date")
    return EXIT_OK


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(f"cannot make {path}", error.strerror or str(error)) from error


@app.command("status")
def schema_status(
    dsn: Dsn = None,
    dsn_file: DsnFile = None,
    state_dir: StateDir = None,
    output: Annotated[str, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")] = "table",
) -> int:
    """Show the schema the database is at, and the one this build needs. Exits 1 if they differ."""
    from eventstore.schema_version import newest_revision
    from migrations.runner import current

    if output not in {"table", "json"}:
        raise CommandError(f"-o {output} is not known here", next_step="use one of table, json")
    url = LedgerOptions(dsn, dsn_file, state_dir, None).resolved_dsn()
    found, wanted = current(url), newest_revision()
    if output == "json":
        write_json({"database": mask_passwords(url), "revision": found, "wanted": wanted, "upToDate": found == wanted})
    elif found == wanted:
        write_line(f"{mask_passwords(url)}: schema {found}, up to date")
    else:
        newer = found is not None and found > wanted
        step = "use a newer stackledger" if newer else "run `stackledger db migrate`"
        write_line(f"{mask_passwords(url)}: schema {found or 'none'}, this build needs {wanted}: {step}")
    return EXIT_OK if found == wanted else EXIT_FINDING


@reads_ledger
def rebuild(
    run: Invocation,
    projection: Annotated[str, typer.Argument(metavar="[PROJECTION]", help="Default: all of them.")] = "",
    swap: Annotated[bool, typer.Option("--apply", help="Put the rebuilt rows in place of the live ones.")] = False,
) -> int:
    """Build the stored states and the read models again from the first event, beside what is live, and compare.

    Exits 1 if something differs and was not replaced. Events are never edited.

    \b
    Examples:
      stackledger rebuild --state-dir ./state
      stackledger rebuild transition_history --apply
      stackledger rebuild platform_states              only the states that the reconciler reads
    """
    from projections.engines import engine_for
    from projections.read_models import READ_MODELS
    from projections.rebuild import rebuild as rebuild_one
    from projections.rebuild_states import PLATFORM_STATES, rebuild_states
    from reconciler.shell.states import state_record

    form = run.only(Format.TABLE, Format.WIDE, Format.JSON, Format.YAML)
    models = [model.name for model in READ_MODELS]
    names = [PLATFORM_STATES, *models]
    if projection and projection not in names:
        raise CommandError(
            f"there is no projection {projection}", next_step=f"one of {', '.join(names)}, or none for all"
        )
    url = run.ledger.resolved_dsn()
    log, engine = open_ledger(url), engine_for(url)
    try:
        reports = []
        if projection in {"", PLATFORM_STATES}:
            now = current_time()
            reports.append(rebuild_states(log, record_of=(lambda state: state_record(state, now)) if swap else None))
        reports += [rebuild_one(log, engine, name, apply=swap) for name in models if projection in {"", name}]
        head = log.head_position()
    finally:
        engine.dispose()
        log.close()
    if form in {Format.JSON, Format.YAML}:
        (write_json if form is Format.JSON else write_yaml)({"projections": reports})
    else:
        _print_rebuilds(run, form, reports, head)
    return EXIT_OK if swap or all(report.identical for report in reports) else EXIT_FINDING


def _print_rebuilds(run: Invocation, form: Format, reports: "list[RebuildReport]", head: int) -> None:
    columns = [Column("PROJECTION"), Column("POSITION", right=True), Column("ROWS", right=True)]
    columns += [Column("TOOK", optional=True), Column("VERDICT")]
    rows = [(r.projection, f"{r.position}/{head}", r.rows, length(r.seconds), _verdict(r)) for r in reports]
    write_table(columns, rows, headers=run.headers, no_color=run.no_color)
    for report in reports:
        for difference in report.differences if form is Format.WIDE else report.differences[:3]:
            where = " ".join(f"{key}={value}" for key, value in difference.key.items())
            columns_text = ", ".join(f"{name}: {was} → {now}" for name, (was, now) in difference.columns.items())
            note(f"  {report.projection} {difference.kind} {where}: {columns_text}")
    if any(not report.identical and not report.applied for report in reports):
        note("use --apply to swap")


def _verdict(report: "RebuildReport") -> str:
    found = "identical to live" if report.identical else f"{report.differing} differ"
    return f"{found}; swapped" if report.applied else found
