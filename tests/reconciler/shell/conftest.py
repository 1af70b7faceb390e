"""A small HTTP server that answers as it is told: the faults no real API server can be made to show on demand."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from reconciler.shell.api_transport import ApiTransport
from reconciler.shell.kubernetes_cluster import KubernetesCluster


@dataclass
class Reply:
    """One answer. `chunks` are sent one by one (a watch); `hang` keeps the connection open and silent afterwards."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] | None = None
    hang: bool = False
    #: Announces more than it sends, then closes.
    cut: bool = False
    #: Seconds between the bytes of the body.
    drip_seconds: float = 0.0
    #: Closes without a word.
    drop: bool = False


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    #: Port of the connection at the client's end.
    connection: int = 0


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what these tests are about."""


class FaultServer:
    """Answers requests from a script; the last entry of the script answers for ever."""

    def __init__(self) -> None:
        self.script: list[Reply | Callable[[Seen], Reply]] = [Reply(404, b"404 page not found\n")]
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_args: Any) -> None:
                pass

            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                seen = Seen(
                    self.command, self.path, dict(self.headers.items()), self.rfile.read(length), self.client_address[1]
                )
                outer.answer(self, seen)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _answer  # noqa: N815  http.server's own names

        self.http = _QuietServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self._thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def replies(self, *script: Reply | Callable[[Seen], Reply]) -> None:
        """What the next requests are answered with."""
        self.script = list(script)

    def answer(self, handler: BaseHTTPRequestHandler, seen: Seen) -> None:
        """Send the next reply of the script."""
        with self._lock:
            self.seen.append(seen)
            entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        reply = entry if isinstance(entry, Reply) else entry(seen)
        if reply.drop:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        headers = {"Content-Type": "application/json", **reply.headers}
        handler.send_response(reply.status)
        for key, value in headers.items():
            handler.send_header(key, value)
        if reply.chunks is not None or reply.hang:
            self._stream(handler, reply, body)
            return
        handler.send_header("Content-Length", str(len(body) + (1000 if reply.cut else 0)))
        handler.end_headers()
        if reply.drip_seconds:
            self._drip(handler, body, reply.drip_seconds)
        else:
            handler.wfile.write(body)
        handler.close_connection = handler.close_connection or reply.cut

    def _stream(self, handler: BaseHTTPRequestHandler, reply: Reply, body: bytes) -> None:
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for chunk in reply.chunks if reply.chunks is not None else [body]:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            handler.wfile.flush()
        if reply.hang:
            self.released.wait(20)
            handler.close_connection = True
            return
        handler.wfile.write(b"0\r\n\r\n")

    def _drip(self, handler: BaseHTTPRequestHandler, body: bytes, seconds: float) -> None:
        try:
            for byte in body:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(seconds)
        except OSError:
            handler.close_connection = True

    def close(self) -> None:
        """Let go of everything that hangs and stop."""
        self.released.set()
        self.http.shutdown()
        self.http.server_close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """A server that answers as told."""
    running = FaultServer()
    yield running
    running.close()


@pytest.fixture
def requests_observed() -> list[tuple[str, str, float]]:
    """(method, code, seconds) of every request of `cluster`."""
    return []


@pytest.fixture
def cluster(server: FaultServer, requests_observed: list[tuple[str, str, float]]) -> Iterator[KubernetesCluster]:
    """The real port, pointed at `server`, with short timeouts for watches."""
    from kubernetes.client import Configuration

    transport = ApiTransport(
        lambda: Configuration(host=server.url),
        monotonic=time.monotonic,
        observe=lambda method, code, seconds: requests_observed.append((method, code, seconds)),
    )
    port = KubernetesCluster(transport, stall_seconds=0.4)
    yield port
    port.close()


@pytest.fixture
def reply() -> type[Reply]:
    """How a test says what the server answers."""
    return Reply
