"""Hypothesis' machine over the model: each rule is something that happens to a platform, in any order.

Every pass checks the laws (laws.py); the end of a run is calm, and then the platform must become what was asked for.
"""

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from eventstore import events as e
from eventstore.vocabulary import ErrorCategory, Phase
from projections.state import PlatformState
from reconciler.core.deadlines import next_due
from reconciler.core.desired import desired_objects
from reconciler.core.plan import open_requests, plan
from reconciler.core.recovery import configuration_error
from tests.reconciler.core.model_world import HEALTH, SECRETS, ModelWorld, Refusal

PROMETHEUS = {"version": "3.13.1"}
LOKI = {"version": "3.7.5"}
S3 = {"bucket": "logs", "accessKeyId": {"secretKeyRef": {"name": "loki-s3", "key": "id"}}}
DASHBOARDS = {"prometheus": PROMETHEUS, "grafana": {"version": "11.6.0"}}
#: What the postlude asks for where a spec is refused: it can be reached from every other one.
PLAIN = "one"
COMPONENTS: dict[str, dict[str, Any]] = {
    PLAIN: {"prometheus": PROMETHEUS},
    "one, shorter": {"prometheus": {**PROMETHEUS, "retention": "3d"}},
    "one, newer": {"prometheus": {"version": "3.13.2"}},
    "one, newest": {"prometheus": {"version": "3.14.0"}},
    "two": {"prometheus": PROMETHEUS, "loki": LOKI},
    "two, newer": {"prometheus": {"version": "3.13.2"}, "loki": {"version": "3.7.6"}},
    "two, secret": {"prometheus": PROMETHEUS, "loki": {**LOKI, "s3": S3}},
    "two, newer, secret": {"prometheus": {"version": "3.13.2"}, "loki": {"version": "3.7.6", "s3": S3}},
    "dashboards": DASHBOARDS,
    "dashboards, password": {**DASHBOARDS, "grafana": {"version": "11.6.0", "adminPassword": "model canary"}},
    # Once it has run there is no way back: it rewrites its tables.
    "dashboards, newer": {**DASHBOARDS, "grafana": {"version": "12.4.0"}},
    "moved": {"loki": LOKI},
}
SPECS: dict[str, dict[str, Any]] = {
    **{name: {"components": components, "allowDowngrade": True} for name, components in COMPONENTS.items()},
    "adopting": {"components": COMPONENTS["two"], "allowDowngrade": True, "adopt": True},
    "unknown field": {"components": COMPONENTS["two"], "allowDowngrade": True, "promethues": {}},
    "no downgrade": {"components": COMPONENTS["one, shorter"]},
    "empty": {"components": {}},
    "unsupported": {"components": {"prometheus": {"version": "99.0.0"}}},
    "not a spec": {"components": {"prometheus": {"version": 3}}},
    "resized": {"components": {"prometheus": {**PROMETHEUS, "storage": {"size": "1Gi"}}}, "allowDowngrade": True},
}
REFUSALS = {
    "busy": Refusal(category=ErrorCategory.TRANSIENT, reason="TooManyRequests", retry_after_seconds=45.0),
    "busy once": Refusal(category=ErrorCategory.TRANSIENT, reason="TooManyRequests", retry_after_seconds=3.0, count=1),
    "unreachable": Refusal(category=ErrorCategory.TRANSIENT, reason="Unreachable"),
    "reply lost": Refusal(category=ErrorCategory.TRANSIENT, reason="Timeout", count=1, took_effect=True),
    "replies lost": Refusal(category=ErrorCategory.TRANSIENT, reason="Timeout", count=3, took_effect=True),
    "conflict": Refusal(category=ErrorCategory.TRANSIENT, reason="Conflict", count=2),
    "rejected": Refusal(category=ErrorCategory.CONFIGURATION, reason="Rejected"),
    "immutable, once": Refusal(category=ErrorCategory.CONFIGURATION, reason="ImmutableField", count=1),
    "quota": Refusal(category=ErrorCategory.RESOURCE, reason="QuotaExceeded"),
    "forbidden": Refusal(category=ErrorCategory.RESOURCE, reason="PermissionDenied"),
}
KINDS = ("", "StatefulSet", "ConfigMap", "Service", "Secret", "ObservabilityPlatform")
QUOTAS: dict[str, dict[str, tuple[str, str]]] = {
    "generous": {"pods": ("100", "0")},
    "tight": {"pods": ("1", "1")},
    "empty": {"count/services": ("0", "0")},
}
POLICIES = {
    "usual": e.Policy(retry_jitter=0.0),
    "spread": e.Policy(retry_jitter=0.5),
    "impatient": e.Policy(retries_max=1, slow_probe_seconds=60.0, progress_deadline_seconds=120.0),
    "never again": e.Policy(retries_max=0, stability_seconds=0.0, problem_grace_seconds=0.0),
    "patient": e.Policy(retry_initial_seconds=60.0, stability_seconds=20.0, teardown_deadline_seconds=30.0),
}
#: A calm look takes so long, and a calm end so many of them.
CALM_SECONDS, CALM_LOOKS = 10.0, 240

names = st.sampled_from(sorted(SPECS))
places = st.integers(0, 50)


class PlatformMachine(RuleBasedStateMachine):
    """What users, clusters, servers, clocks and processes do."""

    def __init__(self) -> None:
        super().__init__()
        self.world = ModelWorld()
        #: The latest instant that any clock has shown.
        self.latest = self.world.now
        #: Retries that were asked for; the annotation says when, so that each has another value.
        self.tokens = 0

    # -- users -----------------------------------------------------------------------------------------------------

    @initialize(spec=names, ready=st.booleans())
    def create(self, spec: str, ready: bool) -> None:
        """A platform is created, and has its time or not."""
        self.world.create(SPECS[spec])
        self.world.reconcile()
        if ready:
            self._rest()

    @rule(spec=names)
    def edit(self, spec: str) -> None:
        """Another spec; paused stays as it is."""
        self.world.edit({**SPECS[spec], **({"paused": True} if self.world.spec.get("paused") else {})})
        self.world.reconcile()

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        """`spec.paused`"""
        self.world.edit({**self.world.spec, "paused": paused})
        self.world.reconcile()

    @rule()
    def ask_for_retry(self) -> None:
        """A new value of the annotation."""
        self.tokens += 1
        self.world.token = f"retry {self.tokens}"
        self.world.reconcile()

    @rule(sure=st.integers(0, 2))
    def delete(self, sure: int) -> None:
        """`kubectl delete`; not too often, or little else is looked at."""
        if sure == 2 and self.world.exists:
            self.world.delete()
            self.world.reconcile()

    @precondition(lambda self: not self.world.exists)
    @rule(spec=names)
    def recreate(self, spec: str) -> None:
        """The same name again."""
        self.world.recreate(SPECS[spec])
        self.world.reconcile()

    @rule()
    def strip_finalizer(self) -> None:
        """Somebody takes our finalizer off."""
        self.world.finalizer = False
        self.world.exists &= not self.world.deleting
        self.world.reconcile()

    @rule(secret=st.sampled_from(SECRETS))
    def change_secret(self, secret: str) -> None:
        """What the spec refers to."""
        self.world.secret = secret
        self.world.reconcile()

    # -- cluster ---------------------------------------------------------------------------------------------------

    @rule()
    def settle(self) -> None:
        """Controllers finish what they began."""
        self.world.settle()
        self.world.reconcile()

    @rule(place=places, health=st.sampled_from(sorted(HEALTH)))
    def change_health(self, place: int, health: str) -> None:
        """Pods of a component get well or ill."""
        if self.world.pods:
            name = sorted(self.world.pods)[place % len(self.world.pods)]
            self.world.pods[name].health = health
        self.world.reconcile()

    @rule(versions=st.sampled_from([(), ("3.13.2",), ("3.7.6", "3.14.0"), ("12.4.0",)]))
    def break_versions(self, versions: tuple[str, ...]) -> None:
        """Images that crash."""
        self.world.bad_versions = set(versions)
        self.world.reconcile()

    @rule(place=places, kind=st.sampled_from(["changed", "missing", "replaced", "foreign"]))
    def drift(self, place: int, kind: str) -> None:
        """Somebody lays hands on a child."""
        children = self.world.children
        if children:
            key = sorted(children)[place % len(children)]
            if kind == "changed":
                children[key].owned = "theirs"
            elif kind == "missing":
                del children[key]
            elif kind == "replaced":
                children[key].uid += "'"
            else:
                self.world.occupy(key)
        self.world.reconcile()

    @rule()
    def occupy_a_name(self) -> None:
        """An object of somebody else has the name of one that is yet to be made."""
        wanted = [one.key for one in desired_objects(self.world.state) if one.key not in self.world.children]
        if wanted:
            self.world.occupy(wanted[0])
        self.world.reconcile()

    @rule()
    def make_room(self) -> None:
        """What is somebody else's goes away."""
        self.world.foreign.clear()
        self.world.reconcile()

    @rule(quota=st.sampled_from(sorted(QUOTAS)), there=st.booleans())
    def change_quota(self, quota: str, there: bool) -> None:
        """A quota of the namespace."""
        self.world.quotas = {"limit": QUOTAS[quota]} if there else {}
        self.world.reconcile()

    @rule(refusal=st.none() | st.sampled_from(sorted(REFUSALS)), kind=st.sampled_from(KINDS))
    def refuse(self, refusal: str | None, kind: str) -> None:
        """From here on writes fail, or no longer."""
        self.world.refusal = msgspec.structs.replace(REFUSALS[refusal], kind=kind) if refusal else None
        self.world.reconcile()

    @rule()
    def back_up(self) -> None:
        """The cluster is put by."""
        if self.world.exists:
            self.world.save()

    @precondition(lambda self: self.world.backup is not None)
    @rule()
    def restore(self) -> None:
        """The cluster comes back from its backup; the log stays as it is."""
        self.world.restore()
        self.world.reconcile()

    @rule()
    def vanish(self) -> None:
        """The resource goes without a word: its namespace was taken from etcd, or the finalizer was stripped."""
        if self.world.deleting:
            self.world.exists = self.world.finalizer = False
        self.world.reconcile()

    # -- operator --------------------------------------------------------------------------------------------------

    @rule()
    def look(self) -> None:
        """A pass, for no reason at all."""
        self.world.reconcile()

    @rule()
    def crash(self) -> None:
        """The process ends after the next writes, before it can record what came of them."""
        self.world.crashing = True
        self.world.reconcile()

    @rule(writes=st.integers(0, 4))
    def change_leader(self, writes: int) -> None:
        """Another process takes over after so many writes of the next round."""
        self.world.writes_left = writes
        self.world.reconcile()

    @rule(policy=st.sampled_from(sorted(POLICIES)))
    def change_policy(self, policy: str) -> None:
        """The operator is started with other settings."""
        self.world.policy = POLICIES[policy]
        self.world.reconcile()

    @rule(version=st.sampled_from(["1.0.0", "1.1.0"]))
    def change_operator(self, version: str) -> None:
        """Another build of the operator."""
        self.world.operator_version = version
        self.world.reconcile()

    @rule(kept=st.sampled_from([0, 1, 2, 5, 10]), sure=st.booleans())
    def lose_log(self, kept: int, sure: bool) -> None:
        """The database comes back from a backup, or empty."""
        if sure:
            self.world.lose_log(kept)
            self.world.reconcile()

    # -- time ------------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1.0, 6.0, 31.0, 301.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.wait(seconds)
        self.world.reconcile()

    @rule(late=st.sampled_from([0.0, 0.001, 7200.0]))
    def wait_until_due(self, late: float) -> None:
        """Time passes up to the next deadline, or to long after it, with nobody looking in between."""
        due = next_due(self.world.state, self.world.now)
        if due is not None:
            self.world.now = due
        self.world.go_back(-late)
        self.world.reconcile()

    @rule(seconds=st.sampled_from([1.0, 30.0, 3600.0]))
    def set_clock_back(self, seconds: float) -> None:
        """The clock was wrong, or is from now on."""
        self.latest = max(self.latest, self.world.now)
        self.world.go_back(seconds)
        self.world.reconcile()

    @rule()
    def rest(self) -> None:
        """A calm minute."""
        self._rest(looks=6)

    def _rest(self, looks: int = CALM_LOOKS) -> None:
        for _ in range(looks):
            before = self.world.state.version
            self.world.settle()
            self.world.reconcile()
            self.world.wait(CALM_SECONDS)
            if self.world.state.version == before and next_due(self.world.state, self.world.now) is None:
                return

    # -- the end ---------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """All is well from here on: the platform becomes what was asked for, or says who has to do what."""
        world = self.world
        if not world.told or world.broken:
            return
        self._make_calm()
        self._rest()
        if not world.exists:
            # Of a log that was lost as well there is nothing left that could be closed.
            assert world.state.closed or world.state.version == 0
        elif not self._waits_for_a_person():
            self._check_ready()
        self._check_silence()
        if world.exists:
            self._help()
            self._rest()
            self._check_ready()
            self._check_silence()
        for laws in (*world.past_laws, world.laws):
            assert not laws.recorded or laws.recorded[0].version == 1
        world.laws.check_fold(world.state, world.now)

    def _make_calm(self) -> None:
        world = self.world
        world.refusal, world.writes_left, world.crashing = None, None, False
        world.secret, world.quotas, world.bad_versions = "good", {}, set()
        # A clock that was set back prolongs what is waited for by as much, and no more.
        world.now = max(world.now, self.latest)
        world.foreign.clear()
        for pods in world.pods.values():
            pods.health = "healthy"

    def _waits_for_a_person(self) -> bool:
        state = self.world.state
        return state.paused or configuration_error(state) is not None

    def _help(self) -> None:
        """A person does what only a person can do: a spec that is valid, not paused, and a retry."""
        world = self.world
        state = world.state
        spec = {key: value for key, value in world.spec.items() if key != "paused"}
        world.edit(SPECS[PLAIN] if state.findings or state.accepted is None else spec)
        self.ask_for_retry()
        if world.state.findings:
            world.edit(SPECS[PLAIN])

    def _check_ready(self) -> None:
        world, state = self.world, self.world.state
        assert world.exists
        assert not world.deleting, f"never released: {_words(state)}"
        assert state.phase is Phase.READY, _words(state)
        wanted = {one.key for one in desired_objects(state)}
        assert set(world.children) == wanted

    def _check_silence(self) -> None:
        world = self.world
        before = world.state.version
        world.wait(3600)
        world.reconcile()
        assert world.state.version == before, f"not silent: {world.told[before - world.state.version :]}"
        assert open_requests(world.state, world.now) == ()
        assert plan(world.state, world.now).requests == ()


def _words(state: PlatformState) -> str:
    return f"{state.phase} ({state.phase_reason}: {state.phase_message}), {state.failure}, {state.retry}"
