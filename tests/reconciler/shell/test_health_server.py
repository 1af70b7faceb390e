"""Probes that tell which check fails, and never hang."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from reconciler.shell.health_server import (
    Check,
    HealthChecks,
    HealthServer,
    heartbeat_check,
    metrics_pages,
    parse_bind,
    probe_pages,
)

OK: dict[str, Check] = {"loop": lambda: ""}


class Client:
    """Asks a running server."""

    def __init__(self, server: HealthServer) -> None:
        self.port = server.port

    def ask(self, method: str, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body, dict(answer.getheaders())


@pytest.fixture
def readiness() -> dict[str, Check]:
    return {"store": lambda: "", "watches": lambda: ""}


@pytest.fixture
def client(readiness: dict[str, Check]) -> Iterator[Client]:
    pages = probe_pages(OK, readiness) | metrics_pages(lambda: b"# HELP x\n")
    server = HealthServer("127.0.0.1:0", pages)
    server.start()
    yield Client(server)
    server.stop()


def test_all_well_is_200_with_every_check_named(client: Client) -> None:
    status, body, headers = client.ask("GET", "/readyz?verbose=1")
    assert status == 200
    assert json.loads(body) == {"status": "ok", "failing": {}, "checks": {"store": "ok", "watches": "ok"}}
    assert headers["Content-Type"] == "application/json"


def test_metrics_are_served_as_prometheus_reads_them(client: Client) -> None:
    status, body, headers = client.ask("GET", "/metrics")
    assert (status, body) == (200, b"# HELP x\n")
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_head_answers_without_a_body_and_unknown_paths_are_404(client: Client) -> None:
    status, body, headers = client.ask("HEAD", "/healthz")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0
    status, body, _ = client.ask("GET", "/../etc/passwd")
    assert status == 404
    assert b"passwd" not in body
    status, body, _ = client.ask("POST", "/healthz")
    assert status == 501
    assert json.loads(body)["status"] == "error"


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (lambda: "the database does not answer", "does not answer"),
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: "postgresql://me:s3cr3t@db is down", "@db is down"),
    ],
)
def test_what_fails_is_503_and_says_why_without_secrets(check: Any, words: str) -> None:
    status, _, body = HealthChecks({"store": check, "watches": lambda: ""}).page()
    assert status == 503
    assert words in json.loads(body)["failing"]["store"]
    assert json.loads(body)["checks"]["watches"] == "ok"
    assert b"s3cr3t" not in body


def test_a_hung_check_is_red_in_time_and_not_started_twice() -> None:
    release, started = threading.Event(), []

    def hang() -> str:
        started.append(1)
        release.wait(10)
        return ""

    checks = HealthChecks({"store": hang, "other": lambda: ""}, timeout_seconds=0.1)
    begun = time.monotonic()
    first, second = json.loads(checks.page()[2]), json.loads(checks.page()[2])
    assert time.monotonic() - begun < 1
    assert first["failing"] == {"store": "no answer within 0.1 s"}
    assert second["failing"] == {"store": "the check hangs since an earlier probe"}
    assert started == [1]
    release.set()
    time.sleep(0.05)
    assert checks.page()[0] == 200


def test_a_client_that_says_nothing_does_not_keep_others_waiting(client: Client) -> None:
    silent = socket.create_connection(("127.0.0.1", client.port))
    assert client.ask("GET", "/healthz")[0] == 200
    silent.close()


def test_an_old_heartbeat_is_red() -> None:
    age = 5.0
    check = heartbeat_check(lambda: age, 60)
    assert check() == ""
    age = 61.0
    assert "61 s old" in check()


def test_a_stopped_server_frees_its_port_and_leaves_no_thread() -> None:
    before = threading.active_count()
    server = HealthServer("127.0.0.1:0", probe_pages(OK, OK))
    server.start()
    port = server.port
    server.stop()
    assert threading.active_count() == before
    again = HealthServer(f"127.0.0.1:{port}", probe_pages(OK, OK))
    again.stop()


@pytest.mark.parametrize(
    ("bind", "address"),
    [(":8080", ("", 8080)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:81", ("::1", 81)), ("a.b:9", ("a.b", 9))],
)
def test_addresses_are_read(bind: str, address: tuple[str, int]) -> None:
    assert parse_bind(bind) == address


@pytest.mark.parametrize("bind", ["", "8080", ":x", ":-1", ":70000", "a b:1", "host:", "\u0661:\u0661"])
def test_what_is_no_address_is_refused(bind: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_bind(bind)
