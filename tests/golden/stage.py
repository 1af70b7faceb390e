"""Where the stories are told that are recorded: the operator in the simulator, everything in its own time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from msgspec.structs import replace

from audit.verification import referenced_digests
from eventstore.codec import decode, encode
from eventstore.events import Event, Outcome, RequestSuperseded
from eventstore.log import EventLog
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import FINALIZER, RETRY_AT_ANNOTATION, ErrorCategory
from projections.platform import evolve, initial
from projections.state import PlatformState
from reconciler.shell.cluster import ClusterError
from reconciler.shell.states import state_record
from sandbox.errors import StatusError
from simulator.ports import Mark
from simulator.quiet import silent_logs
from simulator.replica import Timing
from simulator.scheduler import Simulation
from simulator.universe import NAMESPACE, Universe

Spec = dict[str, Any]
#: Every story has its own seed, so that no two logs hold the same uids.
REPLICA = "replica-0"


class Stage:
    """One cluster, one log, one replica, and what people do."""

    def __init__(self, seed: int, timing: Timing | None = None) -> None:
        self._seed = seed
        self.universe = Universe(seed)
        #: Every log there was, oldest first; the last one is in use.
        self.logs = [self.universe.log]
        self.simulation = self._begin(timing)

    def _begin(self, timing: Timing | None) -> Simulation:
        simulation = Simulation(self.universe)
        if timing is not None:
            simulation.timings[REPLICA] = timing
        simulation.start(REPLICA)
        return simulation

    def wait(self, seconds: float = 120.0) -> None:
        """Let so much time pass, with all that happens in it."""
        with silent_logs():
            self.simulation.wait(seconds)

    def apply(self, spec: Spec, name: str = "prod", *, wait: float = 120.0) -> None:
        """`kubectl apply`, and what follows."""
        self.universe.apply(name, spec)
        self.wait(wait)

    def delete(self, name: str = "prod", *, wait: float = 120.0) -> None:
        """`kubectl delete`, and what follows."""
        self.universe.delete_platform(name)
        self.wait(wait)

    def retry(self, spec: Spec, name: str = "prod") -> None:
        """Ask for a retry by annotation."""
        self.universe.apply(name, spec, annotations={RETRY_AT_ANNOTATION: self.universe.clock.now().isoformat()})
        self.wait()

    def revision(self) -> int:
        """What a backup made now would hold."""
        return self.universe.model.store.revision

    def put(self, kind: str, name: str, **body: Any) -> None:
        """`kubectl create` of something beside the platform."""
        labels = body.pop("labels", {})
        found = next(one for one in self.universe.model.registry.all() if one.kind == kind)
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        self.universe.create(found, {"kind": kind, "metadata": metadata, **body})

    def patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        """`kubectl patch`"""
        found = next(one for one in self.universe.model.registry.all() if one.kind == kind)
        self.universe.merge(found, name, patch)

    def remove(self, kind: str, name: str) -> None:
        """`kubectl delete` of something beside the platform."""
        found = next(one for one in self.universe.model.registry.all() if one.kind == kind)
        with suppress(StatusError):
            self.universe.delete(found, name)

    def strip_finalizer(self, name: str = "prod") -> None:
        """Somebody takes our finalizer off."""
        platform = self.universe.platform(name)
        assert platform is not None
        left = [one for one in platform["metadata"].get("finalizers", ()) if one != FINALIZER]
        self.patch(self.universe.platform_kind().kind, name, {"metadata": {"finalizers": left}})

    def lose_log(self) -> None:
        """The database is gone: the operator begins with an empty one."""
        for replica in list(self.simulation.replicas):
            self.simulation.stop(replica)
        self.universe.log, self.universe.outbox = InMemoryEventLog(self.universe.clock.now), Mark()
        self.logs.append(self.universe.log)
        self.simulation = self._begin(None)

    def restart(self, timing: Timing) -> None:
        """Another build, or other settings."""
        for replica in list(self.simulation.replicas):
            self.simulation.stop(replica)
        self.simulation.timings[REPLICA] = timing
        self.simulation.start(REPLICA)

    def until(self, wanted: Callable[[PlatformState], bool]) -> None:
        """Wait until the platform is so."""
        while not any(wanted(stream.state) for stream in self.simulation.facts.streams.values()):
            self.wait(0.25)

    def rewrite(self, change: Callable[[Event], Event | None]) -> None:
        """Another log, made of this one by hand: events are changed, or left out."""
        before, after = self.universe.log, InMemoryEventLog(self.universe.clock.now)
        for stream_id in before.stream_ids():
            _copy(before, after, stream_id, change)
        self.logs.append(after)

    @contextmanager
    def refusing(
        self, category: ErrorCategory, reason: str, message: str, *, kind: str = "", retry_after_seconds: float = 0.0
    ) -> Iterator[None]:
        """Meanwhile the API server refuses to make or change objects (of a kind)."""
        cluster: Any = self.universe.cluster
        real = cluster.apply_new, cluster.apply

        def instead(do: Callable[..., Any]) -> Callable[..., Any]:
            def call(resource: Any, *rest: Any, **named: Any) -> Any:
                if kind not in {"", resource.kind}:
                    return do(resource, *rest, **named)
                raise ClusterError(category, reason, message, retry_after_seconds=retry_after_seconds)

            return call

        cluster.apply_new, cluster.apply = (instead(do) for do in real)
        try:
            yield
        finally:
            cluster.apply_new, cluster.apply = real


def _copy(before: EventLog, after: EventLog, stream_id: str, change: Callable[[Event], Event | None]) -> None:
    places: dict[int, int] = {}
    state = initial(stream_id)
    for recorded in before.read_stream(stream_id):
        event = change(decode(recorded))
        if event is None:
            continue
        if isinstance(event, Outcome | RequestSuperseded):
            event = replace(event, request=places[event.request])
        places[recorded.version] = state.version + 1
        new = encode(
            event,
            event_id=recorded.event_id,
            occurred_at=recorded.occurred_at,
            causation_id=recorded.causation_id,
            correlation_id=recorded.correlation_id,
            actor=recorded.actor,
        )
        at, state = state.version, evolve(state, event, recorded.occurred_at)
        contents = {digest: before.get_content(digest) or b"" for digest in referenced_digests(event)}
        after.append(
            stream_id,
            at,
            [new],
            epoch=recorded.epoch,
            state=state_record(state, recorded.occurred_at),
            contents=contents,
        )
