"""Every checker there is."""

from collections.abc import Callable, Sequence

from tests.simulation.checkers.base import Checker
from tests.simulation.facts import Facts

CHECKERS: tuple[type[Checker], ...] = ()


def all_checkers() -> Sequence[Callable[[Facts], Checker]]:
    """For a run."""
    return CHECKERS
