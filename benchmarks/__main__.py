"""`make bench`: run every benchmark in one go and print one table. Exit 1 if a bar is missed, 2 for an unknown name.

A benchmark is a module beside this one with a function `run() -> list[Row]`. Name some to run only those:
`python -m benchmarks append read`.
"""

import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.table import Row, print_table

Benchmark = Callable[[], list[Row]]


def find_benchmarks(folder: Path, package: str = "benchmarks") -> dict[str, Benchmark]:
    """Module name -> its `run`, in alphabetical order."""
    names = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    modules = {name: import_module(f"{package}.{name}") for name in names}
    return {name: module.run for name, module in modules.items() if hasattr(module, "run")}


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks, or all, and return the exit status."""
    found = find_benchmarks(Path(__file__).parent)
    unknown = sorted(set(arguments) - set(found))
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(found)}\n")
        return 2
    rows: list[Row] = []
    for name in arguments or found:
        started = time.monotonic()
        sys.stderr.write(f"{name} ... ")
        sys.stderr.flush()
        rows += found[name]()
        sys.stderr.write(f"{time.monotonic() - started:.1f} s\n")
    print_table(rows)
    return 1 if any(row.passed is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
