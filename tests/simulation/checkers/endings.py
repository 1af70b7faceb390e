"""What must hold in the end: S4, E1, E3, E4, E6; that no pass ever crashed, and what a status says of its ledger."""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

import msgspec

from components.manifest import Manifest
from eventstore.codec import decode
from eventstore.events import ComponentPhaseChanged
from eventstore.vocabulary import FINALIZER, KIND
from reconciler.core.announce import announcement, event_object
from reconciler.core.desired import desired_objects
from reconciler.core.status import status
from reconciler.shell.announcer import NEWS_AGE_MAX
from reconciler.shell.cluster import KubernetesObject
from simulator.checking import Checker, Written
from simulator.facts import Facts
from simulator.ports import Call
from simulator.replica import Replica
from simulator.universe import NAMESPACE, PLATFORMS
from tests.simulation.checkers.base import owner_uid

_decode = msgspec.json.Decoder(Manifest).decode


class Status(Checker):
    """`.status` is a copy of what the log says."""

    name = "S4"

    def ended(self) -> None:
        """It says what follows from the fold, whatever anybody wrote into it."""
        for platform in self.facts.universe.model.store.items(PLATFORMS):
            state = self.facts.state_of(platform["metadata"]["uid"])
            shown = {key: value for key, value in (platform.get("status") or {}).items() if key != "ledger"}
            wanted = {key: value for key, value in status(state).items() if key != "ledger"} if state else {}
            if shown != wanted:
                names = [key for key in sorted({*shown, *wanted}) if shown.get(key) != wanted.get(key)]
                self.fail(f"the status of {platform['metadata']['name']} is not that of its ledger: {names}")


class Ahead(Checker):
    """What a status says of its ledger is in the ledger: otherwise the ledger has lost its end."""

    name = "S21"

    def wrote(self, written: Written) -> None:
        """It names no event that is not there yet."""
        if written.kind.kind != KIND or written.after is None or not written.writer.startswith("replica"):
            return
        shown = (written.after.get("status") or {}).get("ledger") or {}
        state = self.facts.state_of(written.after["metadata"]["uid"])
        if int(shown.get("sequence") or 0) > (state.version if state else 0):
            self.fail(
                f"{written.title} says event {shown['sequence']}, and the ledger ends at {state and state.version}"
            )


class Crashes(Checker):
    """A pass fails because the world does, never by a mistake of its own."""

    name = "S18"

    def stepped(self, replicas: Iterable[Replica]) -> None:
        """Nothing was raised that the loop does not know."""
        for replica in replicas:
            if replica.crashes:
                self.fail(f"a pass of {replica.name} crashed: {replica.crashes[0]}")
            if replica.reconciler.quarantined:
                self.fail(f"{replica.name} cannot read a stream: {replica.reconciler.quarantined}")


class Matches(Checker):
    """In the end the cluster is what the accepted spec asks for, no more and no less."""

    name = "E1"

    def ended(self) -> None:
        """Every wanted object is there as asked for, and no other."""
        universe = self.facts.universe
        for platform in universe.model.store.items(PLATFORMS):
            uid, name = platform["metadata"]["uid"], platform["metadata"]["name"]
            state = self.facts.state_of(uid)
            if state is None or state.accepted is None:
                self.fail(f"nothing is known of {name}")
                return
            children = {f"{kind.kind}/{item['metadata']['name']}": item for kind, item in universe.owned_by(uid)}
            wanted = {str(one.ref): one.digest for one in desired_objects(state)}
            if children.keys() != wanted.keys():
                self.fail(f"{name} has {sorted(children.keys() ^ wanted.keys())} too many or too few")
            for title, digest in wanted.items():
                content = universe.log.get_content(digest)
                if content is None or not _covers(children[title], _decode(content).body):
                    self.fail(f"{title} is not as the log asks for")
                elif wrong := _wrong_values(children[title], _decode(content), platform["spec"]):
                    self.fail(f"{title} has other values than the spec for {wrong}")
        self._check_nothing_left()

    def _check_nothing_left(self) -> None:
        """No child of a platform that is gone."""
        model = self.facts.universe.model
        for kind in model.registry.all():
            for item in model.store.items(kind.key, NAMESPACE) if kind.namespaced else ():
                uid = owner_uid(item)
                if uid and model.store.by_uid(uid) is None:
                    self.fail(f"{kind.kind}/{item['metadata']['name']} is left of a platform that is gone")


def _wrong_values(found: KubernetesObject, wanted: Manifest, spec: Any) -> list[str]:
    """Keys of a Secret of which the value is not what stands in the spec."""
    data = found.get("data") or {}
    inline = {key: source.path for key, source in wanted.secret_sources.items() if source.kind == "inline"}
    return [key for key, path in inline.items() if b64decode(data.get(key, "")).decode() != _at(spec, path)]


def _at(spec: Any, path: str) -> Any:
    for step in path.split("."):
        spec = spec[step]
    return spec


def _covers(found: Any, wanted: Any) -> bool:
    """Whether everything wanted is in what is there, which has defaults beside it."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and _covers(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_covers, found, wanted))
    return bool(found == wanted)


class Judged(Checker):
    """Every generation that is there was decided on (E3), and every deletion came to its end (E4)."""

    name = "E3"

    def ended(self) -> None:
        """Nothing waits to be looked at."""
        for platform in self.facts.universe.model.store.items(PLATFORMS):
            metadata = platform["metadata"]
            state = self.facts.state_of(metadata["uid"])
            if metadata.get("deletionTimestamp") and FINALIZER in (metadata.get("finalizers") or ()):
                self.fail(f"{metadata['name']} is still held by our finalizer")
            if state is None or state.observed is None or state.observed.generation != metadata.get("generation", 1):
                self.fail(f"generation {metadata.get('generation')} of {metadata['name']} was not looked at")
            elif not state.paused and state.judged_generation < state.observed.generation and not state.rolled_back:
                self.fail(f"generation {state.observed.generation} of {metadata['name']} was not decided on")


class Closed(Checker):
    """A stream whose resource is gone is closed."""

    name = "E4"

    def ended(self) -> None:
        """No stream is open without a resource."""
        for stream_id, stream in self.facts.streams.items():
            if self.facts.universe.model.store.by_uid(stream_id) is None and not stream.state.closed:
                self.fail(f"{stream.state.name} is gone, and its stream is open")


class Announced(Checker):
    """The outbox comes to the end of the log, and everybody was told."""

    name = "E6"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Names of the Events that the server was asked for: it may refuse them, where the namespace is on its way out.
        self._shown: set[str] = set()
        #: A clock that was set ahead makes everything old news.
        self._excused = False

    def sent(self, replica: Replica, call: Call) -> None:
        """Somebody is told."""
        if call.verb == "cluster.create":
            self._shown.add(call.key.partition("/")[2])
        self._excused = self._excused or replica.clock.wrong_by_seconds >= NEWS_AGE_MAX.total_seconds()

    def ended(self) -> None:
        """Nothing waits to be announced."""
        universe = self.facts.universe
        if universe.outbox.position != universe.log.head_position():
            self.fail(f"announced up to {universe.outbox.position} of {universe.log.head_position()}")
        if self._excused:
            return
        for stream in self.facts.streams.values():
            for recorded in stream.recorded:
                event = decode(recorded)
                announced = announcement(event)
                # What is said of components is said together, in the name of one of them.
                if announced is None or isinstance(event, ComponentPhaseChanged):
                    continue
                name = event_object(stream.state, announced, recorded.version, recorded.occurred_at, "")
                if name["metadata"]["name"] not in self._shown:
                    self.fail(f"event {recorded.version} ({recorded.type}) of {stream.state.name} was never announced")
