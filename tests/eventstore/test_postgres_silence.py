"""A Postgres that is reached and says nothing, as behind a pooler whose server has gone: no call waits for ever."""

import socket
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.generators import fetch
from sqlalchemy import text

from eventstore import postgres_connection
from eventstore.dsn import parse_dsn
from eventstore.engine import create_ledger_engine, wait_as_long_as_it_takes
from eventstore.errors import StoreUnavailableError
from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.postgres_connection import connect
from tests.chaos.tcp_proxy import TcpProxy
from tests.eventstore.samples import new_events


@pytest.fixture
def proxy(postgres_dsn: str) -> Iterator[TcpProxy]:
    """Between the log and the server."""
    path = f"{postgres_dsn.partition('host=')[2]}/.s.PGSQL.5432"

    def connect() -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.connect(path)
        return one

    with TcpProxy(connect) as proxy:
        yield proxy


@pytest.fixture
def dsn(proxy: TcpProxy, postgres_dsn: str) -> str:
    """By way of the proxy."""
    return postgres_dsn.partition("?")[0].replace("@/", f"@127.0.0.1:{proxy.port}/")


@pytest.fixture
def log(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EventLog]:
    """A log that is patient for half a second."""
    monkeypatch.setattr(postgres_connection.BoundedConnection, "answer_seconds_max", 0.5)
    log = open_log(dsn)
    yield log
    log.close()


def test_a_call_that_gets_no_answer_ends_and_the_next_one_works(log: EventLog, proxy: TcpProxy) -> None:
    log.append("s1", 0, new_events(1), epoch=0)
    proxy.abandon()
    began = time.monotonic()
    # Sent again on a new connection, which is answered.
    assert log.head_position() == 1
    assert log.append("s1", 1, new_events(1), epoch=0).last_version == 2
    assert time.monotonic() - began < 5


def test_a_lease_is_asked_for_again_after_a_call_that_got_no_answer(log: EventLog, proxy: TcpProxy) -> None:
    lease = log.lease.acquire("one", 60)
    assert lease is not None
    proxy.abandon()
    assert log.lease.renew(lease) is not None


def test_while_nothing_is_answered_the_store_is_unavailable(log: EventLog, proxy: TcpProxy) -> None:
    log.head_position()
    proxy.passing.clear()
    with pytest.raises(StoreUnavailableError):
        log.head_position()
    proxy.passing.set()
    assert log.head_position() == 0


def test_not_to_wait_at_all_is_a_bound_too(dsn: str) -> None:
    with connect(parse_dsn(dsn)[1]) as connection:
        connection.pgconn.send_query(b"SELECT pg_sleep(0.5)")
        with pytest.raises(psycopg.OperationalError, match="timeout"):
            connection.wait(fetch(connection.pgconn), timeout=0)
        assert connection.closed


def test_what_may_take_long_is_waited_for_and_the_next_user_of_the_connection_is_not(
    dsn: str, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventstore.engine.ANSWER_SECONDS_MAX", 0.3)
    monkeypatch.setattr(postgres_connection.BoundedConnection, "answer_seconds_max", 0.3)
    engine = create_ledger_engine(dsn)
    with engine.begin() as connection:
        wait_as_long_as_it_takes(connection)
        connection.execute(text("SELECT pg_sleep(0.6)"))
    with engine.connect() as connection, pytest.raises(Exception, match="timeout"):
        connection.execute(text("SELECT pg_sleep(0.6)"))
    engine.dispose()
