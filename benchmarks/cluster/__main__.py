"""`make bench-cluster`: the operator's speed on a real control plane; one table. Exit 1 if a bar is missed.

python -m benchmarks.cluster [install] [hundred] [latency] [memory] [--rest-seconds 300] [--platforms 100] ...
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from benchmarks.cluster import hundred, install, latency, memory
from benchmarks.cluster.arena import Arena, arena
from benchmarks.cluster.options import Options
from benchmarks.table import Row, print_table

BENCHMARKS: dict[str, Callable[[Arena, Options], list[Row]]] = {
    "install": install.run,
    "latency": latency.run,
    "hundred": hundred.run,
    "memory": memory.run,
}


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all, each on a control plane of its own; the exit status."""
    defaults = Options()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; none: all")
    for field in Options.__struct_fields__:
        default = getattr(defaults, field)
        parser.add_argument(f"--{field.replace('_', '-')}", type=type(default), default=default)
    given = vars(parser.parse_args(arguments))
    names = given.pop("names") or list(BENCHMARKS)
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    rows: list[Row] = []
    for name in names:
        began = time.monotonic()
        sys.stderr.write(f"{name} ... ")
        sys.stderr.flush()
        with arena() as place:
            rows += BENCHMARKS[name](place, Options(**given))
        sys.stderr.write(f"{time.monotonic() - began:.1f} s\n")
    print_table(rows)
    return 1 if any(row.passed is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
