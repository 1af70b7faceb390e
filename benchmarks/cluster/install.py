"""One platform and ten: how long an install takes beside the bare client's, and how many calls it costs."""

from collections import Counter
from statistics import median

from benchmarks.cluster.arena import Arena
from benchmarks.cluster.figures import WRITES, Call, cpu_seconds, total
from benchmarks.cluster.options import Options
from benchmarks.table import Row, beside, limited, reported, within
from tests.cluster.process import OperatorProcess

#: Times the bare client's wall time.
ONE_BAR = 1.3
#: Calls per install: so many times the number of objects, and so many on top.
CALLS_PER_OBJECT, CALLS_ON_TOP = 1.1, 10


def run(arena: Arena, options: Options) -> list[Row]:
    """Install, count, remove; then the same by the bare client; medians of the rounds."""
    operator = arena.operate(stability_seconds=0)
    _warm_up(arena)
    rows = _measure(arena, operator, 1, options.rounds) + _measure(arena, operator, 10, 3)
    arena.stop(operator)
    return rows


def _warm_up(arena: Arena) -> None:
    """The first install of all makes the API server, the controllers and the operator load what they need."""
    namespace = arena.namespace()
    arena.install(namespace, ["warm"])
    arena.remove(namespace, ["warm"])
    arena.bare_install(["warm"])


def _measure(arena: Arena, operator: OperatorProcess, count: int, rounds: int) -> list[Row]:
    ours, bares, cpu, all_cpu, bare_cpu = [], [], [], [], []
    calls: Counter[Call] = Counter()
    for number in range(rounds):
        names = [f"p{number}-{one}" for one in range(count)]
        namespace, mark, before, servers = (
            arena.namespace(),
            arena.audit.mark(),
            cpu_seconds(operator.pid),
            arena.cpu_seconds(),
        )
        ours.append(arena.install(namespace, names))
        arena.wait_settled(2.5)
        cpu.append((cpu_seconds(operator.pid) - before) / count)
        all_cpu.append(cpu[-1] + (arena.cpu_seconds() - servers) / count)
        calls += arena.audit.calls(mark)
        arena.remove(namespace, names)
        bare = arena.bare_install(names)
        bares.append(bare.wall_seconds)
        bare_cpu.append(bare.all_cpu_seconds / count)
    what = "1 platform" if count == 1 else f"{count} platforms"
    name, figures = f"install {what}", (median(ours), "s", "bare client", median(bares))
    # The bars are for one and for a hundred.
    wall = within(name, *figures, at_most=ONE_BAR) if count == 1 else beside(name, *figures)
    everybody = (median(all_cpu), "s", "bare client", median(bare_cpu))
    return [
        wall,
        beside(f"CPU of client and servers per platform, {what}", *everybody),
        reported(f"operator's CPU per platform, {what}", median(cpu), "s"),
        *calls_rows(arena, f"per platform, {what}", calls, count * rounds),
    ]


def calls_rows(arena: Arena, name: str, calls: Counter[Call], platforms: int) -> list[Row]:
    """Calls per platform against the bar, and what they were for."""
    objects = len(arena.manifests("prod", "any"))
    parts = {
        "status": sum(count for (_, resource, _), count in calls.items() if resource.endswith("/status")),
        "Events": sum(count for (_, resource, _), count in calls.items() if resource.startswith("events.")),
        "reads": total(calls) - total(calls, WRITES),
    }
    bar = CALLS_PER_OBJECT * objects + CALLS_ON_TOP
    return [
        limited(f"API calls {name} ({objects} objects)", total(calls) / platforms, "calls", below=bar + 1e-3),
        *(reported(f"  of these {word}", count / platforms, "calls") for word, count in parts.items()),
    ]
