"""Writes `.status`: at once what somebody may wait for, and what is only looked at (progress, replicas) now and then.

A write of the status costs the API server five times as much as making a child does (it validates the whole resource
anew), and each is sent to everybody who watches.
"""

from typing import Any, Protocol

from projections.state import PlatformState
from reconciler.core.status import status
from reconciler.shell.cache import ObjectCache
from reconciler.shell.cluster import Cluster, ClusterError, KubernetesObject
from reconciler.shell.resources import PLATFORM
from reconciler.shell.states import Known

#: While all goes well, progress (which components are ready, replicas, messages) is told so long after the last write.
#: An install that is over sooner is told of at its beginning and at its end. Longer than a component takes that starts
#: quickly and is then looked at for `stability_seconds`.
PROGRESS_SECONDS = 10.0


class Monotonic(Protocol):
    """Measures lengths of time."""

    def monotonic(self) -> float:
        """Seconds, never going back."""
        ...


class StatusWriter:
    """Remembers when each platform's status was written last. Thread-safe per platform."""

    def __init__(self, cluster: Cluster, cache: ObjectCache, clock: Monotonic) -> None:
        self._cluster, self._cache, self._clock = cluster, cache, clock
        #: Stream -> monotonic time of the last write.
        self._written_at: dict[str, float] = {}

    def write(self, known: Known, platform: KubernetesObject) -> float | None:
        """Write what the state says if the resource says anything else; the ledger's place alone is no reason.

        Returns:
            Seconds after which is due what was not written now; None if there is nothing left.

        Raises:
            ClusterError: it could not be written.
        """
        wanted, shown = status(known.state, known.head_hash.hex()), platform.get("status") or {}
        if not wanted or _visible(wanted) == _visible(shown):
            return None
        if _is_smooth(known.state) and _headlines(wanted) == _headlines(shown):
            seconds = self._seconds_left(known.state.stream_id)
            if seconds > 0:
                return seconds
        self.apply(platform, wanted)
        return None

    def apply(self, platform: KubernetesObject, wanted: dict[str, Any]) -> None:
        """Write this status; nothing if the resource is gone.

        Raises:
            ClusterError: it could not be written.
        """
        metadata = platform["metadata"]
        body: KubernetesObject = {
            "apiVersion": PLATFORM.api_version,
            "kind": PLATFORM.kind,
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
            "status": wanted,
        }
        try:
            written = self._cluster.apply_status(PLATFORM, metadata["namespace"], body)
        except ClusterError as error:
            # Deleted, or made again, in between: the watch tells. Of a conflict with another writer nobody tells.
            if error.status in {404, 409} and error.reason not in {"ApiMissing", "Conflict"}:
                return
            raise
        self._cache.remember(PLATFORM, written)
        self._written_at[metadata["uid"]] = self._clock.monotonic()

    def forget(self, stream_id: str) -> None:
        """The platform is gone."""
        self._written_at.pop(stream_id, None)

    def _seconds_left(self, stream_id: str) -> float:
        written_at = self._written_at.get(stream_id)
        return 0.0 if written_at is None else written_at + PROGRESS_SECONDS - self._clock.monotonic()


def _is_smooth(state: PlatformState) -> bool:
    """Nothing is in the way: then messages only count what is ready."""
    return state.failure is None and not state.missing and state.deletion_requested_at is None


def _visible(document: dict[str, Any]) -> dict[str, Any]:
    return _without(document, {"ledger"})


def _headlines(document: dict[str, Any]) -> dict[str, Any]:
    """Phase, conditions, generation and the rest that is waited for or acted upon."""
    return {
        **_without(document, {"ledger", "components", "componentsReady"}),
        "conditions": [_without(one, {"message"}) for one in document.get("conditions") or ()],
    }


def _without(document: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}
