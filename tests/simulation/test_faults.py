"""What each kind of fault does, and that it does it again."""

from collections import Counter

import pytest
from msgspec.structs import replace

from reconciler.shell.cluster import WatchEvent
from simulator.answers import conflict, forbidden, odd_answer, took_effect
from simulator.deliveries import delivered
from simulator.faults import SAME_DEEDS_ONCE, Fault, FaultKind, ProcessDiedError
from simulator.ports import Call
from simulator.replica import RENEW_SECONDS, TTL_SECONDS
from tests.simulation.deeds import Deeds
from tests.simulation.exhaustive import single_faults, undisturbed
from tests.simulation.planted.mutations import planted_by_name
from tests.simulation.runs import run
from tests.simulation.telling import make_ready, told
from tests.simulation.workloads import TEN, WORKLOADS, is_ready, prometheus


def calls(verb: str) -> list[Call]:
    return [call for call in undisturbed("edit").calls if call.verb == verb]


@pytest.mark.parametrize("kind", FaultKind)
def test_a_kind_of_fault_can_be_somewhere_and_is_the_same_again(kind: FaultKind) -> None:
    workload = next(name for name in TEN if next(single_faults(undisturbed(name), kind), None))
    faults = list(single_faults(undisturbed(workload), kind))
    once, again = (run(WORKLOADS[workload], seed=0, faults=[faults[len(faults) // 2]]) for _ in range(2))
    assert once.digest == again.digest
    assert once.seconds == again.seconds


def test_ten_calls_get_ten_answers_of_a_bad_day() -> None:
    some = calls("cluster.apply_new")[0]
    errors, done = [], 0
    for index in range(10):
        some.index = index
        errors.append(odd_answer(some))
        done += took_effect(some)
    assert len(Counter(error.reason for error in errors)) >= 6
    assert done == 3
    assert all(1.0 <= error.retry_after_seconds <= 60.0 for error in errors if error.retry_after_seconds is not None)


def test_refusals_are_what_the_operator_makes_of_a_servers() -> None:
    some = calls("cluster.apply_new")[0]
    assert forbidden(some).reason == "PermissionDenied"
    assert getattr(conflict(some), "reason", "") == "Conflict"


def test_deliveries_lose_double_and_turn_round_what_is_to_be_seen() -> None:
    with told() as simulation:
        simulation.start("replica-0")
        make_ready(simulation, "prod", prometheus())
        watch = next(call for call in simulation.calls if call.key == "StatefulSet" and call.verb == "cluster.watch")
        assert watch.resource is not None
        seen = list(simulation.universe.cluster.watch(watch.resource, "1", None, ""))
        assert len(seen) > 3

        def heard(kind: FaultKind) -> list[WatchEvent]:
            return delivered(kind, seen, watch, simulation.universe)

        assert heard(FaultKind.LOSE_EVENTS) == seen[-1:]
        assert heard(FaultKind.REORDER) == [*seen[-2::-1], seen[-1]]
        assert len(heard(FaultKind.COALESCE)) == 2, "one object and the bookmark"
        assert [event.object for event in heard(FaultKind.REPLAY)][: len(seen) - 1] == [
            event.object for event in seen[:-1]
        ]


def test_a_restored_cluster_is_as_it_was_and_gives_out_the_same_versions_again() -> None:
    with told() as simulation:
        universe = simulation.universe
        simulation.start("replica-0")
        make_ready(simulation, "prod", prometheus())
        before = {place: universe.model.store.get(*place) for place in universe.model.store.places()}
        revision = universe.model.store.revision
        universe.apply("prod", prometheus(retention="3d"))
        universe.delete_platform("prod")
        simulation.rest(until=lambda: universe.platform("prod") is None)
        universe.restore(revision)
        assert {place: universe.model.store.get(*place) for place in universe.model.store.places()} == before
        assert universe.model.store.revision == revision


def test_a_stolen_lease_runs_out_and_the_first_one_goes_on() -> None:
    with told() as simulation:
        simulation.start("replica-0")
        make_ready(simulation, "prod", prometheus())
        lease = simulation.universe.log.lease
        current = lease.current()
        assert current is not None
        lease.release(current)
        stolen = lease.acquire("somebody-else", TTL_SECONDS)
        simulation.wait(RENEW_SECONDS + 1.0)
        assert not any(replica.leads() for replica in simulation.replicas)
        simulation.universe.apply("prod", prometheus(retention="3d"))
        simulation.rest(until=lambda: is_ready(simulation.universe, "prod"))
        now = lease.current()
        assert stolen is not None
        assert now is not None
        assert now.epoch == stolen.epoch + 1


def test_no_handler_of_the_operator_can_swallow_a_death() -> None:
    assert not issubclass(ProcessDiedError, Exception)


def test_a_watch_from_a_forgotten_version_is_refused_until_the_next_list() -> None:
    watches = [call for call in undisturbed("edit").calls if call.verb == "cluster.watch" and call.heard]
    hit = watches[len(watches) // 2]

    def asked() -> list[Call]:
        """What was asked about this kind afterwards."""
        seen: list[Call] = []
        faults = [Fault(hit.index, FaultKind.GONE)]
        run(WORKLOADS["edit"], faults=faults, on_call=lambda _simulation, call: seen.append(call))
        return [
            call
            for call in seen
            if call.index > hit.index and call.key == hit.key and call.verb in {"cluster.list", "cluster.watch"}
        ]

    assert [call.verb for call in asked()][:2] == ["cluster.list", "cluster.watch"]
    with planted_by_name("no_list_after_410"):
        stubborn = asked()
    assert len(stubborn) > 3
    assert {call.verb for call in stubborn} == {"cluster.watch"}
    assert not any(call.heard for call in stubborn)


@pytest.mark.parametrize("kind", sorted(SAME_DEEDS_ONCE))
def test_a_deed_too_many_is_noticed_after_an_outage_or_a_clock_set(kind: FaultKind) -> None:
    reference = undisturbed("create")
    deeds = Deeds()
    deeds.counts = reference.deeds.counts + Counter({"change Deployment/prod-grafana": 1})
    faults = list(single_faults(reference, kind))[-1:]
    found = run(WORKLOADS["create"], faults=faults, reference=replace(reference, deeds=deeds))
    assert found.violation is not None
    assert found.violation.checker == "O3"
