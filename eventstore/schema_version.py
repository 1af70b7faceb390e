"""Which schema this build needs, told by the names of the migration files: no database library is loaded for it."""

from functools import cache
from importlib.resources import files

from eventstore.errors import SchemaVersionError


@cache
def newest_revision() -> str:
    """`0002`: the number at the start of the last file in `migrations/versions`."""
    names = (entry.name for entry in files("migrations").joinpath("versions").iterdir())
    return max(name[:4] for name in names if name.endswith(".py") and name[:4].isdigit())


def check_not_newer(found: str | None) -> None:
    """Raise SchemaVersionError if the database was migrated by a newer build than this one."""
    newest = newest_revision()
    if found is not None and found > newest:
        raise SchemaVersionError(
            f"ledger schema {_number(found)} > {_number(newest)}: this build is too old for it, upgrade stackledger"
        )


def check_schema(found: str | None) -> None:
    """Raise SchemaVersionError unless the database is at this build's schema; the message says what to do."""
    check_not_newer(found)
    newest = newest_revision()
    if found is None:
        raise SchemaVersionError("there is no ledger in this database: run `stackledger db migrate`")
    if found < newest:
        raise SchemaVersionError(f"ledger schema {_number(found)} < {_number(newest)}: run `stackledger db migrate`")


def _number(revision: str) -> str:
    return revision.lstrip("0") or revision
