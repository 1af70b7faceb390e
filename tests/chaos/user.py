"""The user's hands: the wishes of a storm, sent to the server until it took them."""

import base64
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import urllib3

from eventstore.vocabulary import RETRY_AT_ANNOTATION, ErrorCategory
from reconciler.shell.cluster import ClusterError, KubernetesObject
from reconciler.shell.resources import PLATFORM, SECRET
from tests.chaos.journal import Journal
from tests.chaos.schedule import Deed
from tests.chaos.server import Server, is_gone
from tests.chaos.wishes import (
    SECRET_CANARIES,
    USER_SECRET,
    Outcome,
    Wish,
    changed,
    ready,
    refused_spec,
    settled,
    shape,
    waiting_spec,
)

_T = TypeVar("_T")
#: How long a user tries again while the server is away.
PATIENCE_SECONDS = 40.0
#: How long a user waits before asking again for what was rolled back.
ASK_SECONDS = 15.0
REASONS = ("CrashLoopBackOff", "OOMKilled", "ImagePullBackOff", "hang")
#: Platforms that never become Ready, and should not.
WAITS, REFUSED = "waits", "refused"


class Incarnation(msgspec.Struct):
    """One platform from its creation to its end."""

    name: str
    uid: str
    policy: str
    components: frozenset[str] = frozenset()
    #: Components that some edit took away, so that their objects may go.
    dropped: set[str] = msgspec.field(default_factory=set)
    scaled: bool = False
    #: Replicas of prometheus when it was deleted.
    replicas: int = 1
    deleted_at: float | None = None


class User:
    """Plays the user on one namespace."""

    def __init__(self, server: Server, namespace: str, names: tuple[str, ...], journal: Journal) -> None:
        self._server, self._namespace, self._journal = server, namespace, journal
        self.wishes: dict[str, Wish] = {name: Wish() for name in names}
        self.incarnations: dict[str, Incarnation] = {}
        self._broken: set[str] = set()
        self._rotations = 0
        self._asked_at: dict[str, float] = {}

    # -- the storm -------------------------------------------------------------------------------------------------

    def begin(self, choice: int) -> None:
        """What is there before the first storm: a Secret, half of the platforms, and two that cannot be Ready."""
        self._write_secret()
        half = list(self.wishes)[::2]
        for number, name in enumerate(half):
            self.wishes[name] = ready(shape((choice + number) * 5))
            self._apply(name)
        self.wishes[WAITS] = Wish(waiting_spec(), Outcome.WAITING)
        self.wishes[REFUSED] = Wish(refused_spec(), Outcome.REFUSED)
        for name in (WAITS, REFUSED):
            self._apply(name)

    def do(self, deed: Deed) -> None:
        """One deed of the storm."""
        name = deed.platform
        self._journal.write("user", deed.kind, platform=name)
        if deed.kind in ("break", "repair"):
            self._break(deed) if deed.kind == "break" else self._repair(name)
        elif deed.kind == "rotate-secret":
            self._rotations += 1
            self._write_secret()
        else:
            before = self.wishes[name]
            self.wishes[name] = changed(deed.kind, before, deed.choice)
            if self.wishes[name] != before:
                self._fulfil(name)

    def settle(self, choice: int) -> None:
        """The storm is over: everything is repaired, and every wish can be fulfilled."""
        for name in sorted({workload.rpartition("-")[0] for workload in self._broken}):
            self._repair(name)
        for number, name in enumerate(self.wishes):
            self.wishes[name] = settled(self.wishes[name], choice + number)
            self._fulfil(name)

    def insist(self) -> None:
        """Ask again for what is not there as wished, as after a deletion that took its time."""
        for name, wish in self.wishes.items():
            found = self._get(name)
            if found is None if wish.spec is not None else not is_gone(found):
                self._fulfil(name)
            elif found is not None and wish.outcome is Outcome.READY and is_rolled_back(found):
                self._ask_again(name)

    def _ask_again(self, name: str) -> None:
        """An upgrade that met broken pods was rolled back, and its spec is kept out: now they are well, once more."""
        if self._journal.seconds() - self._asked_at.get(name, -ASK_SECONDS) >= ASK_SECONDS:
            self._asked_at[name] = self._journal.seconds()
            self._journal.write("user", "ask-again", platform=name)
            self._apply(name, {RETRY_AT_ANNOTATION: datetime.now(UTC).isoformat()})

    # -- hands -----------------------------------------------------------------------------------------------------

    def _fulfil(self, name: str) -> None:
        """Send the wish, unless what was there before is still on its way out."""
        wish, found = self.wishes[name], self._get(name)
        if found is not None and is_gone(found):
            return
        if wish.spec is not None:
            self._apply(name)
        elif found is not None:
            self._delete(name, found)

    def _get(self, name: str) -> KubernetesObject | None:
        return self.persist(lambda: self._server.cluster.get(PLATFORM, self._namespace, name))

    def _apply(self, name: str, annotations: Mapping[str, str] | None = None) -> None:
        spec = self.wishes[name].spec
        assert spec is not None
        body = {
            "apiVersion": PLATFORM.api_version,
            "kind": PLATFORM.kind,
            "metadata": {"name": name, "namespace": self._namespace, "annotations": dict(annotations or {})},
            "spec": spec,
        }
        found = self.persist(lambda: self._server.cluster.apply(PLATFORM, self._namespace, body, manager="kubectl"))
        uid = found["metadata"]["uid"]
        policy = spec.get("deletionPolicy", "Retain")
        known = self.incarnations.setdefault(uid, Incarnation(name, uid, policy))
        known.dropped |= known.components - set(spec["components"])
        known.components = frozenset(spec["components"])
        replicas = spec["components"]["prometheus"].get("replicas", 1)
        known.scaled = known.scaled or replicas != known.replicas
        known.replicas = replicas

    def _delete(self, name: str, found: KubernetesObject) -> None:
        uid = found["metadata"]["uid"]
        if uid in self.incarnations:
            self.incarnations[uid].deleted_at = self._journal.seconds()
        self.persist(lambda: self._server.cluster.delete(PLATFORM, self._namespace, name, uid=uid))

    def _break(self, deed: Deed) -> None:
        spec = self.wishes[deed.platform].spec
        components = sorted(spec["components"]) if spec else ["prometheus"]
        workload = f"{deed.platform}-{components[deed.choice % len(components)]}"
        reason = REASONS[deed.choice // 8 % len(REASONS)]
        self._broken.add(workload)
        self.persist(lambda: self._server.break_workload(self._namespace, workload, reason))

    def _repair(self, name: str) -> None:
        for workload in sorted(self._broken):
            if workload.rpartition("-")[0] == name:
                self.persist(lambda workload=workload: self._server.repair_workload(self._namespace, workload))  # type: ignore[misc]  # bound at once
                self._broken.discard(workload)

    def _write_secret(self) -> None:
        body = user_secret(self._namespace, self._rotations)
        self.persist(lambda: self._server.cluster.apply(SECRET, self._namespace, body, manager="user"))

    @property
    def secret(self) -> KubernetesObject:
        """The Secret that platforms refer to, as it is now."""
        return user_secret(self._namespace, self._rotations)

    def persist(self, call: Callable[[], _T]) -> _T:
        """Do it; again while the server is away."""
        return persistently(call)


def is_rolled_back(platform: KubernetesObject) -> bool:
    """Whether it runs what worked last instead of what was asked for."""
    conditions = (platform.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Degraded" and one["reason"] == "RolledBack" for one in conditions)


def persistently(call: Callable[[], _T], seconds: float = PATIENCE_SECONDS) -> _T:
    """Do it; again while the server is away."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (ClusterError, RuntimeError, urllib3.exceptions.HTTPError) as error:
            if time.monotonic() > deadline or _is_final(error):
                raise
            time.sleep(0.3)


def _is_final(error: Exception) -> bool:
    if not isinstance(error, ClusterError) or error.category is ErrorCategory.TRANSIENT:
        return False
    # A server that starts refuses before it has read its roles.
    return error.status not in (401, 403)


def user_secret(namespace: str, rotations: int) -> KubernetesObject:
    """The Secret that platforms refer to."""
    value = base64.b64encode(SECRET_CANARIES[rotations % 2].encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": USER_SECRET, "namespace": namespace, "labels": {"stackledger.io/allow": "ANY"}},
        "data": {"password": value},
    }


def spoiled_status() -> dict[str, Any]:
    """What somebody writes into a status by hand."""
    return {"phase": "Ready", "observedGeneration": 999, "conditions": [], "componentsReady": "9/9"}
