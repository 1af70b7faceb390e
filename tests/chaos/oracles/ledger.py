"""What must hold of the ledger when all rests, beside what `stackledger verify` and `replay` say."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from audit.requests import RequestLedger
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.events import PhaseChanged
from eventstore.vocabulary import Phase
from reconciler.core.status import status
from tests.chaos.facts import Facts, Ledger, Users, Violation, message_of


def ledger(facts: Facts) -> Iterator[Violation]:
    """Order, requests, streams, status, announcements."""
    yield from _epochs(facts.ledger.events)
    yield from _requests(facts)
    yield from _streams(facts)
    yield from _status(facts)
    yield from _announced(facts)
    yield from _failed(facts.commands)


def _epochs(events: tuple[RecordedEvent, ...]) -> Iterator[Violation]:
    """In the whole log no epoch comes after a later one, and each stream counts from 1 without a gap."""
    epoch, versions = 0, defaultdict[str, int](int)
    for event in events:
        if event.epoch < epoch:
            yield Violation("epochs", f"position {event.position} is of epoch {event.epoch}, after epoch {epoch}")
        epoch = max(epoch, event.epoch)
        versions[event.stream_id] += 1
        if event.version != versions[event.stream_id]:
            yield Violation("versions", f"{event.stream_id}: {event.version} instead of {versions[event.stream_id]}")
            return


def _requests(facts: Facts) -> Iterator[Violation]:
    """Every request of a platform that may be written to is closed, by one outcome."""
    ledgers = defaultdict[str, RequestLedger](RequestLedger)
    for event in facts.ledger.events:
        for fault in ledgers[event.stream_id].record(event.version, decode(event)):
            yield Violation("requests", f"{event.stream_id} {event.version}: {fault}")
    for stream_id, requests in ledgers.items():
        state = facts.ledger.states[stream_id]
        # What is asked for while nothing may be written waits until it may: paused, or Failed for good.
        is_held = state.closed or state.paused or state.phase is Phase.FAILED
        if requests.open and not is_held:
            yield Violation("requests", f"request {requests.open[0]} of {state.name} is open, and all rests")


def _streams(facts: Facts) -> Iterator[Violation]:
    """Each platform has a stream, and only streams of platforms that are there are open."""
    present = {platform["metadata"]["uid"]: name for name, platform in facts.cluster.platforms.items()}
    for uid, name in present.items():
        if uid not in facts.ledger.states:
            yield Violation("streams", f"{name} has no stream")
    for stream_id, state in facts.ledger.states.items():
        if stream_id in facts.users.incarnations and stream_id not in present and not state.closed:
            yield Violation("streams", f"{state.name} {stream_id} is gone, and its stream is open")


def _status(facts: Facts) -> Iterator[Violation]:
    """`.status` is what follows from the log, whatever anybody wrote into it."""
    for name, platform in facts.cluster.platforms.items():
        state = facts.ledger.states.get(platform["metadata"]["uid"])
        if state is None:
            continue
        shown, wanted = _told(platform.get("status") or {}), _told(status(state))
        if shown != wanted:
            keys = [key for key in sorted({*shown, *wanted}) if shown.get(key) != wanted.get(key)]
            parts = "; ".join(f"{key}: {shown.get(key)} instead of {wanted.get(key)}" for key in keys)
            yield Violation("status", f"the status of {name} is not that of its ledger: {message_of(parts)}")


def _told(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "ledger"}


def _announced(facts: Facts) -> Iterator[Violation]:
    """Each change of phase is told by an Event."""
    for name in announcements(facts.ledger, facts.users):
        if name not in facts.cluster.announced:
            yield Violation("announced", f"Event {name} is not there: a change of phase was told to nobody")


def announcements(recorded: Ledger, users: Users) -> list[str]:
    """The names of the Events that tell of changes of phase."""
    return [
        f"{recorded.states[event.stream_id].name}.{event.stream_id[:8]}.{event.version:08x}"
        for event in recorded.events
        if event.type == PhaseChanged.__name__ and event.stream_id in users.incarnations
    ]


def _failed(commands: Mapping[str, tuple[int, str]]) -> Iterator[Violation]:
    """The operator's own proofs: verify, replay, rebuild."""
    for command, (code, output) in commands.items():
        if code != 0:
            yield Violation("proof", f"stackledger {command}: exit code {code}: {message_of(output.strip())}")
