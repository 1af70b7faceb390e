"""A platform brought to Ready by the real core, against a cluster in which everything works at once."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from eventstore import events as e
from eventstore.codec import encode
from eventstore.log import EventLog
from eventstore.vocabulary import ComponentName
from projections.platform import initial
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.desired import desired_manifests
from reconciler.core.observe import canonical
from reconciler.core.plan import open_requests
from reconciler.shell.states import state_record

STREAM = "6f1c2d3e-0000-4000-8000-00000000000a"
START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
SPEC = {"components": {"prometheus": {"enabled": True}, "grafana": {"enabled": True}}}


class Operated:
    """One stream, written as the operator's loop writes it: inputs, then what the core concludes from them."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.state: PlatformState = initial(STREAM)
        self.now = START
        self._ids = 0

    def observe(self, *inputs: e.Event) -> None:
        """One pass."""
        self.now += timedelta(seconds=1)
        before = self.state.version
        self.state, decisions = conclude(apply_events(self.state, inputs, self.now), self.now)
        events = [*inputs, *decisions]
        if not events:
            return
        correlation = self._id()
        new = [
            encode(
                event,
                event_id=self._id(),
                occurred_at=self.now,
                causation_id=None,
                correlation_id=correlation,
                actor="stackledger/epoch-1",
            )
            for event in events
        ]
        contents = {digest: manifest.content for digest, manifest in desired_manifests(self.state).items()}
        record = state_record(self.state, self.now)
        self.log.append(STREAM, before, new, epoch=0, state=record, contents=contents)

    def create(self, spec: dict[str, object] | None = None) -> None:
        """The resource appears."""
        self.observe(
            e.PlatformObserved(
                namespace="obs",
                name="prod",
                generation=1,
                spec=canonical(spec or SPEC),
                digest="sha256:1",
                field_manager="kubectl",
                created_at=START,
            ),
            e.PolicyAdopted(policy=e.Policy(), operator_version="0.1.0"),
        )

    def settle(self, passes: int = 60) -> None:
        """Let the cluster do all that is asked for, until nothing more is."""
        for _ in range(passes):
            outcomes = [self._outcome(request.version, request.ref) for request in open_requests(self.state, self.now)]
            sights = [self._sight(name, component) for name, component in self.state.components.items()]
            self.observe(*outcomes, *[sight for sight in sights if sight is not None])
            self.now += timedelta(seconds=10)
            if self.state.phase == "Ready" and not open_requests(self.state, self.now):
                return

    def _outcome(self, request: int, ref: e.ObjectRef | None) -> e.Event:
        if ref is None:
            return e.FinalizerAdded(request=request)
        return e.ActionSucceeded(request=request, ref=ref, uid=f"uid-{ref.name}", owned_digest="sha256:owned")

    def _sight(self, name: str, component: object) -> e.Event | None:
        was = self.state.components[name]
        if was.phase == "Pending" or was.rolled_out:
            return None
        return e.ComponentObserved(
            component=ComponentName(name),
            desired_replicas=1,
            ready_replicas=1,
            updated_replicas=1,
            rolled_out=True,
            running_version=was.desired_version,
        )

    def _id(self) -> UUID:
        self._ids += 1
        return UUID(int=(UUID(STREAM).int & ~0xFFFFFF) + self._ids)
