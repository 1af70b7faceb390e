"""What must happen in time, told as soon as it has not: E5, E7, E8."""

from collections import defaultdict, deque
from collections.abc import Iterable

from eventstore.events import Resumed
from eventstore.vocabulary import KIND
from simulator.checking import Checker, Written
from simulator.facts import Appended, Facts
from simulator.ports import Call
from simulator.replica import RENEW_SECONDS, TTL_SECONDS, Replica
from simulator.universe import USER

#: After the death of a leader: its lease runs out, the next one asks, and has listed everything before.
SUCCESSION_SECONDS = TTL_SECONDS + RENEW_SECONDS + 15.0
#: A watch that is silent for a minute and a half is given up; then the change is seen.
RESUMPTION_SECONDS = 150.0
#: So many calls of one kind for one object, within so many seconds, are a hot loop.
HOT_CALLS, HOT_SECONDS = 20, 10.0
_OF_DATABASE = ("lease.", "log.", "outbox.")


class Succession(Checker):
    """Where the leader is gone, another replica leads before long."""

    name = "E5"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._led_at = 0.0

    def stepped(self, replicas: Iterable[Replica]) -> None:
        """Somebody leads, or did a while ago, or nobody can."""
        universe = self.facts.universe
        now = universe.clock.monotonic()
        if any(replica.leads() for replica in replicas if not replica.stalled):
            self._led_at = now
        elif now - max(self._led_at, universe.trouble_until) > SUCCESSION_SECONDS:
            self.fail(f"nobody has led for {now - self._led_at:.0f} s")


class Resumption(Checker):
    """What is not paused any more is worked on before long."""

    name = "E7"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Stream -> since when its resource is not paused any more, while the log says that it is.
        self._waiting: dict[str, float] = {}

    def wrote(self, written: Written) -> None:
        """Somebody ended the pause, or began it anew, or deleted the resource."""
        if written.kind.kind != KIND or written.writer.startswith("replica"):
            return
        uid = written.item["metadata"]["uid"]
        self._waiting.pop(uid, None)
        state = self.facts.state_of(uid)
        wanted = written.after is not None and not written.item["metadata"].get("deletionTimestamp")
        resumed = wanted and not written.item["spec"].get("paused")
        if resumed and written.writer == USER and state is not None and state.paused:
            self._waiting[uid] = self.facts.universe.clock.monotonic()

    def appended(self, news: Appended) -> None:
        """It was seen."""
        if isinstance(news.event, Resumed):
            self._waiting.pop(news.recorded.stream_id, None)

    def stepped(self, replicas: object) -> None:
        """Nothing waits for too long."""
        universe = self.facts.universe
        now = universe.clock.monotonic()
        for uid, since in self._waiting.items():
            if now - max(since, universe.trouble_until) > RESUMPTION_SECONDS and not universe.was_just_restored():
                self.fail(f"{uid} is not paused any more since {now - since:.0f} s, and nobody goes on with it")


class Calm(Checker):
    """No hot loop: nothing is asked of a server again and again, neither of the cluster's nor of the database's."""

    name = "E8"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._calls: defaultdict[tuple[str, str], deque[float]] = defaultdict(lambda: deque(maxlen=HOT_CALLS))
        #: Of each replica: what it asked of the database since it last changed anything. Before each write it looks at
        #: the lease: as often as there is something to do.
        self._asked: defaultdict[str, defaultdict[tuple[str, str], deque[float]]] = defaultdict(
            lambda: defaultdict(lambda: deque(maxlen=HOT_CALLS))
        )

    def sent(self, replica: Replica, call: Call) -> None:
        """The last so many of these took longer than that."""
        if call.verb.startswith(_OF_DATABASE):
            self._look(self._asked[replica.name][call.verb, call.key], call)
        elif call.verb.startswith("cluster.") and call.verb not in {"cluster.list", "cluster.watch"}:
            self._look(self._calls[call.verb, f"{call.namespace}/{call.key}"], call)

    def wrote(self, written: Written) -> None:
        """Somebody got on."""
        if written.kind.kind != "Event":
            self._asked.pop(written.writer, None)

    def _look(self, calls: deque[float], call: Call) -> None:
        now = self.facts.universe.clock.monotonic()
        if len(calls) == HOT_CALLS and now - calls[0] < HOT_SECONDS:
            self.fail(f"{call}: number {HOT_CALLS + 1} within {now - calls[0]:.1f} s")
        calls.append(now)
