"""Faults on purpose: errors for the next calls, permissions taken away, watches dropped, a server that stands still."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.errors import StatusError, forbidden_by_rbac

USER = "system:serviceaccount:stackledger-system:stackledger"
_REASONS = {
    400: ("BadRequest", "the server rejected our request for an unknown reason"),
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden"),
    404: ("NotFound", "the server could not find the requested resource"),
    409: ("Conflict", "the server reported a conflict"),
    410: ("Expired", "too old resource version"),
    413: ("RequestEntityTooLarge", "Request entity too large: limit is 3145728"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: injected by the sandbox"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}


@dataclass
class Injection:
    """An error for calls that match; `*` matches everything."""

    status: int
    verb: str = "*"
    resource: str = "*"
    namespace: str = "*"
    name: str = "*"
    #: How many calls get it; None for all until cleared.
    remaining: int | None = 1
    retry_after_seconds: int | None = None
    message: str = ""
    #: True: the call takes effect, and its answer is lost (the connection is closed).
    after: bool = False
    #: True: the connection is closed before anything happens.
    drop: bool = False

    def matches(self, verb: str, resource: str, namespace: str, name: str) -> bool:
        """Whether a call is meant. `resource` is `pods`, `deployments.apps` or `pods/status`."""
        wanted = ((self.verb, verb), (self.resource, resource), (self.namespace, namespace), (self.name, name))
        return all(
            pattern in ("*", value) or (pattern == value.partition(".")[0] and "/" not in value)
            for pattern, value in wanted
        )


class DroppedConnectionError(Exception):
    """The connection is to be closed without an answer."""


class FaultPlan:
    """What goes wrong next. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._injections: list[Injection] = []
        self._denied: set[tuple[str, str]] = set()
        self._open = threading.Event()
        self._open.set()
        #: Raised by `drop_watches`: watches that began under a lower number end.
        self.watch_generation = 0
        #: Watches stay open and say nothing (half-open connections).
        self.watches_silent = False
        #: (verb, resource) -> calls served; for tests that count.
        self.calls: dict[tuple[str, str], int] = {}

    def inject(self, status: int = 500, **fields: Any) -> None:
        """Answer the next matching calls with an error; fields as in `Injection`."""
        with self._lock:
            self._injections.append(Injection(status=status, **fields))

    def deny(self, verb: str, resource: str) -> None:
        """403 for (verb, resource) as an RBAC authorizer words it, until `allow` or `clear`."""
        with self._lock:
            self._denied.add((verb, resource))

    def allow(self, verb: str, resource: str) -> None:
        """Take a `deny` back."""
        with self._lock:
            self._denied.discard((verb, resource))

    def clear(self) -> None:
        """No faults any more."""
        with self._lock:
            self._injections.clear()
            self._denied.clear()
        self.watches_silent = False
        self._open.set()

    def pause(self) -> None:
        """Requests hang until `resume`."""
        self._open.clear()

    def resume(self) -> None:
        """Requests are answered again."""
        self._open.set()

    def drop_watches(self) -> None:
        """End every open watch."""
        self.watch_generation += 1

    def check(self, verb: str, group: str, resource: str, namespace: str, name: str) -> Injection | None:
        """Called before each call; an injection to honour after the call, if any.

        Raises:
            StatusError: the injected error.
            DroppedConnectionError: the injected end of the connection.
        """
        self._open.wait()
        plural = resource.partition("/")[0]
        full = f"{plural}.{group}" if group else plural
        shown = full + resource[len(plural) :]
        with self._lock:
            self.calls[verb, shown] = self.calls.get((verb, shown), 0) + 1
            denied = any(
                one in (verb, "*") and what in (plural, full, shown, resource, "*") for one, what in self._denied
            )
            found = None if denied else next(self._matching(verb, shown, namespace, name), None)
        if denied:
            raise forbidden_by_rbac(USER, verb, resource, group, namespace, name)
        if found is None or found.after:
            return found
        if found.drop:
            raise DroppedConnectionError
        raise error_of(found)

    def _matching(self, verb: str, resource: str, namespace: str, name: str) -> Iterator[Injection]:
        for injection in list(self._injections):
            if not injection.matches(verb, resource, namespace, name):
                continue
            if injection.remaining is not None:
                injection.remaining -= 1
                if injection.remaining <= 0:
                    self._injections.remove(injection)
            yield injection


def error_of(injection: Injection) -> StatusError:
    """The refusal an injection stands for."""
    reason, text = _REASONS.get(injection.status, ("InternalError", "injected by the sandbox"))
    return StatusError(
        injection.status, reason, injection.message or text, retry_after_seconds=injection.retry_after_seconds
    )
