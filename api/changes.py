"""Whether a running platform can go from one spec to another; what an API server with our CRD refuses, and more."""

from api.component import Component
from api.loki import Loki
from api.shapes import quantity_value
from api.spec import PlatformSpec
from api.versions import upgrade_findings
from eventstore.events import Finding
from eventstore.vocabulary import ComponentName


def change_findings(before: PlatformSpec, after: PlatformSpec) -> tuple[Finding, ...]:
    """What makes `after` impossible for a platform that runs `before`; empty if nothing does.

    A component that is new or goes away is no change; of one that stays, version, storage and schema are looked at.
    """
    findings: list[Finding] = []
    for name, component in after.enabled_components():
        old = before.component(name)
        if old is None:
            continue
        allow = after.allow_downgrade
        findings += upgrade_findings(name, old.version, component.version, allow_downgrade=allow)
        findings += _storage_findings(name, old, component)
        if isinstance(old, Loki) and isinstance(component, Loki):
            findings += _schema_findings(old, component)
    return tuple(findings)


def _storage_findings(name: ComponentName, before: Component, after: Component) -> list[Finding]:
    old, new = before.storage, after.storage
    if old is None or new is None:
        return []
    findings = []
    path = f"spec.components.{name}.storage"
    if quantity_value(new.size) < quantity_value(old.size):
        findings.append(
            Finding(
                reason="StorageShrink",
                subject=f"{path}.size",
                message=f"{name}: a volume of {old.size} cannot shrink to {new.size}; set {path}.size to {old.size} "
                "or more. Nothing was deleted.",
            )
        )
    if new.storage_class_name != old.storage_class_name:
        findings.append(
            Finding(
                reason="ImmutableField",
                subject=f"{path}.storageClassName",
                message=f"{name}: the StorageClass of an existing volume cannot be changed from "
                f"{old.storage_class_name or 'the default'} to {new.storage_class_name or 'the default'}; "
                f"set {path}.storageClassName back, or create another platform and move over",
            )
        )
    return findings


def _schema_findings(before: Loki, after: Loki) -> list[Finding]:
    if after.schema_periods[: len(before.schema_periods)] == before.schema_periods:
        return []
    return [
        Finding(
            reason="ImmutableField",
            subject="spec.components.loki.schema",
            message="loki: a schema period that has begun must not be changed, its logs would become unreadable; "
            "restore spec.components.loki.schema and add a new period at its end",
        )
    ]
