"""News of components on their way, kept back for a moment, so that one Kubernetes Event tells of several."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from reconciler.core.announce import Announcement

#: A component that starts quickly is ready before the news that it is being deployed are due.
HOLD_SECONDS = 30.0


class News(msgspec.Struct, frozen=True):
    """An announcement, with the place in the stream and the instant of what it tells."""

    announced: Announcement
    version: int
    at: datetime


class _Held(msgspec.Struct):
    due_at: float
    #: Component -> what was heard of it last.
    newest: dict[str, News]


class HeldNews:
    """Per platform the newest news of each component. In memory only: what a crash makes forget is in the log."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._held: dict[str, _Held] = {}

    def add(self, stream_id: str, component: str, news: News) -> None:
        """Keep news of a component; what was known of it before is old."""
        held = self._held.setdefault(stream_id, _Held(self._monotonic() + HOLD_SECONDS, {}))
        held.newest.pop(component, None)
        held.newest[component] = news

    def due(self) -> list[str]:
        """Streams whose news are not to be kept any longer."""
        now = self._monotonic()
        return [stream_id for stream_id, held in self._held.items() if held.due_at <= now]

    def together(self, stream_id: str) -> News | None:
        """All news of a stream as one, in the order in which they came; None if there are none."""
        held = self._held.get(stream_id)
        if held is None:
            return None
        news = list(held.newest.values())
        notes = "; ".join(one.announced.note for one in news)
        # The reason of what happened first: in an install, that something is ready.
        first = news[0].announced
        return News(msgspec.structs.replace(first, note=notes), news[-1].version, news[-1].at)

    def drop(self, stream_id: str) -> None:
        """They were told."""
        self._held.pop(stream_id, None)
