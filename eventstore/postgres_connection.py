"""Connections to Postgres: limits on every wait, and driver errors in the store's own words, without a password.

Connect directly or through a pooler in session mode: transaction pooling loses the settings made here.
"""

import re
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from eventstore.errors import (
    SchemaVersionError,
    StoreConfigurationError,
    StoreError,
    StoreReadOnlyError,
    StoreUnavailableError,
)

SERVER_VERSION_MIN = 140000
CONNECT_SECONDS_MAX = 5
#: The server ends every statement before this (`statement_timeout`). Keepalives tell of a dead machine, not of a pooler
#: or a balancer that is alive and has nobody behind it: without a bound of our own a call would wait for ever there.
ANSWER_SECONDS_MAX = 20.0

#: What the URL may override. A dead peer is noticed within about 20 s, by keepalives or by unanswered data.
_DEFAULTS: dict[str, str | int] = {
    "application_name": "stackledger",
    "connect_timeout": CONNECT_SECONDS_MAX,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_PLAUSIBLE = {
    "host": re.compile(r"[^@]*"),
    "hostaddr": re.compile(r"[^@]*"),
    "port": re.compile(r"[0-9,]*"),
    "dbname": re.compile(r"[^@]*"),
    "user": re.compile(r"[^/?#]*"),
}

_SETTINGS = """
SET client_encoding = 'UTF8';
SET timezone = 'UTC';
SET default_transaction_isolation = 'read committed';
SET lock_timeout = '5s';
SET statement_timeout = '15s';
SET idle_in_transaction_session_timeout = '30s'
"""

#: Part of what libpq says when it cannot connect (it gives no code) -> what it means.
_CONNECT_MEANINGS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("password authentication failed", StoreConfigurationError, "the password or user is refused: check both"),
    (
        "no password supplied",
        StoreConfigurationError,
        "the server wants a password: put one into the URL or PGPASSFILE",
    ),
    ("no pg_hba.conf entry", StoreConfigurationError, "the server does not let this user or host in: see pg_hba.conf"),
    ("Peer authentication failed", StoreConfigurationError, "the server does not let this user in: see pg_hba.conf"),
    ('" does not exist', StoreConfigurationError, "there is no such database or user: create it, or mend the URL"),
    ("permission denied for database", StoreConfigurationError, "the user may not connect to this database"),
    ("invalid connection option", StoreConfigurationError, "the URL has an unknown parameter"),
    ("invalid sslmode", StoreConfigurationError, "the URL has an unknown sslmode"),
    ("certificate", StoreConfigurationError, "the server's certificate is not accepted: check sslmode and sslrootcert"),
    ("session is read-only", StoreReadOnlyError, "the server is read-only: point the URL at the primary"),
    ("hot standby", StoreReadOnlyError, "the server is a standby: point the URL at the primary"),
    ("too many clients", StoreUnavailableError, "it has too many connections: raise max_connections or use less"),
    ("too many connections", StoreUnavailableError, "it has too many connections: raise the limit or use less"),
    ("connection slots are reserved", StoreUnavailableError, "it has too many connections: raise max_connections"),
    ("not currently accepting connections", StoreUnavailableError, "the database accepts no connections now"),
    ("starting up", StoreUnavailableError, "the server is starting: try again"),
    ("shutting down", StoreUnavailableError, "the server is shutting down: try again"),
    ("recovery mode", StoreUnavailableError, "the server is recovering: try again"),
    ("Connection refused", StoreUnavailableError, "nothing answers there: is the server running?"),
    ("No such file or directory", StoreUnavailableError, "nothing answers there: is the server running?"),
    ("translate host name", StoreUnavailableError, "the host name is not known"),
    ("resolve host", StoreUnavailableError, "the host name is not known"),
    ("timeout expired", StoreUnavailableError, f"no answer within {CONNECT_SECONDS_MAX} s"),
)

#: SQLSTATE, or its first two letters -> what it means.
_STATE_MEANINGS: dict[str, tuple[type[StoreError], str]] = {
    "25006": (StoreReadOnlyError, "it is read-only (a standby?): point the URL at the primary"),
    "53100": (StoreReadOnlyError, "its disk is full"),
    "53300": (StoreUnavailableError, "it has too many connections"),
    "55P03": (StoreUnavailableError, "a lock was not to be had in time: nothing was written"),
    "57014": (StoreUnavailableError, "the statement took too long and was cancelled: nothing was written"),
    "57": (StoreUnavailableError, "the server ended the connection: try again"),
    "08": (StoreUnavailableError, "the connection was lost: try again"),
    "40": (StoreUnavailableError, "the transaction lost against another one: try again"),
    "53": (StoreUnavailableError, "it is out of resources"),
    "42501": (
        StoreConfigurationError,
        "the user lacks rights: run `stackledger db migrate` with this user as app role",
    ),
    "42P01": (SchemaVersionError, "a table is missing: run `stackledger db migrate`"),
    "42883": (SchemaVersionError, "a function is missing: run `stackledger db migrate`"),
    "3F000": (SchemaVersionError, "the schema is missing: run `stackledger db migrate`"),
}


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which no answer is waited for longer than `answer_seconds_max`; then it is closed."""

    #: None: for ever. Set by whoever lifts `statement_timeout` as well.
    answer_seconds_max: float | None = ANSWER_SECONDS_MAX

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """See `psycopg.Connection.wait`."""
        try:
            return super().wait(gen, interval, self.answer_seconds_max if timeout is None else timeout)
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # The answer may still come: nobody must take it for that of the next statement.
                self.pgconn.finish()
            raise


def connect(target: str, *, autocommit: bool = True) -> psycopg.Connection[tuple[object, ...]]:
    """A new connection with a bound on everything it may wait for.

    Raises:
        StoreConfigurationError: the URL is wrong, or the server refuses user, password or database.
        StoreReadOnlyError, StoreUnavailableError: it cannot be reached or used now.
    """
    parameters = _parameters(target)
    try:
        connection = BoundedConnection.connect(**parameters, autocommit=True)  # type: ignore[arg-type]  # a checked dict
        connection.execute(_SETTINGS)
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.autocommit = autocommit
    except psycopg.Error as error:
        raise _translate_connect(error, parameters) from None
    return connection


def translate(error: psycopg.Error) -> StoreError:
    """An error of a statement as one of ours: one line, with neither parameters nor rows in it."""
    state = error.sqlstate or "08"
    kind, meaning = _STATE_MEANINGS.get(state) or _STATE_MEANINGS.get(state[:2]) or (StoreUnavailableError, "")
    if meaning:
        return kind(f"the Postgres log cannot be used: {meaning} ({state})")
    return StoreUnavailableError(f"the Postgres log reports an error: {type(error).__name__} ({state})")


def is_worth_a_second_try(error: psycopg.Error) -> bool:
    """True if the same batch may succeed at once on a new connection (a restart, a lost deadlock)."""
    return (error.sqlstate or "08")[:2] in ("08", "40") or error.sqlstate in ("57P01", "57P02", "57P03", "25006")


def _parameters(target: str) -> dict[str, str | int]:
    try:
        given = conninfo_to_dict(target)
    except psycopg.Error:
        given = None
    # libpq quotes the part it does not understand, and takes the rest of a password with an @ or / in it for a host or
    # a database. Say nothing of either.
    if given is None or not all(_PLAUSIBLE[key].fullmatch(str(given.get(key) or "")) for key in _PLAUSIBLE):
        raise StoreConfigurationError(
            "the Postgres URL cannot be parsed: use postgresql://user:password@host:5432/database, "
            "with special characters of the password percent-encoded"
        )
    parameters = {**_DEFAULTS, **{key: value for key, value in given.items() if value is not None}}
    if "," in str(parameters.get("host", "")):
        # Of several servers only the primary will do: decisions are never taken on a standby.
        parameters.setdefault("target_session_attrs", "read-write")
    return parameters


def _translate_connect(error: psycopg.Error, parameters: dict[str, str | int]) -> StoreError:
    where = (
        f"Postgres at {parameters.get('host', 'the default socket')}, database {parameters.get('dbname', '(default)')}"
    )
    text = str(error)
    for part, kind, meaning in _CONNECT_MEANINGS:
        if part in text:
            return kind(f"{where}: {meaning}")
    if error.sqlstate:
        return translate(error)
    first_line = text.splitlines()[0] if text else type(error).__name__
    if password := str(parameters.get("password", "")):
        first_line = first_line.replace(password, "***")
    return StoreUnavailableError(f"{where}: {first_line}")
