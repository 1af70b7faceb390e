"""When `.status` is written at once, and when it can wait."""

from contextlib import nullcontext
from typing import Any

import pytest
from msgspec.structs import replace

from eventstore.vocabulary import ComponentPhase, ErrorCategory, Phase
from projections.state import Failure, PlatformState
from reconciler.shell.cluster import ClusterError, KubernetesObject
from reconciler.shell.resources import PLATFORM
from reconciler.shell.states import Known
from reconciler.shell.status_writer import PROGRESS_SECONDS, StatusWriter
from tests.reconciler.shell.test_loop import KEY, SPEC, Bench


class Scene:
    """A platform that is being installed, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.uid = self.bench.apply(SPEC)
        self.bench.watch()
        self.bench.reconciler.reconcile(KEY)
        self.state = self.bench.state(self.uid)
        assert self.state.phase is Phase.INSTALLING
        self.now = 1000.0
        self.writer = StatusWriter(self.bench.cluster, self.bench.cache, self)
        self.writer.apply(self.platform(), {**self.platform()["status"]})

    def monotonic(self) -> float:
        return self.now

    def platform(self) -> KubernetesObject:
        found = self.bench.cluster.get(PLATFORM, *KEY)
        assert found is not None
        return found

    def write(self, state: PlatformState) -> float | None:
        return self.writer.write(Known(state, b"\x00"), self.platform())

    def shown(self) -> dict[str, Any]:
        (component,) = self.platform()["status"]["components"]
        return dict(component)

    def with_component(self, **fields: Any) -> PlatformState:
        return replace(self.state, components={"prometheus": replace(self.state.components["prometheus"], **fields)})


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("phase", [ComponentPhase.INSTALLING, ComponentPhase.READY])
def test_how_far_a_component_has_come_is_written_a_little_later(scene: Scene, phase: ComponentPhase) -> None:
    state = scene.with_component(ready_replicas=1, running_version="9.9.9", phase=phase)
    scene.now += 3.0
    assert scene.write(state) == pytest.approx(PROGRESS_SECONDS - 3.0)
    assert scene.shown()["readyReplicas"] == 0
    scene.now += PROGRESS_SECONDS - 3.0
    assert scene.write(state) is None
    assert scene.shown()["readyReplicas"] == 1
    assert scene.write(state) is None, "there is nothing left to say"


@pytest.mark.parametrize("what", ["platform phase", "failure", "generation"])
def test_what_somebody_may_wait_for_is_written_at_once(scene: Scene, what: str) -> None:
    state = scene.with_component(ready_replicas=1)
    if what == "platform phase":
        state = replace(state, phase=Phase.READY)
    elif what == "failure":
        state = replace(state, failure=Failure(category=ErrorCategory.RESOURCE, reason="Quota", message="no room"))
    else:
        assert state.observed is not None
        state = replace(state, observed=replace(state.observed, generation=7))
    assert scene.write(state) is None
    assert scene.shown()["readyReplicas"] == 1


def test_details_are_written_at_once_where_the_last_write_is_not_known(scene: Scene) -> None:
    scene.writer.forget(scene.uid)
    assert scene.write(scene.with_component(ready_replicas=1)) is None
    assert scene.shown()["readyReplicas"] == 1


def test_a_pass_comes_back_for_the_details_it_left_out(scene: Scene) -> None:
    bench = scene.bench
    found = bench.cluster.get(PLATFORM, *KEY)
    assert found is not None
    state = bench.state(scene.uid)
    bench.states._known[scene.uid] = Known(
        replace(state, components={"prometheus": replace(state.components["prometheus"], message="new words")}),
        b"\x00",
    )
    bench.watch()
    again = bench.reconciler.reconcile(KEY).again_after_seconds
    assert again is not None
    assert 0 < again <= PROGRESS_SECONDS


@pytest.mark.parametrize(
    ("status", "reason", "raised"),
    [(404, "NotFound", False), (409, "UidMismatch", False), (404, "ApiMissing", True), (409, "Conflict", True)],
)
def test_a_resource_that_is_gone_is_no_trouble_and_one_that_is_not_served_or_fought_for_is(
    scene: Scene, status: int, reason: str, raised: bool
) -> None:
    def refuse(*_: object) -> KubernetesObject:
        raise ClusterError(ErrorCategory.RESOURCE, reason, "no", status=status)

    scene.bench.cluster.apply_status = refuse  # type: ignore[method-assign,assignment]  # the seam of this test
    with pytest.raises(ClusterError) if raised else nullcontext():
        scene.write(replace(scene.state, phase=Phase.READY))
