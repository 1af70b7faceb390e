"""The objects of other people that a spec needs, and whether their owners let this platform use them."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from pydantic import BaseModel

from api.backup import Backup
from api.component import Component
from api.grafana import Grafana
from api.pods import Ingress
from api.shapes import SecretKeyRef
from api.spec import PlatformSpec

#: A Secret's owner lets a platform use it by this label: its value is the platform's name, or ANY for all platforms
#: of the namespace (no platform can have that name: it is not lower case).
GRANT_LABEL = "stackledger.io/allow"
GRANT_TO_ANY = "ANY"


class Reference(msgspec.Struct, frozen=True, order=True):
    """An object in the platform's namespace (a StorageClass: in the cluster) that must exist."""

    #: `Secret`, `ConfigMap`, `StorageClass`
    kind: str
    name: str
    #: Keys that must be in its data, sorted; empty if it only has to exist.
    keys: tuple[str, ...] = ()


def references(spec: PlatformSpec, *, inline_secret: str = "") -> tuple[Reference, ...]:
    """Every object that the enabled parts of a spec refer to, sorted, each once with all its keys.

    The Secret of an Ingress is not among them: its certificate is usually issued after the Ingress exists.

    Args:
        inline_secret: name of the Secret that the operator itself fills; it is left out.
    """
    keys: dict[tuple[str, str], set[str]] = {}
    for kind, name, key in _found(spec):
        if (kind, name) != ("Secret", inline_secret):
            keys.setdefault((kind, name), set()).update({key} if key else ())
    return tuple(Reference(kind, name, tuple(sorted(found))) for (kind, name), found in sorted(keys.items()))


def granted(labels: Mapping[str, str], platform: str) -> bool:
    """Whether a Secret with these labels may be used by the platform of this name."""
    return labels.get(GRANT_LABEL) in {platform, GRANT_TO_ANY}


def _found(spec: PlatformSpec) -> Iterator[tuple[str, str, str]]:
    for _, component in spec.enabled_components():
        yield from _in_component(component)
    if spec.backup.enabled:
        yield from _secrets(spec.backup)
    if spec.security.tls.enabled and spec.security.tls.secret_name:
        for key in ("ca.crt", "tls.crt", "tls.key"):
            yield "Secret", spec.security.tls.secret_name, key


def _in_component(component: Component) -> Iterator[tuple[str, str, str]]:
    for name in component.image_pull_secrets:
        yield "Secret", name, ""
    if component.storage is not None and component.storage.storage_class_name:
        yield "StorageClass", component.storage.storage_class_name, ""
    if isinstance(component, Grafana):
        for dashboard in component.dashboards:
            if dashboard.config_map:
                yield "ConfigMap", dashboard.config_map, dashboard.key
    yield from _secrets(component)


def _secrets(value: Any) -> Iterator[tuple[str, str, str]]:
    """Secret references at any depth, typed ones and those in free-form configuration; disabled blocks are passed."""
    if isinstance(value, SecretKeyRef):
        yield "Secret", value.name, value.key
    elif isinstance(value, Ingress) or (not isinstance(value, Component | Backup) and _is_off(value)):
        return
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _secrets(getattr(value, field))
    elif isinstance(value, dict):
        reference = value.get("secretKeyRef")
        if isinstance(reference, dict) and {"name", "key"} <= reference.keys():
            yield "Secret", str(reference["name"]), str(reference["key"])
        else:
            for entry in value.values():
                yield from _secrets(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _secrets(entry)


def _is_off(value: Any) -> bool:
    return isinstance(value, BaseModel) and getattr(value, "enabled", True) is False
