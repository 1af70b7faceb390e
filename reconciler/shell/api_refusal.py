"""An error answer of the API server, taken apart: what was asked, what was answered. Pure."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from eventstore.vocabulary import KIND, ErrorCategory
from reconciler.shell.cluster import ClusterError
from reconciler.shell.redaction import redact_text

#: A Retry-After is followed within these bounds, whatever a proxy asks for.
RETRY_AFTER_SECONDS_MIN, RETRY_AFTER_SECONDS_MAX = 1.0, 60.0


#: The server repeats what it refuses: a Secret's data, or a password that stands in a platform's spec.
_WITH_VALUES = frozenset({"Secret", KIND})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, for the words of the error."""

    #: RBAC verb: `get`, `list`, `watch`, `create`, `patch`, `delete`.
    verb: str
    api_version: str = "v1"
    kind: str = ""
    plural: str = ""
    #: `status` or "".
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def group(self) -> str:
        """API group, "" for the core one."""
        return self.api_version.rpartition("/")[0]

    @property
    def subject(self) -> str:
        """`StatefulSet obs/prod-loki`."""
        place = "/".join(part for part in (self.namespace, self.name) if part)
        return f"{self.kind or self.plural} {place}".strip()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An error response, taken apart."""

    call: Call
    status: int
    #: Kubernetes' own reason: `Forbidden`, `AlreadyExists`, ...; "" if the body is not a Status.
    reason: str
    #: The server's words, not yet redacted.
    text: str
    details: dict[str, Any]
    retry_after_seconds: float | None

    def error(self, category: ErrorCategory, reason: str, message: str) -> ClusterError:
        """The classified error, its message redacted and cut."""
        return ClusterError(
            category,
            reason,
            redact_text(message),
            status=self.status,
            retry_after_seconds=self.retry_after_seconds,
        )

    def quoted(self, prefix: str) -> str:
        """`prefix` with the server's words behind it; without them where they may hold a secret."""
        if self.call.kind in _WITH_VALUES:
            return f"{prefix} (the server's words are left out: they may hold values)"
        text = redact_text(self.text, 800)
        return f"{prefix}: {text}" if text else prefix


def read_refusal(status: int, body: bytes, headers: Mapping[str, str], call: Call) -> tuple[Refusal, bool]:
    """The answer taken apart, and whether its body is a Kubernetes `Status` at all."""
    parsed = _status_object(body)
    details = parsed.get("details")
    refusal = Refusal(
        call=call,
        status=status,
        reason=str(parsed.get("reason") or ""),
        text=str(parsed.get("message") or "") if parsed else body[:2048].decode("utf-8", "replace"),
        details=details if isinstance(details, dict) else {},
        retry_after_seconds=retry_after_seconds(headers),
    )
    return refusal, bool(parsed)


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After, clamped; a date is taken relative to the server's own Date. None if the header is absent."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value, headers.get("date", ""))
    # NaN compares false with everything: min/max in this order turns it into the upper bound.
    return max(RETRY_AFTER_SECONDS_MIN, min(RETRY_AFTER_SECONDS_MAX, seconds))


def _seconds_until(then: str, now: str) -> float:
    try:
        return (parsedate_to_datetime(then) - parsedate_to_datetime(now)).total_seconds()
    except (TypeError, ValueError):
        return RETRY_AFTER_SECONDS_MAX


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else {}
