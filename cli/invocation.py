"""The options that every reading command has: which ledger to read, and how to print."""

import functools
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, NamedTuple, ParamSpec
from urllib.parse import quote

import typer

from cli.failures import EXIT_UNREACHABLE, CommandError
from cli.output import Format, note
from eventstore.dsn import mask_passwords

if TYPE_CHECKING:
    from audit.source import LedgerSource
    from eventstore.log import EventLog

P = ParamSpec("P")
ENVIRONMENT_DSN = "STACKLEDGER_DSN"
ENVIRONMENT_DSN_FILE = "STACKLEDGER_DSN_FILE"
ENVIRONMENT_STATE_DIR = "STACKLEDGER_STATE_DIR"
LEDGER_FILE = "ledger.db"
_WAYS = (
    "--dsn URL, --dsn-file FILE, --state-dir DIR (its ledger.db), --bundle FILE, or one of the environment variables "
    f"{ENVIRONMENT_DSN}, {ENVIRONMENT_DSN_FILE} or {ENVIRONMENT_STATE_DIR}"
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The platform; NAMESPACE/NAME works too.")]
OptionalName = Annotated[str, typer.Argument(metavar="[NAME]", help="The platform; NAMESPACE/NAME works too.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", metavar="NS", help="Needed only if several namespaces have the name.")
]
Uid = Annotated[
    str | None, typer.Option("--uid", metavar="UID", help="An older platform of the same name, by its uid.")
]


class LedgerOptions(NamedTuple):
    """Where the ledger is, as the user said it; the first one that is set counts, two are a mistake."""

    dsn: str | None
    dsn_file: Path | None
    state_dir: Path | None
    bundle: Path | None

    def resolved_dsn(self) -> str:
        """The database URL.

        Raises:
            CommandError: none or several were given, or the file with it cannot be read.
        """
        given = [name for name, value in self._asdict().items() if value is not None]
        if len(given) > 1:
            names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
            raise CommandError(f"{names} exclude each other", next_step="give one of them")
        if self.bundle is not None:
            raise CommandError(
                "this needs a database, not a bundle", next_step=f"give {_WAYS.replace(', --bundle FILE', '')}"
            )
        if self.state_dir is not None:
            return _sqlite_in(self.state_dir)
        if self.dsn_file is not None:
            return _read_dsn(self.dsn_file)
        dsn = (self.dsn if self.dsn is not None else os.environ.get(ENVIRONMENT_DSN, "")).strip()
        if not dsn and self.dsn is None and os.environ.get(ENVIRONMENT_DSN_FILE):
            return _read_dsn(Path(os.environ[ENVIRONMENT_DSN_FILE]))
        if not dsn and self.dsn is None and os.environ.get(ENVIRONMENT_STATE_DIR):
            return _sqlite_in(Path(os.environ[ENVIRONMENT_STATE_DIR]))
        if not dsn:
            raise CommandError("no ledger was named", next_step=f"give {_WAYS}")
        return dsn


def _sqlite_in(directory: Path) -> str:
    return f"sqlite:///{quote(str(directory.absolute() / LEDGER_FILE))}"


def _read_dsn(path: Path) -> str:
    try:
        dsn = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read {path}", getattr(error, "strerror", None) or "it is not text") from error
    if not dsn:
        raise CommandError(f"{path} is empty", next_step="it must hold the database URL on one line")
    return dsn


class Invocation(NamedTuple):
    """One run of a reading command."""

    ledger: LedgerOptions
    output: Format
    headers: bool
    no_color: bool

    def open(self) -> "LedgerSource":
        """The ledger or the bundle, for reading."""
        session = _SESSION.get()
        if session is not None:
            return session[0]
        from audit.bundle_file import read_bundle
        from audit.source import LedgerSource

        given = self.ledger
        if given.bundle is not None and (given.dsn, given.dsn_file, given.state_dir) == (None, None, None):
            bundle = read_bundle(given.bundle)
            if bundle.damage:
                note(f"warning: {given.bundle}: {bundle.damage}. Next: stackledger verify --bundle {given.bundle}")
            return LedgerSource(bundle, str(given.bundle))
        dsn = given.resolved_dsn()
        return LedgerSource(open_ledger(dsn), mask_passwords(dsn))

    def only(self, *formats: Format) -> Format:
        """The output format, which must be one that the command has."""
        if self.output not in formats:
            raise CommandError(f"-o {self.output} is not known here", next_step=f"use one of {', '.join(formats)}")
        return self.output


def open_ledger(dsn: str) -> "EventLog":
    """The ledger behind the URL; unlike `open_log` it never makes a file.

    Raises:
        CommandError: there is no such file.
    """
    from eventstore.dsn import DsnKind, parse_dsn
    from eventstore.opening import open_log

    kind, target = parse_dsn(dsn)
    if kind is DsnKind.SQLITE and not Path(target).is_file():
        hint = "check the path; `stackledger db migrate` makes a new one"
        raise CommandError(f"there is no ledger {target}", next_step=hint, exit_code=EXIT_UNREACHABLE)
    return open_log(dsn)


def reads_ledger(function: Callable[Concatenate[Invocation, P], int]) -> Callable[..., int]:
    """Give a command the options that all of them share; it gets them as its first argument, an `Invocation`.

    Its docstring is its help: a first paragraph, then examples.
    """
    own = list(inspect.signature(function).parameters.values())[1:]

    @functools.wraps(function)
    def command(*args: Any, **kwargs: Any) -> int:
        shared = {parameter.name: kwargs.pop(parameter.name) for parameter in _SHARED}
        ledger = LedgerOptions(shared["dsn"], shared["dsn_file"], shared["state_dir"], shared["bundle"])
        run = Invocation(ledger, shared["output"], not shared["no_headers"], shared["no_color"])
        return function(run, *args, **kwargs)

    parameters: Sequence[inspect.Parameter] = [*own, *_SHARED]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by inspect and typer
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


Dsn = Annotated[
    str | None, typer.Option("--dsn", metavar="URL", help=f"Database of the ledger; default: ${ENVIRONMENT_DSN}.")
]
DsnFile = Annotated[Path | None, typer.Option("--dsn-file", metavar="FILE", help="File that holds the database URL.")]
StateDir = Annotated[
    Path | None, typer.Option("--state-dir", metavar="DIR", help="Short for the SQLite DIR/ledger.db.")
]
_SHARED = (
    _option("dsn", Dsn, None),
    _option("dsn_file", DsnFile, None),
    _option("state_dir", StateDir, None),
    _option("bundle", Annotated[Path | None, typer.Option("--bundle", metavar="FILE", help="Read an export.")], None),
    _option("output", Annotated[Format, typer.Option("--output", "-o", help="How to print.")], Format.TABLE),
    _option("no_headers", Annotated[bool, typer.Option("--no-headers", help="Tables without titles.")], False),
    _option("no_color", Annotated[bool, typer.Option("--no-color", help="As NO_COLOR=1.")], False),
)


def current_time() -> datetime:
    """The instant at which the command runs, UTC."""
    from eventstore.clock import system_clock

    session = _SESSION.get()
    return session[1] if session is not None else system_clock()


#: The ledger of `stackledger sim`, and what time it is there: read instead of any other while it is set.
_SESSION: "ContextVar[tuple[LedgerSource, datetime] | None]" = ContextVar("session", default=None)


@contextmanager
def ledger_of_session(source: "LedgerSource", now: datetime) -> Iterator[None]:
    """Let reading commands in the block read this ledger, at this instant."""
    token = _SESSION.set((source, now))
    try:
        yield
    finally:
        _SESSION.reset(token)
