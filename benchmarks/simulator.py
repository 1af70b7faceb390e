"""How fast the simulator tells a story: the operator, its cluster and its database, step by step on virtual time."""

import time
from statistics import median

from benchmarks.table import Row, beside, reported
from eventstore.codec import decode
from projections.platform import evolve, initial
from simulator.quiet import silent_logs
from simulator.scheduler import Simulation
from simulator.universe import Universe

ROUNDS = 15
SPEC = {"components": {"prometheus": {"version": "3.13.1"}, "grafana": {"version": "13.2.0"}}}


def run() -> list[Row]:
    """Install a platform of two components; beside it, folding the events that this recorded, and nothing else."""
    with silent_logs():
        _install()
        told = [_install() for _ in range(ROUNDS)]
    seconds, simulation = median(seconds for seconds, _ in told), told[0][1]
    fold_ms = median(_fold(simulation) for _ in range(ROUNDS)) * 1000
    return [
        beside("install in the simulator", seconds * 1000, "ms", "fold of its events", fold_ms),
        reported("steps of the simulator", simulation.steps / seconds, "steps/s"),
        reported("calls of its ports", len(simulation.calls) / seconds, "calls/s"),
    ]


def _install() -> tuple[float, Simulation]:
    started = time.thread_time()
    universe = Universe(0)
    simulation = Simulation(universe)
    simulation.start("replica-0")
    universe.apply("prod", SPEC)
    simulation.rest(until=lambda: _is_ready(universe))
    return time.thread_time() - started, simulation


def _is_ready(universe: Universe) -> bool:
    platform = universe.platform("prod") or {}
    return bool((platform.get("status") or {}).get("phase") == "Ready")


def _fold(simulation: Simulation) -> float:
    recorded = list(simulation.universe.log.read_all())
    started = time.thread_time()
    state = initial(recorded[0].stream_id)
    for one in recorded:
        state = evolve(state, decode(one), one.occurred_at)
    return time.thread_time() - started
