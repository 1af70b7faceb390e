"""Collects what the oracles look at."""

import base64
import json
import subprocess
from typing import TYPE_CHECKING

from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from projections.platform import evolve, initial
from projections.state import PlatformState
from reconciler.shell.resources import EVENT, PLATFORM, SECRET
from tests.chaos.facts import Cluster, Facts, Ledger, Users
from tests.chaos.oracles.processes import LOG
from tests.chaos.recorder import CLAIM
from tests.chaos.undisturbed import look
from tests.chaos.user import persistently
from tests.chaos.wishes import INLINE_CANARY, SECRET_CANARIES
from tests.cluster.installation import APP_PASSWORD, HMAC_KEY
from tests.cluster.process import ROOT, stackledger_command

if TYPE_CHECKING:
    from tests.chaos.play import Play

PROOFS = ("verify --all --deep", "replay --all", "rebuild")
#: Shorter ones are found by chance.
_SECRET_LENGTH_MIN = 12


class Gathering:
    """Reads the server, the ledger, the logs and the probes of a run."""

    def __init__(self, play: "Play", namespace: str) -> None:
        self._play, self._namespace = play, namespace
        self._events: list[RecordedEvent] = []
        self._states: dict[str, PlatformState] = {}
        self._secrets = {APP_PASSWORD, HMAC_KEY, INLINE_CANARY, *SECRET_CANARIES}

    def cluster(self) -> Cluster:
        """What is in the namespace, but for volumes and Events."""
        return persistently(lambda: look(self._play.server.cluster, self._namespace))

    def announced(self) -> frozenset[str]:
        """Names of the Events there are."""
        found = persistently(lambda: self._play.server.cluster.list_all(EVENT, self._namespace))
        return frozenset(item["metadata"]["name"] for item in found.items)

    def users(self) -> Users:
        """What people wanted and did."""
        user = self._play.user
        return Users(dict(user.wishes), dict(user.incarnations), frozenset(self._play.others.deleted))

    def gather(self, noise: tuple[str, ...]) -> Facts:
        """All of it; undisturbed installs are not made yet."""
        play = self._play
        cluster, client = self.cluster(), play.server.cluster
        cluster = Cluster(
            cluster.platforms,
            cluster.objects,
            tuple(client.list_all(CLAIM, self._namespace).items),
            self.announced(),
        )
        self._learn()
        return Facts(
            cluster=cluster,
            users=self.users(),
            ledger=self.ledger(),
            undisturbed={},
            sightings=tuple(play.recorder.sightings()),
            journal=tuple(play.journal.entries),
            texts=self._texts(),
            secrets=frozenset(self._secrets),
            commands={proof: self._prove(proof) for proof in PROOFS},
            noise=noise,
            unready=play.replicas.unready(),
        )

    def ledger(self) -> Ledger:
        """The log up to now, folded apart from the operator."""
        log = self._play.database.log
        while page := log.read_all(self._events[-1].position if self._events else 0):
            for event in page:
                state = self._states.get(event.stream_id) or initial(event.stream_id)
                self._states[event.stream_id] = evolve(state, decode(event), event.occurred_at)
            self._events += page
        return Ledger(tuple(self._events), dict(self._states))

    def _learn(self) -> None:
        """Whatever Secrets hold now is secret too: passwords that were made up."""
        for item in self._play.server.cluster.list_all(SECRET, self._namespace).items:
            values = (base64.b64decode(value).decode(errors="replace") for value in (item.get("data") or {}).values())
            self._secrets |= {value for value in values if len(value) >= _SECRET_LENGTH_MIN}

    def _texts(self) -> dict[str, str]:
        play, client = self._play, self._play.server.cluster
        # Not the specs: there the user wrote one.
        statuses = [item.get("status") for item in client.list_all(PLATFORM, self._namespace).items]
        texts = {
            "statuses": json.dumps(statuses, ensure_ascii=False),
            "Events": json.dumps(client.list_all(EVENT, self._namespace).items, ensure_ascii=False),
            "the database": play.database.dump(),
        }
        for one in play.replicas.all:
            texts[f"{LOG}{one.name}"] = one.output()
            texts[f"metrics of {one.name}"] = "\n".join(one.metrics())
        return texts

    def _prove(self, proof: str) -> tuple[int, str]:
        done = self.stackledger(*proof.split())
        return done.returncode, done.stdout[-3000:] + done.stderr[-1000:]

    def stackledger(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command line on the live ledger, as its owner."""
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._play.directory),
            "STACKLEDGER_DSN": self._play.database.owner_dsn,
        }
        command = [*stackledger_command(), *args]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
