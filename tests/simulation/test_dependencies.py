"""A Secret that a spec refers to: missing, there, and with another value."""

from components.pods import DEPENDENCIES_HASH_ANNOTATION
from eventstore.codec import decode
from eventstore.events import DependencyObserved, PrerequisiteMissing, PrerequisitesMet
from simulator.scheduler import Simulation, Step
from tests.simulation.runs import run
from tests.simulation.workloads import REFERRED, WORKLOADS


def test_a_secret_that_comes_late_and_is_rotated_is_recorded_and_rolled_out() -> None:
    seen: list[Simulation] = []
    hashes: list[str] = []

    def look(simulation: Simulation, _step: Step) -> None:
        seen[:] = [simulation]
        for workload in simulation.universe.items("StatefulSet"):
            annotations = workload["spec"]["template"]["metadata"].get("annotations", {})
            if (one := annotations.get(DEPENDENCIES_HASH_ANNOTATION)) and one not in hashes:
                hashes.append(one)

    found = run(WORKLOADS["referring"], on_step=look)
    assert found.violation is None
    events = [decode(one) for stream in seen[0].facts.streams.values() for one in stream.recorded]
    told = [one for one in events if isinstance(one, DependencyObserved) and one.name == REFERRED]
    assert [one.found for one in told] == [False, True, True]
    assert told[1].keys != told[2].keys
    waited = [type(one) for one in events if isinstance(one, PrerequisiteMissing | PrerequisitesMet)]
    assert waited[0] is PrerequisiteMissing
    assert waited[-1] is PrerequisitesMet
    assert len(hashes) == 2, "one for each value that was there"
    assert found.deeds.counts["create StatefulSet/prod-grafana"] == 1
    assert found.deeds.counts["change StatefulSet/prod-grafana"] == 1
