"""What comes after what, by the events alone: S19, and the order of installation, upgrade, rollback and teardown (S23).

The undisturbed run is no measure of these: what is done in the wrong order there is done so in every other run.
"""

from datetime import datetime, timedelta

from eventstore.events import (
    ActionFailed,
    ActionSucceeded,
    ApplyRequested,
    BackupCompleted,
    BackupFailed,
    BackupStarted,
    ClusterRewound,
    ComponentObserved,
    ComponentPhaseChanged,
    DeleteRequested,
    DeletionRequested,
    PhaseChanged,
    ProbeScheduled,
    RetriesExhausted,
    RetryRequested,
    RetryReset,
    RetryScheduled,
    RollbackStarted,
    SpecAccepted,
    SpecQuarantined,
    UpgradeStarted,
)
from eventstore.vocabulary import INSTALL_ORDER, ComponentName, ComponentPhase, Phase, Trigger
from simulator.checking import Checker
from simulator.facts import Appended, Facts

_PLACES = {name: place for place, name in enumerate(INSTALL_ORDER)}
_BEGUN = frozenset({ComponentPhase.INSTALLING, ComponentPhase.UPGRADING})


class Sequence(Checker):
    """Components are brought up one after another: the next one only once those before it are Ready."""

    name = "S23"

    def appended(self, news: Appended) -> None:
        """Nothing of a component begins before its turn."""
        event = news.event
        if isinstance(event, ComponentPhaseChanged):
            # A platform that leaves Failed starts again with all that had begun: those are not in a row any more.
            starts = event.to_phase in _BEGUN and event.from_phase in {None, ComponentPhase.PENDING}
            upgrades = event.to_phase is ComponentPhase.UPGRADING and event.from_phase is not ComponentPhase.UPGRADING
            if starts or upgrades:
                self._check_earlier(news, event.component)
        elif isinstance(event, ApplyRequested) and event.component is not None:
            component = news.before.components.get(event.component)
            if component is None or component.phase is ComponentPhase.PENDING:
                self.fail(f"{event.ref} is asked for before it is the turn of {event.component}")

    def _check_earlier(self, news: Appended, name: ComponentName) -> None:
        before = news.before
        for earlier in INSTALL_ORDER[: _PLACES[name]]:
            if before.accepted is None or earlier not in before.accepted.versions:
                continue
            component = before.components.get(earlier)
            if component is None or component.phase is not ComponentPhase.READY:
                self.fail(f"{name} begins while {earlier} is {component and component.phase}")
            elif component.desired_version != before.accepted.versions[earlier]:
                self.fail(f"{name} begins while {earlier} is still of version {component.desired_version}")


class Stability(Checker):
    """A component is Ready when it was ready for as long as the policy says, and from its beginning on."""

    name = "S23"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Stream and component -> since when it was seen ready; since when it is in its phase.
        self._ready: dict[tuple[str, str], datetime] = {}
        self._began: dict[tuple[str, str], datetime] = {}

    def appended(self, news: Appended) -> None:
        """Ready long enough before it is called so."""
        event, at = news.event, news.recorded.occurred_at
        if isinstance(event, ComponentObserved):
            key = (news.recorded.stream_id, event.component)
            if event.rolled_out and event.ready_replicas >= event.desired_replicas > 0:
                self._ready.setdefault(key, at)
            else:
                self._ready.pop(key, None)
        elif isinstance(event, ComponentPhaseChanged):
            key = (news.recorded.stream_id, event.component)
            if event.to_phase is ComponentPhase.READY:
                self._check(news, event, key)
            self._began[key] = at

    def _check(self, news: Appended, event: ComponentPhaseChanged, key: tuple[str, str]) -> None:
        since = self._ready.get(key)
        if since is None:
            self.fail(f"{event.component} is called Ready, and was not seen ready")
            return
        lasted = (news.recorded.occurred_at - max(since, self._began.get(key, since))).total_seconds()
        if lasted < news.before.policy.stability_seconds:
            self.fail(f"{event.component} is called Ready after {lasted:g} s")


class Teardown(Checker):
    """What was installed last goes first: nothing of a component is deleted while a later one has objects."""

    name = "S23"

    def appended(self, news: Appended) -> None:
        """Nothing of a later component is known to be there."""
        event = news.event
        if not isinstance(event, DeleteRequested) or event.reason != "Teardown":
            return
        place = -1 if event.component is None else _PLACES[event.component]
        later = [
            str(child.ref)
            for child in news.before.objects.values()
            if child.component is not None and _PLACES[child.component] > place
        ]
        if later:
            self.fail(f"{event.ref} is to be deleted while there are {sorted(later)}")


class Backup(Checker):
    """Before an upgrade, what runs is put by: whole, in the content store, and of the versions that are left."""

    name = "S24"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._begun: dict[str, BackupStarted] = {}
        self._put_by: dict[str, BackupCompleted | BackupFailed] = {}

    def appended(self, news: Appended) -> None:
        """The backup comes between the spec that was accepted and the change that it asks for."""
        event, stream_id = news.event, news.recorded.stream_id
        if isinstance(event, SpecAccepted):
            self._begun.pop(stream_id, None)
            self._put_by.pop(stream_id, None)
        elif isinstance(event, BackupStarted):
            self._begun[stream_id] = event
        elif isinstance(event, BackupCompleted | BackupFailed):
            self._put_by[stream_id] = event
        elif isinstance(event, UpgradeStarted) or (
            isinstance(event, PhaseChanged) and event.trigger is Trigger.VERSION_CHANGE
        ):
            self._check(news, event)

    def _check(self, news: Appended, event: UpgradeStarted | PhaseChanged) -> None:
        begun = self._begun.get(news.recorded.stream_id)
        put_by = self._put_by.get(news.recorded.stream_id)
        if begun is None or put_by is None:
            self.fail(f"{news.recorded.type} of {news.before.name}, and nothing was put by")
        elif isinstance(event, UpgradeStarted) and begun.versions != event.from_versions:
            self.fail(f"put by is {begun.versions}, and {event.from_versions} is left")
        elif isinstance(put_by, BackupFailed):
            if news.before.known_good is not None:
                self.fail(f"nothing was put by, and {news.before.name} has once worked")
        elif lost := [key for key, one in put_by.manifests.items() if self.facts.universe.log.get_content(one) is None]:
            self.fail(f"of what was put by, the log does not have {lost}")


class Quarantine(Checker):
    """A rollback puts the spec that failed aside, and it is not tried again unless somebody asks for it."""

    name = "S24"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._accepted: dict[str, str] = {}
        self._aside: dict[str, str] = {}

    def appended(self, news: Appended) -> None:
        """What is put aside is what was tried."""
        event, stream_id = news.event, news.recorded.stream_id
        if isinstance(event, SpecQuarantined):
            self._aside[stream_id] = event.digest
        elif isinstance(event, RetryRequested):
            self._aside.pop(stream_id, None)
        elif isinstance(event, SpecAccepted):
            if self._aside.pop(stream_id, "") == event.digest:
                self.fail(f"generation {event.generation} failed, and is tried again though nobody asked for it")
            self._accepted[stream_id] = event.digest
        elif isinstance(event, RollbackStarted) and self._aside.get(stream_id) != self._accepted.get(stream_id):
            self.fail(f"{news.before.name} goes back, and the spec that failed is not put aside")


class Resets(Checker):
    """Another spec, and a retry that somebody asks for, begin to count anew before anything is tried again."""

    name = "S19"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Stream -> why its counter is to start anew.
        self._wanted: dict[str, str] = {}

    def appended(self, news: Appended) -> None:
        """The counter starts anew first."""
        event, before, stream_id = news.event, news.before, news.recorded.stream_id
        counting = bool(before.retry.attempt) and (before.failure is not None or before.phase is Phase.FAILED)
        another = isinstance(event, SpecAccepted) and before.accepted and before.accepted.digest != event.digest
        if isinstance(event, RetryReset | DeletionRequested | ClusterRewound):
            self._wanted.pop(stream_id, None)
        elif counting and (isinstance(event, RetryRequested) or another):
            self._wanted[stream_id] = news.recorded.type
        elif stream_id in self._wanted and _tries(news):
            self.fail(f"{news.recorded.type} after {self._wanted[stream_id]}, and {before.retry.attempt} is counted")


def _tries(news: Appended) -> bool:
    """Whether something is tried again, or is not any more. Going back to what last worked is no try of what failed."""
    event = news.event
    if isinstance(event, PhaseChanged):
        return event.trigger is Trigger.RETRY_FIX and event.reason != "RollingBack"
    return isinstance(event, RetryScheduled | ProbeScheduled | RetriesExhausted)


class Deference(Checker):
    """A server that asks to be left alone is left alone for so long."""

    name = "S19"

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        #: Stream -> what failed, and when.
        self._failed: dict[str, tuple[ActionFailed, datetime]] = {}

    def appended(self, news: Appended) -> None:
        """The retry of an action that failed is not due before that."""
        event, stream_id = news.event, news.recorded.stream_id
        if isinstance(event, ActionFailed):
            self._failed[stream_id] = (event, news.recorded.occurred_at)
        elif isinstance(event, RetryScheduled):
            failed, at = self._failed.pop(stream_id, (None, None))
            if failed is None or at is None or failed.message != event.message:
                return
            asked = at + timedelta(seconds=failed.retry_after_seconds)
            if event.due_at < asked:
                self.fail(f"{failed.ref} is tried again at {event.due_at}, and the server said {asked}")
        elif isinstance(event, ActionSucceeded):
            failed, at = self._failed.get(stream_id, (None, None))
            if failed is not None and failed.ref == event.ref:
                del self._failed[stream_id]
