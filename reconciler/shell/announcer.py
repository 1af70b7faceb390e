"""Publishes recorded events as Kubernetes Events: an outbox that reads the log from where it stopped.

The name of an Event is made of stream and version, so that one published twice is refused: at least once becomes once.
Events are for people who watch; nothing is lost if one cannot be published, for the log has it.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import CorruptEventError, UnknownEventError
from eventstore.vocabulary import ErrorCategory
from projections.outbox import Outbox
from projections.state import PlatformState
from reconciler.core.announce import announcement, event_object
from reconciler.shell.cluster import Cluster, ClusterError
from reconciler.shell.resources import EVENT

_log = structlog.get_logger(__name__)

#: Key of the outbox's checkpoint.
OUTBOX = "kubernetes_events"
#: The API server forgets Events after an hour: older news is history, and that is what the log is for.
NEWS_AGE_MAX = timedelta(hours=1)


class Announcer:
    """Follows the log and publishes; only the leader's is asked to."""

    def __init__(
        self,
        outbox: Outbox,
        cluster: Cluster,
        state_of: Callable[[str], PlatformState],
        now: Callable[[], datetime],
        instance: str,
    ) -> None:
        self._outbox, self._cluster = outbox, cluster
        self._state_of, self._now, self._instance = state_of, now, instance

    def publish(self) -> int:
        """Publish what was recorded since the last time; how many Events that made.

        Raises:
            StoreUnavailableError: the log cannot be read.
            ClusterError: the API server cannot be reached; it goes on from there next time.
        """
        page = self._outbox.pending()
        published = sum(self._publish(recorded) for recorded in page)
        if page:
            self._outbox.done(page[-1])
        return published

    def _publish(self, recorded: RecordedEvent) -> bool:
        if self._now() - recorded.occurred_at > NEWS_AGE_MAX:
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
            if error.category is ErrorCategory.TRANSIENT and error.reason != "AlreadyExists":
                raise
            if error.reason != "AlreadyExists":
                _log.warning("event_not_published", platform=f"{state.namespace}/{state.name}", why=error.message)
            return False
        return True
