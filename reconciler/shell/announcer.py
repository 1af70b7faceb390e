"""Publishes recorded events as Kubernetes Events: an outbox that reads the log from where it stopped.

The name of an Event is made of stream and version, so that one published twice is refused: at least once becomes once.
Events are for people who watch; nothing is lost if one cannot be published, for the log has it.
"""

from collections.abc import Callable
from datetime import timedelta

import structlog

from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import CorruptEventError, UnknownEventError
from eventstore.vocabulary import ErrorCategory
from projections.outbox import Outbox
from projections.state import PlatformState
from reconciler.core.announce import announcement, event_object
from reconciler.shell.clock import Clock
from reconciler.shell.cluster import Cluster, ClusterError
from reconciler.shell.resources import EVENT

_log = structlog.get_logger(__name__)

#: Key of the outbox's checkpoint.
OUTBOX = "kubernetes_events"
#: After a failure, the next try; doubled each time.
BACKOFF_INITIAL_SECONDS, BACKOFF_MAX_SECONDS = 2.0, 30.0
#: A server that has just started may refuse what it allows once it has read its roles.
REFUSAL_PATIENCE = timedelta(minutes=1)
#: The API server forgets Events after an hour: older news is history, and that is what the log is for.
NEWS_AGE_MAX = timedelta(hours=1)


class Announcer:
    """Follows the log and publishes; only the leader's is asked to."""

    def __init__(
        self,
        outbox: Outbox,
        cluster: Cluster,
        state_of: Callable[[str], PlatformState],
        clock: Clock,
        instance: str,
    ) -> None:
        self._outbox, self._cluster = outbox, cluster
        self._state_of, self._clock, self._instance = state_of, clock, instance
        #: What stands in the way, until when (monotonic), and how often in a row it did.
        self._problem: ClusterError | None = None
        self._resume_at, self._failures = 0.0, 0

    def publish(self) -> int:
        """Publish what was recorded since the last time; how many Events that made.

        Raises:
            StoreUnavailableError: the log cannot be read.
            ClusterError: the API server cannot be reached; it goes on from there when the server had some rest.
        """
        if self._problem is not None and self._clock.monotonic() < self._resume_at:
            raise self._problem.with_traceback(None)
        published, last = 0, None
        try:
            for recorded in self._outbox.pending():
                published += self._publish(recorded)
                last = recorded
        except ClusterError as error:
            self._back_off(error)
            raise
        finally:
            if last is not None:
                self._outbox.done(last)
        self._problem, self._failures = None, 0
        return published

    def _back_off(self, error: ClusterError) -> None:
        delay = min(BACKOFF_MAX_SECONDS, BACKOFF_INITIAL_SECONDS * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self._problem = error
        self._resume_at = self._clock.monotonic() + max(delay, error.retry_after_seconds or 0.0)

    def _publish(self, recorded: RecordedEvent) -> bool:
        age = self._clock.now() - recorded.occurred_at
        if age > NEWS_AGE_MAX:
            return False
        try:
            announced = announcement(decode(recorded))
            if announced is None:
                return False
            state = self._state_of(recorded.stream_id)
        except (UnknownEventError, CorruptEventError):
            return False  # its stream is quarantined, which is told elsewhere
        body = event_object(state, announced, recorded.version, recorded.occurred_at, self._instance)
        try:
            self._cluster.create(EVENT, state.namespace, body)
        except ClusterError as error:
            if error.reason == "AlreadyExists":
                return False
            waits = error.reason == "PermissionDenied" and age < REFUSAL_PATIENCE
            if waits or error.category is ErrorCategory.TRANSIENT:
                raise
            _log.warning("event_not_published", platform=f"{state.namespace}/{state.name}", why=error.message)
            return False
        return True
