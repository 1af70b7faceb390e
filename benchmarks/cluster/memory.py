"""How the operator's memory grows: with 0, 10, 100 and 500 platforms, settled each time."""

from benchmarks.cluster.arena import Arena
from benchmarks.cluster.figures import proportional_bytes
from benchmarks.cluster.options import Options
from benchmarks.table import Row, reported

STEPS = (10, 100, 500)


def run(arena: Arena, options: Options) -> list[Row]:
    """All five components up to the number of `options.platforms`, beyond that one component each."""
    operator = arena.operate(stability_seconds=0)
    namespace, installed = arena.namespace(), 0
    sizes = [proportional_bytes(operator.pid)]
    rows = [reported("memory (PSS), 0 platforms", sizes[0] / 1e6, "MB")]
    for step in STEPS:
        components = 5 if step <= options.platforms else 1
        arena.install(namespace, [f"m{number:03}" for number in range(installed, step)], components)
        arena.wait_settled(10.0)
        sizes.append(proportional_bytes(operator.pid))
        kind = "all five components" if components == 5 else f"those above {installed} of one component"
        rows += [
            reported(f"memory (PSS), {step} platforms, {kind}", sizes[-1] / 1e6, "MB"),
            reported("  growth for each more", (sizes[-1] - sizes[-2]) / 1e3 / (step - installed), "kB"),
        ]
        installed = step
    arena.stop(operator)
    return rows
