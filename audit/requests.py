"""S6: every request is closed at most once, by an outcome of its kind that comes after it."""

from collections.abc import Iterator

from eventstore.events import (
    ActionFailed,
    ActionSucceeded,
    ApplyRequested,
    DeleteRequested,
    Event,
    FinalizerAdded,
    FinalizerAddRequested,
    FinalizerReleased,
    FinalizerReleaseRequested,
    RequestSuperseded,
)

_OBJECT_REQUESTS = (ApplyRequested, DeleteRequested)
_REQUESTS = (*_OBJECT_REQUESTS, FinalizerAddRequested, FinalizerReleaseRequested)
_CLOSERS = (ActionSucceeded, ActionFailed, FinalizerAdded, FinalizerReleased, RequestSuperseded)


class RequestLedger:
    """Which requests of one stream are open; fed event by event, in order."""

    def __init__(self) -> None:
        self._requests: dict[int, Event] = {}
        self._closed_by: dict[int, int] = {}

    @property
    def open(self) -> list[int]:
        """Versions of the requests that nothing closed yet."""
        return [version for version in self._requests if version not in self._closed_by]

    def record(self, version: int, event: Event) -> Iterator[str]:
        """Take in the event; yields what is wrong with it."""
        if isinstance(event, _REQUESTS):
            self._requests[version] = event
        if not isinstance(event, _CLOSERS):
            return
        request = self._requests.get(event.request)
        if request is None:
            yield f"{type(event).__name__} answers request {event.request}, which no earlier event made"
        elif event.request in self._closed_by:
            yield f"request {event.request} is closed again; event {self._closed_by[event.request]} had closed it"
        elif isinstance(request, _OBJECT_REQUESTS) and request.ref != getattr(event, "ref", None):
            yield f"{type(event).__name__} of {getattr(event, 'ref', '?')} answers a request for {request.ref}"
        self._closed_by.setdefault(event.request, version)
