"""A stream that this build cannot read stops one platform and no other (F36, F37)."""

from uuid import UUID

import pytest

from eventstore.envelope import NewEvent
from simulator.scheduler import Simulation
from simulator.universe import PLATFORMS
from tests.simulation.telling import make_ready, told
from tests.simulation.workloads import condition, is_gone, is_ready, prometheus

_EDITED = prometheus(retention="3d")


def append_from_the_future(simulation: Simulation, stream_id: str) -> None:
    """A newer build appends an event that this one does not know."""
    log, now = simulation.universe.log, simulation.universe.clock.now()
    event = NewEvent(
        event_id=UUID(int=7, version=4),
        type="HologramProjected",
        schema_version=1,
        payload=b"{}",
        occurred_at=now,
        causation_id=None,
        correlation_id=UUID(int=8, version=4),
        actor="stackledger/epoch-1",
    )
    log.append(stream_id, log.stream_head(stream_id)[0], [event], epoch=simulation.facts.epoch())


def children(simulation: Simulation, uid: str) -> list[str]:
    return [str(item["metadata"]["resourceVersion"]) for _, item in simulation.universe.owned_by(uid)]


def test_the_other_platforms_go_on_and_this_one_is_left_as_it_is() -> None:
    with told() as simulation:
        simulation.start("replica-0")
        stopped = make_ready(simulation, "prod", prometheus())
        make_ready(simulation, "next", prometheus())
        before = children(simulation, stopped)
        append_from_the_future(simulation, stopped)
        for name in ("prod", "next"):
            simulation.universe.apply(name, _EDITED)
        simulation.rest(until=lambda: is_ready(simulation.universe, "next"))
        assert condition(simulation.universe, "prod", "Degraded")["reason"] == "Quarantined"
        assert children(simulation, stopped) == before
        head = simulation.universe.log.stream_head(stopped)[0]
        simulation.wait(1800.0)
        assert simulation.universe.log.stream_head(stopped)[0] == head, "nothing more is written to that stream"


def test_an_operator_that_begins_with_such_a_stream_works_on_the_others() -> None:
    with told() as simulation:
        first = simulation.start("replica-0")
        stopped = make_ready(simulation, "prod", prometheus())
        make_ready(simulation, "next", prometheus())
        append_from_the_future(simulation, stopped)
        simulation.kill(first)
        simulation.universe.apply("next", _EDITED)
        simulation.rest(until=lambda: is_ready(simulation.universe, "next"))
        assert condition(simulation.universe, "prod", "Degraded")["reason"] == "Quarantined"


@pytest.mark.xfail(strict=True, reason="not built yet: a platform whose stream cannot be read keeps its finalizer")
def test_a_deletion_ends_though_the_stream_cannot_be_read() -> None:
    with told() as simulation:
        simulation.start("replica-0")
        stopped = make_ready(simulation, "prod", prometheus())
        append_from_the_future(simulation, stopped)
        simulation.universe.delete_platform("prod")
        assert simulation.universe.model.store.items(PLATFORMS)
        simulation.rest(lambda: 7200.0, until=lambda: is_gone(simulation.universe, "prod"))
