"""/metrics, /healthz and /readyz over HTTP, from checks that are handed in.

A check returns "" or what is wrong. It runs in a thread of its own under a time limit, so that a hung database makes a
probe red and not silent; a check that still hangs from the last probe is not started again.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from reconciler.shell.redaction import describe_error, redact_text

logger = structlog.get_logger()

#: Says "" if all is well, else what is wrong.
Check = Callable[[], str]
#: Status, content type, body.
Page = tuple[int, str, bytes]

CHECK_SECONDS = 2.0
#: A client that sends nothing is dropped.
CLIENT_SECONDS = 5.0
JSON_TYPE = "application/json"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class HealthChecks:
    """Named checks that are asked together; a probe's whole answer."""

    def __init__(self, checks: Mapping[str, Check], *, timeout_seconds: float = CHECK_SECONDS) -> None:
        self._checks = {name: _BoundedCheck(name, check, timeout_seconds) for name, check in checks.items()}

    def page(self) -> Page:
        """200 if nothing is wrong, else 503; the body names each check and what it says."""
        asked = {name: check.ask() for name, check in self._checks.items()}
        found = {name: wait() for name, wait in asked.items()}
        failing = {name: text for name, text in found.items() if text}
        body = {
            "status": "failing" if failing else "ok",
            "failing": failing,
            "checks": {name: "failing" if name in failing else "ok" for name in found},
        }
        return (503 if failing else 200), JSON_TYPE, _json(body)


class _BoundedCheck:
    """One check that never keeps its caller waiting longer than its time."""

    def __init__(self, name: str, check: Check, timeout_seconds: float) -> None:
        self._name, self._check, self._timeout_seconds = name, check, timeout_seconds
        self._lock = threading.Lock()
        self._running: threading.Thread | None = None

    def ask(self) -> Callable[[], str]:
        """Start the check; the result waits for its answer."""
        answer: list[str] = []

        def run() -> None:
            try:
                answer.append(redact_text(self._check()))
            except Exception as error:  # a check that raises is a check that fails
                answer.append(describe_error(error))

        with self._lock:
            if self._running is not None and self._running.is_alive():
                return lambda: "the check hangs since an earlier probe"
            thread = self._running = threading.Thread(target=run, name=f"check-{self._name}", daemon=True)
            thread.start()

        def wait() -> str:
            thread.join(self._timeout_seconds)
            return answer[0] if answer else f"no answer within {self._timeout_seconds:g} s"

        return wait


class HealthServer:
    """A small HTTP server for probes and Prometheus: GET and HEAD, no input read, JSON errors."""

    def __init__(self, bind: str, pages: Mapping[str, Callable[[], Page]]) -> None:
        """`bind` is `HOST:PORT`, `:PORT` for all addresses; port 0 takes any free one.

        Raises:
            OSError: the address cannot be bound.
        """
        self._http = _Server(parse_bind(bind), _Requests)
        self._http.pages = dict(pages)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._http.server_address[1])

    def start(self) -> None:
        """Answer from now on, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join(2)
        self._http.server_close()


def probe_pages(liveness: Mapping[str, Check], readiness: Mapping[str, Check]) -> dict[str, Callable[[], Page]]:
    """The pages of the probes."""
    return {"/healthz": HealthChecks(liveness).page, "/readyz": HealthChecks(readiness).page}


def metrics_pages(render: Callable[[], bytes]) -> dict[str, Callable[[], Page]]:
    """The page of the metrics."""
    return {"/metrics": lambda: (200, METRICS_TYPE, render())}


def heartbeat_check(age_seconds: Callable[[], float], limit_seconds: float) -> Check:
    """Wrong if the last tick is older than the limit: a loop that runs ticks, whatever a flag says."""

    def check() -> str:
        age = age_seconds()
        return f"the last tick is {age:.0f} s old, more than {limit_seconds:.0f} s" if age > limit_seconds else ""

    return check


def parse_bind(bind: str) -> tuple[str, int]:
    """(host, port) of `HOST:PORT`, `[::1]:PORT` or `:PORT`.

    Raises:
        ValueError: it is none of them.
    """
    host, separator, port = bind.rpartition(":")
    host = host.strip("[]")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535 or not _is_host(host):
        raise ValueError("use HOST:PORT or :PORT with a port of 0..65535")
    return host, int(port)


def _is_host(text: str) -> bool:
    return len(text) <= 253 and all(char.isascii() and (char.isalnum() or char in ".:-%_") for char in text)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    pages: dict[str, Callable[[], Page]]

    def __init__(self, address: tuple[str, int], requests: type[BaseHTTPRequestHandler]) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, requests)

    def server_bind(self) -> None:
        # http.server looks its own name up here: a DNS call that can hang at start-up.
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  signature of socketserver
        logger.debug("health_client_gone")


class _Requests(BaseHTTPRequestHandler):
    timeout = CLIENT_SECONDS
    protocol_version = "HTTP/1.1"
    server: _Server
    server_version = "stackledger"
    sys_version = ""

    def do_GET(self) -> None:
        """The page, or 404."""
        path = self.path.partition("?")[0]
        page = self.server.pages.get(path)
        if page is None:
            self._send((404, JSON_TYPE, _json({"status": "not found", "pages": sorted(self.server.pages)})))
            return
        try:
            answer = page()
        except Exception as error:  # a page that fails must not close the connection without a word
            logger.exception("health_page_failed", path=path)
            answer = (500, JSON_TYPE, _json({"status": "error", "error": describe_error(error)}))
        self._send(answer)

    do_HEAD = do_GET  # noqa: N815  http.server's own name

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002  base
        """Errors of the protocol, as JSON and without an echo of the request."""
        self.close_connection = True
        self._send((code, JSON_TYPE, _json({"status": "error", "code": code})))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  base class
        """Probes come every few seconds: not a line each."""

    def _send(self, page: Page) -> None:
        status, content_type, body = page
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _json(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode() + b"\n"
