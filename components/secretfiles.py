"""Secrets in configuration files: named by the path of a mounted file, never by their value."""

from typing import Any

import msgspec
from pydantic import ValidationError

from api.shapes import SecretKeyRef
from components.encode import ConfigValueError

#: Where the one volume with all secret files of a pod is mounted.
SECRETS_PATH = "/etc/stackledger/secrets"


class SecretFiles(msgspec.Struct, frozen=True):
    """The Secret keys that a pod reads as files: (name, key), sorted."""

    references: tuple[tuple[str, str], ...] = ()

    def projection(self) -> list[dict[str, Any]]:
        """Sources of the projected volume; each key is at `<secret>/<key>`."""
        by_name: dict[str, list[str]] = {}
        for name, key in self.references:
            by_name.setdefault(name, []).append(key)
        return [
            {"secret": {"name": name, "items": [{"key": key, "path": f"{name}/{key}"} for key in keys]}}
            for name, keys in by_name.items()
        ]


class SecretFileCollector:
    """Hands out file paths for Secret keys while a configuration is built, and remembers them."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def path(self, reference: SecretKeyRef) -> str:
        """Path of the file in which the pod finds this key's value."""
        self._seen.add((reference.name, reference.key))
        return f"{SECRETS_PATH}/{reference.name}/{reference.key}"

    def files(self) -> SecretFiles:
        """All that was handed out."""
        return SecretFiles(tuple(sorted(self._seen)))

    def externalise(self, config: Any, place: str, accepted: frozenset[str]) -> Any:
        """A copy of free-form config in which `key: {secretKeyRef: ...}` reads `key_file: <path>`.

        Args:
            config: plain data.
            place: where it stands in the spec, for messages.
            accepted: keys that have a `_file` form in the program that reads the config.

        Raises:
            ConfigValueError: a secret stands where the program can only take text.
        """
        if isinstance(config, list | tuple):
            return [self.externalise(entry, f"{place}[{number}]", accepted) for number, entry in enumerate(config)]
        if not isinstance(config, dict):
            return config
        found: dict[str, Any] = {}
        for key, entry in config.items():
            reference = secret_reference(entry)
            if reference is None:
                found[key] = self.externalise(entry, f"{place}.{key}", accepted)
            elif key in accepted:
                found[f"{key}_file"] = self.path(reference)
            else:
                raise ConfigValueError(
                    f"{place}.{key}", "a secret cannot be given here; the program reads it from text only"
                )
        return found


def secret_reference(value: Any) -> SecretKeyRef | None:
    """The reference in `{"secretKeyRef": {"name": ..., "key": ...}}`, or None if it is something else."""
    inner = value.get("secretKeyRef") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(inner, dict) or not isinstance(inner.get("name"), str) or not isinstance(inner.get("key"), str):
        return None
    try:
        return SecretKeyRef(name=inner["name"], key=inner["key"])
    except ValidationError:
        raise ConfigValueError("secretKeyRef", "name and key must be those of a Secret of this namespace") from None


def secret_env(variable: str, reference: SecretKeyRef) -> dict[str, Any]:
    """An environment variable whose value is a Secret's key."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": reference.name, "key": reference.key}}}
