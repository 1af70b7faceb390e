"""What belongs to others, what was made once, and what must be there or stay: F30, F34, S12, S13."""

from eventstore.events import PhaseChanged
from eventstore.vocabulary import FINALIZER, KIND, LABEL_PLATFORM, Phase
from reconciler.core.desired import desired_objects
from reconciler.shell.cluster import KubernetesObject
from sandbox.kinds import NAMESPACE_KEY
from simulator.checking import Checker, Written
from simulator.facts import Appended, Facts
from simulator.universe import NAMESPACE
from tests.simulation.checkers.base import owner_uid


class Adoption(Checker):
    """What somebody else made is never taken over in silence."""

    name = "F30"

    def wrote(self, written: Written) -> None:
        """Who owns it now owned it before."""
        if written.before is None or written.after is None or not written.writer.startswith("replica"):
            return
        if owner_uid(written.after) != owner_uid(written.before):
            self.fail(f"{written.title} of somebody else is taken over by {written.writer}")


class Passwords(Checker):
    """What was generated once is never generated again: whoever knows it would be locked out."""

    name = "F34"

    def wrote(self, written: Written) -> None:
        """A Secret that is only made keeps its values."""
        if written.kind.kind != "Secret" or written.before is None or written.after is None:
            return
        state = self.facts.state_of(owner_uid(written.after))
        if state is None or written.before.get("data") == written.after.get("data"):
            return
        wanted = next((one for one in desired_objects(state) if str(one.ref) == written.title), None)
        if wanted is not None and wanted.create_only:
            self.fail(f"{written.title} has another password than before")


class Complete(Checker):
    """Ready only when every wanted object is there: a Secret or a policy that is missing looks healthy."""

    name = "F34"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: What others took away: the operator may not know yet.
        self._taken: set[str] = set()

    def wrote(self, written: Written) -> None:
        """Remember what somebody else removed or replaced."""
        if written.before is None or written.writer.startswith("replica"):
            return
        if written.after is None or written.after["metadata"]["uid"] != written.before["metadata"]["uid"]:
            self._taken.add(written.title)

    def appended(self, news: Appended) -> None:
        """On entry to Ready all is there."""
        event = news.event
        if not isinstance(event, PhaseChanged) or event.to_phase is not Phase.READY or event.from_phase is Phase.READY:
            return
        owned = self.facts.universe.owned_by(news.recorded.stream_id)
        there = {f"{kind.kind}/{item['metadata']['name']}" for kind, item in owned}
        wanted = {str(one.ref) for one in desired_objects(news.before)}
        if missing := sorted(wanted - there - self._taken):
            self.fail(f"{news.before.name} is Ready without {missing}")


class Volumes(Checker):
    """What was stored stays: volumes go with their platform only if its spec says so."""

    name = "S12"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Names of platforms of which a spec was accepted that lets them go.
        self._may_go: set[str] = set()

    def appended(self, news: Appended) -> None:
        """Remember what was accepted."""
        accepted = news.after.accepted
        if accepted is not None and accepted.spec.get("deletionPolicy") == "Delete":
            self._may_go.add(news.after.name)

    def wrote(self, written: Written) -> None:
        """A claim goes, by whatever hand: the cluster does it for us, where a StatefulSet tells it to."""
        if written.kind.kind != "PersistentVolumeClaim" or written.before is None or written.writer == "backup":
            return
        if written.after is not None and not written.after["metadata"].get("deletionTimestamp"):
            return
        namespace = self.facts.universe.model.store.get(NAMESPACE_KEY, ("", NAMESPACE))
        if namespace is None or namespace["metadata"].get("deletionTimestamp"):
            return
        platform = (written.item["metadata"].get("labels") or {}).get(LABEL_PLATFORM)
        if platform not in self._may_go:
            self.fail(f"{written.title} is deleted, and no spec of {platform} lets it go")


def _finalizers(item: KubernetesObject | None) -> set[str]:
    return set((item or {"metadata": {}})["metadata"].get("finalizers") or ())


class Neighbours(Checker):
    """Finalizers of others are theirs: whatever we do to ours, they stay."""

    name = "S13"

    def wrote(self, written: Written) -> None:
        """No other one is lost by a write of ours."""
        if written.kind.kind != KIND or not written.writer.startswith("replica"):
            return
        if lost := sorted(_finalizers(written.before) - _finalizers(written.after) - {FINALIZER}):
            self.fail(f"{written.writer} takes {lost} off {written.title}")
