"""Faults between a client and the API server, and what the client sent: the control API of the proxy, from Python."""

import json
import urllib.error
import urllib.request
from typing import Any

import msgspec

ANSWER_SECONDS = 30.0


class Call(msgspec.Struct, frozen=True):
    """One call as the client sent it. `resource` is `pods` or `deployments.apps`, "" for paths such as `/version`."""

    seq: int
    #: Unix seconds.
    time: float
    user_agent: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    #: 0: no answer yet, or the connection ended without one.
    status: int
    #: Seconds until the answer was complete; None while the call goes on.
    duration: float | None


class CallCount(msgspec.Struct, frozen=True):
    """How often calls of one sort were sent since the last `reset_counts`."""

    user_agent: str
    verb: str
    resource: str
    subresource: str
    namespace: str
    status: int
    count: int


class ProxyFaults:
    """What goes wrong on the way to the API server; the words of the sandbox's `FaultPlan` where it has them."""

    def __init__(self, control_url: str) -> None:
        self._url = control_url.rstrip("/")
        # Whatever proxy the environment names is not for loopback.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def inject(
        self,
        status: int = 500,
        *,
        verb: str = "*",
        resource: str = "*",
        namespace: str = "*",
        name: str = "*",
        remaining: int | None = 1,
        retry_after_seconds: int | None = None,
        message: str = "",
        after: bool = False,
        drop: bool = False,
        user_agent: str = "*",
        plain: bool = False,
    ) -> None:
        """Answer the next `remaining` matching calls (None: all) with an error.

        `resource` is `pods`, `deployments.apps` or `pods/status`; `user_agent` a part of it. `drop`: the connection is
        closed before the call; `after`: the call takes effect and then the connection is closed; `plain`: text instead
        of a Status, as the API server's own load filter answers.
        """
        fields = {key: value for key, value in locals().items() if key != "self"}
        self._post("inject", fields)

    def clear(self) -> None:
        """No faults any more, and no pause."""
        self._post("clear")

    def pause(self) -> None:
        """Calls and open streams stand still until `resume`; connections stay open."""
        self._post("pause")

    def resume(self) -> None:
        """Calls are answered again."""
        self._post("resume")

    def drop_connections(self) -> int:
        """Reset every open connection of a client; how many there were."""
        dropped: int = json.loads(self._post("drop-connections"))["dropped"]
        return dropped

    def counts(self) -> list[CallCount]:
        """What was sent since `reset_counts`, whether or not there was a server to answer."""
        return msgspec.json.decode(self._get("counts"), type=list[CallCount])

    def reset_counts(self) -> None:
        """Count from nothing; calls that are under way are not counted any more."""
        self._post("reset-counts")

    def log(self, since: int = 0) -> list[Call]:
        """The calls after sequence number `since`, oldest first; the newest 100,000 are remembered."""
        return msgspec.convert(json.loads(self._get(f"log?since={since}"))["calls"], type=list[Call])

    def last(self) -> int:
        """The sequence number of the newest call: where a later `log` is to begin."""
        number: int = json.loads(self._get(f"log?since={2**62}"))["last"]
        return number

    def _post(self, path: str, fields: dict[str, Any] | None = None) -> bytes:
        return self._open(urllib.request.Request(f"{self._url}/{path}", data=json.dumps(fields or {}).encode()))

    def _get(self, path: str) -> bytes:
        return self._open(urllib.request.Request(f"{self._url}/{path}"))

    def _open(self, request: urllib.request.Request) -> bytes:
        try:
            with self._opener.open(request, timeout=ANSWER_SECONDS) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode().strip()) from None
