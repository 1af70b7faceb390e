"""What users do in a run: short lists of actions, each with what it is to come to."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import msgspec

from api.naming import inline_secret_name
from api.redaction import hmac_value
from api.references import GRANT_LABEL, GRANT_TO_ANY
from eventstore.codec import decode
from eventstore.events import DependencyObserved
from eventstore.vocabulary import FINALIZER, RETRY_AT_ANNOTATION
from simulator.replica import HMAC_KEY, RESYNC_SECONDS
from simulator.universe import Universe

Spec = dict[str, Any]
#: Stands in a spec where only the API server may see it.
CANARY = "correct horse battery staple"
SECOND_CANARY = "a second horse, as correct"
#: A Secret of the user's.
REFERRED = "grafana-admin"


def _nothing(_universe: Universe) -> None:
    """Nothing of others is needed."""


class Stage(msgspec.Struct, frozen=True):
    """An action, and what must be so once everything has come to rest after it."""

    words: str
    do: Callable[[Universe], None]
    until: Callable[[Universe], bool]
    #: It comes to that whatever else is changed in the spec.
    robust: bool = True
    #: So much longer it may take than others: what is not watched is noticed at the second resync at the latest.
    seconds_more: float = 0.0


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A story of one user."""

    name: str
    stages: tuple[Stage, ...]
    #: Platform -> spec that counts in the end; None: it is to be gone.
    wanted: dict[str, Spec | None]
    #: What else of the user's must be there in the end.
    needs: Callable[[Universe], None] = _nothing

    @property
    def deletes(self) -> bool:
        """Whether a platform is deleted in it."""
        return any(stage.words.startswith("delete ") for stage in self.stages)

    def reassert(self, universe: Universe, *, retry: bool = False) -> None:
        """Ask once more for what is wanted in the end: somebody else may have had other wishes in between."""
        self.needs(universe)
        annotations = {RETRY_AT_ANNOTATION: universe.clock.now().isoformat()} if retry else None
        for name, spec in self.wanted.items():
            if spec is None:
                universe.delete_platform(name)
                _let_go(universe, name)
            else:
                universe.apply(name, spec, annotations=annotations)


def prometheus(version: str = "3.13.1", **fields: Any) -> Spec:
    """A platform of one StatefulSet."""
    return {"components": {"prometheus": {"version": version, **fields}}}


def pair(password: str = CANARY, **fields: Any) -> Spec:
    """A StatefulSet, and a Deployment with a password of its own."""
    grafana = {"version": "13.2.0", "adminPassword": password, **fields}
    return {"components": {"prometheus": {"version": "3.13.1"}, "grafana": grafana}}


# -- actions -------------------------------------------------------------------------------------------------------


def is_ready(universe: Universe, name: str) -> bool:
    """Ready, for the generation that is there."""
    found = universe.platform(name)
    if found is None or found["metadata"].get("deletionTimestamp"):
        return False
    ready = condition(universe, name, "Ready")
    return ready.get("status") == "True" and ready.get("observedGeneration") == found["metadata"]["generation"]


def condition(universe: Universe, name: str, kind: str) -> dict[str, Any]:
    """A condition of the platform's status; {} if it has none of the kind."""
    found = universe.platform(name) or {}
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def is_gone(universe: Universe, name: str) -> bool:
    """The resource is gone, and every child with it."""
    return universe.platform(name) is None


def apply(spec: Spec, name: str = "prod", until: Callable[[Universe, str], bool] = is_ready) -> Stage:
    """`kubectl apply`, and Ready."""
    return Stage(
        f"apply {name}",
        lambda universe: universe.apply(name, spec),
        lambda universe: until(universe, name),
        robust=until is is_ready,
    )


def delete(name: str = "prod") -> Stage:
    """`kubectl delete`, and gone."""
    return Stage(
        f"delete {name}", lambda universe: universe.delete_platform(name), lambda universe: is_gone(universe, name)
    )


def break_workload(workload: str, name: str = "prod") -> Stage:
    """Its pods fail, and the platform with them."""
    return Stage(
        f"break {workload}",
        lambda universe: universe.break_workload(workload),
        lambda universe: _has_failed(universe, name),
        # Whoever edits the spec meanwhile has it tried again, and may do so just before somebody looks.
        robust=False,
    )


def repair_workload(workload: str, name: str = "prod") -> Stage:
    """Its pods are well again, and the platform with them."""
    return Stage(
        f"repair {workload}",
        lambda universe: universe.repair_workload(workload),
        lambda universe: is_ready(universe, name),
    )


def _has_failed(universe: Universe, name: str) -> bool:
    return ((universe.platform(name) or {}).get("status") or {}).get("phase") == "Failed" or not universe.platform(name)


def _is_paused(universe: Universe, name: str) -> bool:
    return "Paused" in str((universe.platform(name) or {"status": "Paused"}).get("status"))


def _is_rolled_back(universe: Universe, name: str) -> bool:
    return condition(universe, name, "Ready").get("status") == "True" and (
        condition(universe, name, "Degraded").get("reason") == "RolledBack"
    )


def _is_exhausted(universe: Universe, _name: str) -> bool:
    return any(recorded.type == "RetriesExhausted" for recorded in universe.log.read_all(0))


def _has_been_retried(universe: Universe, name: str) -> bool:
    status = (universe.platform(name) or {}).get("status") or {}
    return bool((status.get("retry") or {}).get("attempt", 0) >= 3)


def _is_tried(universe: Universe, name: str) -> bool:
    """Failed again, and retried, for the generation that is there."""
    found = universe.platform(name) or {"metadata": {}}
    status = found.get("status") or {}
    attempt = (status.get("retry") or {}).get("attempt", 0)
    is_seen = status.get("observedGeneration") == found["metadata"].get("generation")
    return is_seen and status.get("phase") == "Failed" and attempt > 0


def _goes_on(words: str, until: Callable[[Universe, str], bool]) -> Stage:
    """Nobody does anything; it takes longer than a stage may."""
    return Stage(words, lambda _universe: None, lambda universe: until(universe, "prod"), robust=False)


def _has_password(universe: Universe, name: str, password: str) -> bool:
    """The Secret that the operator made holds what stands in the spec."""
    made = [one for one in universe.items("Secret") if one["metadata"]["name"] == inline_secret_name(name)]
    return [list(one["data"].values()) for one in made] == [[b64encode(password.encode()).decode()]]


#: Of somebody who wants to be asked before a platform goes.
_OTHER_FINALIZER = "example.com/hold"


def _finalizers(universe: Universe, name: str) -> list[str]:
    return list((universe.platform(name) or {"metadata": {}})["metadata"].get("finalizers") or ())


def _set_finalizers(universe: Universe, name: str, wanted: Callable[[list[str]], list[str]]) -> None:
    before = _finalizers(universe, name)
    if universe.platform(name) is not None and wanted(before) != before:
        universe.merge(universe.platform_kind(), name, {"metadata": {"finalizers": wanted(before)}})


def _hold(universe: Universe) -> None:
    universe.apply("prod", prometheus())
    _set_finalizers(universe, "prod", lambda before: [*before, _OTHER_FINALIZER])


def _strip(universe: Universe) -> None:
    _set_finalizers(universe, "prod", lambda before: [one for one in before if one != FINALIZER])


def _let_go(universe: Universe, name: str = "prod") -> None:
    _set_finalizers(universe, name, lambda before: [one for one in before if one != _OTHER_FINALIZER])


def _is_held(universe: Universe) -> bool:
    """Ready, and nobody's finalizer is lost; or on its way out, by another hand."""
    found = universe.platform("prod")
    if found is None or found["metadata"].get("deletionTimestamp"):
        return True
    return is_ready(universe, "prod") and {FINALIZER, _OTHER_FINALIZER} <= set(_finalizers(universe, "prod"))


def _is_released(universe: Universe) -> bool:
    """We are done with it, and whoever else has a finalizer on it is not."""
    return _finalizers(universe, "prod") == [_OTHER_FINALIZER] and not universe.items("StatefulSet")


def refer(password: str) -> Callable[[Universe], None]:
    """`kubectl apply` of the Secret that a spec refers to, and that its owner lets the platform use."""

    def do(universe: Universe) -> None:
        kind = next(one for one in universe.model.registry.all() if one.kind == "Secret")
        data = {"password": b64encode(password.encode()).decode()}
        if any(one["metadata"]["name"] == REFERRED for one in universe.items("Secret")):
            universe.merge(kind, REFERRED, {"data": data})
        else:
            labels = {GRANT_LABEL: GRANT_TO_ANY}
            universe.create(kind, {"metadata": {"name": REFERRED, "labels": labels}, "type": "Opaque", "data": data})

    return do


def _is_waiting(universe: Universe, name: str) -> bool:
    return REFERRED in str((universe.platform(name) or {"status": REFERRED}).get("status"))


def _is_used(password: str) -> Callable[[Universe], bool]:
    """Ready, and the last that the ledger says of the Secret is this password's fingerprint."""

    def until(universe: Universe) -> bool:
        recorded = [one for one in universe.log.read_all(0, 100_000) if one.type == DependencyObserved.__name__]
        seen = decode(recorded[-1]) if recorded else None
        expected = {"password": hmac_value(HMAC_KEY, password)}
        return isinstance(seen, DependencyObserved) and seen.keys == expected and is_ready(universe, "prod")

    return until


# -- the ten -------------------------------------------------------------------------------------------------------

_GENERATED = {"components": {"prometheus": {"version": "3.13.1"}, "grafana": {"version": "13.2.0"}}}
_SHORTER = prometheus(retention="3d")
_UPGRADED = prometheus("3.13.2")
_BROKEN = prometheus("3.14.99-broken")
_SCALED = {"components": {**pair()["components"], "prometheus": {"version": "3.13.1", "replicas": 2}}}

_TEN: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        Workload(name="create", stages=(apply(pair()),), wanted={"prod": pair()}),
        Workload(name="edit", stages=(apply(prometheus()), apply(_SHORTER)), wanted={"prod": _SHORTER}),
        Workload(name="upgrade", stages=(apply(prometheus()), apply(_UPGRADED)), wanted={"prod": _UPGRADED}),
        Workload(
            name="failing-upgrade",
            stages=(apply(prometheus()), apply(_BROKEN, until=_is_rolled_back), apply(_SHORTER)),
            wanted={"prod": _SHORTER},
        ),
        Workload(
            name="pause",
            stages=(
                apply(prometheus()),
                apply({**_SHORTER, "paused": True}, until=_is_paused),
                apply({**_SHORTER, "paused": False}),
            ),
            wanted={"prod": {**_SHORTER, "paused": False}},
        ),
        Workload(
            name="heal",
            stages=(apply(prometheus()), break_workload("prod-prometheus"), repair_workload("prod-prometheus")),
            wanted={"prod": prometheus()},
        ),
        Workload(name="delete", stages=(apply(_GENERATED), delete()), wanted={"prod": None}),
        Workload(
            name="recreate",
            stages=(apply(prometheus()), delete(), apply(prometheus())),
            wanted={"prod": prometheus()},
        ),
        Workload(
            name="scale",
            stages=(
                apply(pair()),
                apply(_SCALED),
                Stage(
                    "change the password",
                    lambda universe: universe.apply("prod", pair(SECOND_CANARY)),
                    lambda universe: is_ready(universe, "prod") and _has_password(universe, "prod", SECOND_CANARY),
                ),
            ),
            wanted={"prod": pair(SECOND_CANARY)},
        ),
        Workload(
            name="two",
            stages=(apply(prometheus()), apply(prometheus(), "next"), delete("prod")),
            wanted={"prod": None, "next": prometheus()},
        ),
    )
}

# -- others --------------------------------------------------------------------------------------------------------

_DOWNGRADED = pair(version="12.4.0")
_LABELLED = {
    "components": {
        "prometheus": {
            "version": "3.13.1",
            "replicas": 2,
            "retention": "3d",
            "podLabels": {"team": "blue"},
            "nodeSelector": {"kubernetes.io/hostname": "sandbox"},
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        }
    }
}
_REFERRING = {
    "components": {
        "prometheus": {"version": "3.13.1"},
        "grafana": {"version": "13.2.0", "adminPassword": {"secretKeyRef": {"name": REFERRED, "key": "password"}}},
    }
}
_PAUSED = {**prometheus(), "paused": True}

_MORE: dict[str, Workload] = {
    workload.name: workload
    for workload in (
        # A spec that is refused, and then the one before it again: as if it had never been.
        Workload(
            name="mistake",
            stages=(apply(pair()), apply(_DOWNGRADED, until=_has_failed), apply(pair())),
            wanted={"prod": pair()},
        ),
        # There and back: what a field left behind would show.
        Workload(
            name="round-trip",
            stages=(apply(prometheus()), apply(_LABELLED), apply(prometheus())),
            wanted={"prod": prometheus()},
        ),
        Workload(
            name="components",
            stages=(apply(pair()), apply(prometheus()), apply(pair())),
            wanted={"prod": pair()},
        ),
        # Somebody has a finalizer of his own, and takes ours off.
        Workload(
            name="held",
            stages=(
                Stage("apply prod, and hold it", _hold, _is_held),
                Stage("take our finalizer off", _strip, _is_held, robust=False),
                Stage("delete prod", lambda universe: universe.delete_platform("prod"), _is_released, robust=False),
                Stage("let go", _let_go, lambda universe: is_gone(universe, "prod")),
            ),
            wanted={"prod": None},
        ),
        # To the last retry and beyond; then a spec that is no better, and has all its retries before it.
        Workload(
            name="exhausted",
            stages=(
                apply(prometheus()),
                break_workload("prod-prometheus"),
                _goes_on("fail three times", _has_been_retried),
                _goes_on("fail to the last retry", _is_exhausted),
                apply(_SHORTER, until=_is_tried),
                repair_workload("prod-prometheus"),
            ),
            wanted={"prod": _SHORTER},
        ),
        # A Secret of the user's that is not there yet, and whose value changes later: nobody watches it.
        Workload(
            name="referring",
            stages=(
                apply(_REFERRING, until=_is_waiting),
                Stage(f"create {REFERRED}", refer(CANARY), _is_used(CANARY), robust=False),
                Stage(
                    f"rotate {REFERRED}", refer(SECOND_CANARY), _is_used(SECOND_CANARY), seconds_more=2 * RESYNC_SECONDS
                ),
            ),
            wanted={"prod": _REFERRING},
            needs=refer(SECOND_CANARY),
        ),
        Workload(
            name="delete-paused",
            stages=(apply(prometheus()), apply(_PAUSED, until=_is_paused), delete(), delete()),
            wanted={"prod": None},
        ),
    )
}

WORKLOADS = {**_TEN, **_MORE}
#: Those of which every single fault is tried.
TEN = tuple(_TEN)
