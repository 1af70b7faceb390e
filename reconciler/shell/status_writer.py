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

#: How long after the last write it is told which components are ready, while all goes well. An install that is over
#: sooner is told of at its beginning and at its end.
PROGRESS_SECONDS = 5.0
#: The same for replicas and messages. Longer than a component takes that starts quickly and is then looked at for
#: `stability_seconds`: what becomes of it goes out in one write with its new phase.
DETAIL_SECONDS = 10.0
#: What of a component is detail.
_DETAILS = frozenset({"runningVersion", "readyReplicas", "desiredReplicas", "message"})


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
        seconds = self._seconds_left(known.state, _patience_seconds(wanted, shown))
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
            if error.status in {404, 409} and error.reason != "ApiMissing":
                return  # deleted, or made again, in between: the watch tells
            raise
        self._cache.remember(PLATFORM, written)
        self._written_at[metadata["uid"]] = self._clock.monotonic()

    def forget(self, stream_id: str) -> None:
        """The platform is gone."""
        self._written_at.pop(stream_id, None)

    def _seconds_left(self, state: PlatformState, patience_seconds: float) -> float:
        written_at = self._written_at.get(state.stream_id)
        if written_at is None or not _is_smooth(state):
            return 0.0
        return written_at + patience_seconds - self._clock.monotonic()


def _is_smooth(state: PlatformState) -> bool:
    """Nothing is in the way: then messages only count what is ready."""
    return state.failure is None and not state.missing and state.deletion_requested_at is None


def _patience_seconds(wanted: dict[str, Any], shown: dict[str, Any]) -> float:
    """How long what differs may wait."""
    if _headlines(wanted) != _headlines(shown):
        return 0.0
    return PROGRESS_SECONDS if _progress(wanted) != _progress(shown) else DETAIL_SECONDS


def _visible(document: dict[str, Any]) -> dict[str, Any]:
    return _without(document, {"ledger"})


def _headlines(document: dict[str, Any]) -> dict[str, Any]:
    """Phase, conditions, generation and the rest that is waited for or acted upon."""
    return {
        **_without(document, {"ledger", "components", "componentsReady"}),
        "conditions": [_without(one, {"message"}) for one in document.get("conditions") or ()],
    }


def _progress(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [_without(one, _DETAILS) for one in document.get("components") or ()]


def _without(document: dict[str, Any], keys: frozenset[str] | set[str]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}
