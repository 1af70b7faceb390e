"""ResourceQuota: what counts, what is used, and the refusal when it is exceeded."""

from decimal import Decimal
from typing import Any

from sandbox.errors import StatusError, forbidden
from sandbox.kinds import GroupKind, Kind
from sandbox.store import Store
from sandbox.values import Object, dig, quantity, show_quantity

QUOTAS = GroupKind("", "resourcequotas")
_COUNTED = (
    ("", "pods"),
    ("", "services"),
    ("", "configmaps"),
    ("", "secrets"),
    ("", "persistentvolumeclaims"),
    ("", "resourcequotas"),
)
Amounts = dict[str, Decimal]


def usage_of(kind: Kind, item: Object) -> Amounts:
    """What one object takes from a quota."""
    used: Amounts = {f"count/{kind.key}": Decimal(1)}
    if (kind.group, kind.plural) in _COUNTED:
        used[kind.plural] = Decimal(1)
    if kind.kind == "Pod":
        return {} if dig(item, "status", "phase") in ("Succeeded", "Failed") else used | _pod_amounts(item)
    if kind.kind == "PersistentVolumeClaim":
        size = dig(item, "spec", "resources", "requests", "storage", default="0")
        class_name = dig(item, "spec", "storageClassName", default="")
        _add(used, "requests.storage", size)
        _add(used, f"{class_name}.storageclass.storage.k8s.io/requests.storage", size)
    return used


def _pod_amounts(pod: Object) -> Amounts:
    used: Amounts = {}
    for container in dig(pod, "spec", "containers", default=[]):
        for part in ("requests", "limits"):
            for name, value in dig(container, "resources", part, default={}).items():
                _add(used, f"{part}.{name}", value)
    for name in ("cpu", "memory", "ephemeral-storage"):
        if f"requests.{name}" in used:
            used[name] = used[f"requests.{name}"]
    return used


def _add(amounts: Amounts, name: str, value: Any) -> None:
    try:
        amounts[name] = amounts.get(name, Decimal(0)) + quantity(value)
    except ValueError:
        return


def hard_limits(quota: Object) -> dict[str, str]:
    """Resource -> limit, as it was written."""
    return {name: str(value) for name, value in dig(quota, "spec", "hard", default={}).items()}


def used_in(store: Store, kinds: list[Kind], namespace: str, names: set[str]) -> Amounts:
    """What the objects of a namespace take, of the named resources."""
    total: Amounts = dict.fromkeys(names, Decimal(0))
    for kind in kinds:
        if not kind.namespaced:
            continue
        for item in store.items(kind.key, namespace):
            for name, value in usage_of(kind, item).items():
                if name in total:
                    total[name] += value
    return total


def admit(store: Store, kinds: list[Kind], kind: Kind, item: Object, before: Object | None) -> None:
    """Let an object in, if every quota of its namespace has room for it.

    Raises:
        StatusError: 403, in the words of the quota admission plugin.
    """
    meta = item["metadata"]
    for quota in store.items(QUOTAS, meta.get("namespace", "")):
        _admit_one(store, kinds, kind, item, before, quota)


def _admit_one(store: Store, kinds: list[Kind], kind: Kind, item: Object, before: Object | None, quota: Object) -> None:
    hard = hard_limits(quota)
    if kind.kind == "Pod" and before is None:
        missing = _missing_amounts(hard, item)
        if missing:
            raise _refusal(kind, item, f"failed quota: {quota['metadata']['name']}: must specify {missing}")
    wanted = usage_of(kind, item)
    previous = usage_of(kind, before) if before else {}
    asked = {name: wanted[name] - previous.get(name, Decimal(0)) for name in hard if name in wanted}
    asked = {name: value for name, value in asked.items() if value > 0}
    if not asked:
        return
    used = used_in(store, kinds, item["metadata"].get("namespace", ""), set(asked))
    over = sorted(name for name, value in asked.items() if used[name] + value > quantity(hard[name]))
    if not over:
        return

    def listed(amounts: Amounts) -> str:
        return ",".join(f"{name}={show_quantity(amounts[name], hard[name])}" for name in over)

    limited = ",".join(f"{name}={hard[name]}" for name in over)
    name = quota["metadata"]["name"]
    text = f"exceeded quota: {name}, requested: {listed(asked)}, used: {listed(used)}, limited: {limited}"
    raise _refusal(kind, item, text)


def _refusal(kind: Kind, item: Object, text: str) -> StatusError:
    return forbidden(kind.plural, kind.group, item["metadata"]["name"], text)


def _missing_amounts(hard: dict[str, str], pod: Object) -> str:
    """`limits.cpu for: app; requests.cpu for: app`: a quota on an amount makes stating it a duty."""
    parts = []
    for name in sorted(hard):
        full = name if name.startswith(("requests.", "limits.")) else f"requests.{name}"
        where, _, amount = full.partition(".")
        if amount not in ("cpu", "memory"):
            continue
        lacking = [
            container["name"]
            for container in dig(pod, "spec", "containers", default=[])
            if amount not in (dig(container, "resources", where) or {})
        ]
        if lacking:
            parts.append(f"{name} for: {','.join(lacking)}")
    return "; ".join(parts)
