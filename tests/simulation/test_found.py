"""Faults that once broke something, kept for ever: each was found by going through all of them, or by the soak."""

from base64 import b64decode

import pytest

from simulator.faults import parse_faults
from simulator.scheduler import Simulation, Step
from tests.simulation.exhaustive import try_faults
from tests.simulation.many import report
from tests.simulation.runs import run
from tests.simulation.workloads import SECOND_CANARY, WORKLOADS

FOUND = [
    # Somebody replaced a child just before it was written to: it was taken over on the word of an old cache.
    ("edit", 0, "61:replace-child"),
    # What stood in the way was gone, and was still taken for there on the word of an old cache: Failed for good.
    ("upgrade", 1, "85:replace-child"),
    ("create", 0, "31:replace-child"),
    # A process that had stood still went on with what it had planned, over what its successor had done since.
    ("edit", 0, "30:takeover-edit"),
    ("edit", 0, "33:takeover-edit"),
    ("edit", 0, "36:takeover-edit"),
    # The same with the one write that was already on its way: it undid a rollback, and nobody noticed.
    ("failing-upgrade", 0, "63:takeover"),
    ("edit", 0, "63:takeover-edit"),
    # A stored state has its keys in another order than a folded one: what was superseded, in another order.
    ("scale", 0, "122:takeover-edit"),
    # The lease was taken away before its time, which no clock of ours tells: S10, an old manifest over a newer one.
    ("create", 0, "32:usurp"),
    ("edit", 0, "34:usurp"),
    # A write of the status met somebody else's three times, and was given up until the next change: E1.
    ("create", 0, "74:conflicts"),
    # The cluster came back from a backup just before the finalizer went: it was taken off what was not deleted: S13.
    ("delete", 0, "115:restored"),
    # After a restored backup one version was given out twice, for two contents: E1, what was there was not seen.
    ("edit", 0, "67:restored"),
    # It had gone back by less than our own writes were ahead of the watch: E1, conflicts without end.
    ("scale", 0, "91:restored"),
    # Children of older content, owned by the same hands: E1, nobody saw a difference.
    ("pause", 0, "72:restored"),
    # The finalizer was "added" to what was gone, missed, and added again, thousands of times: E8.
    ("recreate", 0, "91:restored"),
    # What failed about a deletion that the backup does not know was waited for, for good: E1.
    ("recreate", 0, "75:restored"),
    # A Secret that was pruned and wanted again was taken for there until the next look at Secrets: E1, ten minutes.
    ("components", 0, "88:post"),
    # By the soak, and here the simulator was wrong: one who stands still was driven by another fault all the same.
    ("heal", 1, "130:takeover-edit,153:depose"),
    ("edit", 27, "31:depose,54:takeover-edit"),
    # Old lists were told for ever, not at the beginning only: a platform that is gone stayed in the cache.
    ("round-trip", 1014, "31:takeover-edit,76:die-stale,118:restored"),
    # And here a checker: the one call that nothing can stop made a child of what was gone; three races after an outage.
    ("components", 1018, "35:usurp,109:delete"),
    ("edit", 3004, "88:api-down,125:conflicts"),
]


@pytest.mark.parametrize(("workload", "seed", "faults"), FOUND, ids=[f"{one[0]}-{one[1]}-{one[2]}" for one in FOUND])
def test_what_broke_once_holds(workload: str, seed: int, faults: str) -> None:
    found = try_faults(WORKLOADS[workload], *parse_faults(faults), seed=seed)
    assert found.violation is None, report(found)


def test_a_password_from_an_old_list_is_not_written_back() -> None:
    passwords: list[str] = []

    def look(simulation: Simulation, _step: Step) -> None:
        for secret in simulation.universe.items("Secret"):
            if secret["metadata"]["name"] == "prod-inline":
                passwords.extend(b64decode(value).decode() for value in secret["data"].values())

    run(WORKLOADS["scale"], faults=parse_faults("128:die-stale"), on_step=look)
    assert passwords[-1] == SECOND_CANARY
