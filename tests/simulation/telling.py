"""A simulation moved by hand, for tests that are no workload."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from simulator.checking import Checker
from simulator.facts import Facts
from simulator.quiet import silent_logs
from simulator.scheduler import Simulation
from simulator.universe import Universe
from tests.simulation.runs import replaced_secrets
from tests.simulation.workloads import Spec, is_ready


@contextmanager
def told(seed: int = 0, *checkers: Callable[[Facts], Checker]) -> Iterator[Simulation]:
    """A universe without replicas, whose secrets are those of the seed."""
    with silent_logs(), replaced_secrets(seed):
        yield Simulation(Universe(seed), seed=seed, checkers=checkers)


def make_ready(simulation: Simulation, name: str, spec: Spec) -> str:
    """Apply a platform and wait until it is Ready; its uid."""
    simulation.universe.apply(name, spec)
    simulation.rest(until=lambda: is_ready(simulation.universe, name))
    platform = simulation.universe.platform(name)
    assert platform is not None
    return str(platform["metadata"]["uid"])
