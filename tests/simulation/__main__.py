"""`python -m tests.simulation`: repeat a run, or go through many.

python -m tests.simulation --workload create --seed 3 --fault 17:post   # one run, step by step with --show
python -m tests.simulation --workload all --every                       # every single fault of every workload
python -m tests.simulation --workload all --seeds 200 --faults 3        # random order; two faults, and three
"""

import argparse
import sys

from simulator.faults import Fault, FaultKind, parse_faults
from simulator.scheduler import Simulation, Step
from tests.simulation.exhaustive import try_faults, undisturbed
from tests.simulation.many import every_fault, report, soak
from tests.simulation.runs import run
from tests.simulation.workloads import TEN, WORKLOADS


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 all invariants held, 1 one did not, 2 the arguments make no sense."""
    chosen = _parser().parse_args(arguments)
    if chosen.workload not in {"all", *WORKLOADS}:
        print(f"no workload {chosen.workload!r}; there are: all, {', '.join(WORKLOADS)}", file=sys.stderr)
        return 2
    names = list(TEN if chosen.every else WORKLOADS) if chosen.workload == "all" else [chosen.workload]
    if chosen.every:
        kinds = [FaultKind(kind) for kind in chosen.kinds.split(",") if kind] or list(FaultKind)
        return every_fault(names, kinds, seed=chosen.seed, processes=chosen.processes, thin=chosen.thin)
    if chosen.seeds:
        seeds = range(chosen.seed or 1, (chosen.seed or 1) + chosen.seeds)
        return soak(names, seeds, lists=chosen.lists, faults_max=chosen.faults, processes=chosen.processes)
    failed = [_repeat(name, chosen.seed, parse_faults(chosen.fault), show=chosen.show) for name in names]
    return int(any(failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--workload", default="all", help=f"all, or one of {', '.join(WORKLOADS)}")
    parser.add_argument("--seed", type=int, default=0, help="0: everything at once and in order; others: at random")
    parser.add_argument("--fault", default="", help="faults of the run: 17:post,40:die-after")
    parser.add_argument("--show", action="store_true", help="print every step, call and event")
    parser.add_argument("--every", action="store_true", help="every single fault at every call")
    parser.add_argument("--kinds", default="", help=f"with --every: only these of {', '.join(FaultKind)}")
    parser.add_argument("--thin", type=int, default=1, help="with --every: of the rarer kinds one in so many only")
    parser.add_argument("--seeds", type=int, default=0, help="so many seeds, with faults drawn by each")
    parser.add_argument("--faults", type=int, default=3, help="with --seeds: how many faults a run has at most")
    parser.add_argument("--lists", type=int, default=6, help="with --seeds: how many lists of faults for each seed")
    parser.add_argument("--processes", type=int, default=2, help="how many runs go on at once")
    return parser


def _repeat(name: str, seed: int, faults: tuple[Fault, ...], *, show: bool) -> bool:
    """One run; whether it failed."""
    if show:
        found = run(WORKLOADS[name], seed=seed, faults=faults, on_step=_show)
        reference = undisturbed(name, seed) if faults else None
        if reference is not None and found.violation is None:
            found = try_faults(WORKLOADS[name], *faults, seed=seed)
    else:
        found = try_faults(WORKLOADS[name], *faults, seed=seed) if faults else run(WORKLOADS[name], seed=seed)
    print(report(found))
    return found.violation is not None


def _show(simulation: Simulation, step: Step) -> None:
    shown = getattr(simulation, "shown", [0, 0])
    for call in simulation.calls[shown[0] :]:
        print(f"            {call}")
    for recorded in simulation.universe.log.read_all(shown[1]):
        print(f"                {recorded.version} {recorded.type} {recorded.payload.decode()[:160]}")
        shown[1] = recorded.position
    shown[0] = len(simulation.calls)
    simulation.shown = shown  # type: ignore[attr-defined]  # how far this output came
    print(f"{simulation.universe.clock.monotonic():10.3f}  {step.who}: {step.what}")


if __name__ == "__main__":
    sys.exit(main())
