"""Bytes to and from the API server: one connection pool, deadlines, size limits, fresh credentials.

Nothing is retried here but a request that the server refused unread (401) or that never left (TLS), and that once,
with credentials and certificates read again. Credentials that were refused even so are tried once a call.
"""

import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import urllib3
from urllib3.exceptions import HTTPError, SSLError

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_refusal import Call
from reconciler.shell.api_streams import Limits, LineStream, bad_response, lower_keys, read_chunk, unreachable
from reconciler.shell.cluster import ClusterError

if TYPE_CHECKING:
    from kubernetes.client import Configuration

#: (method, status code or `<error>`, seconds) of every request, for the rest_client metrics.
ObserveRequest = Callable[[str, str, float], None]


class Answer(msgspec.Struct, frozen=True):
    """A complete response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A request; `call` says what it is for."""

    call: Call
    method: str
    path: str
    query: dict[str, str] = {}
    content_type: str = ""
    body: bytes | None = None


class ApiTransport:
    """Sends requests through one pool of connections; safe for many threads."""

    def __init__(
        self,
        load: Callable[[], "Configuration"],
        *,
        monotonic: Callable[[], float],
        observe: ObserveRequest = lambda _method, _code, _seconds: None,
        pool_size: int = 32,
        user_agent: str = "stackledger",
    ) -> None:
        self._load, self._monotonic, self._observe = load, monotonic, observe
        self._pool_size, self._user_agent = pool_size, user_agent
        self._lock = threading.Lock()
        self._generation = 0
        self._configuration, self._pool = self._connect()
        #: Credentials that the server refused even after they had been read again; None while all is well.
        self._hopeless: str | None = None
        self._streams: set[urllib3.BaseHTTPResponse] = set()

    @property
    def host(self) -> str:
        """Host and port of the API server."""
        return urllib.parse.urlsplit(self._configuration.host).netloc

    def ask(self, question: Question, limits: Limits | None = None) -> Answer:
        """The complete answer, whatever its status.

        Raises:
            ClusterError: no or no whole answer (transient), or one that is too large.
        """
        limits = limits or Limits()
        started = self._monotonic()
        response = self._send_with_fresh_credentials(question, limits)
        try:
            body = self._read_all(question, response, limits, started + limits.total_seconds)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return Answer(response.status, lower_keys(response.headers), body)

    def stream_lines(self, question: Question, limits: Limits) -> LineStream:
        """A response whose lines are read as they come. Close it.

        Raises:
            ClusterError: no answer.
        """
        response = self._send_with_fresh_credentials(question, limits)
        with self._lock:
            self._streams.add(response)
        return LineStream(
            question.call,
            response,
            limits,
            monotonic=self._monotonic,
            on_close=lambda: self._forget_stream(response),
        )

    def interrupt_streams(self) -> None:
        """Make every open stream end now; whoever reads one sees its end."""
        with self._lock:
            streams = list(self._streams)
        for response in streams:
            # The reader may be closing it at this moment: then there is nothing left to interrupt.
            with suppress(ValueError, RuntimeError, OSError):
                response.shutdown()

    def close(self) -> None:
        """Interrupt the streams and drop the idle connections."""
        self.interrupt_streams()
        self._pool.clear()

    def _forget_stream(self, response: urllib3.BaseHTTPResponse) -> None:
        with self._lock:
            self._streams.discard(response)

    def _connect(self) -> tuple["Configuration", urllib3.PoolManager]:
        from kubernetes.client.rest import RESTClientObject

        configuration = self._load()
        configuration.connection_pool_maxsize = self._pool_size
        configuration.keep_alive = True
        # urllib3 would send a GET, PUT or DELETE four times without a pause.
        configuration.retries = False
        return configuration, RESTClientObject(configuration).pool_manager

    def _reload(self, generation: int) -> None:
        with self._lock:
            if generation != self._generation:
                return
            # The old pool is not cleared: other threads may be using it; it goes with its last response.
            self._configuration, self._pool = self._connect()
            self._generation += 1

    def _send_with_fresh_credentials(self, question: Question, limits: Limits) -> urllib3.BaseHTTPResponse:
        generation = self._generation
        try:
            response = self._send(question, limits)
        except _TlsError as failure:
            self._reload(generation)
            try:
                return self._send(question, limits)
            except _TlsError:
                raise failure.error from None
        if response.status != 401:
            self._hopeless = None
            return response
        self._reload(generation)
        if self._credentials(question) == self._hopeless:
            # Refused twice already and not replaced since: to ask twice each time would only be more load.
            return response
        response.close()
        try:
            response = self._send(question, limits)
        except _TlsError as failure:
            raise failure.error from None
        self._hopeless = self._credentials(question) if response.status == 401 else None
        return response

    def _credentials(self, question: Question) -> str:
        return self._headers(self._configuration, question).get("authorization", "")

    def _send(self, question: Question, limits: Limits) -> urllib3.BaseHTTPResponse:
        configuration, pool = self._configuration, self._pool
        query = "?" + urllib.parse.urlencode(question.query) if question.query else ""
        started = self._monotonic()
        code = "<error>"
        try:
            response = pool.request(
                question.method,
                configuration.host.rstrip("/") + question.path + query,
                headers=self._headers(configuration, question),
                body=question.body,
                timeout=urllib3.Timeout(connect=limits.connect_seconds, read=limits.read_seconds),
                preload_content=False,
                retries=False,
                redirect=False,
            )
            code = str(response.status)
            return response
        except SSLError as error:
            if error.args and isinstance(error.args[0], ssl.SSLEOFError | ssl.SSLZeroReturnError):
                # A server that ended in the middle: it may have done what it was asked to.
                raise unreachable(question.call, error) from None
            raise _TlsError(unreachable(question.call, error)) from None
        except (HTTPError, OSError) as error:
            raise unreachable(question.call, error) from None
        finally:
            self._observe(question.method, code, self._monotonic() - started)

    def _headers(self, configuration: "Configuration", question: Question) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self._user_agent}
        if question.content_type:
            headers["Content-Type"] = question.content_type
        try:
            settings: Mapping[str, Any] = configuration.auth_settings()
        except Exception as error:  # the refresh hook reads files and runs plugins
            raise unreachable(question.call, error) from None
        for setting in settings.values():
            if setting["value"]:
                headers[setting["key"]] = setting["value"]
        return headers

    def _read_all(
        self, question: Question, response: urllib3.BaseHTTPResponse, limits: Limits, deadline: float
    ) -> bytes:
        chunks, size = [], 0
        while chunk := read_chunk(question.call, response):
            size += len(chunk)
            if size > limits.bytes_max:
                raise bad_response(question.call, f"the answer is larger than {limits.bytes_max} bytes")
            if self._monotonic() > deadline:
                raise ClusterError(
                    ErrorCategory.TRANSIENT, "Timeout", f"the answer took more than {limits.total_seconds:.0f} s"
                )
            chunks.append(chunk)
        return b"".join(chunks)


class _TlsError(Exception):
    """The handshake failed, so nothing was sent: worth one more try with certificates read again."""

    def __init__(self, error: ClusterError) -> None:
        self.error = error
        super().__init__(error.message)
