"""Faults drawn by a seed."""

from random import Random

from simulator.faults import Fault, FaultKind
from tests.simulation.exhaustive import means_something
from tests.simulation.runs import Run

#: The second of two faults comes in the middle of what the first one led to, half of the time.
_SOON_CALLS = 20
#: Deadlines are told by the wall clocks of whoever leads: between two that differ by more than a deadline, none holds.
_ALONE = frozenset({FaultKind.CLOCK_HOUR_BACK, FaultKind.CLOCK_YEARS_AHEAD})


def sampled(reference: Run, count: int, seed: int, which: int = 0) -> tuple[Fault, ...]:
    """So many faults for a run: the first at a call of `reference`, each other from its call on, where it can be."""
    draw = Random(f"{seed}/{reference.workload}/faults/{which}")
    calls = reference.calls
    at = draw.randrange(len(calls))
    drawn = [kind for kind in FaultKind if count == 1 or kind not in _ALONE]
    kinds = [kind for kind in drawn if means_something(calls[at], kind)]
    faults = [Fault(at + 1, draw.choice(kinds))]
    while len(faults) < count:
        soon = draw.random() < 0.5
        after = draw.randint(1, _SOON_CALLS) if soon else draw.randint(1, len(calls))
        faults.append(Fault(faults[-1].call + after, draw.choice(drawn)))
    return tuple(faults)
