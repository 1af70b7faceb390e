"""Killed with -9 at any moment and started again: nothing is lost, and nothing that matters is done twice.

Every run is compared with one that was left alone: the same objects with the same content, each made and deleted as
often, and a ledger that verifies. `STACKLEDGER_CRASH_SEEDS=20` tries more random moments.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from audit.replay import replay
from audit.verification import verify_stream
from eventstore import events as e
from eventstore.vocabulary import FINALIZER
from sandbox.faults import Injection
from sandbox.kinds import Kind
from tests.operator.replica import Replica, WriteHook, killed_around_every_write, killed_now_and_then
from tests.operator.stage import NAMESPACE, Stage

_T = TypeVar("_T")
SEEDS = range(int(os.environ.get("STACKLEDGER_CRASH_SEEDS", "1")))
BEFORE: dict[str, Any] = {
    "components": {"prometheus": {}, "grafana": {"version": "13.2.0", "adminPassword": "correct horse"}}
}
AFTER: dict[str, Any] = {
    "components": {"prometheus": {}, "grafana": {"version": "13.2.2", "adminPassword": "correct horse"}}
}
#: Many restarts take their time: what is orphaned because of that is not what these tests are about.
PATIENT = {"teardown_deadline_seconds": 120}
#: What the operator itself writes; pods and the like are other controllers' business.
OURS = ("StatefulSet", "Deployment", "Service", "ConfigMap", "Secret", "ServiceAccount", "NetworkPolicy", "Ingress")
#: What differs from run to run by its nature.
VOLATILE = {"uid", "resourceVersion", "creationTimestamp", "managedFields", "clusterIP", "clusterIPs", "generation"}


class Recorder:
    """What became of every object of the operator's."""

    def __init__(self, stage: Stage) -> None:
        self.creations: Counter[str] = Counter()
        self.deletions: Counter[str] = Counter()
        self._stage = stage
        stage.sandbox.model.on_write.append(self._write)

    def _write(self, kind: Kind, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        item = after or before
        if item is None or kind.kind not in OURS or not item["metadata"].get("ownerReferences"):
            return
        name = f"{kind.kind}/{item['metadata']['name']}"
        if before is None:
            self.creations[name] += 1
        if after is None:
            self.deletions[name] += 1

    def objects(self) -> dict[str, str]:
        """`Kind/name` -> content without what differs by nature, as text."""
        model = self._stage.sandbox.model
        found = {}
        for kind in model.registry.all():
            if kind.kind in OURS:
                for item in model.store.items(kind.key, NAMESPACE):
                    if item["metadata"].get("ownerReferences"):
                        found[f"{kind.kind}/{item['metadata']['name']}"] = json.dumps(_masked(item), sort_keys=True)
        return found


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _masked(entry) for key, entry in value.items() if key not in VOLATILE and key != "status"}
    return [_masked(entry) for entry in value] if isinstance(value, list) else value


class Story:
    """Install, upgrade, delete; and what was there after each."""

    def __init__(self, stage: Stage, hook: WriteHook) -> None:
        self.stage, self.hook = stage, hook
        self.recorder = Recorder(stage)
        self.after: list[dict[str, str]] = []
        self.phases: list[tuple[str | None, str]] = []
        self.uid = ""

    def tell(self) -> "Story":
        self.uid = self._as_user(lambda: self.stage.apply(BEFORE))
        self._wait_ready()
        self._as_user(lambda: self.stage.apply(AFTER))
        self._wait_ready()
        self._as_user(self.stage.delete)
        self.stage.wait("gone", lambda: self.stage.platform() is None, seconds=90)
        self.after.append(self.recorder.objects())
        self.stage.wait("closed", self._is_closed, seconds=30)
        self.phases = [(event.from_phase, event.to_phase) for event in self.stage.events(e.PhaseChanged, self.uid)]
        return self

    def _as_user(self, action: Callable[[], _T]) -> _T:
        self.hook.armed = False
        result = action()
        self.hook.armed = True
        return result

    def _wait_ready(self) -> None:
        self.stage.wait("Ready", self.stage.is_ready, seconds=90)
        self.after.append(self.recorder.objects())

    def _is_closed(self) -> bool:
        stored = self.stage.log.load_state(self.uid)
        return stored is not None and stored.record.closed


@contextmanager
def a_stage(directory: Path) -> Iterator[Stage]:
    directory.mkdir()
    stage = Stage(directory).open()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The same story with nothing going wrong."""
    with a_stage(tmp_path_factory.mktemp("undisturbed") / "stage") as stage:
        stage.operate()
        story = Story(stage, WriteHook(stage)).tell()
        check_ledger(story)
    return story


def check_ledger(story: Story) -> None:
    report = verify_stream(story.stage.log, story.uid)
    assert report.faults == ()
    verdict = replay(story.stage.recorded(story.uid))
    assert verdict.divergence is None


def check_same(story: Story, undisturbed: Story) -> None:
    """Nothing lost, nothing done twice."""
    check_ledger(story)
    masked = [{name: text.replace(story.uid, "UID") for name, text in objects.items()} for objects in story.after]
    expected = [
        {name: text.replace(undisturbed.uid, "UID") for name, text in objects.items()} for objects in undisturbed.after
    ]
    for found, wanted in zip(masked, expected, strict=True):
        assert found.keys() == wanted.keys()
        for name, text in found.items():
            assert text == wanted[name]
    assert story.recorder.creations == undisturbed.recorder.creations
    assert story.recorder.deletions == undisturbed.recorder.deletions
    assert story.phases == undisturbed.phases
    assert FINALIZER not in str(story.stage.platform())


def test_killed_before_and_after_every_write_nothing_is_lost_or_repeated(tmp_path: Path, undisturbed: Story) -> None:
    with a_stage(tmp_path / "stage") as stage, Replica(stage, **PATIENT) as replica:
        hook = WriteHook(stage)
        hook.on_write = killed_around_every_write(replica)
        story = Story(stage, hook).tell()
        assert replica.kills > 30
        check_same(story, undisturbed)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_writes_and_moments_nothing_is_lost_or_repeated(
    tmp_path: Path, undisturbed: Story, seed: int
) -> None:
    with a_stage(tmp_path / "stage") as stage, Replica(stage, **PATIENT) as replica:
        hook = WriteHook(stage)
        hook.on_write = killed_now_and_then(replica, seed)
        story = Story(stage, hook).tell()
        check_same(story, undisturbed)


def test_every_answer_lost_after_the_fact_ends_in_the_same_state(tmp_path: Path, undisturbed: Story) -> None:
    answered: set[tuple[str, ...]] = set()

    def lose_first_answer(write: tuple[str, ...]) -> Injection | None:
        if write in answered or write[1] == "events":
            return None
        answered.add(write)
        return Injection(status=500, after=True)

    with a_stage(tmp_path / "stage") as stage:
        hook = WriteHook(stage)
        hook.on_write = lose_first_answer
        stage.operate(**PATIENT, retry_initial_seconds=0.1, retry_max_seconds=0.1)
        story = Story(stage, hook).tell()
        assert len(answered) > 15
        check_same(story, undisturbed)
