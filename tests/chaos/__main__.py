"""`python -m tests.chaos --minutes 10 --seed 1 --server sandbox`: the operator as processes, on a bad day that lasts.

The schedule is drawn from the seed. The processes run on real clocks: the same seed makes the same things go wrong at
the same times, and not the same run.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.chaos.facts import Violation
from tests.chaos.play import Play, Times
from tests.chaos.real_server import RealServer
from tests.chaos.server import SandboxProcess, Server
from tests.controlplane.build import BuildError, binary

SERVERS: dict[str, Callable[[Path, str], Server]] = {"sandbox": SandboxProcess, "apiserver": RealServer}


#: Ctrl-C, or SIGTERM.
_INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Play against each server; 1 if anything was violated, 130 if somebody ended it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each server (default 10)")
    parser.add_argument("--seed", type=int, default=None, help="default: a new one, which is printed")
    parser.add_argument("--server", choices=["sandbox", "apiserver", "both"], default="both")
    parser.add_argument("--platforms", type=int, default=4, choices=range(1, 9), metavar="1-8")
    parser.add_argument("--replicas", type=int, default=2, help="operator processes (default 2)")
    parser.add_argument("--storm", type=float, default=30.0, help="seconds of storm in each round (default 30)")
    parser.add_argument("--keep", action="store_true", help="keep the artefacts of a run without violations too")
    options = parser.parse_args(arguments)
    if not (options.minutes > 0 and options.storm > 0 and options.replicas > 0):
        parser.error("--minutes, --storm and --replicas are more than 0")
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    signal.signal(signal.SIGTERM, _interrupt)
    names = ["sandbox", "apiserver"] if options.server == "both" else [options.server]
    worst = 0
    for name in names:
        why = _unavailable(name)
        if why and options.server == "both":
            print(f"{name}: not played against: {why}", flush=True)
            continue
        if why:
            sys.exit(why)
        code = _run(name, seed, options)
        if code == _INTERRUPTED:
            return code
        worst = max(worst, code)
    return worst


def _unavailable(name: str) -> str:
    try:
        _ = binary() if name == "apiserver" else None
    except BuildError as error:
        return str(error)
    return ""


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _run(name: str, seed: int, options: argparse.Namespace) -> int:
    directory = Path(tempfile.mkdtemp(prefix=f"chaos-{name}-")) / "run"
    times = Times(storm=options.storm)
    play = Play(
        directory, SERVERS[name], seed=seed, platforms=options.platforms, replicas=options.replicas, times=times
    )
    print(f"{name}: seed {seed}, {options.minutes:g} minutes, in {directory}", flush=True)
    began, found = time.monotonic(), list[Violation]()
    is_interrupted = False
    try:
        play.open()
        # One round at least: without any, nothing was shown.
        while not play.report.lines or (not found and (time.monotonic() - began) / 60 < options.minutes):
            found = play.round(len(play.report.lines) + 1)
            print(play.report.progress((time.monotonic() - began) / 60, seed), flush=True)
        if found:
            play.keep()
    except KeyboardInterrupt:
        is_interrupted = True
    finally:
        play.close()
    print(play.report.table(time.monotonic() - began, dict(play.journal.counts("operator"))), flush=True)
    for violation in found:
        print(f"VIOLATION  {violation}", flush=True)
    if found:
        print(f"artefacts: {directory}", flush=True)
        print(f"again: python -m tests.chaos --server {name} --seed {seed} --minutes {options.minutes:g}", flush=True)
    elif not options.keep:
        shutil.rmtree(directory.parent, ignore_errors=True)
    return _INTERRUPTED if is_interrupted else int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
