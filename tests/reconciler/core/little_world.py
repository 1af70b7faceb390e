"""A cluster in miniature around the pure core: what is applied exists, pods roll, things break, time passes."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from eventstore import events as e
from eventstore.vocabulary import KIND, ComponentName, ComponentPhase, ErrorCategory
from projections.platform import WORKLOAD_KINDS, evolve, initial
from projections.state import PlatformState, SpecState
from reconciler.core.conclude import apply_events, conclude
from reconciler.core.deadlines import next_due
from reconciler.core.desired import accepted_references, desired_objects, references_of
from reconciler.core.observe import ObjectSighting, PlatformSighting, Sighting, canonical, observe
from reconciler.core.plan import Request, open_requests
from reconciler.core.status import status
from reconciler.shell.sight import spec_digest
from tests.reconciler.core.story import START

ROUNDS_MAX = 12
#: Passes at one instant, nothing changing outside, after which a platform must have come to rest.
PASSES_MAX = 4
PLATFORM_REF = e.ObjectRef("observability.io/v1beta1", KIND, "prod")


class Child(msgspec.Struct):
    """An object in the cluster."""

    ref: e.ObjectRef
    uid: str
    digest: str
    component: ComponentName | None
    #: Who wrote it last: anything but "ours" is drift.
    owned: str = "ours"
    terminating: bool = False


class Workload(msgspec.Struct):
    """The pods of a component."""

    version: str
    rolled_out: bool = False
    health: str = "healthy"


class LittleWorld:
    """The cluster, the user and the clock of one platform; `reconcile` is a pass of the loop."""

    def __init__(self) -> None:
        self.state: PlatformState = initial("6f1c2b7e-0000-4000-8000-000000000001")
        self.now = START
        self.policy = e.Policy(retry_jitter=0.0)
        self.spec: dict[str, Any] = {}
        self.generation = 0
        self.exists, self.finalizer, self.deleting = False, False, False
        self.token = ""
        self.children: dict[str, Child] = {}
        self.pods: dict[str, Workload] = {}
        self.secret = "good"
        #: Category with which writes fail, and the kind of object they fail for ("" for all); None: they work.
        self.fault: tuple[ErrorCategory, str] | None = None
        #: The next round of writes is made, but the operator ends before it can record what came of them.
        self.crashing = False
        self.bad_versions: set[str] = set()
        self.uids = 0
        self.told: list[e.Event] = []

    # -- the user and the cluster ----------------------------------------------------------------------------------

    def edit(self, spec: dict[str, Any]) -> None:
        """A new spec; deleting and paused stay as they are."""
        if self.exists and not self.deleting and spec != self.spec:
            self.spec, self.generation = spec, self.generation + 1

    def create(self, spec: dict[str, Any]) -> None:
        self.exists, self.spec, self.generation = True, spec, 1

    def delete(self) -> None:
        self.deleting = True
        self.exists = self.finalizer

    def settle(self) -> None:
        """Kubernetes' controllers finish what they began."""
        self.children = {key: child for key, child in self.children.items() if not child.terminating}
        for workload in self.pods.values():
            workload.rolled_out |= workload.version not in self.bad_versions

    # -- the loop --------------------------------------------------------------------------------------------------

    def reconcile(self) -> None:
        """Passes until nothing is left to do at this instant; a platform that does not come to rest is a hot loop."""
        for _ in range(PASSES_MAX):
            if self._pass():
                return
        raise AssertionError(f"a hot loop: {self.told[-12:]}")

    def _pass(self) -> bool:
        outcomes: list[e.Event] = []
        for _ in range(ROUNDS_MAX):
            self._advance(outcomes)
            requests = open_requests(self.state, self.now)
            if not requests or not self.exists:
                return True
            outcomes = list(self._execute(requests))
            if self.crashing:
                self.crashing, outcomes = False, []
        self._advance(outcomes)
        return not open_requests(self.state, self.now)

    def _advance(self, outcomes: list[e.Event]) -> None:
        before = self.state
        after = apply_events(before, outcomes, self.now)
        seen = observe(after, self.sighting(after))
        self.state, concluded = conclude(apply_events(after, seen, self.now), self.now)
        events = [*outcomes, *seen, *concluded]
        self.told += events
        self._check_story(before, events)
        self._check_state()

    def _check_story(self, state: PlatformState, events: list[e.Event]) -> None:
        """No write is asked for that may not be asked for, and none twice."""
        for event in events:
            if isinstance(event, e.ApplyRequested | e.DeleteRequested):
                deleting = state.deletion_requested_at is not None
                assert state.finalizer, event
                assert not state.paused or deleting, event
                assert not deleting or isinstance(event, e.DeleteRequested), event
                child = state.objects.get(event.ref.key)
                assert child is None or not child.request, f"two open requests: {event}"
            if isinstance(event, e.Outcome) and not isinstance(event, e.FinalizerAdded | e.FinalizerReleased):
                child = state.objects.get(event.ref.key)  # type: ignore[attr-defined]  # all others have a ref
                known = child.request if child else state.finalizer_request
                assert isinstance(event, e.DriftCorrected) or event.request == known, event
            state = evolve(state, event, self.now)

    def _check_state(self) -> None:
        state = self.state
        assert conclude(state, self.now)[1] == ()
        assert msgspec.json.decode(msgspec.json.encode(state), type=PlatformState) == state
        assert state.retry.attempt <= self.policy.retries_max
        self._check_conditions()

    def _check_conditions(self) -> None:
        if self.state.phase is None:
            return
        document = status(self.state)
        found = [c["type"] for c in document["conditions"]]
        assert len(found) == len(set(found))
        by_type = {c["type"]: c["status"] for c in document["conditions"]}
        assert set(by_type) >= {"Ready", "Available", "Progressing", "Degraded"}
        assert (by_type["Progressing"] == "True") == ("Reconciling" in by_type)
        assert not {"Reconciling", "Stalled"} <= set(by_type)
        if by_type["Ready"] == "True" and self.exists and not self.state.rolled_back:
            self._check_ready(document["observedGeneration"])

    def _check_ready(self, generation: int) -> None:
        """What `kubectl wait --for=condition=Ready` promises."""
        accepted = self.state.accepted
        assert accepted is not None
        if generation == self.generation:
            assert accepted.digest == spec_digest(self.spec, {}), "Ready for a spec that is not rolled out"
        for wanted in desired_objects(self.state):
            assert self.children[wanted.key].digest == wanted.digest
        for name, version in accepted.versions.items():
            assert self.pods[name].version == version
            assert self.pods[name].rolled_out

    # -- eyes ------------------------------------------------------------------------------------------------------

    def sighting(self, state: PlatformState) -> Sighting:
        """What is there now."""
        if not self.exists:
            return Sighting(platform=None, policy=self.policy, operator_version="test")
        digest = spec_digest(self.spec, {})
        return Sighting(
            platform=PlatformSighting(
                namespace="demo",
                name="prod",
                uid=state.stream_id,
                generation=self.generation,
                spec=self.spec,
                digest=digest,
                created_at=START,
                deletion_requested_at=self.now if self.deleting else None,
                has_finalizer=self.finalizer,
                retry_token=self.token,
            ),
            objects={
                key: ObjectSighting(ref=c.ref, uid=c.uid, owned_digest=c.owned, component=c.component)
                for key, c in self.children.items()
            },
            components=dict(self._components(state)),
            dependencies=dict(self._dependencies(state, digest)),
            policy=self.policy,
            operator_version="test",
        )

    def _components(self, state: PlatformState) -> Iterator[tuple[str, e.ComponentObserved]]:
        workloads = {w.component: w for w in desired_objects(state) if w.ref.kind in WORKLOAD_KINDS}
        for name, component in state.components.items():
            wanted = workloads.get(ComponentName(name))
            if component.phase is not ComponentPhase.PENDING and wanted is not None:
                yield name, self._component(ComponentName(name), wanted.key in self.children)

    def _component(self, name: ComponentName, exists: bool) -> e.ComponentObserved:
        pods = self.pods.get(name)
        if not exists or pods is None:
            return e.ComponentObserved(
                component=name, desired_replicas=0, ready_replicas=0, updated_replicas=0, rolled_out=False
            )
        crashes = pods.health == "broken" or pods.version in self.bad_versions
        ready = pods.rolled_out and pods.health == "healthy" and not crashes
        problem = e.Problem(reason="CrashLoopBackOff", message="keeps ending", subject=f"Pod/prod-{name}-0")
        return e.ComponentObserved(
            component=name,
            desired_replicas=1,
            ready_replicas=int(ready),
            updated_replicas=1,
            rolled_out=pods.rolled_out,
            running_version=pods.version if ready else "",
            problems=(problem,) if crashes else (),
        )

    def _dependencies(self, state: PlatformState, digest: str) -> Iterator[tuple[str, e.DependencyObserved]]:
        if self.deleting:
            return
        newest = SpecState(generation=self.generation, digest=digest, spec=canonical(self.spec))
        for reference in sorted({*references_of(newest, "prod"), *accepted_references(state)}):
            yield (
                f"{reference.kind}/{reference.name}",
                e.DependencyObserved(
                    kind=reference.kind,
                    name=reference.name,
                    found=self.secret != "missing",
                    keys=dict.fromkeys(reference.keys, "hmac") if self.secret != "missing" else {},
                    refused_reason="SecretNotGranted" if self.secret == "refused" else "",
                    refused="needs a label" if self.secret == "refused" else "",
                ),
            )

    # -- hands -----------------------------------------------------------------------------------------------------

    def _execute(self, requests: tuple[Request, ...]) -> Iterator[e.Event]:
        for request in requests:
            ref = request.ref or PLATFORM_REF
            if self.fault is not None and self.fault[1] in {"", ref.kind}:
                category = self.fault[0]
                yield e.ActionFailed(
                    request=request.version, ref=ref, category=category, reason="Refused", message="no"
                )
                if category is ErrorCategory.TRANSIENT:
                    return
            elif request.ref is None:
                yield self._change_finalizer(request)
            elif request.digest:
                yield self._apply(request, request.ref)
            else:
                yield self._remove(request, request.ref)

    def _change_finalizer(self, request: Request) -> e.Event:
        adding = self.state.deletion_requested_at is None
        self.finalizer = adding
        if self.deleting and not adding:
            self.exists = False
        return (e.FinalizerAdded if adding else e.FinalizerReleased)(request=request.version)

    def _apply(self, request: Request, ref: e.ObjectRef) -> e.Event:
        assert self.state.deletion_requested_at is None, f"applied during the teardown: {ref}"
        before = self.children.get(ref.key)
        if before is None:
            self.uids += 1
        uid = before.uid if before else f"uid-{self.uids}"
        changed = before is None or before.digest != request.digest or before.owned != "ours"
        self.children[ref.key] = Child(ref, uid, request.digest, request.component)
        if changed and ref.kind in WORKLOAD_KINDS and request.component is not None:
            assert self.state.accepted is not None
            health = self.pods[request.component].health if request.component in self.pods else "healthy"
            self.pods[request.component] = Workload(self.state.accepted.versions[request.component], health=health)
        return e.ActionSucceeded(
            request=request.version, ref=ref, uid=uid, resource_version="1", owned_digest="ours", changed=changed
        )

    def _remove(self, request: Request, ref: e.ObjectRef) -> e.Event:
        child = self.children.get(ref.key)
        if child is not None and child.uid == request.uid:
            child.terminating = True
            if ref.kind in WORKLOAD_KINDS and child.component in self.pods:
                del self.pods[child.component]
        return e.ActionSucceeded(request=request.version, ref=ref, uid=request.uid)

    # -- time ------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Time passes; the operator wakes at its own deadlines only, and where it polls."""
        end = self.now + timedelta(seconds=seconds)
        for _ in range(10_000):
            due = None if self.state.closed else next_due(self.state, self.now)
            if self.state.missing:
                poll = self.now + timedelta(seconds=self.policy.prerequisite_poll_seconds)
                due = min(due, poll) if due else poll
            if due is None or due > end:
                self.now = end
                return
            self.now = due
            self.reconcile()
        raise AssertionError("too many deadlines")
