"""What must hold of every write that is sent to the cluster: S5, S10, S11, S12, S13, S14, S18, S22."""

from typing import Any

import msgspec

from components.manifest import Manifest
from eventstore.events import FinalizerReleaseRequested
from eventstore.vocabulary import FINALIZER, KIND, LABEL_PLATFORM, Phase
from projections.state import PlatformState
from reconciler.core.desired import desired_objects
from sandbox.kinds import GroupKind
from simulator.checking import Checker, Written
from simulator.facts import Appended, Facts
from simulator.ports import Call
from simulator.replica import Replica
from simulator.universe import NAMESPACE
from tests.simulation.checkers.base import masked, owner_uid

CHILD_WRITES = frozenset({"cluster.apply", "cluster.apply_new", "cluster.delete"})
_decode = msgspec.json.Decoder(Manifest).decode
_ALLOWED = frozenset(
    {
        "StatefulSet",
        "Deployment",
        "Service",
        "ConfigMap",
        "Secret",
        "ServiceAccount",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
    }
)


def is_deposed(facts: Facts, replica: Replica) -> bool:
    """Whether somebody else was granted the lease since this replica got it."""
    lease = replica.leadership._lease
    return lease is None or lease.epoch != facts.epoch()


def target_key(call: Call) -> str:
    """The key of the object in the folded state."""
    assert call.resource is not None
    return f"{call.resource.api_version}/{call.key}"


def stream_of(facts: Facts, call: Call) -> str:
    """The stream a child write is about: the owner in what is sent, or of what is there."""
    if call.sent is not None and call.verb != "cluster.finalizers":
        return owner_uid(call.sent)
    if call.verb == "cluster.finalizers":
        return call.uid
    for stream_id, stream in facts.streams.items():
        child = stream.state.objects.get(target_key(call))
        if child is not None and child.uid == call.uid:
            return stream_id
    return ""


class Decided(Checker):
    """No write without a committed decision: the request is in the log, and open, before it is sent."""

    name = "S5"

    def sent(self, replica: Replica, call: Call) -> None:
        """What is sent is what the log asks for."""
        if call.verb not in CHILD_WRITES and call.verb != "cluster.finalizers":
            return
        if is_deposed(self.facts, replica):
            return  # what it may still send is S10's business
        state = self.facts.state_of(stream_of(self.facts, call))
        if state is None:
            self.fail(f"{call}: no stream asks for it")
            return
        if call.verb == "cluster.finalizers":
            if not state.finalizer_request:
                self.fail(f"{call}: the log asks for no change of finalizers")
            return
        child = state.objects.get(target_key(call))
        if child is None or not child.request:
            self.fail(f"{call}: the log does not ask for it")
        elif call.verb == "cluster.delete" and (child.requested_digest or child.uid != call.uid):
            self.fail(f"{call}: the log asks for {child.requested_digest or child.uid}, not to delete {call.uid}")
        elif call.verb != "cluster.delete":
            self._check_content(call, child.requested_digest)

    def _check_content(self, call: Call, digest: str) -> None:
        content = self.facts.universe.log.get_content(digest)
        if content is None or _sent(call.sent) != _sent(_decode(content).body):
            self.fail(f"{call}: what is sent is not the document {digest[:14]} that the log asks for")


def _sent(body: dict[str, Any]) -> dict[str, Any]:
    """A body without what the executor fills in."""
    added = {"namespace", "ownerReferences", "uid", "resourceVersion"}
    metadata = {key: value for key, value in body["metadata"].items() if key not in added}
    return {
        **{key: value for key, value in body.items() if key != "data" or body["kind"] != "Secret"},
        "metadata": metadata,
    }


class Deposed(Checker):
    """What a deposed executor writes is refused, or is what is wanted now."""

    name = "S10"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._sending: tuple[Replica, Call] | None = None

    def sent(self, replica: Replica, call: Call) -> None:
        """Remember who writes."""
        self._sending = (replica, call) if call.verb in CHILD_WRITES else None

    def wrote(self, written: Written) -> None:
        """A write of a deposed one left what is wanted now."""
        if self._sending is None or self._sending[0].name != written.writer:
            return
        replica, call = self._sending
        if not is_deposed(self.facts, replica) or not owner_uid(written.item):
            return
        if self.facts.universe.was_just_restored():
            return  # what it was to come upon is not there any more
        if call.index == replica.slept_at and _is_made_for_nobody(self.facts, written):
            return  # nothing can stop the one call that was on its way
        if written.before is not None and written.after is not None and masked(written.before) == masked(written.after):
            return
        state = self.facts.state_of(owner_uid(written.item))
        if state is None or not _wants(self.facts, state, call):
            self.fail(f"{call} by a deposed replica: {written.title} is not what the platform wants now")


def _is_made_for_nobody(facts: Facts, written: Written) -> bool:
    """A new child of a platform that is gone: the garbage collector takes it away."""
    return written.before is None and facts.universe.model.store.by_uid(owner_uid(written.item)) is None


def _wants(facts: Facts, state: PlatformState, call: Call) -> bool:
    wanted = {one.key: one.digest for one in desired_objects(state)}
    going = state.deletion_requested_at is not None or state.closed
    digest = "" if going else wanted.get(target_key(call), "")
    if call.verb == "cluster.delete":
        return not digest
    content = facts.universe.log.get_content(digest) if digest else None
    return content is not None and _sent(call.sent) == _sent(_decode(content).body)


class Paused(Checker):
    """While paused, as recorded, nothing is written to children."""

    name = "S11"

    def sent(self, replica: Replica, call: Call) -> None:
        """Not paused, or on its way out."""
        if call.verb not in CHILD_WRITES or is_deposed(self.facts, replica):
            return
        state = self.facts.state_of(stream_of(self.facts, call))
        if state is not None and state.paused and state.deletion_requested_at is None:
            self.fail(f"{call}: the platform is paused")


class Deletions(Checker):
    """What is deleted is ours, by its uid, its owner and its label."""

    name = "S12"

    def sent(self, replica: Replica, call: Call) -> None:
        """The object of this name, if it is this one, belongs to the platform."""
        if call.verb != "cluster.delete":
            return
        if not call.uid:
            self.fail(f"{call}: without a uid")
        assert call.resource is not None
        group = call.resource.api_version.rpartition("/")[0]
        store = self.facts.universe.model.store
        found = store.get(GroupKind(group, call.resource.plural), (call.namespace, call.key.partition("/")[2]))
        if found is None or found["metadata"]["uid"] != call.uid:
            return
        stream_id = stream_of(self.facts, call)
        labels = found["metadata"].get("labels") or {}
        if owner_uid(found) != stream_id or not stream_id or LABEL_PLATFORM not in labels:
            self.fail(f"{call}: it belongs to {owner_uid(found) or 'nobody'}, not to {stream_id or 'the platform'}")


def _loses_finalizer(written: Written) -> bool:
    if written.kind.kind != KIND or written.before is None:
        return False
    after = written.after is not None and FINALIZER in (written.after["metadata"].get("finalizers") or ())
    return FINALIZER in (written.before["metadata"].get("finalizers") or ()) and not after


class Finalizers(Checker):
    """The finalizer is there before the first child, and goes only when the children are gone or named as orphans."""

    name = "S13"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._orphaned: dict[str, set[str]] = {}
        self._late = False

    def sent(self, replica: Replica, call: Call) -> None:
        """Remember whether this is the call before which a process stood still: see S10."""
        self._late = call.index == replica.slept_at

    def appended(self, news: Appended) -> None:
        """Remember what is left behind on purpose."""
        if isinstance(news.event, FinalizerReleaseRequested):
            self._orphaned[news.recorded.stream_id] = {str(ref) for ref in news.event.orphaned}

    def wrote(self, written: Written) -> None:
        """A child has an owner with the finalizer; an owner without it has no children."""
        if not written.writer.startswith("replica"):
            return
        if self.facts.universe.was_just_restored() and not _loses_finalizer(written):
            return
        if written.before is None and owner_uid(written.item):
            self._check_child(written)
        elif _loses_finalizer(written):
            self._check_release(written)

    def _check_child(self, written: Written) -> None:
        uid = owner_uid(written.item)
        place = self.facts.universe.model.store.by_uid(uid)
        owner = self.facts.universe.model.store.get(*place) if place else None
        if owner is None and self._late:
            return
        if owner is None:
            self.fail(f"{written.title} is made for a platform that is gone: {uid}")
        elif FINALIZER not in (owner["metadata"].get("finalizers") or ()):
            self.fail(f"{written.title} is made before the finalizer is on {owner['metadata']['name']}")

    def _check_release(self, written: Written) -> None:
        uid = written.item["metadata"]["uid"]
        state = self.facts.state_of(uid)
        if state is None or not state.finalizer_request:
            self.fail(f"the finalizer of {written.title} is taken off, and the log does not ask for it")
            return
        children = [
            f"{kind.kind}/{item['metadata']['name']}"
            for kind, item in self.facts.universe.owned_by(uid)
            if not item["metadata"].get("deletionTimestamp")
        ]
        if left := sorted(set(children) - self._orphaned.get(uid, set())):
            self.fail(f"the finalizer of {written.title} is taken off while there are {left}")


class Bounds(Checker):
    """Children are of few kinds, in the platform's namespace, and never of another platform (S18)."""

    name = "S14"

    def sent(self, replica: Replica, call: Call) -> None:
        """Kind, namespace and platform are right."""
        if call.verb not in CHILD_WRITES:
            return
        assert call.resource is not None
        if call.namespace != NAMESPACE or call.resource.kind not in _ALLOWED:
            self.fail(f"{call} in {call.namespace}")
        if call.sent is not None and replica.working_on is not None:
            labelled = (call.sent["metadata"].get("labels") or {}).get(LABEL_PLATFORM)
            if labelled != replica.working_on[1]:
                self.fail(f"{call}: written for {labelled} in a pass over {replica.working_on[1]}")


class Names(Checker):
    """No empty name and no dots ever reach the client: they would mean a whole collection."""

    name = "S22"

    def sent(self, replica: Replica, call: Call) -> None:
        """A name is a name."""
        if call.resource is None or call.verb in {"cluster.list", "cluster.watch"}:
            return
        name = call.key.partition("/")[2]
        if not name or not name.strip(".") or "/" in name:
            self.fail(f"{call}: {name!r} is no name")


class Resting(Checker):
    """Nothing is written to children while the next attempt is not due, nor while Failed."""

    name = "S19"

    def sent(self, replica: Replica, call: Call) -> None:
        """No child is written to before its time."""
        if call.verb not in CHILD_WRITES or is_deposed(self.facts, replica):
            return
        state = self.facts.state_of(stream_of(self.facts, call))
        if state is None:
            return
        # A clock may be set back in the middle of a pass that began when it was time.
        now = max(replica.clock.now(), self.facts.now())
        if state.retry.due_at is not None and now < state.retry.due_at:
            self.fail(f"{call}: the next attempt is due at {state.retry.due_at}, and now is {now}")
        if state.phase is Phase.FAILED and state.deletion_requested_at is None:
            self.fail(f"{call}: the platform is Failed")
