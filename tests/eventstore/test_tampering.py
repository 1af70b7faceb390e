"""The database itself refuses to change events, and what a superuser does all the same is found."""

import sqlite3
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from eventstore.engine import create_ledger_engine
from eventstore.errors import StoreConfigurationError
from eventstore.hashing import verify_chain
from eventstore.opening import open_log
from migrations.runner import migrate
from tests.eventstore.samples import new_events, state
from tests.fixtures.postgres import PostgresServer


@pytest.fixture
def owner(dsn: str) -> Iterator[Connection]:
    """A connection of the owner of the tables to a database with three events."""
    log = open_log(dsn)
    log.append("s1", 0, new_events(3), epoch=0, contents={"sha256:a": b"a"})
    log.close()
    engine = create_ledger_engine(dsn)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'mallory'",
        "UPDATE events SET payload = payload WHERE version = 2",
        "DELETE FROM events",
        "DELETE FROM events WHERE version = 3",
        "UPDATE contents SET body = body",
        "DELETE FROM contents",
    ],
)
def test_even_the_owner_cannot_change_what_was_appended(owner: Connection, statement: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        owner.execute(text(statement))
    owner.rollback()
    assert owner.scalar(text("SELECT count(*) FROM events")) == 3


@pytest.mark.parametrize("table", ["events", "contents"])
def test_truncate_is_refused_by_postgres(postgres_dsn: str, table: str) -> None:
    with (
        psycopg.connect(postgres_dsn) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="append-only: TRUNCATE is refused"),
    ):
        connection.execute(f"TRUNCATE {table}")


@pytest.mark.parametrize("dsn", ["sqlite"], indirect=True)
def test_replacing_an_event_is_refused_by_sqlite(owner: Connection) -> None:
    replace = (
        "INSERT OR REPLACE INTO events SELECT {position}, stream_id, version, event_id, type, schema_version,"
        " occurred_at, recorded_at, causation_id, correlation_id, 'mallory', epoch, prev_hash, hash, payload"
        " FROM events WHERE version = 2"
    )
    for position in (2, 99):
        with pytest.raises(DBAPIError, match="REPLACE is refused"):
            owner.execute(text(replace.format(position=position)))


def test_an_event_that_a_superuser_altered_is_named(postgres_dsn: str) -> None:
    log = open_log(postgres_dsn)
    log.append("s1", 0, new_events(5), epoch=0)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE events SET payload = replace(payload::text, 'prod', 'prud')::json WHERE version = 4")
    fault = verify_chain(log.read_stream("s1"))
    assert fault is not None
    assert (fault.stream_id, fault.version) == ("s1", 4)
    log.close()


def test_an_event_altered_in_a_sqlite_file_is_named(request: pytest.FixtureRequest, tmp_path: object) -> None:
    from tests.eventstore.conftest import dsn_of

    dsn = dsn_of("sqlite", request)
    log = open_log(dsn)
    log.append("s1", 0, new_events(3), epoch=0)
    connection = sqlite3.connect(f"{tmp_path}/ledger.db")
    connection.executescript(
        "DROP TRIGGER events_refuse_update; UPDATE events SET occurred_at = occurred_at + 1 WHERE version = 2"
    )
    connection.close()
    fault = verify_chain(log.read_stream("s1"))
    assert fault is not None
    assert fault.version == 2
    log.close()


# -- the role the operator runs as ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def app_dsn(postgres_server: PostgresServer) -> str:
    """URL for a role that has only what a migration gives to the app role."""
    role = "App role"
    database = postgres_server.create_database(postgres_server.migrated_template())
    exists = postgres_server.execute(f"SELECT 1 FROM pg_roles WHERE rolname = '{role}'")
    if not exists:
        postgres_server.execute(f'CREATE ROLE "{role}" LOGIN')
    postgres_server.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC", database)
    assert migrate(postgres_server.dsn(database), app_role=role) == []
    return postgres_server.dsn(database, user="App%20role")


def test_the_app_role_does_all_that_a_log_does(app_dsn: str) -> None:
    log = open_log(app_dsn)
    lease = log.lease.acquire("a", 30)
    assert lease is not None
    log.append("s1", 0, new_events(2), epoch=1, state=state(), contents={"sha256:a": b"a"})
    assert log.store_state("s1", 2, state("Ready"))
    assert log.lease.renew(lease) is not None
    assert [event.version for event in log.read_all()] == [1, 2]
    assert log.list_states()[0].record.phase == "Ready"
    assert log.get_content("sha256:a") == b"a"
    log.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO events SELECT * FROM events",
        "UPDATE events SET actor = 'mallory'",
        "DELETE FROM events",
        "TRUNCATE events",
        "UPDATE stream_heads SET version = 0",
        "UPDATE leases SET epoch = 99",
        "DELETE FROM platform_states",
        "INSERT INTO contents VALUES ('x', '')",
        "UPDATE alembic_version SET version_num = '0000'",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "DROP FUNCTION ledger_refuse CASCADE",
        "CREATE TABLE public.mine (x int)",
    ],
)
def test_the_app_role_cannot_write_past_the_functions(app_dsn: str, statement: str) -> None:
    with psycopg.connect(app_dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_the_app_role_writes_read_models(app_dsn: str) -> None:
    with psycopg.connect(app_dsn) as connection:
        connection.execute("DELETE FROM transition_history")


def test_a_role_without_rights_is_told_what_to_do(postgres_server: PostgresServer, own_postgres_dsn: str) -> None:
    if not postgres_server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'stranger'"):
        postgres_server.execute("CREATE ROLE stranger LOGIN")
    database = own_postgres_dsn.split("@/")[1].split("?")[0]
    with pytest.raises(StoreConfigurationError, match="lacks rights: run `stackledger db migrate`"):
        open_log(postgres_server.dsn(database, user="stranger"))


def test_a_table_in_the_callers_own_schema_does_not_mislead_the_append_function(app_dsn: str) -> None:
    with psycopg.connect(app_dsn) as connection:
        connection.execute("CREATE TEMP TABLE leases (name text, epoch bigint)")
        connection.execute("INSERT INTO leases VALUES ('operator', 9999)")
        found = connection.execute(
            "SELECT out_outcome FROM ledger_append(ARRAY['s2'], ARRAY[0,1000,1]::bigint[], ARRAY[gen_random_uuid()],"
            " ARRAY[NULL, gen_random_uuid()], ARRAY['T','a'], ARRAY[1,0]::bigint[], ARRAY['{}'::bytea])"
        ).fetchall()
    # Written: epoch 1000 is stale only by the table that pretends.
    assert found == [(0,)]
