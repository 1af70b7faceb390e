"""What users want of their platforms: specs, how each deed changes them, and what is to come of it. Pure."""

import copy
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

Spec = dict[str, Any]

#: Found in Secrets and in the specs where users wrote it, and nowhere else.
INLINE_CANARY = "Zq7-chaos-inline-canary-4Rw"
SECRET_CANARIES = ("Zq7-chaos-secret-canary-6Hn", "Zq7-chaos-rotated-canary-2Vb")
USER_SECRET, ABSENT_SECRET = "chaos-admin", "chaos-absent"

GOOD: dict[str, tuple[str, ...]] = {
    "prometheus": ("3.13.1", "3.13.2"),
    "grafana": ("13.2.0", "13.2.2"),
    "alertmanager": ("0.33.0", "0.34.0"),
}
#: Nobody can pull it.
BAD_TAG = "-broken"


class Outcome(StrEnum):
    """What a platform is to come to once everything rests."""

    READY = "Ready"
    PAUSED = "Paused"
    #: Phase Pending: it refers to what is not there.
    WAITING = "SecretMissing"
    #: Phase Failed: no such version is supported.
    REFUSED = "UnsupportedVersion"
    GONE = "gone"


class Wish(msgspec.Struct, frozen=True):
    """What a user wants of one name."""

    spec: Spec | None = None
    outcome: Outcome = Outcome.GONE


def shape(choice: int) -> Spec:
    """A spec to begin with."""
    components: dict[str, Any] = {"prometheus": {"version": GOOD["prometheus"][choice % 2]}}
    grafana: dict[str, Any] = {"version": GOOD["grafana"][choice // 2 % 2]}
    if choice // 4 % 4 == 1:
        components["grafana"] = {**grafana, "adminPassword": INLINE_CANARY}
    elif choice // 4 % 4 == 2:
        components["grafana"] = {
            **grafana,
            "adminPassword": {"secretKeyRef": {"name": USER_SECRET, "key": "password"}},
            "persistence": {"enabled": False},
        }
    elif choice // 4 % 4 == 3:
        components["grafana"] = grafana
    policy = "Delete" if choice // 16 % 3 == 0 else "Retain"
    return {"components": components, "deletionPolicy": policy, "allowDowngrade": True}


def waiting_spec() -> Spec:
    """A spec that refers to a Secret that nobody makes."""
    reference = {"secretKeyRef": {"name": ABSENT_SECRET, "key": "password"}}
    grafana = {"version": GOOD["grafana"][0], "adminPassword": reference}
    return {"components": {"prometheus": {"version": GOOD["prometheus"][0]}, "grafana": grafana}}


def refused_spec() -> Spec:
    """A spec that no build supports."""
    return {"components": {"prometheus": {"version": "9.9.9"}}}


def changed(kind: str, wish: Wish, choice: int) -> Wish:
    """What is wanted after a user's deed."""
    if kind == "install":
        return wish if wish.spec is not None else ready(shape(choice))
    if kind == "delete" or wish.spec is None:
        return Wish()
    change = _CHANGES.get(kind)
    return wish if change is None else ready(change(copy.deepcopy(wish.spec), choice))


def ready(spec: Spec) -> Wish:
    """A spec that is to be Ready, or to be left alone."""
    return Wish(spec, Outcome.PAUSED if spec.get("paused") else Outcome.READY)


def settled(wish: Wish, choice: int) -> Wish:
    """What is wanted when the storm is over: versions that exist; two of three that are paused go on."""
    if wish.spec is None or wish.outcome in (Outcome.WAITING, Outcome.REFUSED):
        return wish
    spec = copy.deepcopy(wish.spec)
    for component in spec["components"].values():
        if str(component.get("version", "")).endswith(BAD_TAG):
            component["version"] = component["version"].removesuffix(BAD_TAG)
    if spec.get("paused") and choice % 3:
        spec["paused"] = False
    return ready(spec)


def _edit(spec: Spec, choice: int) -> Spec:
    prometheus = spec["components"]["prometheus"]
    prometheus["retention"] = ("3d", "5d", "7d")[choice % 3]
    if choice % 2:
        prometheus["podLabels"] = {"edited": f"e{choice // 2 % 2}"}
    else:
        prometheus.pop("podLabels", None)
    return spec


def _upgrade(spec: Spec, choice: int) -> Spec:
    name = sorted(spec["components"])[choice % len(spec["components"])]
    versions = GOOD[name]
    now = str(spec["components"][name].get("version", "")).removesuffix(BAD_TAG)
    spec["components"][name]["version"] = versions[1] if now == versions[0] else versions[0]
    return spec


def _fail_upgrade(spec: Spec, choice: int) -> Spec:
    _upgrade(spec, choice)
    name = sorted(spec["components"])[choice % len(spec["components"])]
    spec["components"][name]["version"] += BAD_TAG
    return spec


def _scale(spec: Spec, choice: int) -> Spec:
    prometheus = spec["components"]["prometheus"]
    prometheus["replicas"] = 1 if prometheus.get("replicas", 1) == 2 else 2
    return spec


def _drop(spec: Spec, choice: int) -> Spec:
    others = sorted(set(spec["components"]) - {"prometheus"})
    if others:
        del spec["components"][others[choice % len(others)]]
    return spec


def _add(spec: Spec, choice: int) -> Spec:
    spec["components"].setdefault("alertmanager", {"version": GOOD["alertmanager"][choice % 2]})
    return spec


def _pause(spec: Spec, _: int) -> Spec:
    return {**spec, "paused": True}


def _resume(spec: Spec, _: int) -> Spec:
    return {**spec, "paused": False}


_CHANGES: dict[str, Callable[[Spec, int], Spec]] = {
    "edit": _edit,
    "upgrade": _upgrade,
    "fail-upgrade": _fail_upgrade,
    "scale": _scale,
    "drop-component": _drop,
    "add-component": _add,
    "pause": _pause,
    "resume": _resume,
}
