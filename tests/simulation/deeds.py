"""What a run did to each object and what it left: what is compared with the undisturbed run."""

import hashlib
import json
from collections import Counter
from typing import Any

import msgspec

from api.naming import inline_secret_name
from reconciler.shell.cluster import KubernetesObject
from sandbox.kinds import Kind
from simulator.universe import NAMESPACE, Universe
from tests.simulation.checkers.base import masked, owner_uid

#: Made by others, under names of chance.
_NOT_COMPARED = frozenset({"Pod", "ReplicaSet", "Event", "PersistentVolumeClaim"})


class Deeds:
    """How often the operator made, changed and removed each object."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def wrote(self, writer: str, kind: Kind, before: KubernetesObject | None, after: KubernetesObject | None) -> None:
        """A write in the cluster."""
        item = after if after is not None else before
        assert item is not None
        if kind.kind in _NOT_COMPARED or not owner_uid(item) or not writer.startswith("replica"):
            return
        title = f"{kind.kind}/{item['metadata']['name']}"
        if before is None:
            self.counts[f"create {title}"] += 1
        elif after is None:
            self.counts[f"delete {title}"] += 1
        elif masked(before) != masked(after):
            self.counts[f"change {title}"] += 1

    def difference(self, other: "Deeds", *, fewer_deletes: bool = False) -> str:
        """What `other` did otherwise; "" if nothing. With `fewer_deletes`, it need not delete all."""
        names = sorted(self.counts.keys() | other.counts.keys())
        return ", ".join(
            f"{name} {other.counts[name]} times, not {self.counts[name]}"
            for name in names
            if self.counts[name] != other.counts[name]
            and not (fewer_deletes and name.startswith("delete ") and other.counts[name] < self.counts[name])
        )


class End(msgspec.Struct, frozen=True):
    """What is there in the end, without what differs by nature: `Kind/name` -> content."""

    objects: dict[str, str]

    def difference(self, other: "End") -> str:
        """What is otherwise in `other`; "" if nothing."""
        names = sorted(self.objects.keys() | other.objects.keys())
        found = []
        for name in names:
            mine, theirs = self.objects.get(name, "absent"), other.objects.get(name, "absent")
            if mine != theirs:
                found.append(f"{name}: {_first_difference(mine, theirs)}")
        return "; ".join(found)


def _first_difference(mine: str, theirs: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    return f"...{theirs[max(0, at - 60) : at + 60]}... instead of ...{mine[max(0, at - 60) : at + 60]}..."


def end_of(universe: Universe, wanted: dict[str, Any]) -> End:
    """What is there now of these platforms."""
    objects: dict[str, str] = {}
    for name in wanted:
        platform = universe.platform(name)
        if platform is None:
            continue
        uid = platform["metadata"]["uid"]
        # The metadata tells only who asked for a retry when; the finalizer is looked at by a checker.
        objects[f"platform/{name}"] = _text({"spec": platform["spec"], "seen": _seen(platform)}, uid)
    for kind in universe.model.registry.all():
        if kind.kind in _NOT_COMPARED or not kind.namespaced:
            continue
        for item in universe.model.store.items(kind.key, NAMESPACE):
            uid = owner_uid(item)
            if uid:
                content = masked(item)
                if kind.kind == "Secret":
                    content["data"] = _shown_data(item, inline_secret_name(name))
                objects[f"{kind.kind}/{item['metadata']['name']}"] = _text(content, uid)
    return End(objects)


def _seen(platform: KubernetesObject) -> dict[str, Any]:
    """What the status says, without times, counts and words."""
    status = platform.get("status") or {}
    return {
        "phase": status.get("phase"),
        "componentsReady": status.get("componentsReady"),
        "conditions": sorted((c["type"], c["status"], c["reason"]) for c in status.get("conditions") or ()),
        "components": [
            (c["name"], c["phase"], c.get("desiredVersion"), c.get("runningVersion"), c.get("readyReplicas"))
            for c in status.get("components") or ()
        ],
    }


def _shown_data(secret: KubernetesObject, inline: str) -> dict[str, str]:
    """Key -> digest of its value; of what is made by chance, and made once, only the keys."""
    chosen = secret["metadata"]["name"] == inline
    data = secret.get("data") or {}
    return {key: hashlib.sha256(value.encode()).hexdigest() if chosen else "" for key, value in data.items()}


def _text(content: Any, uid: str) -> str:
    return json.dumps(content, sort_keys=True, default=str).replace(uid, "UID")
