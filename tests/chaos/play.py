"""One run against one server: rounds of storm and calm, until the time is over or something is wrong."""

import heapq
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from reconciler.shell.status_writer import PROGRESS_SECONDS
from tests.chaos.database import LedgerDatabase
from tests.chaos.facts import Violation
from tests.chaos.gathering import Gathering
from tests.chaos.journal import Journal
from tests.chaos.oracles.all import violations
from tests.chaos.oracles.ends import unfulfilled
from tests.chaos.oracles.ledger import announcements
from tests.chaos.others import Others
from tests.chaos.recorder import Recorder
from tests.chaos.replicas import Replicas
from tests.chaos.report import Line, Report
from tests.chaos.schedule import Deed, storm
from tests.chaos.server import Server, Undo
from tests.chaos.undisturbed import Undisturbed
from tests.chaos.user import User
from tests.chaos.wishes import Outcome

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


class Times(msgspec.Struct, frozen=True):
    """How long what takes. Seconds."""

    storm: float = 30.0
    #: All must rest this long after the storm.
    rest_max: float = 150.0
    #: Nothing is heard for so long before it counts as rest: longer than a status may wait (`PROGRESS_SECONDS`).
    still: float = PROGRESS_SECONDS + 2.0
    #: And then nothing may be heard for so long.
    silent: float = 8.0


class Play:
    """Everything of a run; `close` ends every process of it."""

    def __init__(
        self,
        directory: Path,
        open_server: Callable[[Path, str], Server],
        *,
        seed: int,
        platforms: int = 4,
        replicas: int = 2,
        times: Times | None = None,
    ) -> None:
        self.directory, self.seed, self.times = directory, seed, times or Times()
        self._names, self._replica_count = NAMES[:platforms], replicas
        directory.mkdir(parents=True)
        self.journal = Journal(directory / "journal.jsonl")
        self.report = Report()
        self._open_server = open_server
        self._closing: list[Callable[[], None]] = [self.journal.close]
        self._ending = threading.Event()

    def open(self) -> None:
        """Start everything, and wait until the operators are ready."""
        database = LedgerDatabase(self.directory)
        self.database = database
        self._closing.append(database.close)
        self.server = self._open_server(self.directory / "server", database.dsn)
        self._closing.append(self.server.close)
        storm_namespace, calm_namespace = self.server.open()
        self.report.server = self.server.name
        self.replicas = Replicas(
            self.directory, self.server.environment(), (storm_namespace, calm_namespace), self._replica_count
        )
        self._closing.append(self.replicas.close)
        self.recorder = Recorder(self.server.cluster, storm_namespace, self.journal.seconds)
        self._closing.append(self.recorder.stop)
        self.recorder.start()
        self.replicas.start(self.journal)
        self.user = User(self.server, storm_namespace, self._names, self.journal)
        self.others = Others(self.server, storm_namespace, self.journal)
        self.undisturbed = Undisturbed(self.server.cluster, calm_namespace)
        self.gathering = Gathering(self, storm_namespace)
        for one in self.replicas.all:
            one.wait_ready(120)
        self.user.begin(self.seed)

    def close(self) -> None:
        """End everything, whatever happens."""
        self._ending.set()
        for close in reversed(self._closing):
            try:
                close()
            except Exception as error:
                print(f"while ending: {type(error).__name__}: {error}", flush=True)

    # -- rounds ----------------------------------------------------------------------------------------------------

    def round(self, number: int) -> list[Violation]:
        """A storm, a calm, and what the oracles say."""
        began = time.monotonic()
        self.journal.write("round", "storm", number=number, seed=self.seed)
        faults = sorted(self.server.faults | self.database.faults | self.replicas.faults)
        deeds = storm(self.seed, number, self.times.storm, self._names, faults)
        self._storm(deeds)
        rest_began = time.monotonic()
        found = self._calm(number)
        self.report.add(
            Line(
                number=number,
                seconds=time.monotonic() - began,
                rest_seconds=time.monotonic() - rest_began,
                events=self.database.log.head_position(),
                faults=dict(self.journal.counts("chaos")),
                platforms=len(self.user.incarnations),
                violations=len(found),
            )
        )
        for violation in found:
            self.journal.write("oracle", violation.oracle, message=violation.message)
        return found

    def _storm(self, deeds: list[Deed]) -> None:
        threads = [
            threading.Thread(target=self._act, args=([one for one in deeds if one.actor == actor], do), name=actor)
            for actor, do in (("user", self.user.do), ("other", self.others.do))
        ]
        for thread in threads:
            thread.daemon = True
            thread.start()
        self._break([one for one in deeds if one.actor == "chaos"])
        self._heal()
        for thread in threads:
            thread.join(120)

    def _act(self, deeds: list[Deed], do: Callable[[Deed], None]) -> None:
        began = time.monotonic()
        for deed in deeds:
            if self._ending.wait(max(0.0, began + deed.at_seconds - time.monotonic())):
                return
            try:
                do(deed)
            except Exception as error:  # the server may be away for longer than anybody is patient
                self.journal.write(deed.actor, "gave-up", deed=deed.kind, why=f"{type(error).__name__}: {error}"[:300])

    def _break(self, deeds: list[Deed]) -> None:
        """Begin and end faults, in the order of time; this thread is the only one that does."""
        began, ends = time.monotonic(), list[tuple[float, int, str, Undo]]()
        for number, deed in enumerate(deeds):
            self._wait_until(began + deed.at_seconds, ends)
            begun = time.monotonic()
            undo = self._fault(deed)
            self.journal.write("chaos", deed.kind, seconds=deed.seconds, took=round(time.monotonic() - begun, 2))
            heapq.heappush(ends, (time.monotonic() + deed.seconds, number, deed.kind, undo))
        self._wait_until(began + self.times.storm, ends)
        for _, _, kind, undo in ends:
            self._undo(kind, undo)

    def _wait_until(self, at: float, ends: list[tuple[float, int, str, Undo]]) -> None:
        while (now := time.monotonic()) < at or (ends and ends[0][0] <= now):
            if ends and ends[0][0] <= now:
                _, _, kind, undo = heapq.heappop(ends)
                self._undo(kind, undo)
                continue
            self.replicas.supervise()
            time.sleep(max(0.0, min(0.2, at - now)))

    def _fault(self, deed: Deed) -> Undo:
        try:
            return self._begin(deed)
        except Exception as error:  # what is to be broken is down already, by a fault before this one
            self.journal.write("chaos-skipped", deed.kind, why=f"{type(error).__name__}: {error}"[:300])
            return lambda: None

    def _begin(self, deed: Deed) -> Undo:
        if deed.kind in self.replicas.faults:
            return self.replicas.fault(deed.kind, deed.choice)
        if deed.kind in self.database.faults:
            return self.database.fault(deed.kind, deed.choice)
        return self.server.fault(deed.kind, deed.choice)

    def _undo(self, kind: str, undo: Undo) -> None:
        try:
            undo()
        except Exception as error:  # `_heal` sees to it that all is well in the end, or fails
            self.journal.write("chaos-skipped", f"end of {kind}", why=f"{type(error).__name__}: {error}"[:300])
        self.journal.write("chaos-end", kind)

    def _heal(self) -> None:
        self.database.heal()
        self.server.heal()
        self.replicas.heal()

    # -- calm ------------------------------------------------------------------------------------------------------

    def _calm(self, number: int) -> list[Violation]:
        self.journal.write("round", "calm", number=number)
        self.user.settle(random.Random(f"{self.seed}/{number}/calm").getrandbits(16))
        late = self._wait_for_rest()
        if late:
            return [Violation("rest", what) for what in late]
        noise = self._listen()
        wanted = {
            name: wish.spec
            for name, wish in self.user.wishes.items()
            if wish.outcome is Outcome.READY and wish.spec is not None
        }
        facts = self.gathering.gather(noise)
        try:
            undisturbed = self.undisturbed.of(wanted)
        except TimeoutError as error:
            return [Violation("rest", str(error))]
        return violations(msgspec.structs.replace(facts, undisturbed=undisturbed))

    def _wait_for_rest(self) -> list[str]:
        """Until every wish is fulfilled and nothing is heard for a while; what is not so when the time is over."""
        deadline = time.monotonic() + self.times.rest_max
        heard, since, late = self._heard(), time.monotonic(), ""
        while True:
            time.sleep(0.5)
            self.replicas.supervise()
            self.user.insist()
            why = unfulfilled(self.gathering.cluster(), self.gathering.users())
            now = self._heard()
            if now != heard or why:
                heard, since = now, time.monotonic()
            if time.monotonic() - since >= self.times.still:
                late = self._leaderless()
                if late:
                    # Whoever begins to lead has something to do: what was silent was nobody.
                    since = time.monotonic()
                late = late or self.replicas.unready() or self._untold()
                if not late:
                    return []
            if time.monotonic() > deadline:
                return [*why, *([late] if late else [])] or ["it is never silent: " + self._latest()]

    def _leaderless(self) -> str:
        lease = self.database.log.lease.current()
        return "" if lease is not None and lease.expires_at > datetime.now(UTC) else "nobody holds the lease"

    def _untold(self) -> str:
        """What is recorded, and not told by an Event yet: they take their time, and more after an outage."""
        names = self.gathering.announced()
        missing = [name for name in announcements(self.gathering.ledger(), self.gathering.users()) if name not in names]
        return f"not told: {missing[:5]}" if missing else ""

    def _heard(self) -> tuple[int, int, int]:
        """How much was appended, seen and sent so far. Events do not count: some are held back for half a minute."""
        return (self.database.log.head_position(), self.recorder.count(), self.server.writes())

    def _listen(self) -> tuple[str, ...]:
        before = self._heard()
        time.sleep(self.times.silent)
        after = self._heard()
        words = ("events appended", "changes seen", "writes sent")
        noise = [
            f"{b - a} {what} in {self.times.silent:.0f} s" for a, b, what in zip(before, after, words, strict=True)
        ]
        heard = tuple(text for text in noise if not text.startswith("0 "))
        return (*heard, self._latest()) if heard else ()

    def _latest(self) -> str:
        events = self.database.log.read_all(max(0, self.database.log.head_position() - 8))
        told = [f"{event.type} {event.stream_id[:8]}/{event.version}" for event in events]
        seen = [f"{one.what} {one.kind}/{one.name}" for one in self.recorder.sightings()[-8:]]
        return f"the last are {', '.join(told)}; {', '.join(seen)}"

    # -- what is left ----------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Write down what a person needs to look into a violation: the ledger, what was seen, who was what."""
        done = self.gathering.stackledger("export", "--all", "--force", "-f", str(self.directory / "ledger.slb"))
        if done.returncode != 0:
            print(f"the ledger is not exported: {done.stderr}", flush=True)
        self.replicas.dump()
        with (self.directory / "seen.jsonl").open("wb") as file:
            for sighting in self.recorder.sightings():
                file.write(msgspec.json.encode(sighting) + b"\n")
