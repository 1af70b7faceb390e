"""A checker that never fired proves nothing: each planted mistake must be caught by the checker that is for it."""

from functools import cache

import pytest

from simulator.checking import Checker
from tests.simulation.checkers import adoption, endings, ledger, liveness, order, rules, writes
from tests.simulation.checkers.all import CHECKERS
from tests.simulation.exhaustive import single_faults, undisturbed
from tests.simulation.many import report
from tests.simulation.planted import more_mutations, order_mutations
from tests.simulation.planted.mutations import PLANTED, Planted
from tests.simulation.runs import Run, run
from tests.simulation.workloads import WORKLOADS

#: Imported for what it registers.
assert more_mutations
assert order_mutations
#: The mistake that proves a checker: with this checker alone it is caught.
PROOFS: dict[type[Checker], str] = {
    ledger.Versions: "a_version_is_left_out",
    ledger.Chain: "hash_of_the_event_alone",
    ledger.Projection: "projection_left_behind",
    ledger.Requests: "outcome_told_twice",
    ledger.Closing: "deletions_not_told",
    ledger.Transitions: "arrow_that_is_not_in_the_diagram",
    ledger.Epochs: "epoch_not_checked",
    ledger.Secrecy: "secret_in_the_ledger",
    ledger.Growth: "observed_again_and_again",
    writes.Decided: "write_before_the_decision",
    writes.Deposed: "lease_never_asked_for_again",
    writes.Paused: "pause_not_heeded",
    writes.Deletions: "delete_without_uid",
    writes.Finalizers: "finalizer_released_early",
    writes.Bounds: "another_namespace",
    writes.Names: "empty_name",
    writes.Resting: "retries_do_not_wait",
    adoption.Adoption: "adopted_in_silence",
    adoption.Passwords: "password_made_again",
    adoption.Complete: "workload_taken_away_and_forgotten",
    adoption.Volumes: "volumes_always_deleted",
    adoption.Neighbours: "foreign_finalizers_dropped",
    rules.Purity: "chance_in_a_decision",
    rules.Forward: "old_sight_believed",
    rules.Retries: "retry_counter_in_memory",
    rules.KnownGood: "known_good_before_it_is_proved",
    order.Sequence: "components_all_at_once",
    order.Stability: "no_stability_window",
    order.Teardown: "teardown_in_install_order",
    order.Backup: "no_backup",
    order.Quarantine: "no_quarantine",
    order.Resets: "retries_not_reset",
    order.Deference: "retry_after_ignored",
    liveness.Succession: "lease_asked_for_once",
    liveness.Resumption: "a_pause_without_end",
    liveness.Calm: "finalizer_put_on_what_is_gone",
    endings.Status: "status_without_its_history",
    endings.Ahead: "status_ahead_of_the_ledger",
    endings.Crashes: "a_pass_that_crashes",
    endings.Matches: "absence_not_noticed",
    endings.Judged: "generation_said_to_be_judged",
    endings.Closed: "stream_left_open",
    endings.Announced: "cursor_moved_before_the_deed",
}


@cache
def caught(one: Planted) -> Run | None:
    """The first run in which any checker notices."""
    return _search(one, None)


def caught_alone(one: Planted, checker: type[Checker]) -> Run | None:
    """A run in which this checker notices, with no other one in force."""
    first = caught(one)
    if first is None:
        return None
    with one.plant():
        found = run(WORKLOADS[one.workload], faults=first.faults, checkers=[checker])
    if found.violation is not None and found.violation.checker == checker.name:
        return found
    return _search(one, [checker])


def _search(one: Planted, checkers: list[type[Checker]] | None) -> Run | None:
    reference = undisturbed(one.workload)
    tried = [(), *((fault,) for kind in one.kinds for fault in single_faults(reference, kind))]
    with one.plant():
        for faults in tried:
            found = run(WORKLOADS[one.workload], faults=faults, reference=reference, checkers=checkers)
            if found.violation is not None:
                return found
    return None


@pytest.mark.parametrize("one", PLANTED, ids=lambda one: one.name)
def test_a_planted_mistake_is_caught_by_its_checker(one: Planted) -> None:
    found = caught(one)
    assert found is not None, f"nobody noticed: {one.plant.__doc__}"
    assert found.violation is not None
    assert found.violation.checker in one.caught_by, report(found)


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda one: f"{one.name}-{one.__name__}")
def test_each_checker_alone_catches_the_mistake_that_is_planted_for_it(checker: type[Checker]) -> None:
    one = next(one for one in PLANTED if one.name == PROOFS[checker])
    found = caught_alone(one, checker)
    assert found is not None, f"it did not notice: {one.plant.__doc__}"
    assert found.violation is not None
    assert found.violation.checker == checker.name, report(found)
