"""What must be there when all rests: each wanted platform as wished, and nothing of those that are not wanted."""

import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from api.naming import inline_secret_name
from eventstore.vocabulary import FINALIZER, LABEL_PLATFORM
from reconciler.shell.cluster import KubernetesObject
from tests.chaos.facts import Cluster, Facts, Users, Violation
from tests.chaos.recorder import sighting
from tests.chaos.wishes import Outcome, Wish

#: What differs from install to install by its nature, or is the business of others.
_VOLATILE = frozenset(
    {
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "managedFields",
        "clusterIP",
        "clusterIPs",
        "generation",
        "status",
        # Of what is compared itself; the namespace is part of it.
        "stackledger.io/config-hash",
        "stackledger.io/dependencies-hash",
        "deployment.kubernetes.io/revision",
    }
)


def ends(facts: Facts) -> Iterator[Violation]:
    """Every wish is fulfilled, by objects that are those of an undisturbed install; volumes are kept as asked."""
    yield from (Violation("end", what) for what in unfulfilled(facts.cluster, facts.users))
    yield from _alike(facts)
    yield from _claims(facts)


def unfulfilled(cluster: Cluster, users: Users) -> list[str]:
    """What is not as wished; empty: all of it is."""
    found = [why for name, wish in users.wishes.items() if (why := _unlike(name, wish, cluster.platforms.get(name)))]
    uids = {platform["metadata"]["uid"] for platform in cluster.platforms.values()}
    for title, item in cluster.objects.items():
        owner = sighting(0, "made", item, "").owner
        if owner and owner not in uids:
            found.append(f"{title} is left of a platform that is gone")
    return found


def _unlike(name: str, wish: Wish, platform: KubernetesObject | None) -> str:
    if wish.outcome is Outcome.GONE:
        return "" if platform is None else f"{name} is to be gone, and is {_shown(platform)}"
    if platform is None:
        return f"{name} is not there"
    metadata, status = platform["metadata"], platform.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return f"{name} is being deleted: finalizers {metadata.get('finalizers')}"
    is_installed = wish.outcome in (Outcome.READY, Outcome.PAUSED)
    if is_installed and FINALIZER not in (metadata.get("finalizers") or ()):
        return f"{name} is without our finalizer"
    if status.get("observedGeneration") != metadata["generation"]:
        return f"{name} is at generation {metadata['generation']}: {_shown(platform)}"
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    return "" if _IS[wish.outcome](status, conditions) else f"{name} is to be {wish.outcome}: {_shown(platform)}"


Conditions = Mapping[str, Mapping[str, Any]]


def _is_ready(status: Mapping[str, Any], conditions: Conditions) -> bool:
    ready, degraded = conditions.get("Ready", {}), conditions.get("Degraded", {})
    is_for_this = ready.get("observedGeneration") == status.get("observedGeneration")
    return (
        status.get("phase") == "Ready"
        and ready.get("status") == "True"
        and is_for_this
        and (degraded.get("status") != "True")
    )


def _is_paused(status: Mapping[str, Any], conditions: Conditions) -> bool:
    return any("Paused" in one.get("reason", "") for one in conditions.values())


def _is_waiting(status: Mapping[str, Any], conditions: Conditions) -> bool:
    return status.get("phase") == "Pending" and _reason(conditions) == Outcome.WAITING


def _is_refused(status: Mapping[str, Any], conditions: Conditions) -> bool:
    return status.get("phase") == "Failed" and _reason(conditions) == Outcome.REFUSED


def _reason(conditions: Conditions) -> str:
    return str(conditions.get("Ready", {}).get("reason", ""))


_IS: dict[Outcome, Callable[[Mapping[str, Any], Conditions], bool]] = {
    Outcome.READY: _is_ready,
    Outcome.PAUSED: _is_paused,
    Outcome.WAITING: _is_waiting,
    Outcome.REFUSED: _is_refused,
}


def _shown(platform: KubernetesObject) -> str:
    status = platform.get("status") or {}
    reasons = [
        f"{one['type']}={one['status']}/{one['reason']}: {one['message'][:160]}"
        for one in status.get("conditions") or ()
        if one["type"] in ("Ready", "Degraded")
    ]
    return f"{status.get('phase')} of generation {status.get('observedGeneration')}; {'; '.join(reasons)}"


def content_of(objects: Mapping[str, KubernetesObject], uid: str, namespace: str) -> dict[str, str]:
    """`Kind/name` -> what a platform's objects are, without what differs from install to install."""
    return {
        title: json.dumps(_masked(item, title), sort_keys=True).replace(namespace, "NAMESPACE")
        for title, item in objects.items()
        if sighting(0, "made", item, "").owner == uid
    }


def _masked(value: Any, title: str = "") -> Any:
    if isinstance(value, dict):
        kept = {key: _masked(entry) for key, entry in value.items() if key not in _VOLATILE}
        return {**kept, "data": _masked_data(value)} if title.startswith("Secret/") else kept
    return [_masked(entry) for entry in value] if isinstance(value, list) else value


#: Values are compared, and never shown: whoever reads a report cannot try words against their hashes.
_KEY = secrets.token_bytes(32)


def _masked_data(secret: KubernetesObject) -> dict[str, str]:
    """Key -> keyed digest of its value; "" for passwords that were made up, which differ."""
    data = secret.get("data") or {}
    stood_in_spec = secret["metadata"]["name"].endswith(inline_secret_name(""))
    return {key: _digest(value) if stood_in_spec else "" for key, value in data.items()}


def _digest(value: str) -> str:
    return hmac.new(_KEY, value.encode(), "sha256").hexdigest()


def _alike(facts: Facts) -> Iterator[Violation]:
    for name, wanted in facts.undisturbed.items():
        platform = facts.cluster.platforms.get(name)
        if platform is None:
            continue
        found = content_of(facts.cluster.objects, platform["metadata"]["uid"], platform["metadata"]["namespace"])
        for title in sorted(wanted.keys() | found.keys()):
            mine, theirs = found.get(title, "absent"), wanted.get(title, "absent")
            if mine != theirs:
                yield Violation(
                    "end", f"{title} of {name} is not that of an undisturbed install: {_where(mine, theirs)}"
                )


def _where(mine: str, theirs: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    return f"...{mine[max(0, at - 80) : at + 80]}... instead of ...{theirs[max(0, at - 80) : at + 80]}..."


def _claims(facts: Facts) -> Iterator[Violation]:
    """Volumes of a deleted platform stay, unless its deletionPolicy is Delete."""
    present = {claim["metadata"]["uid"] for claim in facts.cluster.claims}
    ended = {one.name: one for one in facts.users.incarnations.values() if one.deleted_at is not None}
    for claim in facts.cluster.claims:
        name = str((claim["metadata"].get("labels") or {}).get(LABEL_PLATFORM, ""))
        last = ended.get(name)
        if name in facts.cluster.platforms or last is None or last.policy != "Delete":
            continue
        # Of a volume whose pod was scaled away nobody is the owner any more, on any cluster.
        if claim["metadata"]["name"].endswith("-0"):
            yield Violation("volumes", f"{claim['metadata']['name']} is left of {name}, whose volumes were to go")
    for seen in facts.sightings:
        if seen.what != "gone" or seen.kind != "PersistentVolumeClaim" or seen.uid in present:
            continue
        policies = {one.policy for one in facts.users.incarnations.values() if one.name == seen.platform}
        if "Delete" not in policies:
            yield Violation("volumes", f"{seen.name} of {seen.platform} is gone at {seen.at:.1f}, and was to stay")
