"""Faults drawn by a seed."""

from random import Random

from simulator.faults import Fault, FaultKind
from tests.simulation.runs import Run


def sampled(reference: Run, count: int, seed: int) -> tuple[Fault, ...]:
    """So many faults at different calls of a run; a call that comes to be another one because of the first counts."""
    draw = Random(f"{seed}/{reference.workload}/faults")
    calls = draw.sample(range(1, len(reference.calls) + 1), min(count, len(reference.calls)))
    return tuple(Fault(call, draw.choice(list(FaultKind))) for call in sorted(calls))
