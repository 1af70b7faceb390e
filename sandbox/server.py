"""The sandbox over HTTP: `SandboxServer(port=0).start()`. Loopback only, one thread for each connection."""

import contextlib
import json
import logging
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from sandbox.api import BODY_MAX, Api, Response
from sandbox.assembly import Sandbox
from sandbox.control import Control
from sandbox.faults import DroppedConnectionError
from sandbox.routing import Request

_DRAIN_MAX = 64 * 1024 * 1024
_LOG = logging.getLogger("sandbox")


class SandboxServer:
    """A running sandbox. `sandbox` is what runs in it: the model, its world, its faults."""

    def __init__(self, port: int = 0, *, sandbox: Sandbox | None = None, token: str = "") -> None:
        self.sandbox = sandbox or Sandbox()
        self._api = Api(self.sandbox.model, self.sandbox.faults, token)
        self._control = Control(self.sandbox)
        self._http = _HttpServer(("127.0.0.1", port), _Connection)
        self._http.sandbox_server = self
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> Self:
        """Serve and let the world move, in threads of their own."""
        self.sandbox.start()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), name="sandbox-http", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End all watches, stop serving, write the snapshot."""
        self.sandbox.faults.resume()
        self.sandbox.faults.drop_watches()
        if self._thread:
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()
        self._http.close_connections()
        self.sandbox.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def handle(self, request: Request) -> Response:
        """The answer to a request, of the API or of the controls."""
        if request.path.startswith("/sandbox/"):
            return self._control.handle(request)
        return self._api.handle(request)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    sandbox_server: SandboxServer

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[Any] = set()
        self._open_lock = threading.Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._open_lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._open_lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep open: a stopped server does not answer on them."""
        with self._open_lock:
            for request in self._open:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002  the base class's arguments
        """A client that goes away in the middle is no news; anything else is a fault of the sandbox."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            _LOG.exception("the sandbox failed to answer")


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    #: Headers and body go out in one piece; waiting for acknowledgements would cost 40 ms a call.
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _HttpServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name is the base class's
        """No access log: the demo's terminal belongs to the demo."""

    def _answer(self) -> None:
        request = self._request()
        try:
            response = self.server.sandbox_server.handle(request)
            if response.stream is not None:
                self._stream(response)
            else:
                self._send(response)
        except (DroppedConnectionError, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815  names the base class looks for

    def _request(self) -> Request:
        headers = {key.lower(): value for key, value in self.headers.items()}
        length = int(headers.get("content-length") or 0)
        # One byte more than allowed is enough to be refused; the rest is read away so that the client can listen.
        body = self.rfile.read(min(length, BODY_MAX + 1)) if length else b""
        rest = min(length - len(body), _DRAIN_MAX)
        while rest > 0:
            rest -= len(self.rfile.read(min(rest, 1 << 20))) or rest
        return Request(self.command, self.path, headers, body)

    def _send(self, response: Response) -> None:
        body = response.body
        data = body if isinstance(body, bytes) else _encoded(body)
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(data)))
        for key, value in response.headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def _stream(self, response: Response) -> None:
        assert response.stream is not None
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for line in response.stream:
            if line is None:
                self.wfile.flush()
                if self._client_left():
                    self.close_connection = True
                    return
                continue
            data = _encoded(line) + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _client_left(self) -> bool:
        """Whether the client closed its side; a watch of a quiet kind would not notice otherwise."""
        self.connection.setblocking(False)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.setblocking(True)


def _encoded(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
