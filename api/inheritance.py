"""Settings that a component takes over from `global` and `highAvailability` when it has none of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.loki import Loki
from api.tempo import Tempo
from eventstore.vocabulary import INSTALL_ORDER, ComponentName

if TYPE_CHECKING:
    from api.component import Component
    from api.spec import Components, PlatformSpec


def inherit(spec: PlatformSpec) -> Components:
    """The components with what they inherit filled in; what a component sets itself always wins. Idempotent."""
    filled = {}
    for name in INSTALL_ORDER:
        component: Component | None = getattr(spec.components, name.value)
        if component is not None:
            filled[name.value] = component.model_copy(update=_inherited(spec, name, component))
    return spec.components.model_copy(update=filled)


def _inherited(spec: PlatformSpec, name: ComponentName, component: Component) -> dict[str, Any]:
    shared, update = spec.global_, {}
    for field in ("log_level", "node_selector", "tolerations", "affinity", "image_pull_secrets"):
        if field not in component.model_fields_set:
            update[field] = getattr(shared, field)
    storage = component.storage
    if shared.storage_class and storage is not None and storage.storage_class_name is None:
        update["storage"] = storage.model_copy(update={"storage_class_name": shared.storage_class})
    if "replicas" not in component.model_fields_set and spec.high_availability.enabled and _can_have_more(component):
        update["replicas"] = max(component.replicas, spec.high_availability.min_replicas)
    policies = shared.retention_policies
    retention = {
        ComponentName.PROMETHEUS: policies.metrics,
        ComponentName.LOKI: policies.logs,
        ComponentName.TEMPO: policies.traces,
    }.get(name)
    if retention and "retention" not in component.model_fields_set:
        update["retention"] = retention
    if name is ComponentName.PROMETHEUS:
        update["external_labels"] = {**shared.external_labels, **getattr(component, "external_labels", {})}
    return update


def _can_have_more(component: Component) -> bool:
    """Loki and Tempo share state only through a bucket, Grafana only through a database."""
    if isinstance(component, Loki | Tempo):
        return component.bucket is not None
    return getattr(component, "database", True) is not None
