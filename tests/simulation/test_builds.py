"""Two builds of the operator side by side, each with its own version and policy (F37)."""

from eventstore.events import PolicyAdopted
from simulator.mischief import OTHER_BUILD
from tests.simulation.checkers.all import all_checkers
from tests.simulation.deeds import Deeds
from tests.simulation.telling import make_ready, told
from tests.simulation.workloads import pair


def test_they_take_turns_without_touching_what_runs() -> None:
    with told(0, *all_checkers()) as simulation:
        deeds = Deeds()
        simulation.universe.on_write.append(deeds.wrote)
        simulation.timings["replica-1"] = OTHER_BUILD
        simulation.start("replica-0")
        simulation.start("replica-1")
        uid = make_ready(simulation, "prod", pair())
        before = dict(deeds.counts)
        turns = 4
        for _ in range(turns):
            simulation.kill(next(one for one in simulation.replicas if one.leads()))
            simulation.wait(300.0)
        assert deeds.counts == before
        log = simulation.universe.log
        adopted = [one for one in log.read_stream(uid) if one.type == PolicyAdopted.__name__]
        assert len(adopted) <= 1 + turns, "once for each turn, and not again and again"
        simulation.end()
