"""The ports of a replica, each call of which is counted, shown to the checkers, and may go wrong."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from eventstore.envelope import AppendResult, NewEvent, RecordedEvent, StateRecord, StoredState
from eventstore.errors import StoreUnavailableError
from eventstore.lease import Lease, LeaseStore
from eventstore.log import EventLog
from eventstore.vocabulary import ErrorCategory
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject, ListPage, Resource, WatchEvent

_Answer = TypeVar("_Answer")


class Call(msgspec.Struct, kw_only=True):
    """One call of a port."""

    #: Counted from 1 through the whole run.
    index: int = 0
    replica: str
    #: `cluster.apply`, `log.append`, `lease.renew`, ...
    verb: str
    #: What it is about: `StatefulSet/prod-loki`, a stream, a kind.
    key: str
    #: Whether it can change anything.
    writes: bool
    namespace: str = ""
    resource: Resource | None = None
    #: What is sent: a body, finalizers, events.
    sent: Any = None
    uid: str = ""
    #: The version from which a watch asks; -1: it is not one.
    since: int = -1
    #: How many events a watch was answered with, bookmarks not counted.
    heard: int = 0

    def __str__(self) -> str:
        return f"{self.index} {self.replica} {self.verb} {self.key}"


class Gate(Protocol):
    """What every call goes through: `do` is the call itself, `lost` makes the error that stands for no answer."""

    def __call__(self, call: Call, do: Callable[[], _Answer], lost: Callable[[Call], Exception]) -> _Answer: ...


def unreachable(call: Call) -> ClusterError:
    """The API server does not answer."""
    text = f"the connection to the API server was lost during {call.verb} of {call.key}"
    return ClusterError(ErrorCategory.TRANSIENT, "Unreachable", text)


def store_unavailable(call: Call) -> StoreUnavailableError:
    """The event store does not answer."""
    return StoreUnavailableError(f"the event store cannot be reached: {call.verb}")


class ClusterPort:
    """The `Cluster` port of one replica."""

    def __init__(self, cluster: Cluster, replica: str, gate: Gate) -> None:
        self._cluster, self._replica, self._gate = cluster, replica, gate

    def _ask(self, verb: str, resource: Resource, name: str, do: Callable[[], _Answer], **fields: Any) -> _Answer:
        key = f"{resource.kind}/{name}" if name else resource.kind
        call = Call(
            replica=self._replica,
            verb=f"cluster.{verb}",
            key=key,
            writes=fields.pop("writes", True),
            resource=resource,
            **fields,
        )
        return self._gate(call, do, unreachable)

    def get(self, resource: Resource, namespace: str, name: str) -> KubernetesObject | None:
        """See `Cluster.get`."""
        return self._ask(
            "get",
            resource,
            name,
            lambda: self._cluster.get(resource, namespace, name),
            namespace=namespace,
            writes=False,
        )

    def list_all(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> ListPage:
        """See `Cluster.list_all`."""
        return self._ask(
            "list",
            resource,
            "",
            lambda: self._cluster.list_all(resource, namespace, label_selector),
            writes=False,
            sent=label_selector,
        )

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        *,
        seconds: float | None = None,
    ) -> Iterator[WatchEvent]:
        """See `Cluster.watch`: what is there by now."""
        seen = self._ask(
            "watch",
            resource,
            "",
            lambda: list(self._cluster.watch(resource, resource_version, namespace, label_selector, seconds=seconds)),
            writes=False,
            sent=label_selector,
            since=int(resource_version) if resource_version.isdigit() else -1,
        )
        yield from seen

    def apply(self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str) -> KubernetesObject:
        """See `Cluster.apply`."""
        return self._ask(
            "apply",
            resource,
            body["metadata"]["name"],
            lambda: self._cluster.apply(resource, namespace, body, manager=manager),
            namespace=namespace,
            sent=body,
        )

    def apply_new(
        self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str
    ) -> KubernetesObject | None:
        """See `Cluster.apply_new`."""
        return self._ask(
            "apply_new",
            resource,
            body["metadata"]["name"],
            lambda: self._cluster.apply_new(resource, namespace, body, manager=manager),
            namespace=namespace,
            sent=body,
        )

    def create(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """See `Cluster.create`."""
        return self._ask(
            "create",
            resource,
            body["metadata"]["name"],
            lambda: self._cluster.create(resource, namespace, body),
            namespace=namespace,
            sent=body,
        )

    def apply_status(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """See `Cluster.apply_status`."""
        return self._ask(
            "status",
            resource,
            body["metadata"]["name"],
            lambda: self._cluster.apply_status(resource, namespace, body),
            namespace=namespace,
            sent=body,
        )

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        """See `Cluster.delete`."""
        self._ask(
            "delete",
            resource,
            name,
            lambda: self._cluster.delete(resource, namespace, name, uid=uid),
            namespace=namespace,
            uid=uid,
        )

    def set_finalizers(
        self, resource: Resource, namespace: str, name: str, finalizers: list[str], *, uid: str, resource_version: str
    ) -> KubernetesObject | None:
        """See `Cluster.set_finalizers`."""

        def do() -> KubernetesObject | None:
            return self._cluster.set_finalizers(
                resource, namespace, name, finalizers, uid=uid, resource_version=resource_version
            )

        return self._ask("finalizers", resource, name, do, namespace=namespace, sent=finalizers, uid=uid)


class LogPort:
    """The `EventLog` port of one replica."""

    def __init__(self, log: EventLog, replica: str, gate: Gate) -> None:
        self._log, self._replica, self._gate = log, replica, gate
        self._lease = LeasePort(log.lease, replica, gate)

    @property
    def lease(self) -> LeaseStore:
        """The lease of this log."""
        return self._lease

    def _ask(
        self, verb: str, key: str, do: Callable[[], _Answer], *, writes: bool = False, sent: Any = None
    ) -> _Answer:
        call = Call(replica=self._replica, verb=f"log.{verb}", key=key, writes=writes, sent=sent)
        return self._gate(call, do, store_unavailable)

    def append(
        self,
        stream_id: str,
        expected_version: int,
        events: list[NewEvent],
        *,
        epoch: int,
        state: StateRecord | None = None,
        contents: dict[str, bytes] | None = None,
    ) -> AppendResult:
        """See `EventLog.append`."""

        def do() -> AppendResult:
            return self._log.append(stream_id, expected_version, events, epoch=epoch, state=state, contents=contents)

        return self._ask("append", stream_id, do, writes=True, sent=events)

    def read_stream(self, stream_id: str, after_version: int = 0, limit: int | None = None) -> list[RecordedEvent]:
        """See `EventLog.read_stream`."""
        return self._ask("read_stream", stream_id, lambda: self._log.read_stream(stream_id, after_version, limit))

    def read_all(self, after_position: int = 0, limit: int = 1000) -> list[RecordedEvent]:
        """See `EventLog.read_all`."""
        return self._ask("read_all", "", lambda: self._log.read_all(after_position, limit))

    def head_position(self) -> int:
        """See `EventLog.head_position`."""
        return self._ask("head_position", "", self._log.head_position)

    def stream_head(self, stream_id: str) -> tuple[int, bytes]:
        """See `EventLog.stream_head`."""
        return self._ask("stream_head", stream_id, lambda: self._log.stream_head(stream_id))

    def stream_ids(self) -> list[str]:
        """See `EventLog.stream_ids`."""
        return self._ask("stream_ids", "", self._log.stream_ids)

    def load_state(self, stream_id: str) -> StoredState | None:
        """See `EventLog.load_state`."""
        return self._ask("load_state", stream_id, lambda: self._log.load_state(stream_id))

    def store_state(self, stream_id: str, version: int, state: StateRecord) -> bool:
        """See `EventLog.store_state`."""
        return self._ask(
            "store_state", stream_id, lambda: self._log.store_state(stream_id, version, state), writes=True
        )

    def list_states(self, *, include_closed: bool = False) -> list[StoredState]:
        """See `EventLog.list_states`."""
        return self._ask("list_states", "", lambda: self._log.list_states(include_closed=include_closed))

    def due_streams(self, now: datetime, limit: int = 1000) -> list[str]:
        """See `EventLog.due_streams`."""
        return self._ask("due_streams", "", lambda: self._log.due_streams(now, limit))

    def get_content(self, digest: str) -> bytes | None:
        """See `EventLog.get_content`."""
        return self._ask("get_content", digest[:14], lambda: self._log.get_content(digest))

    def wait_for_append(self, after_position: int, timeout_seconds: float) -> bool:
        """Nobody waits in a simulation."""
        return False

    def close(self) -> None:
        """The log outlives its replicas."""


class LeasePort:
    """The `LeaseStore` port of one replica."""

    def __init__(self, store: LeaseStore, replica: str, gate: Gate) -> None:
        self._store, self._replica, self._gate = store, replica, gate

    def _ask(self, verb: str, do: Callable[[], _Answer], *, writes: bool = True) -> _Answer:
        call = Call(replica=self._replica, verb=f"lease.{verb}", key="", writes=writes)
        return self._gate(call, do, store_unavailable)

    def acquire(self, holder: str, ttl_seconds: float) -> Lease | None:
        """See `LeaseStore.acquire`."""
        return self._ask("acquire", lambda: self._store.acquire(holder, ttl_seconds))

    def renew(self, lease: Lease) -> Lease | None:
        """See `LeaseStore.renew`."""
        return self._ask("renew", lambda: self._store.renew(lease))

    def release(self, lease: Lease) -> None:
        """See `LeaseStore.release`."""
        self._ask("release", lambda: self._store.release(lease))

    def current(self) -> Lease | None:
        """See `LeaseStore.current`."""
        return self._ask("current", self._store.current, writes=False)


class Mark:
    """The checkpoint of the outbox, which lies in the database."""

    def __init__(self) -> None:
        self.position = 0


class OutboxPort:
    """The outbox without SQL: the same rules over a `Mark`."""

    def __init__(self, log: EventLog, mark: Mark, replica: str, gate: Gate) -> None:
        self._raw, self._mark, self._replica, self._gate = log, mark, replica, gate
        self._read_from: int | None = None

    def pending(self) -> list[RecordedEvent]:
        """See `Outbox.pending`."""

        def do() -> list[RecordedEvent]:
            self._read_from = self._mark.position
            return self._raw.read_all(self._mark.position, 200)

        call = Call(replica=self._replica, verb="outbox.pending", key="", writes=False)
        return self._gate(call, do, store_unavailable)

    def done(self, last: RecordedEvent) -> None:
        """See `Outbox.done`."""

        def do() -> None:
            if self._mark.position == self._read_from:
                self._mark.position = last.position

        self._gate(Call(replica=self._replica, verb="outbox.done", key="", writes=True), do, store_unavailable)
