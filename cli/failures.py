"""Exit codes, and errors as people see them: what, why, and what to do next; never a traceback."""

import os
import sys
import traceback

from cli.escaping import printable
from eventstore.dsn import mask_passwords

EXIT_OK = 0
#: The command worked and found something: it differs, is broken, diverged, or is not met.
EXIT_FINDING = 1
EXIT_USAGE = 2
EXIT_NOT_FOUND = 3
#: The ledger cannot be reached or read: no connection, no such file, another schema.
EXIT_UNREACHABLE = 4
#: A defect of this program (EX_SOFTWARE).
EXIT_DEFECT = 70
EXIT_INTERRUPTED = 130


class CommandError(Exception):
    """A command cannot go on."""

    def __init__(self, what: str, why: str = "", next_step: str = "", *, exit_code: int = EXIT_USAGE) -> None:
        self.what, self.why, self.next_step, self.exit_code = what, why, next_step, exit_code
        super().__init__(what)


def describe(error: Exception) -> CommandError:
    """The error in words, with the exit code it stands for."""
    if isinstance(error, CommandError):
        return error
    return _describe_audit(error) or _describe_store(error) or _describe_defect(error)


def _describe_audit(error: Exception) -> CommandError | None:
    from audit import errors as audit

    if not isinstance(error, audit.AuditError):
        return None
    codes: dict[type[Exception], int] = {
        audit.NotFoundError: EXIT_NOT_FOUND,
        audit.BundleError: EXIT_UNREACHABLE,
        audit.PointError: EXIT_USAGE,
        audit.AmbiguousNameError: EXIT_USAGE,
    }
    return CommandError(error.what, error.why, error.next_step, exit_code=codes.get(type(error), EXIT_USAGE))


def _describe_store(error: Exception) -> CommandError | None:
    from eventstore import errors as store

    match error:
        case store.StoreConfigurationError():
            return CommandError("the database URL cannot be used", str(error), "see `stackledger db --help`")
        case store.SchemaVersionError():
            hint = "use the build that fits, or bring an older ledger up with `stackledger db migrate`"
            return CommandError(str(error), next_step=hint, exit_code=EXIT_UNREACHABLE)
        case store.StoreUnavailableError():
            hint = "check the address, the network and whether the database is up"
            return CommandError("the ledger cannot be reached", str(error), hint, exit_code=EXIT_UNREACHABLE)
        case store.UnknownEventError():
            hint = "use the build that wrote it; `stackledger verify` shows the rest"
            return CommandError("the history holds an event of a newer build", str(error), hint, exit_code=EXIT_FINDING)
        case store.CorruptEventError():
            hint = "`stackledger verify` shows how far the history can be trusted"
            return CommandError("the history is damaged", str(error), hint, exit_code=EXIT_FINDING)
        case store.StoreError():
            return CommandError("the ledger reported an error", str(error), exit_code=EXIT_UNREACHABLE)
    return None


def _describe_defect(error: Exception) -> CommandError:
    if isinstance(error, OSError) and error.filename:
        return CommandError(f"{error.filename}: {error.strerror}", exit_code=EXIT_USAGE)
    hint = "this is a defect of stackledger; STACKLEDGER_DEBUG=1 shows where it happened"
    return CommandError(f"unexpected {type(error).__name__}", str(error), hint, exit_code=EXIT_DEFECT)


def report(error: Exception) -> int:
    """Write the error to stderr; returns the exit code."""
    failure = describe(error)
    if os.environ.get("STACKLEDGER_DEBUG") == "1" and error is not failure:
        text = "".join(traceback.format_exception(error))
        sys.stderr.write("".join(f"{printable(mask_passwords(line))}\n" for line in text.splitlines()))
    text = f"{failure.what}: {failure.why}" if failure.why else failure.what
    sys.stderr.write(f"error: {printable(mask_passwords(text))}\n")
    if failure.next_step:
        sys.stderr.write(f"next:  {printable(mask_passwords(failure.next_step))}\n")
    return failure.exit_code
