"""Facts of a round in which all was well, made up; tests spoil one thing in them."""

from functools import cache
from typing import Any

from eventstore.vocabulary import FINALIZER, Phase
from projections.platform import fold, initial
from projections.state import PlatformState
from reconciler.core.status import status
from reconciler.shell.cluster import KubernetesObject
from tests.chaos.facts import Cluster, Facts, Ledger, Users
from tests.chaos.oracles.ends import content_of
from tests.chaos.oracles.ledger import announcements
from tests.chaos.recorder import Sighting
from tests.chaos.user import Incarnation
from tests.chaos.wishes import Outcome, Wish, shape
from tests.golden.stage import Stage

#: `prod` is Ready, and what is recorded of it was recorded in the simulator; `beta` was deleted.
BETA, NAMESPACE = "uid-beta", "storm-1"
SPEC = shape(0)


def child(kind: str, name: str, owner: str, **content: Any) -> KubernetesObject:
    """An object that a platform controls."""
    reference = {"kind": "ObservabilityPlatform", "uid": owner, "controller": True}
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{kind}-{name}", "ownerReferences": [reference]}
    return {"kind": kind, "metadata": metadata, **content}


def platform(name: str, uid: str, **told: Any) -> KubernetesObject:
    """A platform with its finalizer and this status."""
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid,
        "generation": 1,
        "finalizers": [FINALIZER],
    }
    return {"metadata": metadata, "spec": SPEC, "status": told}


def ready_status() -> dict[str, Any]:
    """What `prod` tells at rest."""
    return status(recorded()[1])


def claim(name: str, of: str) -> KubernetesObject:
    """A volume of a platform's."""
    return {"metadata": {"name": name, "uid": f"uid-{name}", "labels": {"stackledger.io/platform": of}}}


def seen(what: Any, kind: str, name: str, owner: str, at: float = 1.0, uid: str = "") -> Sighting:
    """A sighting of a child."""
    return Sighting(at, what, kind, name, uid or f"uid-{kind}-{name}", owner, name.partition("-")[0])


@cache
def recorded() -> tuple[Ledger, PlatformState]:
    """A ledger of one platform that is Ready, as this build writes it."""
    stage = Stage(1)
    stage.apply(SPEC)
    (stream_id,) = stage.universe.log.stream_ids()
    events = stage.universe.log.read_stream(stream_id)
    state = fold(initial(stream_id), events)
    assert state.phase is Phase.READY
    return Ledger(tuple(events), {stream_id: state}), state


def all_well() -> Facts:
    """Nothing to complain of."""
    ledger, state = recorded()
    prod = state.stream_id
    objects = {
        "Service/prod-prometheus": child("Service", "prod-prometheus", prod, spec={"ports": [9090]}),
        "ConfigMap/prod-prometheus-config": child("ConfigMap", "prod-prometheus-config", prod, data={"a": "b"}),
    }
    users = Users(
        {"prod": Wish(SPEC, Outcome.READY), "beta": Wish()},
        {
            prod: Incarnation("prod", prod, "Retain", frozenset({"prometheus"})),
            BETA: Incarnation("beta", BETA, "Delete", frozenset({"prometheus"}), deleted_at=5.0),
        },
    )
    platforms = {"prod": platform("prod", prod, **ready_status())}
    cluster = Cluster(platforms, objects, (claim("data-prod-0", "prod"),), frozenset(announcements(ledger, users)))
    return Facts(
        cluster=cluster,
        users=users,
        ledger=ledger,
        undisturbed={"prod": content_of(objects, prod, NAMESPACE)},
        sightings=(
            seen("made", "Service", "prod-prometheus", prod),
            seen("made", "Service", "beta-prometheus", BETA),
            seen("gone", "Service", "beta-prometheus", BETA, at=6.0),
        ),
        journal=(),
        texts={"log of operator-0": '{"event": "started"}', "Events": "all is well"},
        secrets=frozenset({"a password of ours"}),
        commands={"verify --all --deep": (0, ""), "replay --all": (0, ""), "rebuild": (0, "")},
    )
