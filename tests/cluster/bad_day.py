"""A bad day for the API server: what stood before it, what the operator sent during it, and what must hold after it."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from eventstore import events as e
from eventstore.codec import decode
from eventstore.events import Outcome
from reconciler.shell.cluster import KubernetesObject
from reconciler.shell.resources import EVENT, POD, SECRET, WATCHED
from tests.cluster.process import OperatorProcess
from tests.cluster.stage import WRITES, ClusterStage
from tests.controlplane.faults import Call
from tests.controlplane.launch import ControlPlane

#: Retries that outlast the faults here as the real ones outlast an outage of minutes; the rest is quick.
SETTINGS: dict[str, object] = {
    "RETRY_INITIAL_SECONDS": 2,
    "RETRY_MAX_SECONDS": 8,
    "SLOW_PROBE_SECONDS": 10,
    "PREREQUISITE_POLL_SECONDS": 30,
    "REWIND_GRACE_SECONDS": 3,
    "HEALTH_GRACE_SECONDS": 20,
}
#: Ready when the fault comes, and in the middle of being installed.
AT_REST, HALF_WAY = "rest", "fresh"
_STILL = 2.0


class Seen(msgspec.Struct, frozen=True):
    """What an object is, without what the controllers of the cluster write to it."""

    uid: str
    #: Changes with the content: `metadata.generation`, or the resourceVersion of kinds that have none.
    content: str


class BadDayStage(ClusterStage):
    """A stage whose API server may refuse what it allows."""

    def check_logs(self) -> None:
        """As always, but that a call was refused is no rule that lacks: a server that starts answers before it has
        read its roles.
        """
        rules, self._rules = self._rules, ()
        super().check_logs()
        self._rules = rules


class BadDay:
    """A stage with its own control plane: a platform at rest, one half way, and an operator before both."""

    def __init__(self, plane: ControlPlane, stage: ClusterStage) -> None:
        self.plane, self.stage = plane, stage
        self.before: dict[str, Seen] = {}
        self.uids: dict[str, str] = {}
        self.operator: OperatorProcess

    # -- before ----------------------------------------------------------------------------------------------------

    def begin(
        self, spec: dict[str, Any], *, also: Mapping[str, dict[str, Any]] | None = None, ready_seconds: float = 1.5
    ) -> None:
        """Install one platform (and others besides), and begin to install another, whose pods take `ready_seconds`."""
        self.plane.node.set_ready_delay(0.5)
        self.operator = self.stage.operate(**SETTINGS)
        for name, other in {AT_REST: spec, **(also or {})}.items():
            self.uids[name] = self.stage.install(other, name)
        self.wait_still()
        self.before = self.children(AT_REST)
        assert self.before
        self.plane.node.set_ready_delay(ready_seconds)
        self.uids[HALF_WAY] = self.stage.apply(spec, HALF_WAY)
        self.stage.wait("half way", lambda: any(key.startswith("StatefulSet/") for key in self.children(HALF_WAY)))
        assert not self.stage.is_ready(HALF_WAY)

    def children(self, name: str) -> dict[str, Seen]:
        """`Kind/name` -> what it is, of everything the operator made for a platform."""
        resources = [watched.resource for watched in WATCHED[1:-1] if watched.resource != POD]
        found = [child for resource in [*resources, SECRET] for child in self.stage.children(resource, name)]
        return {f"{child['kind']}/{child['metadata']['name']}": _seen(child) for child in found}

    # -- while it lasts --------------------------------------------------------------------------------------------

    @contextmanager
    def fault(self, *, busy: tuple[str, ...] = ()) -> Iterator[None]:
        """The body is the fault; what the operator sends meanwhile is no hot loop.

        `busy`: platforms that have work to do meanwhile, which is not held against it.
        """
        first, began = self.stage.faults.last(), time.monotonic()
        yield
        seconds = time.monotonic() - began
        calls = [call for call in self.sent(first) if not call.name.startswith(busy)]
        check_rate(calls, seconds, [name for name in self.uids if name not in busy])

    def sent(self, first: int) -> list[Call]:
        """The operator's calls after this one."""
        return [call for call in self.stage.faults.log(first) if call.user_agent.startswith("stackledger/")]

    # -- after -----------------------------------------------------------------------------------------------------

    def check(self, *, kept: bool = True) -> None:
        """Everything that must hold when a fault is over, for both platforms.

        Args:
            kept: the fault left the objects as they were, so that nothing of the platform at rest may have changed.
        """
        for name in self.uids:
            self.stage.wait_ready(name)
        self.wait_still()
        if kept:
            assert self.children(AT_REST) == self.before, "something was written that was as it should be"
            self.check_once(HALF_WAY)
        for uid in self.uids.values():
            self.check_requests(uid)
        if kept:
            self.check_announced()
        self.operator.wait_ready()
        assert not (why := self.operator.unhealth()), why
        verified = self.stage.stackledger("verify", "--all")
        assert verified.returncode == 0, verified.stdout + verified.stderr

    def wait_still(self) -> None:
        """Until it is at rest: for some seconds no write and no append."""

        def is_still() -> bool:
            first, events = self.stage.faults.last(), len(self.stage.recorded())
            time.sleep(_STILL)
            return len(self.stage.recorded()) == events and not any(call.verb in WRITES for call in self.sent(first))

        self.stage.wait("still", is_still)

    def check_once(self, name: str) -> None:
        """What was made while the fault lasted was made once, and not changed afterwards."""
        done = Counter(str(event.ref) for event in self.stage.events(e.ActionSucceeded, self.uids[name]))
        made = {key for key in self.children(name) if not key.startswith("PersistentVolumeClaim/")}
        assert set(done) == made, f"done and there: {set(done) ^ made}"
        assert set(done.values()) == {1}, done
        workloads = {key: seen for key, seen in self.children(name).items() if key.startswith(("Stateful", "Deploy"))}
        assert {seen.content for seen in workloads.values()} == {"1"}, workloads

    def check_requests(self, uid: str) -> None:
        """Each request in the log was answered by one outcome, and after it."""
        outcomes = Counter[int]()
        for record in self.stage.recorded(uid):
            event = decode(record)
            if isinstance(event, Outcome) and not isinstance(event, e.DriftCorrected):
                assert event.request < record.version
                outcomes[event.request] += 1
            elif isinstance(event, e.RequestSuperseded):
                outcomes[event.request] += 1
        asked = {
            record.version
            for record in self.stage.recorded(uid)
            if isinstance(
                decode(record),
                e.ApplyRequested | e.DeleteRequested | e.FinalizerAddRequested | e.FinalizerReleaseRequested,
            )
        }
        assert set(outcomes) == asked
        assert set(outcomes.values()) == {1}, outcomes

    def check_announced(self) -> None:
        """Every change of phase is told by one Kubernetes Event."""

        def missing() -> list[str]:
            told = Counter(event["metadata"]["name"] for event in self.stage.cluster.list_all(EVENT).items)
            wanted = [
                f"{name}.{uid[:8]}.{record.version:08x}"
                for name, uid in self.uids.items()
                for record in self.stage.recorded(uid)
                if isinstance(decode(record), e.PhaseChanged)
            ]
            return [name for name in wanted if told[name] != 1]

        self.stage.wait("announced", lambda: not missing(), seconds=90)


def check_rate(calls: list[Call], seconds: float, platforms: list[str]) -> None:
    """At most one call a second for each platform, and for each kind that is listed and watched."""
    allowed = seconds + 1
    by_platform, by_kind = Counter[str](), Counter[str]()
    for call in calls:
        if call.verb in ("list", "watch") or not call.namespace:
            by_kind[call.resource] += 1
        elif call.resource.startswith("events"):
            # Of the body, which tells whom an Event is about, nothing is kept: they count for each platform.
            by_platform.update(platforms)
        else:
            by_platform[next((name for name in platforms if call.name.startswith(name)), call.name)] += 1
    assert max(by_platform.values(), default=0) <= allowed, _told(calls, seconds, by_platform)
    assert max(by_kind.values(), default=0) <= allowed, _told(calls, seconds, by_kind)


def _told(calls: list[Call], seconds: float, counted: Counter[str]) -> str:
    began = calls[0].time
    lines = [
        f"{call.time - began:8.4f} {call.verb} {call.resource} {call.name} {call.status} {call.duration}"
        for call in calls
        if call.verb not in ("list", "watch")
    ]
    return "\n".join([f"in {seconds:.1f} s: {counted}", *lines])


def _seen(child: KubernetesObject) -> Seen:
    metadata = child["metadata"]
    if child["kind"] == "PersistentVolumeClaim":
        # The cluster's own controllers write to it at any time.
        return Seen(metadata["uid"], "")
    return Seen(metadata["uid"], str(metadata.get("generation") or metadata["resourceVersion"]))
