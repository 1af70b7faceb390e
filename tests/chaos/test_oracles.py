"""Every oracle finds what is planted for it in facts that were well, and nothing in those."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.chaos.facts import Facts
from tests.chaos.journal import Entry
from tests.chaos.made_up import BETA, NAMESPACE, all_well, child, claim, platform, ready_status, recorded, seen
from tests.chaos.oracles.all import violations
from tests.chaos.oracles.ends import content_of
from tests.chaos.user import Incarnation
from tests.chaos.wishes import Outcome, Wish, shape

Spoil = Callable[[Facts], Facts]
PROD = recorded()[1].stream_id


def cluster(facts: Facts, **changes: Any) -> Facts:
    return replace(facts, cluster=replace(facts.cluster, **changes))


def platforms(facts: Facts, **changes: Any) -> Facts:
    found = {name: one for name, one in {**facts.cluster.platforms, **changes}.items() if one is not None}
    return cluster(facts, platforms=found)


def objects(facts: Facts, **changes: Any) -> Facts:
    return cluster(facts, objects={**facts.cluster.objects, **{one["kind"] + "/x": one for one in changes.values()}})


def saw(facts: Facts, *sightings: Any) -> Facts:
    return replace(facts, sightings=(*facts.sightings, *sightings))


def wishes(facts: Facts, **changes: Wish) -> Facts:
    return replace(facts, users=replace(facts.users, wishes={**facts.users.wishes, **changes}))


def noted(facts: Facts, kind: str) -> Facts:
    about = {"name": "operator-0", "code": 1, "tail": "the end"}
    return replace(facts, journal=(Entry(1.0, "operator", kind, about),))


def read(facts: Facts, where: str, text: str) -> Facts:
    return replace(facts, texts={**facts.texts, where: text})


def events(facts: Facts, change: Callable[[list[Any]], list[Any]]) -> Facts:
    return replace(facts, ledger=replace(facts.ledger, events=tuple(change(list(facts.ledger.events)))))


def _failed(facts: Facts) -> Facts:
    return platforms(facts, prod=platform("prod", PROD, **{**ready_status(), "phase": "Failed"}))


def _outdated(facts: Facts) -> Facts:
    found = platform("prod", PROD, **ready_status())
    found["metadata"]["generation"] = 2
    return platforms(facts, prod=found)


def _without_finalizer(facts: Facts) -> Facts:
    found = platform("prod", PROD, **ready_status())
    found["metadata"]["finalizers"] = []
    return platforms(facts, prod=found)


def _degraded(facts: Facts) -> Facts:
    told = ready_status()
    worse = {"type": "Degraded", "status": "True", "reason": "RolledBack", "message": ""}
    told["conditions"] = [one for one in told["conditions"] if one["type"] != "Degraded"] + [worse]
    return platforms(facts, prod=platform("prod", PROD, **told))


def _other_content(facts: Facts) -> Facts:
    other = child("Service", "prod-prometheus", PROD, spec={"ports": [1]})
    return cluster(facts, objects={**facts.cluster.objects, "Service/prod-prometheus": other})


def _other_password(facts: Facts) -> Facts:
    def secret(value: str) -> dict[str, Any]:
        return {"Secret/prod-inline": child("Secret", "prod-inline", PROD, data={"password": value})}

    wanted = content_of({**facts.cluster.objects, **secret("bmV3")}, PROD, NAMESPACE)
    found = {**facts.cluster.objects, **secret("b2xk")}
    return replace(cluster(facts, objects=found), undisturbed={"prod": wanted})


def _one_too_few(facts: Facts) -> Facts:
    left = {title: one for title, one in facts.cluster.objects.items() if not title.startswith("Service")}
    return cluster(facts, objects=left)


def _other_status(facts: Facts) -> Facts:
    told = dict(facts.cluster.platforms["prod"]["status"])
    return platforms(facts, prod=platform("prod", PROD, **{**told, "phase": "Installing"}))


def _epoch_back(found: list[Any]) -> list[Any]:
    return [replace(found[0], epoch=3), *found[1:]]


def _unasked(found: list[Any]) -> list[Any]:
    return [event for event in found if not event.type.endswith("Requested")]


PLANTED: dict[str, tuple[str, Spoil]] = {
    "a platform is Failed": ("end", _failed),
    "a platform is Degraded": ("end", _degraded),
    "a generation was not seen": ("end", _outdated),
    "the finalizer is missing": ("end", _without_finalizer),
    "a wanted platform is not there": ("end", lambda facts: platforms(facts, prod=None)),
    "a deleted platform is there": (
        "end",
        lambda facts: platforms(facts, beta=platform("beta", BETA, **ready_status())),
    ),
    "a paused platform does not say so": (
        "end",
        lambda facts: wishes(facts, prod=Wish(shape(0), Outcome.PAUSED)),
    ),
    "a platform that waits does not": ("end", lambda facts: wishes(facts, prod=Wish(shape(0), Outcome.WAITING))),
    "a refused platform is Ready": ("end", lambda facts: wishes(facts, prod=Wish(shape(0), Outcome.REFUSED))),
    "an object is otherwise": ("end", _other_content),
    "a password is another": ("end", _other_password),
    "an object is missing": ("end", _one_too_few),
    "an object is too many": ("end", lambda facts: objects(facts, one=child("Secret", "x", PROD))),
    "an orphan": ("end", lambda facts: objects(facts, one=child("Service", "x", "uid-of-nobody"))),
    "a volume that was to go": ("volumes", lambda facts: cluster(facts, claims=(claim("data-beta-0", "beta"),))),
    "a volume that was to stay": (
        "volumes",
        lambda facts: saw(facts, seen("gone", "PersistentVolumeClaim", "prod-0", "")),
    ),
    "deleted by nobody": ("deeds", lambda facts: saw(facts, seen("gone", "Service", "prod-prometheus", PROD))),
    "made twice": (
        "deeds",
        lambda facts: saw(facts, seen("made", "Service", "prod-prometheus", PROD, uid="another")),
    ),
    "deleted before anybody asked": (
        "deeds",
        lambda facts: saw(facts, seen("gone", "Service", "beta-grafana", BETA, at=2.0)),
    ),
    "an older epoch": ("epochs", lambda facts: events(facts, _epoch_back)),
    "a gap in a stream": ("versions", lambda facts: events(facts, lambda found: [found[0], *found[2:]])),
    "an outcome without a request": ("requests", lambda facts: events(facts, _unasked)),
    "an open stream": ("streams", lambda facts: platforms(facts, prod=None)),
    "another status": ("status", _other_status),
    "a change told to nobody": ("announced", lambda facts: cluster(facts, announced=frozenset())),
    "a proof that fails": ("proof", lambda facts: replace(facts, commands={"verify --all": (1, "broken")})),
    "noise": ("silence", lambda facts: replace(facts, noise=("1 events appended in 8 s",))),
    "a secret": ("secrecy", lambda facts: read(facts, "Events", "it is a password of ours!")),
    "a secret in base64": (
        "secrecy",
        lambda facts: read(facts, "Events", base64.b64encode(b"xy: a password of ours").decode()),
    ),
    "a secret in hex": ("secrecy", lambda facts: read(facts, "Events", b"a password of ours".hex())),
    "a traceback": ("processes", lambda facts: read(facts, "log of operator-0", "Traceback (most recent call last)")),
    "ended by itself": ("processes", lambda facts: noted(facts, "ended-by-itself")),
    "ended badly": ("processes", lambda facts: noted(facts, "ended-badly")),
    "not ready": ("processes", lambda facts: replace(facts, unready="operator-0: watches")),
}


def test_facts_that_are_well_violate_nothing() -> None:
    assert violations(all_well()) == []


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found(what: str) -> None:
    oracle, spoil = PLANTED[what]
    assert oracle in {violation.oracle for violation in violations(spoil(all_well()))}


def test_what_other_people_delete_may_be_made_again() -> None:
    facts = all_well()
    facts = replace(facts, users=replace(facts.users, deleted_by_others=frozenset({"uid-Service-prod-prometheus"})))
    gone = seen("gone", "Service", "prod-prometheus", PROD)
    again = seen("made", "Service", "prod-prometheus", PROD, uid="another")
    assert violations(saw(facts, gone, again)) == []


def test_what_an_edit_took_away_may_go() -> None:
    facts = all_well()
    edited = Incarnation("prod", PROD, "Retain", frozenset({"prometheus"}), dropped={"grafana"}, scaled=True)
    facts = replace(facts, users=replace(facts.users, incarnations={**facts.users.incarnations, PROD: edited}))
    gone = [seen("gone", "Deployment", "prod-grafana", PROD), seen("gone", "PodDisruptionBudget", "prod-x", PROD)]
    assert violations(saw(facts, *gone)) == []
    assert violations(saw(facts, seen("gone", "StatefulSet", "prod-loki", PROD)))


def test_of_an_install_elsewhere_only_what_differs_by_nature_is_left_out() -> None:
    facts = all_well()
    elsewhere = child("Service", "prod-prometheus", PROD, spec={"ports": [9090]}, status={"x": 1})
    elsewhere["metadata"] |= {"uid": "another", "resourceVersion": "7", "managedFields": []}
    found = {**facts.cluster.objects, "Service/prod-prometheus": elsewhere}
    assert violations(cluster(facts, objects=found)) == []
    assert NAMESPACE not in str(facts.undisturbed)
