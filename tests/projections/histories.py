"""Made-up histories of platforms, appended to any log: the same arguments give the same events."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from eventstore import events as e
from eventstore.codec import encode
from eventstore.envelope import NewEvent
from eventstore.log import EventLog
from eventstore.vocabulary import ComponentName, ComponentPhase, ErrorCategory, Phase, Trigger

START = datetime(2026, 1, 1, tzinfo=UTC)
LOKI = e.ObjectRef("apps/v1", "StatefulSet", "prod-loki")


class Author:
    """Appends events to streams, one second of the story between two of them."""

    def __init__(self, log: EventLog, seed: int = 0) -> None:
        self._log, self._random = log, random.Random(seed)
        self._versions: dict[str, int] = {}
        self.now = START

    def tell(self, stream_id: str, *events: e.Event) -> int:
        """Append the events to the stream; the version of the last."""
        return self.append(stream_id, [self.new(event) for event in events])

    def append(self, stream_id: str, events: list[NewEvent]) -> int:
        """Append what is encoded already."""
        version = self._versions.get(stream_id, 0)
        self._log.append(stream_id, version, events, epoch=0)
        self._versions[stream_id] = version + len(events)
        return self._versions[stream_id]

    def new(self, event: e.Event) -> NewEvent:
        """The event, encoded, a second later than the one before."""
        self.now += timedelta(seconds=1)
        return encode(
            event,
            event_id=UUID(int=self._random.getrandbits(128), version=4),
            occurred_at=self.now,
            causation_id=None,
            correlation_id=UUID(int=self._random.getrandbits(128), version=4),
            actor="stackledger/epoch-1",
        )

    def stranger(self, event_type: str = "MoonPhaseObserved", schema_version: int = 1) -> NewEvent:
        """An event of a type this build does not know."""
        event = self.new(e.Paused())
        return NewEvent(
            event_id=event.event_id,
            type=event_type,
            schema_version=schema_version,
            payload=b'{"moon":"full"}',
            occurred_at=event.occurred_at,
            causation_id=None,
            correlation_id=event.correlation_id,
            actor=event.actor,
        )


def observed(name: str = "prod", namespace: str = "monitoring") -> e.PlatformObserved:
    return e.PlatformObserved(
        namespace=namespace, name=name, generation=1, spec={}, digest="sha256:spec", field_manager="kubectl"
    )


def phase(
    to: Phase, before: Phase | None = None, trigger: Trigger = Trigger.CREATE, reason: str = "R"
) -> e.PhaseChanged:
    return e.PhaseChanged(
        from_phase=before, to_phase=to, trigger=trigger, reason=reason, message=f"is {to}", generation=1
    )


def component_phase(
    to: ComponentPhase,
    before: ComponentPhase | None = None,
    version: str = "",
    name: ComponentName = ComponentName.LOKI,
) -> e.ComponentPhaseChanged:
    return e.ComponentPhaseChanged(component=name, from_phase=before, to_phase=to, reason="R", version=version)


def seen(ready: int = 1, version: str = "3.5.0", *problems: e.Problem) -> e.ComponentObserved:
    return e.ComponentObserved(
        component=ComponentName.LOKI,
        desired_replicas=1,
        ready_replicas=ready,
        updated_replicas=1,
        rolled_out=ready == 1,
        running_version=version,
        problems=problems,
    )


def life(seed: int) -> Iterator[e.Event]:
    """Events of one platform without end: any order, not a sensible story."""
    chance = random.Random(seed)
    yield observed(f"platform-{seed}")
    yield phase(Phase.PENDING)
    version, requests = 2, list[int]()
    while True:
        version += 1
        kind = chance.randrange(8)
        if kind == 0:
            yield phase(chance.choice(list(Phase)), chance.choice(list(Phase)), chance.choice(list(Trigger)))
        elif kind == 1:
            yield component_phase(
                chance.choice(list(ComponentPhase)),
                None,
                f"3.{chance.randrange(5)}",
                chance.choice(list(ComponentName)),
            )
        elif kind == 2:
            yield seen(chance.randrange(2), "3.5.0", *[e.Problem(reason="CrashLoopBackOff")] * chance.randrange(2))
        elif kind == 3:
            requests.append(version)
            yield e.ApplyRequested(ref=LOKI, component=ComponentName.LOKI, digest="sha256:m", reason="Update")
        elif kind == 4 and requests:
            yield e.ActionSucceeded(request=requests.pop(chance.randrange(len(requests))), ref=LOKI)
        elif kind == 5 and requests:
            yield failed(requests.pop())
        elif kind == 6:
            yield e.SpecAccepted(generation=1, digest="d", versions={"loki": "3.5.0", "tempo": "2.8.0"})
        else:
            yield e.ConditionsChanged(statuses={"Ready": "True"})


def failed(request: int, category: ErrorCategory = ErrorCategory.TRANSIENT) -> e.ActionFailed:
    return e.ActionFailed(request=request, ref=LOKI, category=category, reason="Timeout", message="no answer in 30 s")


def fill(author: Author, streams: int, events_each: int, page: int = 7) -> None:
    """Streams side by side, a few events at a time, as a running operator writes them."""
    lives = {f"uid-{number}": life(number) for number in range(streams)}
    for start in range(0, events_each, page):
        for stream_id, story in lives.items():
            take: Sequence[e.Event] = [next(story) for _ in range(min(page, events_each - start))]
            author.tell(stream_id, *take)
