"""Database URLs: which store they mean, and how to show them without the password."""

import re
from enum import Enum
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from eventstore.errors import StoreConfigurationError

_EXAMPLES = "use sqlite:///path/ledger.db, postgresql://user@host/database or memory://"
#: Up to the last `@`: a password may hold one, and hiding too much does no harm.
#: Greedy: a password may hold an @ of its own.
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^:/?#\s]*):\S*@")
_KEY_PASSWORD = re.compile(r"(?i)\b((?:ssl)?password|pwd|passfile)=(?:'[^']*'|[^\s&]*)")
_NO_TLS = re.compile(r"(?i)[?&]sslmode=disable(&|$)")
#: "" is a socket file.
_THIS_HOST = frozenset({"", "localhost", "127.0.0.1", "::1"})


class DsnKind(Enum):
    """The stores there are."""

    MEMORY = "memory"
    SQLITE = "sqlite"
    POSTGRES = "postgres"


class Dsn(NamedTuple):
    """A URL that was understood."""

    kind: DsnKind
    #: SQLite: path of the file. Postgres: a URL that libpq understands. Memory: empty.
    target: str


def parse_dsn(dsn: str | None) -> Dsn:
    """Tell the store from its URL.

    Raises:
        StoreConfigurationError: it is missing or of no known form; the message holds no password.
    """
    if not dsn or not dsn.strip():
        raise StoreConfigurationError(f"the database URL is missing: {_EXAMPLES}")
    if not dsn.isprintable():
        raise StoreConfigurationError(f"the database URL holds control characters: {_EXAMPLES}")
    dsn = dsn.strip()
    scheme, separator, rest = dsn.partition("://")
    if not separator:
        raise StoreConfigurationError(f"the database URL has no scheme: {_EXAMPLES}")
    match scheme.lower():
        case "memory":
            return Dsn(DsnKind.MEMORY, "")
        case "sqlite":
            return Dsn(DsnKind.SQLITE, _sqlite_path(rest))
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return Dsn(DsnKind.POSTGRES, f"postgresql://{rest}")
    raise StoreConfigurationError(f"the database URL has an unknown scheme {scheme[:40]!r}: {_EXAMPLES}")


def sends_in_clear(dsn: str) -> bool:
    """Whether the URL asks for a connection to another host without TLS (`sslmode=disable`)."""
    kind, target = parse_dsn(dsn)
    if kind is not DsnKind.POSTGRES or not _NO_TLS.search(target):
        return False
    host = urlsplit(target).hostname or ""
    return host not in _THIS_HOST and "host=/" not in target


def mask_passwords(text: str) -> str:
    """The URL, or a text that holds one or a connection string, with `***` in place of every password."""
    return _KEY_PASSWORD.sub(r"\1=***", _URL_PASSWORD.sub(r"\1:***@", text))


def _sqlite_path(rest: str) -> str:
    path = unquote(rest.partition("?")[0])
    if not path.startswith("/"):
        raise StoreConfigurationError("a SQLite URL has three slashes before the path, four for an absolute one")
    path = path[1:]
    if not path or path == ":memory:":
        raise StoreConfigurationError("a SQLite log needs a file: for a log in memory use memory://")
    return path
