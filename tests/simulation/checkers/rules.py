"""What must hold of what is decided and observed: S7, S16, S19, S20."""

from collections import Counter

from audit.replay import replay
from eventstore.events import (
    ClusterRewound,
    DeletionRequested,
    LastKnownGoodRecorded,
    PlatformObserved,
    RetryReset,
    RetryScheduled,
    RollbackStarted,
)
from eventstore.vocabulary import KIND, Phase
from reconciler.core.desired import desired_objects
from simulator.checking import Checker, Written
from simulator.facts import Appended, Facts
from simulator.ports import Call
from simulator.replica import Replica
from tests.simulation.checkers.writes import is_deposed

_RESETS = frozenset({"NewGeneration", "Requested", "DependencyChanged", "Recovered", "Superseded"})


class Purity(Checker):
    """The same input gives the same decisions: a replay of the whole log decides the same."""

    name = "S7"

    def ended(self) -> None:
        """Every stream replays without a difference."""
        for stream_id, stream in self.facts.streams.items():
            report = replay(stream.recorded, stored=self.facts.universe.log.load_state(stream_id))
            if not report.ok:
                self.fail(f"replayed, {stream.state.name} decides otherwise: {report.divergence}")


class Forward(Checker):
    """Observations never go back: generations only grow, but after a restored backup."""

    name = "S16"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._rewound: set[str] = set()
        self._shown: dict[str, int] = {}
        self._late = False

    def appended(self, news: Appended) -> None:
        """A generation is not below the one recorded before."""
        stream_id = news.recorded.stream_id
        if isinstance(news.event, ClusterRewound):
            self._rewound.add(stream_id)
        elif isinstance(news.event, PlatformObserved):
            before = news.before.observed
            if before is not None and news.event.generation < before.generation and stream_id not in self._rewound:
                self.fail(f"generation {news.event.generation} is observed after {before.generation}")
            self._rewound.discard(stream_id)

    def sent(self, replica: Replica, call: Call) -> None:
        """Remember whether the process is deposed and cannot know: its successor has the last word."""
        self._late = call.index == replica.slept_at or is_deposed(self.facts, replica)

    def wrote(self, written: Written) -> None:
        """What a status says it has seen grows, and is not beyond what there is."""
        if self._late or self.facts.universe.was_just_restored():
            self._shown.clear()
            return
        if written.kind.kind != KIND or not written.writer.startswith("replica") or written.after is None:
            return
        if (written.before or {}).get("status") == written.after.get("status"):
            return
        uid = written.after["metadata"]["uid"]
        shown = int((written.after.get("status") or {}).get("observedGeneration") or 0)
        if shown > written.after["metadata"].get("generation", 1):
            self.fail(f"{written.title} says it saw generation {shown}, which is not there yet")
        if shown < self._shown.get(uid, shown):
            self.fail(f"{written.title} says it saw generation {shown}, and has said {self._shown[uid]}")
        self._shown[uid] = shown


class Retries(Checker):
    """The retry counter counts by one, ends at its limit, and starts anew only for a reason."""

    name = "S19"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Counted apart from the fold.
        self._attempts: Counter[str] = Counter()

    def appended(self, news: Appended) -> None:
        """One more than before, and later than now."""
        event, before, stream_id = news.event, news.before, news.recorded.stream_id
        if isinstance(event, RetryReset | DeletionRequested | ClusterRewound):
            self._attempts[stream_id] = 0
        if isinstance(event, RetryScheduled):
            self._attempts[stream_id] += 1
            if event.attempt != self._attempts[stream_id] or event.attempt > before.policy.retries_max:
                self.fail(f"attempt {event.attempt} is number {self._attempts[stream_id]} since the last reset")
            wait = (event.due_at - news.recorded.occurred_at).total_seconds()
            least = before.policy.retry_initial_seconds * before.policy.retry_factor ** (event.attempt - 1)
            if wait < min(least, before.policy.retry_max_seconds):
                self.fail(f"attempt {event.attempt} is due after {wait} s, not {least} s")
        elif isinstance(event, RetryReset) and event.reason not in _RESETS:
            self.fail(f"the retry counter starts anew because of {event.reason!r}")


class KnownGood(Checker):
    """Last-known-good is recorded when Ready, with every object there as applied; a rollback goes back to it."""

    name = "S20"

    def appended(self, news: Appended) -> None:
        """It names what is applied, and what is there."""
        before = news.before
        if isinstance(news.event, RollbackStarted):
            good = before.known_good
            if good is None or good.spec.versions != news.event.to_versions:
                self.fail(f"rolled back to {news.event.to_versions}, which is not what last worked")
        elif isinstance(news.event, LastKnownGoodRecorded):
            if before.phase is not Phase.READY:
                self.fail(f"recorded while {before.phase}")
            for wanted in desired_objects(before):
                child = before.objects.get(wanted.key)
                if child is None or (child.applied_digest != wanted.digest and not wanted.create_only):
                    self.fail(f"recorded before {wanted.ref} was applied")
                elif news.event.manifests.get(wanted.key) != child.applied_digest:
                    self.fail(f"it names another manifest of {wanted.ref} than was applied")
