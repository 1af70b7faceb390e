"""A platform's story told to the pure core: no cluster, no log, no clock but the one in the story."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec.structs import replace

from eventstore import events as e
from eventstore.vocabulary import ComponentName, ErrorCategory, Phase
from projections.platform import initial
from projections.state import PlatformState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.observe import canonical
from reconciler.core.plan import open_requests
from reconciler.shell.sight import spec_digest

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
E = TypeVar("E", bound=e.Event)

MINIMAL: dict[str, Any] = {"components": {"prometheus": {"enabled": True}}}
PAIR: dict[str, Any] = {"components": {"prometheus": {}, "loki": {}}}


def with_versions(**versions: str) -> dict[str, Any]:
    """A spec with these components in these versions."""
    return {"components": {name: {"version": version} for name, version in versions.items()}}


class Story:
    """Keeps state and time; every step concludes and remembers what was decided."""

    def __init__(self, spec: dict[str, Any] | None = None, **policy: float) -> None:
        self.state: PlatformState = initial("6f1c2b7e-0000-4000-8000-000000000001")
        self.now = START
        self.generation = 0
        self.policy = e.Policy(retry_jitter=0.0, **policy)  # type: ignore[arg-type]  # numbers all
        self.last: tuple[e.Event, ...] = ()
        self.told: list[e.Event] = []
        if spec is not None:
            self.see(e.PolicyAdopted(policy=self.policy, operator_version="test"), *self.observed(spec))

    def observed(self, spec: dict[str, Any]) -> tuple[e.Event, ...]:
        """The observation of a new generation of the spec."""
        self.generation += 1
        digest = spec_digest(spec, {})
        return (
            e.PlatformObserved(
                namespace="demo",
                name="prod",
                generation=self.generation,
                spec=canonical(spec),
                digest=digest,
                field_manager="kubectl",
                created_at=START,
            ),
        )

    def see(self, *inputs: e.Event) -> tuple[e.Event, ...]:
        """Fold the inputs in, conclude, and check that concluding again says nothing; what was decided."""
        before = apply_events(self.state, inputs, self.now)
        self.state, self.last = conclude(before, self.now)
        again, more = conclude(self.state, self.now)
        assert more == (), f"asked again, it still says {more}"
        assert again == self.state
        self.told += [*inputs, *self.last]
        return self.last

    def edit(self, spec: dict[str, Any]) -> tuple[e.Event, ...]:
        """The user changes the spec."""
        return self.see(*self.observed(spec))

    def wait(self, seconds: float) -> tuple[e.Event, ...]:
        """Time passes, nothing changes."""
        self.now += timedelta(seconds=seconds)
        return self.see()

    def carry_out(self) -> tuple[e.Event, ...]:
        """Every open request succeeds."""
        return self.see(*[self._success(request) for request in open_requests(self.state, self.now)])

    def fail(self, category: ErrorCategory, reason: str, message: str = "no") -> tuple[e.Event, ...]:
        """The first open request fails, the others stay open."""
        request = open_requests(self.state, self.now)[0]
        ref = request.ref or e.ObjectRef("observability.io/v1beta1", "ObservabilityPlatform", "prod")
        return self.see(
            e.ActionFailed(request=request.version, ref=ref, category=category, reason=reason, message=message)
        )

    def healthy(self, name: ComponentName | str, **fields: Any) -> tuple[e.Event, ...]:
        """The component's pods are all ready and run the wanted version."""
        return self.see(self.sighted(name, **fields))

    def sighted(self, name: ComponentName | str, **fields: Any) -> e.ComponentObserved:
        """An observation of a component; healthy unless `fields` say otherwise."""
        wanted = self.state.components[name].desired_version
        seen = e.ComponentObserved(
            component=ComponentName(name),
            desired_replicas=1,
            ready_replicas=1,
            updated_replicas=1,
            rolled_out=True,
            running_version=wanted,
        )
        return replace(seen, **fields)

    def broken(self, name: ComponentName | str, reason: str = "CrashLoopBackOff") -> tuple[e.Event, ...]:
        """The component's only pod does not run."""
        problem = e.Problem(reason=reason, message="back-off", subject=f"Pod/prod-{name}-0")
        return self.see(self.sighted(name, ready_replicas=0, running_version="", problems=(problem,)))

    def install(self, limit: int = 40) -> None:
        """Until nothing changes any more: carry out, report health, let the stability window pass."""
        for _ in range(limit):
            before = self.state.version
            while open_requests(self.state, self.now):
                self.carry_out()
            for name, component in list(self.state.components.items()):
                if component.phase in {"Installing", "Upgrading"} or component.rollout_since is not None:
                    self.healthy(name)
            self.wait(self.policy.stability_seconds)
            if self.state.version == before:
                return
        raise AssertionError("the story does not come to rest")

    def is_in(self, phase: Phase) -> bool:
        """Whether the platform is in this phase now."""
        return self.state.phase is phase

    def all(self, kind: type[E]) -> list[E]:
        """Every event of a kind that the story has told so far."""
        return [event for event in self.told if isinstance(event, kind)]

    def transitions(self) -> list[tuple[str, str, str]]:
        """(from, to, reason) of every phase change."""
        return [(str(t.from_phase or ""), str(t.to_phase), t.reason) for t in self.all(e.PhaseChanged)]

    def _success(self, request: Any) -> e.Event:
        if request.ref is None:
            deleting = self.state.deletion_requested_at is not None
            return (e.FinalizerReleased if deleting else e.FinalizerAdded)(request=request.version)
        return e.ActionSucceeded(
            request=request.version,
            ref=request.ref,
            uid=request.uid or f"uid-{request.ref.name}-{request.ref.kind}",
            resource_version="1",
            owned_digest="sha256:owned",
        )
