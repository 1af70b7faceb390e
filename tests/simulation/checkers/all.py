"""Every checker there is."""

from collections.abc import Callable, Sequence

from simulator.checking import Checker
from simulator.facts import Facts
from tests.simulation.checkers import adoption, endings, ledger, liveness, order, rules, writes

CHECKERS: tuple[type[Checker], ...] = (
    ledger.Versions,
    ledger.Chain,
    ledger.Projection,
    ledger.Requests,
    ledger.Closing,
    ledger.Transitions,
    ledger.Epochs,
    ledger.Secrecy,
    ledger.Growth,
    writes.Decided,
    writes.Deposed,
    writes.Paused,
    writes.Deletions,
    adoption.Volumes,
    adoption.Neighbours,
    writes.Finalizers,
    adoption.Adoption,
    adoption.Passwords,
    adoption.Complete,
    writes.Bounds,
    writes.Names,
    writes.Resting,
    rules.Purity,
    rules.Forward,
    rules.Retries,
    rules.KnownGood,
    order.Sequence,
    order.Stability,
    order.Teardown,
    order.Backup,
    order.Quarantine,
    order.Resets,
    order.Deference,
    liveness.Succession,
    liveness.Resumption,
    liveness.Calm,
    endings.Status,
    endings.Ahead,
    endings.Crashes,
    endings.Matches,
    endings.Judged,
    endings.Closed,
    endings.Announced,
)


def all_checkers() -> Sequence[Callable[[Facts], Checker]]:
    """For a run."""
    return CHECKERS
