"""Publishes recorded events as Kubernetes Events: an outbox that reads the log from where it stopped.

The name of an Event is made of stream and version, so that one published twice is refused: at least once becomes once.
What becomes of components on their way is held back and told together: an install costs a handful of Events, however
many there are. What is held back when a process ends is not told any more.
Events are for people who watch; nothing is lost if one cannot be published, for the log has it.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import structlog

from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.errors import CorruptEventError, UnknownEventError
from eventstore.events import ComponentPhaseChanged
from eventstore.vocabulary import ErrorCategory
from projections.state import PlatformState
from reconciler.core.announce import announcement, event_object
from reconciler.shell.clock import Clock
from reconciler.shell.cluster import Cluster, ClusterError
from reconciler.shell.held_news import HeldNews, News
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


class Outbox(Protocol):
    """What was recorded and not told yet: `projections.outbox`, seen from here."""

    def pending(self) -> list[RecordedEvent]:
        """The next page, oldest first."""
        ...

    def done(self, last: RecordedEvent) -> None:
        """Everything up to this event was told."""
        ...


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
        self._held = HeldNews(clock.monotonic)
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
            for stream_id in self._held.due():
                published += self._tell_held(stream_id)
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

    def _publish(self, recorded: RecordedEvent) -> int:
        if self._clock.now() - recorded.occurred_at > NEWS_AGE_MAX:
            return 0
        try:
            event = decode(recorded)
        except (UnknownEventError, CorruptEventError):
            return 0  # its stream is quarantined, which is told elsewhere
        announced = announcement(event)
        if announced is None:
            return 0
        news = News(announced, recorded.version, recorded.occurred_at)
        if isinstance(event, ComponentPhaseChanged):
            self._held.add(recorded.stream_id, event.component, news)
            return 0
        # What happened before is told before.
        return self._tell_held(recorded.stream_id) + self._tell(recorded.stream_id, news)

    def _tell_held(self, stream_id: str) -> bool:
        news = self._held.together(stream_id)
        told = news is not None and self._tell(stream_id, news)
        self._held.drop(stream_id)
        return told

    def _tell(self, stream_id: str, news: News) -> bool:
        age = self._clock.now() - news.at
        try:
            state = self._state_of(stream_id)
        except (UnknownEventError, CorruptEventError):
            return False
        body = event_object(state, news.announced, news.version, news.at, self._instance)
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
