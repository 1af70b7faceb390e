"""What must hold of the ledger after every append: S1, S2, S3, S6, S8, S9, S15, S17; in the end: E2."""

from base64 import b64decode, b64encode

from msgspec.structs import replace

from audit.verification import verify_stream
from eventstore.envelope import GENESIS_HASH
from eventstore.events import (
    ChildFound,
    ChildGone,
    ComponentObserved,
    DependencyObserved,
    DriftDetected,
    PhaseChanged,
    PlatformGone,
    PlatformObserved,
    PolicyAdopted,
)
from eventstore.hashing import event_hash
from reconciler.shell.states import state_record
from simulator.checking import Checker, Written
from simulator.facts import Appended, Facts
from tests.simulation.workloads import CANARY, SECOND_CANARY


class Versions(Checker):
    """Per stream, versions are 1..n without gap or repeat."""

    name = "S1"

    def appended(self, news: Appended) -> None:
        """Each event follows on the one before."""
        if news.recorded.version != news.before.version + 1:
            self.fail(f"version {news.recorded.version} after {news.before.version} in {news.recorded.stream_id}")


class Chain(Checker):
    """Events are what they were when they were appended: each hash follows from its bytes and the hash before."""

    name = "S2"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._heads: dict[str, bytes] = {}

    def appended(self, news: Appended) -> None:
        """Each hash follows on the one before."""
        recorded = news.recorded
        before = self._heads.get(recorded.stream_id, GENESIS_HASH)
        if recorded.prev_hash != before or recorded.hash != event_hash(recorded, before):
            self.fail(f"event {recorded.version} of {recorded.stream_id} does not follow on the hash before it")
        self._heads[recorded.stream_id] = recorded.hash

    def ended(self) -> None:
        """The whole log verifies, as `stackledger verify` does it."""
        for stream_id in self.facts.streams:
            report = verify_stream(self.facts.universe.log, stream_id)
            if report.faults:
                fault = report.faults[0]
                self.fail(f"{fault.check} at {fault.sequence}: {fault.message}")


class Projection(Checker):
    """The stored state is the fold of the events it stands for."""

    name = "S3"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._touched: set[str] = set()

    def appended(self, news: Appended) -> None:
        """Looked at once the whole append is known."""
        self._touched.add(news.recorded.stream_id)

    def stepped(self, replicas: object) -> None:
        """The stored bytes are those of the fold."""
        for stream_id in self._touched:
            state = self.facts.streams[stream_id].state
            stored = self.facts.universe.log.load_state(stream_id)
            if stored is None or stored.version != state.version:
                self.fail(f"{stream_id} is at {state.version}, its stored state at {stored and stored.version}")
            elif stored.record.state != state_record(state, self.facts.now()).state:
                self.fail(f"the stored state of {stream_id} at {state.version} is not the fold of its events")
        self._touched.clear()


class Requests(Checker):
    """Every request is closed by at most one outcome, which comes after it."""

    name = "S6"

    def appended(self, news: Appended) -> None:
        """The ledger of requests finds nothing wrong."""
        faults = self.facts.streams[news.recorded.stream_id].request_faults
        if faults:
            self.fail(f"event {news.recorded.version}: {faults[0]}")


class Closing(Checker):
    """In the end every request is closed, but those that the resource took with it."""

    name = "E2"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Stream -> what was open when its resource was found gone.
        self._gone_with: dict[str, set[int]] = {}

    def appended(self, news: Appended) -> None:
        """Remember what nobody can carry out any more."""
        if isinstance(news.event, PlatformGone):
            open_now = self.facts.streams[news.recorded.stream_id].requests.open
            self._gone_with.setdefault(news.recorded.stream_id, set()).update(open_now)

    def ended(self) -> None:
        """No other request is open."""
        for stream_id, stream in self.facts.streams.items():
            excused = self._gone_with.get(stream_id, set()) if stream.state.closed else set()
            if left := [one for one in stream.requests.open if one not in excused]:
                self.fail(f"request {left[0]} of {stream.state.name} was never closed")


#: The diagram of docs/state-machine.md, written down a second time: from, word, to.
_ARROWS = frozenset(
    {
        ("", "Create", "Pending"),
        ("Pending", "Validated", "Installing"),
        ("Pending", "Validation Error", "Failed"),
        ("Installing", "All Components Ready", "Ready"),
        ("Installing", "Deployment Error", "Failed"),
        ("Ready", "Version Change", "Upgrading"),
        ("Ready", "Health Check Failed", "Failed"),
        ("Ready", "Minor Update", "Ready"),
        ("Failed", "Retry/Fix", "Installing"),
        ("Upgrading", "Success", "Ready"),
        ("Upgrading", "Upgrade Error", "Failed"),
    }
)


class Transitions(Checker):
    """Every phase change is an arrow of the diagram, from the phase the platform was in."""

    name = "S8"

    def appended(self, news: Appended) -> None:
        """The arrow is there, and begins where the platform was."""
        event = news.event
        if not isinstance(event, PhaseChanged):
            return
        arrow = (event.from_phase or "", event.trigger.value, event.to_phase.value)
        if arrow not in _ARROWS or event.from_phase != news.before.phase:
            self.fail(f"{event.from_phase} to {event.to_phase} on {event.trigger}, while {news.before.phase}")


class Epochs(Checker):
    """One effective executor: epochs never go back, and each has one writer."""

    name = "S9"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._newest = 0
        self._writers: dict[int, str] = {}

    def appended(self, news: Appended) -> None:
        """The epoch is the newest that was granted, and its writer always the same."""
        epoch = news.recorded.epoch
        if epoch < max(self._newest, self.facts.epoch()):
            self.fail(f"appended under epoch {epoch}, when {max(self._newest, self.facts.epoch())} was granted")
        writer = self._writers.setdefault(epoch, news.replica)
        if writer != news.replica:
            self.fail(f"epoch {epoch} is that of {writer}, and {news.replica} appends under it")
        self._newest = epoch


def _forms(word: bytes) -> tuple[bytes, ...]:
    """As it is, encoded, and turned round."""
    return word, b64encode(word), word.hex().encode(), word[::-1]


#: A shorter value of a Secret, such as the name of a user, may stand anywhere.
_SECRET_LENGTH = 16


class Secrecy(Checker):
    """No secret value in events, stored states, statuses, Kubernetes Events and log lines."""

    name = "S15"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: The canaries, and all that was ever put into a Secret.
        self._secrets = {form for word in (CANARY, SECOND_CANARY) for form in _forms(word.encode())}

    def wrote(self, written: Written) -> None:
        """What stands in a Secret, generated or not, may stand nowhere else."""
        if written.kind.kind == "Secret":
            values = map(b64decode, (written.item.get("data") or {}).values())
            self._secrets.update(form for value in values if len(value) >= _SECRET_LENGTH for form in _forms(value))

    def appended(self, news: Appended) -> None:
        """Not in the payload."""
        self._check(news.recorded.payload, f"event {news.recorded.version} ({news.recorded.type})")

    def ended(self) -> None:
        """Not in what is shown or logged, nor in the stored state and documents."""
        log, model = self.facts.universe.log, self.facts.universe.model
        for stored in log.list_states(include_closed=True):
            self._check(stored.record.state, f"the stored state of {stored.record.name}")
        for kind in model.registry.all():
            for item in model.store.items(kind.key) if kind.kind in {"Event", "ObservabilityPlatform"} else ():
                shown = {key: item.get(key) for key in ("status", "message", "reason", "note")}
                self._check(str(shown).encode(), f"{kind.kind}/{item['metadata']['name']}")
        for line in self.facts.log_lines:
            # The message must not say it once more.
            self._check(line.encode(), "a log line")

    def _check(self, content: bytes, where: str) -> None:
        if any(secret in content for secret in self._secrets):
            self.fail(f"a secret value stands in {where}")


#: Observations of a state: one that changes nothing in it is no news.
_SIGHTS = (PlatformObserved, ComponentObserved, DependencyObserved, PolicyAdopted)
_CHILDREN = (DriftDetected, ChildFound, ChildGone)


class Growth(Checker):
    """An observation is recorded when it changes what is known, and only then: a ledger at rest does not grow."""

    name = "S17"

    def appended(self, news: Appended) -> None:
        """Something is otherwise than before."""
        if isinstance(news.event, (*_SIGHTS, *_CHILDREN)):
            as_before = replace(news.after, version=news.before.version, updated_at=news.before.updated_at)
            if as_before == news.before:
                self.fail(f"{news.recorded.type} is recorded as event {news.recorded.version}, and nothing changed")
