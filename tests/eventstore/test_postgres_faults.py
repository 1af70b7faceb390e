"""The Postgres log when connections die, locks are held, or the server goes away and comes back."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from eventstore import postgres_connection
from eventstore.errors import StoreError, StoreReadOnlyError, StoreUnavailableError, StreamConflictError
from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.postgres_log import PostgresEventLog
from tests.eventstore.samples import new_events
from tests.fixtures.postgres import PostgresServer

_APPEND_LOCK = 7301450982116001


@pytest.fixture
def log(postgres_dsn: str) -> Iterator[EventLog]:
    """An empty log in Postgres."""
    log = open_log(postgres_dsn)
    yield log
    log.close()


def database_of(dsn: str) -> str:
    return dsn.split("@/")[1].split("?")[0]


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("did not come about")


def kill_connections(server: PostgresServer, dsn: str, where: str = "true") -> None:
    server.execute(
        "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity"
        f" WHERE datname = '{database_of(dsn)}' AND application_name = 'stackledger' AND {where}"
    )


def test_append_and_read_go_on_after_all_connections_were_cut(
    log: EventLog, postgres_dsn: str, postgres_server: PostgresServer
) -> None:
    log.append("s1", 0, new_events(1), epoch=0)
    log.read_all()
    kill_connections(postgres_server, postgres_dsn)
    assert log.append("s1", 1, new_events(1), epoch=0).last_version == 2
    kill_connections(postgres_server, postgres_dsn)
    assert len(log.read_all()) == 2


def test_an_append_whose_backend_is_killed_before_it_commits_is_written_once(
    log: EventLog, postgres_dsn: str, postgres_server: PostgresServer
) -> None:
    with psycopg.connect(postgres_dsn) as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute("SELECT pg_advisory_xact_lock(%s)", (_APPEND_LOCK,))
        waiting = pool.submit(log.append, "s1", 0, new_events(2), epoch=0)
        blocked = (
            f"SELECT 1 FROM pg_stat_activity WHERE datname = '{database_of(postgres_dsn)}' AND wait_event = 'advisory'"
        )
        wait_until(lambda: bool(postgres_server.execute(blocked)))
        kill_connections(postgres_server, postgres_dsn, "wait_event = 'advisory'")
        wait_until(lambda: bool(postgres_server.execute(blocked)))
        blocker.rollback()
        assert waiting.result(5).last_version == 2
    assert log.head_position() == 2


def test_an_append_that_was_committed_but_whose_reply_was_lost_is_written_once(log: EventLog) -> None:
    assert isinstance(log, PostgresEventLog)
    call, calls = log._call, 0

    def lose_the_first_reply(statement: str, arguments: list[Any]) -> list[tuple[Any, ...]]:
        nonlocal calls
        calls += 1
        rows = call(statement, arguments)
        if calls == 1:
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return rows

    log._call = lose_the_first_reply  # type: ignore[method-assign]  # the fault between commit and reply
    result = log.append("s1", 0, new_events(3), epoch=0)
    assert (result.first_version, result.last_version, calls) == (1, 3, 2)
    assert log.head_position() == 3


def test_an_append_of_unknown_fate_is_settled_by_appending_it_again(log: EventLog) -> None:
    assert isinstance(log, PostgresEventLog)
    call = log._call
    events = new_events(2)

    def lose_every_reply(statement: str, arguments: list[Any]) -> list[tuple[Any, ...]]:
        call(statement, arguments)
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    log._call = lose_every_reply  # type: ignore[method-assign]  # the fault between commit and reply
    with pytest.raises(StoreUnavailableError, match="append again with the same event ids"):
        log.append("s1", 0, events, epoch=0)
    log._call = call  # type: ignore[method-assign]
    assert log.append("s1", 0, events, epoch=0).last_version == 2
    assert log.head_position() == 2


def test_a_lock_that_is_never_released_ends_the_wait(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patient = postgres_connection._SETTINGS
    monkeypatch.setattr(
        postgres_connection, "_SETTINGS", patient.replace("lock_timeout = '5s'", "lock_timeout = '50ms'")
    )
    log = open_log(postgres_dsn)
    with psycopg.connect(postgres_dsn) as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(%s)", (_APPEND_LOCK,))
        with pytest.raises(StoreUnavailableError, match="nothing was written"):
            log.append("s1", 0, new_events(1), epoch=0)
        blocker.rollback()
    assert log.append("s1", 0, new_events(1), epoch=0).last_version == 1
    log.close()


def test_a_vacuum_does_not_hold_up_appends(log: EventLog, postgres_dsn: str) -> None:
    log.append("s1", 0, new_events(100), epoch=0)
    with psycopg.connect(postgres_dsn) as blocker:
        blocker.execute("LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
        assert log.append("s1", 100, new_events(1), epoch=0).last_version == 101


def test_an_open_transaction_elsewhere_hides_nothing_from_the_reader(log: EventLog, postgres_dsn: str) -> None:
    with psycopg.connect(postgres_dsn) as foreign:
        foreign.execute("CREATE TABLE foreign_work (x int)")
        log.append("s1", 0, new_events(1), epoch=0)
        assert len(log.read_all()) == 1
        foreign.rollback()


def test_a_database_that_turns_read_only_is_reported_as_such_and_recovers(
    postgres_server: PostgresServer, own_postgres_dsn: str
) -> None:
    log = open_log(own_postgres_dsn)
    log.append("s1", 0, new_events(1), epoch=0)
    database = database_of(own_postgres_dsn)
    postgres_server.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    kill_connections(postgres_server, own_postgres_dsn)
    with pytest.raises(StoreReadOnlyError, match="read-only"):
        log.append("s1", 1, new_events(1), epoch=0)
    assert len(log.read_all()) == 1
    postgres_server.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    assert log.append("s1", 1, new_events(1), epoch=0).last_version == 2
    log.close()


def test_a_database_that_accepts_no_connections_is_unavailable_for_as_long(
    postgres_server: PostgresServer, own_postgres_dsn: str
) -> None:
    log = open_log(own_postgres_dsn)
    database = database_of(own_postgres_dsn)
    postgres_server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
    kill_connections(postgres_server, own_postgres_dsn)
    with pytest.raises(StoreUnavailableError, match="accepts no connections"):
        log.append("s1", 0, new_events(1), epoch=0)
    with pytest.raises(StoreUnavailableError, match="accepts no connections"):
        log.read_all()
    postgres_server.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
    assert log.append("s1", 0, new_events(1), epoch=0).last_version == 1
    log.close()


def test_appends_go_on_after_the_server_crashed_and_came_back(own_postgres_server: PostgresServer) -> None:
    dsn = own_postgres_server.dsn()
    log = open_log(dsn, create=True)
    acknowledged: list[int] = []
    stop = threading.Event()

    def write() -> None:
        events = new_events(1)
        while not stop.is_set():
            try:
                acknowledged.append(log.append("s1", len(acknowledged), events, epoch=0).last_version)
                events = new_events(1)
            except StoreUnavailableError:
                stop.wait(0.02)

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) > 50)
    own_postgres_server.restart()
    before = len(acknowledged)
    wait_until(lambda: len(acknowledged) > before + 50)
    stop.set()
    writer.join()
    assert acknowledged == list(range(1, len(acknowledged) + 1))
    assert [event.version for event in log.read_stream("s1")] == acknowledged
    log.close()


def test_two_logs_fighting_for_one_stream_never_both_win(log: EventLog, postgres_dsn: str) -> None:
    other = open_log(postgres_dsn)

    def fight(own: EventLog) -> int:
        won = 0
        for version in range(40):
            try:
                own.append("s1", version, new_events(1), epoch=0)
                won += 1
            except StreamConflictError:
                continue
        return won

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(fight, [log, other]))
    assert sum(won) == log.stream_head("s1")[0]
    other.close()


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (psycopg.errors.DiskFull, StoreReadOnlyError, "its disk is full"),
        (psycopg.errors.TooManyConnections, StoreUnavailableError, "too many connections"),
        (psycopg.errors.ReadOnlySqlTransaction, StoreReadOnlyError, "read-only"),
        (psycopg.errors.QueryCanceled, StoreUnavailableError, "took too long"),
        (psycopg.errors.CheckViolation, StoreUnavailableError, "CheckViolation"),
    ],
)
def test_a_driver_error_becomes_one_line_without_data(
    error: type[psycopg.Error], kind: type[StoreError], words: str
) -> None:
    ours = postgres_connection.translate(error("Failing row contains (S3CRET)\nDETAIL: Key (a)=(S3CRET)"))
    assert type(ours) is kind
    assert words in str(ours)
    assert "S3CRET" not in str(ours)
    assert "\n" not in str(ours)
