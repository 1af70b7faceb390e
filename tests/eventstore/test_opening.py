"""Opening a log: every way in which a URL or a database can be wrong has its own sentence, and none has a password."""

import sqlite3
import traceback
from pathlib import Path

import pytest
from sqlalchemy import text

from eventstore import postgres_log
from eventstore.dsn import mask_passwords, parse_dsn
from eventstore.engine import create_ledger_engine
from eventstore.errors import (
    SchemaVersionError,
    StoreConfigurationError,
    StoreError,
    StoreReadOnlyError,
    StoreUnavailableError,
)
from eventstore.memory import InMemoryEventLog
from eventstore.opening import open_log
from migrations.runner import head
from tests.eventstore.samples import new_events
from tests.fixtures.postgres import PostgresServer


def refusal(dsn: str | None, kind: type[StoreError], *, create: bool = False) -> str:
    """The message with which opening fails, after checking that neither it nor the traceback shows the password."""
    with pytest.raises(kind) as caught:
        open_log(dsn, create=create)
    shown = "".join(traceback.format_exception(caught.value))
    assert "S3CRET" not in shown
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("dsn", [None, "", "  "])
def test_a_missing_url_is_said_to_be_missing(dsn: str | None) -> None:
    assert "is missing: use sqlite:///" in refusal(dsn, StoreConfigurationError)


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("mysql://u:S3CRET@h/db", "unknown scheme 'mysql'"),
        ("ledger.db", "no scheme"),
        ("host=h password=S3CRET", "no scheme"),
        ("sqlite://ledger.db", "three slashes"),
        ("sqlite://", "three slashes"),
        ("sqlite:///", "needs a file"),
        ("sqlite:///:memory:", "use memory://"),
        ("postgresql://u:S3CRET\n@h/db", "control characters"),
        ("postgresql://u:S3CRET@h:notaport:S3CRET/db", "cannot be parsed"),
        ("postgresql://u:S3CRET@h/db?no_such_option=S3CRET", "cannot be parsed"),
        ("postgresql://u:S3CRET%zz@h/db", "cannot be parsed"),
        ("postgresql://u:S3CRET@[::1/db", "cannot be parsed"),
        ("postgresql://u:p@S3CRET@h/db", "percent-encoded"),
        ("postgresql://u:12/S3CRET@h/db", "percent-encoded"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(dsn: str, words: str) -> None:
    assert words in refusal(dsn, StoreConfigurationError)


def test_a_url_is_shown_without_its_password() -> None:
    assert mask_passwords("postgresql://u:S3CRET@h:5432/db") == "postgresql://u:***@h:5432/db"
    assert mask_passwords("postgresql://u:p@S3CRET@h/db") == "postgresql://u:***@h/db"
    assert mask_passwords("postgresql://h/db?user=u&password=S3CRET&sslpassword=S3CRET") == (
        "postgresql://h/db?user=u&password=***&sslpassword=***"
    )
    assert mask_passwords("sqlite:///ledger.db") == "sqlite:///ledger.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_all_spellings_of_postgres_are_understood(scheme: str) -> None:
    assert parse_dsn(f"{scheme}://u@h/db").target == "postgresql://u@h/db"


def test_a_sqlite_url_has_three_slashes_for_a_relative_path_and_four_for_an_absolute_one() -> None:
    assert parse_dsn("sqlite:///a/b.db").target == "a/b.db"
    assert parse_dsn("sqlite:////a/b%20c.db").target == "/a/b c.db"


def test_a_log_in_memory_needs_nothing() -> None:
    assert isinstance(open_log("memory://"), InMemoryEventLog)


# -- SQLite -----------------------------------------------------------------------------------------------------------


def test_a_sqlite_file_is_made_on_request_with_its_directory(tmp_path: Path) -> None:
    dsn = f"sqlite:///{tmp_path}/deep/er/odd name?.db".replace("?", "%3F")
    log = open_log(dsn, create=True)
    log.append("s1", 0, new_events(1), epoch=0)
    log.close()
    assert (tmp_path / "deep/er/odd name?.db").is_file()
    log = open_log(dsn)
    assert log.head_position() == 1
    log.close()


def test_a_sqlite_file_is_not_made_unasked(tmp_path: Path) -> None:
    assert "no such file. Run `stackledger db migrate`" in refusal(
        f"sqlite:///{tmp_path}/x.db", StoreConfigurationError
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    for create in (False, True):
        assert "not a SQLite database" in refusal(f"sqlite:///{tmp_path}/x.db", StoreConfigurationError, create=create)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = refusal(f"sqlite:///{tmp_path}/file/x.db", StoreUnavailableError, create=True)
    assert f"{tmp_path}/file/x.db" in words


def test_a_full_disk_is_named_and_loses_nothing(request: pytest.FixtureRequest, sqlite_template: Path) -> None:
    from eventstore.sqlite_log import SqliteEventLog
    from tests.eventstore.conftest import dsn_of

    log = open_log(dsn_of("sqlite", request))
    assert isinstance(log, SqliteEventLog)
    log.append("s1", 0, new_events(1), epoch=0)
    (pages,) = log._writer.execute("PRAGMA page_count").fetchone()
    log._writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreReadOnlyError, match="the disk is full"):
        log.append("s1", 1, new_events(1000), epoch=0)
    log._writer.execute("PRAGMA max_page_count = 100000")
    assert log.append("s1", 1, new_events(1), epoch=0).last_version == 2
    log.close()


def test_a_read_only_sqlite_file_is_reported_as_such() -> None:
    from eventstore.sqlite_connection import translate

    # Root writes read-only files too, so the driver's own words stand for it.
    connection = sqlite3.connect("file:x?mode=memory", uri=True)
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError) as caught:
        connection.execute("CREATE TABLE t (x)")
    assert isinstance(translate(caught.value, "x.db"), StoreReadOnlyError)


# -- schema -----------------------------------------------------------------------------------------------------------


def set_revision(dsn: str, revision: str | None) -> None:
    engine = create_ledger_engine(dsn)
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM alembic_version"))
        if revision:
            connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": revision})
        connection.commit()
    engine.dispose()


@pytest.fixture
def changeable_dsn(dsn: str, request: pytest.FixtureRequest) -> str:
    """A database whose schema version a test may change."""
    return dsn if dsn.startswith("sqlite") else str(request.getfixturevalue("own_postgres_dsn"))


@pytest.mark.parametrize("create", [False, True])
def test_a_newer_schema_is_refused_by_name(changeable_dsn: str, create: bool) -> None:
    set_revision(changeable_dsn, "0099")
    words = refusal(changeable_dsn, SchemaVersionError, create=create)
    assert words == f"ledger schema 99 > {int(head())}: this build is too old for it, upgrade stackledger"


def test_an_older_schema_asks_to_be_migrated(changeable_dsn: str) -> None:
    set_revision(changeable_dsn, "0001")
    words = refusal(changeable_dsn, SchemaVersionError)
    assert words == f"ledger schema 1 < {int(head())}: run `stackledger db migrate`"


def test_a_database_without_a_ledger_asks_for_one(changeable_dsn: str) -> None:
    set_revision(changeable_dsn, None)
    assert "no ledger in this database: run `stackledger db migrate`" in refusal(changeable_dsn, SchemaVersionError)


def test_an_empty_postgres_database_becomes_a_ledger_on_request(empty_postgres_dsn: str) -> None:
    refusal(empty_postgres_dsn, SchemaVersionError)
    log = open_log(empty_postgres_dsn, create=True)
    assert log.append("s1", 0, new_events(1), epoch=0).last_version == 1
    log.close()


# -- Postgres ---------------------------------------------------------------------------------------------------------


def test_a_database_that_does_not_exist_is_said_not_to(postgres_server: PostgresServer) -> None:
    assert "no such database or user" in refusal(postgres_server.dsn("nowhere"), StoreConfigurationError)


def test_a_user_that_does_not_exist_is_said_not_to(postgres_server: PostgresServer) -> None:
    dsn = postgres_server.dsn(user="nobody", password="S3CRET")
    assert "no such database or user" in refusal(dsn, StoreConfigurationError)


def test_a_server_that_is_not_there_is_said_not_to_answer(tmp_path: Path) -> None:
    dsn = f"postgresql://u:S3CRET@/db?host={tmp_path}"
    assert "nothing answers there" in refusal(dsn, StoreUnavailableError)
    assert "nothing answers there" in refusal(
        "postgresql://u:S3CRET@127.0.0.1:1/db", StoreUnavailableError, create=True
    )


def test_a_refused_password_is_said_to_be_refused(own_postgres_server: PostgresServer) -> None:
    own_postgres_server.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    own_postgres_server.execute("CREATE ROLE single LOGIN CONNECTION LIMIT 0")
    own_postgres_server.reload("local all guarded scram-sha-256")
    for create in (False, True):
        words = refusal(
            own_postgres_server.dsn(user="guarded", password="S3CRET"), StoreConfigurationError, create=create
        )
        assert "the password or user is refused" in words
    assert "wants a password" in refusal(own_postgres_server.dsn(user="guarded"), StoreConfigurationError)
    assert "too many connections" in refusal(own_postgres_server.dsn(user="single"), StoreUnavailableError)
    refusal(own_postgres_server.dsn(user="guarded", password="right"), SchemaVersionError)


def test_a_database_that_is_not_utf8_is_refused(postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        assert "encoding SQL_ASCII: create it with UTF8" in refusal(
            postgres_server.dsn("ascii"), StoreConfigurationError
        )
    finally:
        postgres_server.drop_database("ascii")


def test_an_old_server_is_refused(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_log, "SERVER_VERSION_MIN", 990000)
    assert "is too old: the log needs 99 or newer" in refusal(postgres_dsn, StoreConfigurationError)
