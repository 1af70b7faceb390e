"""Reads the Secrets and ConfigMaps a spec refers to, by name, and keeps no value of them: only keyed fingerprints."""

import binascii
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from api.redaction import hmac_value
from api.references import GRANT_LABEL, Reference, granted
from eventstore.events import DependencyObserved
from reconciler.core.preflight import PERMISSION_DENIED
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject
from reconciler.shell.resources import resource_for

#: Secrets that hold something else than the user's own keys.
_REFUSED_TYPES = frozenset({"kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"})


class _Look(msgspec.Struct, frozen=True):
    at: float
    seen: DependencyObserved


class Dependencies:
    """Looks at referenced objects, no more often than needed: they cannot be watched without reading all of them.

    Args:
        cluster: where to look.
        hmac_key: per-installation key of the fingerprints.
        monotonic: seconds, never going back.
        absent_seconds: how long a look is good that did not find what the platform needs.
        present_seconds: how long any other look is good.
    """

    def __init__(
        self,
        cluster: Cluster,
        hmac_key: bytes,
        monotonic: Callable[[], float],
        *,
        absent_seconds: float,
        present_seconds: float,
    ) -> None:
        self._cluster, self._hmac_key, self._monotonic = cluster, hmac_key, monotonic
        self._absent_seconds, self._present_seconds = absent_seconds, present_seconds
        self._looks: dict[tuple[str, str, str, str], _Look] = {}
        self._lock = threading.Lock()

    def look(self, namespace: str, platform: str, references: Iterable[Reference]) -> dict[str, DependencyObserved]:
        """`Secret/loki-s3` -> how it is now.

        Raises:
            ClusterError: the API server could not be asked.
        """
        return {
            f"{reference.kind}/{reference.name}": self._look(namespace, platform, reference) for reference in references
        }

    def forget(self, namespace: str, platform: str) -> None:
        """The platform is gone, or is to be looked at anew."""
        with self._lock:
            for key in [key for key in self._looks if key[:2] == (namespace, platform)]:
                del self._looks[key]

    def _look(self, namespace: str, platform: str, reference: Reference) -> DependencyObserved:
        key = (namespace, platform, reference.kind, reference.name)
        now = self._monotonic()
        with self._lock:
            before = self._looks.get(key)
        if before is not None and now - before.at < self._good_for(before.seen, reference):
            return before.seen
        try:
            found = self._cluster.get(resource_for("v1", reference.kind), namespace, reference.name)
            seen = self._observed(reference, platform, found)
        except ClusterError as error:
            if error.reason != PERMISSION_DENIED:
                raise
            seen = _unreadable(reference, before.seen if before else None, error)
        with self._lock:
            self._looks[key] = _Look(now, seen)
        return seen

    def _good_for(self, seen: DependencyObserved, reference: Reference) -> float:
        usable = seen.found and not seen.refused and all(seen.keys.get(key) for key in reference.keys)
        return self._present_seconds if usable else self._absent_seconds

    def _observed(self, reference: Reference, platform: str, found: KubernetesObject | None) -> DependencyObserved:
        if found is None:
            return DependencyObserved(kind=reference.kind, name=reference.name, found=False)
        metadata = found["metadata"]
        values, invalid = _values(found)
        reason, words = _refusal(reference, found, platform, invalid)
        return DependencyObserved(
            kind=reference.kind,
            name=reference.name,
            found=True,
            uid=metadata.get("uid", ""),
            resource_version=metadata.get("resourceVersion", ""),
            keys={key: hmac_value(self._hmac_key, value) for key, value in sorted(values.items())},
            refused_reason=reason,
            refused=words,
        )


def _unreadable(reference: Reference, before: DependencyObserved | None, error: ClusterError) -> DependencyObserved:
    """What may not be read is as it was, so that nothing is rolled because of it."""
    seen = before or DependencyObserved(kind=reference.kind, name=reference.name, found=True)
    words = f"cannot be read: {error.message}"
    return msgspec.structs.replace(seen, found=True, refused_reason=PERMISSION_DENIED, refused=words)


def _refusal(reference: Reference, found: KubernetesObject, platform: str, invalid: list[str]) -> tuple[str, str]:
    """(reason, words) why a found object cannot be used; the words continue `Secret demo/loki-s3 ...`."""
    labels: dict[str, Any] = found["metadata"].get("labels") or {}
    if reference.kind == "Secret" and not granted(labels, platform):
        label = f"{GRANT_LABEL}={platform}"
        return "SecretNotGranted", f"may not be used by this platform; add the label {label} to it"
    if reference.kind == "Secret" and found.get("type") in _REFUSED_TYPES:
        return "SecretInvalid", f"is of type {found['type']}, which is never used; refer to a Secret of type Opaque"
    unreadable = [key for key in invalid if key in reference.keys]
    if unreadable:
        return f"{reference.kind}Invalid", f"has no UTF-8 text under {', '.join(unreadable)}; write it again"
    return "", ""


def _values(found: KubernetesObject) -> tuple[dict[str, str], list[str]]:
    """Key -> value, and the keys whose value is not text."""
    values: dict[str, str] = {}
    invalid: list[str] = []
    encoded = found.get("kind") == "Secret"
    for key, value in (found.get("data") or {}).items():
        try:
            values[key] = b64decode(value or "", validate=True).decode() if encoded else str(value)
        except (binascii.Error, UnicodeDecodeError):
            invalid.append(key)
    return values, invalid
