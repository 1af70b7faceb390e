"""What other people do to a platform in the middle of something."""

import copy
from contextlib import suppress
from typing import Any

from reconciler.shell.cluster import KubernetesObject
from sandbox.errors import StatusError
from sandbox.kinds import Kind
from simulator.faults import FaultKind
from simulator.universe import NAMESPACE, PLATFORMS, Universe

#: Label of what somebody else put into the place of a child.
FOREIGN = "somebody-else"
_REPLACEABLE = frozenset({"ConfigMap", "Secret", "Service", "ServiceAccount", "NetworkPolicy"})


def interfere(kind: FaultKind, universe: Universe) -> None:
    """Somebody does something to every platform there is; nothing where there is nothing to do it to."""
    for platform in universe.model.store.items(PLATFORMS, NAMESPACE):
        try:
            _ACTS[kind](universe, platform)
        except StatusError:
            # Refused, as a person would be: the object is on its way out.
            continue


def _edit(universe: Universe, platform: KubernetesObject) -> None:
    spec: dict[str, Any] = copy.deepcopy(platform["spec"])
    for component in spec["components"].values():
        component["podLabels"] = {"edited": "yes"}
    universe.apply(platform["metadata"]["name"], spec)


def _delete(universe: Universe, platform: KubernetesObject) -> None:
    universe.delete_platform(platform["metadata"]["name"])


def _child(universe: Universe, platform: KubernetesObject) -> tuple[Kind, KubernetesObject] | None:
    """The child with the first name that is not on its way out."""
    children = universe.owned_by(platform["metadata"]["uid"])
    living = [(kind, item) for kind, item in children if not item["metadata"].get("deletionTimestamp")]
    return living[0] if living else None


def _lose_child(universe: Universe, platform: KubernetesObject) -> None:
    found = _child(universe, platform)
    if found is not None:
        universe.delete(found[0], found[1]["metadata"]["name"])


def _edit_child(universe: Universe, platform: KubernetesObject) -> None:
    found = _child(universe, platform)
    if found is not None:
        kind, item = found
        labels = {"app.kubernetes.io/part-of": "somebody-else"}
        universe.merge(kind, item["metadata"]["name"], {"metadata": {"labels": labels}})


def _replace_child(universe: Universe, platform: KubernetesObject) -> None:
    """An object of somebody else takes the place of a child."""
    found = _child(universe, platform)
    if found is None or found[0].kind not in _REPLACEABLE:
        return
    kind, item = found
    name = item["metadata"]["name"]
    universe.delete(kind, name)
    body = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
    labels = {**item["metadata"].get("labels", {}), FOREIGN: "yes"}
    universe.create(kind, {**body, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}})


def fight_back(universe: Universe, title: str) -> None:
    """Somebody sets again what we have just set, in `Kind/name`."""
    kind_name, _, name = title.partition("/")
    kind = next(one for one in universe.model.registry.all() if one.kind == kind_name)
    with suppress(StatusError):
        labels = {"app.kubernetes.io/part-of": "somebody-else"}
        universe.merge(kind, name, {"metadata": {"labels": labels}})


def _end_namespace(universe: Universe, _platform: KubernetesObject) -> None:
    universe.delete_namespace()


def remove_foreign(universe: Universe) -> None:
    """Whoever put something into the place of a child takes it away again."""
    for kind in universe.model.registry.all():
        for item in list(universe.model.store.items(kind.key, NAMESPACE)) if kind.kind in _REPLACEABLE else ():
            labels = item["metadata"].get("labels") or {}
            if FOREIGN in labels and not item["metadata"].get("ownerReferences"):
                universe.delete(kind, item["metadata"]["name"])


def _spoil_status(universe: Universe, platform: KubernetesObject) -> None:
    status = {"phase": "Ready", "observedGeneration": 999, "conditions": [], "ledger": None, "retry": None}
    universe.merge(universe.platform_kind(), platform["metadata"]["name"], {"status": status}, "status")


_ACTS = {
    FaultKind.EDIT: _edit,
    FaultKind.DELETE: _delete,
    FaultKind.LOSE_CHILD: _lose_child,
    FaultKind.EDIT_CHILD: _edit_child,
    FaultKind.REPLACE_CHILD: _replace_child,
    FaultKind.SPOIL_STATUS: _spoil_status,
    FaultKind.END_NAMESPACE: _end_namespace,
}
