"""`python -m tests.simulation`: repeat a run, or go through many.

python -m tests.simulation --workload create --seed 3 --fault 17:post   # one run, step by step with --show
python -m tests.simulation --workload all --every                       # every single fault of every workload
python -m tests.simulation --workload all --seeds 200 --faults 3        # random order; two faults, and three
"""

import argparse
import sys
from collections.abc import Callable

from simulator.faults import Fault, FaultKind, parse_faults
from simulator.scheduler import Simulation, Step
from tests.simulation.exhaustive import try_faults, undisturbed
from tests.simulation.many import every_fault, report, soak, why_it_never_came
from tests.simulation.runs import run
from tests.simulation.workloads import TEN, WORKLOADS


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 all invariants held, 1 one did not, 2 the arguments make no sense or a fault never came."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    _refuse_what_makes_no_sense(parser, chosen)
    names = list(TEN if chosen.every else WORKLOADS) if chosen.workload == "all" else [chosen.workload]
    if chosen.every:
        kinds = chosen.kinds or list(FaultKind)
        if chosen.thin > 1:
            part = (chosen.part - 1) % chosen.thin + 1
            print(f"part {part} of {chosen.thin} of the rarer kinds; make faults PART={part} repeats it", flush=True)
        return every_fault(
            names, kinds, seed=chosen.seed, processes=chosen.processes, thin=chosen.thin, part=chosen.part
        )
    if chosen.seeds:
        seeds = range(chosen.seed or 1, (chosen.seed or 1) + chosen.seeds)
        return soak(names, seeds, lists=chosen.lists, faults_max=chosen.faults, processes=chosen.processes)
    codes = [_repeat(name, chosen.seed, chosen.fault, show=chosen.show) for name in names]
    return 1 if 1 in codes else max(codes)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.splitlines()[0])
    parser.add_argument("--workload", default="all", help=f"all, or one of {', '.join(WORKLOADS)}")
    parser.add_argument("--seed", type=int, default=0, help="0: everything at once and in order; others: at random")
    parser.add_argument("--fault", type=_faults, default=(), help="faults of the run: 17:post,40:die-after")
    parser.add_argument("--show", action="store_true", help="print every step, call and event")
    parser.add_argument("--every", action="store_true", help="every single fault at every call")
    parser.add_argument("--kinds", type=_kinds, default=[], help=f"with --every: only these of {', '.join(FaultKind)}")
    parser.add_argument("--thin", type=_from(1), default=1, help="with --every: of the rarer kinds one in so many only")
    parser.add_argument("--part", type=_from(0), default=1, help="with --thin: which; after the last the first again")
    parser.add_argument("--seeds", type=_from(1), default=0, help="so many seeds, with faults drawn by each")
    parser.add_argument("--faults", type=_from(1), default=3, help="with --seeds: how many faults a run has at most")
    parser.add_argument("--lists", type=_from(0), default=6, help="with --seeds: how many lists of faults for each")
    parser.add_argument("--processes", type=_from(1), default=2, help="how many runs go on at once")
    return parser


def _refuse_what_makes_no_sense(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> None:
    if chosen.workload not in {"all", *WORKLOADS}:
        parser.error(f"no workload {chosen.workload!r}; there are: all, {', '.join(WORKLOADS)}")
    if sum(map(bool, (chosen.every, chosen.seeds, chosen.fault))) > 1:
        parser.error("--every, --seeds and --fault exclude each other")
    if chosen.kinds and not chosen.every:
        parser.error("--kinds is for --every")


def _from(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} on")
        return int(text)

    return number


def _kinds(text: str) -> list[FaultKind]:
    return [_kind(word) for word in text.split(",") if word]


def _kind(word: str) -> FaultKind:
    if word not in set(FaultKind):
        raise argparse.ArgumentTypeError(f"no kind of fault {word!r}; there are: {', '.join(FaultKind)}")
    return FaultKind(word)


def _faults(text: str) -> tuple[Fault, ...]:
    for part in text.split(","):
        call, colon, kind = part.partition(":")
        if not (colon and call.isascii() and call.isdigit() and int(call)):
            raise argparse.ArgumentTypeError(f"{part!r} is no fault: write CALL:KIND, as in 17:post; calls begin at 1")
        _kind(kind)
    faults = parse_faults(text)
    if len({fault.call for fault in faults}) < len(faults):
        raise argparse.ArgumentTypeError("a call can have one fault only")
    return faults


def _repeat(name: str, seed: int, faults: tuple[Fault, ...], *, show: bool) -> int:
    """One run; its exit code."""
    if show:
        found = run(WORKLOADS[name], seed=seed, faults=faults, on_step=_show)
        reference = undisturbed(name, seed) if faults else None
        if reference is not None and found.violation is None:
            found = try_faults(WORKLOADS[name], *faults, seed=seed)
    else:
        found = try_faults(WORKLOADS[name], *faults, seed=seed) if faults else run(WORKLOADS[name], seed=seed)
    print(report(found))
    if found.violation is not None:
        return 1
    missing = [why for fault in faults if (why := why_it_never_came(fault, found.calls))]
    for why in missing:
        print(why, file=sys.stderr)
    return 2 if missing else 0


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
