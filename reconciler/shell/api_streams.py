"""Reading what arrives: chunks and lines under a deadline and a size limit, the network's errors in our words."""

from collections.abc import Callable, Iterator, Mapping

import msgspec
import urllib3
from urllib3.exceptions import HTTPError

from eventstore.vocabulary import ErrorCategory
from reconciler.shell.api_refusal import Call
from reconciler.shell.cluster import ClusterError
from reconciler.shell.redaction import describe_error

CONNECT_TIMEOUT_SECONDS = 5.0
READ_TIMEOUT_SECONDS = 15.0
#: A whole answer, however slowly it drips in.
CALL_DEADLINE_SECONDS = 60.0
OBJECT_BYTES_MAX = 16 * 1024 * 1024
CHUNK_BYTES = 64 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines (seconds) and sizes (bytes) of one request."""

    connect_seconds: float = CONNECT_TIMEOUT_SECONDS
    #: Longest silence.
    read_seconds: float = READ_TIMEOUT_SECONDS
    total_seconds: float = CALL_DEADLINE_SECONDS
    bytes_max: int = OBJECT_BYTES_MAX


class LineStream:
    """The lines of a response that has no end of its own."""

    def __init__(
        self,
        call: Call,
        response: urllib3.BaseHTTPResponse,
        limits: Limits,
        *,
        monotonic: Callable[[], float],
        on_close: Callable[[], None],
    ) -> None:
        self._call, self._response, self._limits = call, response, limits
        self._monotonic, self._on_close = monotonic, on_close
        self.status = response.status
        self.headers = lower_keys(response.headers)

    def read_body(self) -> bytes:
        """What an error answer says, at most 64 KiB of it."""
        return read_chunk(self._call, self._response)

    def lines(self) -> Iterator[bytes]:
        """Complete lines. An unfinished last one is dropped: the change in it comes again.

        Raises:
            ClusterError: reason `WatchStalled` if no line ended for `read_seconds`, `BadResponse` for a line
                longer than `bytes_max`, `Unreachable` if the connection broke.
        """
        pending = bytearray()
        line_at = self._monotonic()
        while True:
            try:
                chunk = read_chunk(self._call, self._response)
            except ClusterError as error:
                if error.reason == "Timeout":
                    raise self._stalled() from None
                raise
            if not chunk:
                return
            pending += chunk
            *complete, rest = pending.split(b"\n")
            pending = rest
            now = self._monotonic()
            if complete:
                line_at = now
            elif now - line_at > self._limits.read_seconds:
                raise self._stalled()
            yield from (bytes(line) for line in complete if line.strip())
            if len(pending) > self._limits.bytes_max:
                raise bad_response(self._call, f"a line is longer than {self._limits.bytes_max} bytes")

    def close(self) -> None:
        """Close the connection: what was not read is of no use to another request."""
        self._on_close()
        self._response.close()

    def _stalled(self) -> ClusterError:
        seconds = f"{self._limits.read_seconds:.0f}"
        return ClusterError(ErrorCategory.TRANSIENT, "WatchStalled", f"the watch was silent for {seconds} s")


def read_chunk(call: Call, response: urllib3.BaseHTTPResponse) -> bytes:
    """What has arrived, b"" at the end.

    Raises:
        ClusterError: silence or a broken connection.
    """
    try:
        # Never decompressed: we do not ask for compression, so a compressed answer is not from an API server.
        return response.read1(CHUNK_BYTES, decode_content=False)
    except (HTTPError, OSError, ValueError) as error:
        raise unreachable(call, error) from None


def unreachable(call: Call, error: BaseException) -> ClusterError:
    """The network's errors in our words."""
    silent = isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError) and not isinstance(
        error, urllib3.exceptions.ConnectTimeoutError
    )
    reason, words = ("Timeout", "did not answer in time") if silent else ("Unreachable", "cannot be reached")
    message = f"{call.verb} {call.subject}: the API server {words} ({describe_error(error, 300)})"
    return ClusterError(ErrorCategory.TRANSIENT, reason, message)


def bad_response(call: Call, words: str) -> ClusterError:
    """An answer that no API server gives: a proxy, a login page, a cut connection."""
    return ClusterError(ErrorCategory.TRANSIENT, "BadResponse", f"{call.verb} {call.subject}: {words}")


def lower_keys(headers: Mapping[str, str]) -> dict[str, str]:
    """Header names in lower case."""
    return {key.lower(): value for key, value in headers.items()}
