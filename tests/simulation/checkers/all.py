"""Every checker there is."""

from collections.abc import Callable, Sequence

from tests.simulation.checkers import adoption, endings, ledger, rules, writes
from tests.simulation.checkers.base import Checker
from tests.simulation.facts import Facts

CHECKERS: tuple[type[Checker], ...] = (
    ledger.Versions,
    ledger.Chain,
    ledger.Projection,
    ledger.Requests,
    ledger.Transitions,
    ledger.Epochs,
    ledger.Secrecy,
    ledger.Growth,
    writes.Decided,
    writes.Deposed,
    writes.Paused,
    writes.Deletions,
    writes.Finalizers,
    adoption.Adoption,
    adoption.Passwords,
    writes.Bounds,
    writes.Names,
    writes.Resting,
    rules.Purity,
    rules.Forward,
    rules.Retries,
    rules.KnownGood,
    endings.Status,
    endings.Crashes,
    endings.Matches,
    endings.Judged,
    endings.Closed,
    endings.Announced,
)


def all_checkers() -> Sequence[Callable[[Facts], Checker]]:
    """For a run."""
    return CHECKERS
