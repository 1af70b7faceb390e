"""A hundred platforms: installed, at rest, and what the operator weighs with them."""

import time

from benchmarks.cluster.arena import Arena
from benchmarks.cluster.figures import AUDIT_DELAY_SECONDS, WRITES, cpu_seconds, proportional_bytes, total
from benchmarks.cluster.install import calls_rows
from benchmarks.cluster.latency import latency_rows
from benchmarks.cluster.options import Options
from benchmarks.table import Row, beside, limited, reported, within
from tests.cluster.process import OperatorProcess

#: Times the bare client's wall time.
HUNDRED_BAR = 1.5
#: Share of one core.
REST_CPU_PERCENT_MAX = 2.0
GROWTH_MEGABYTES_MAX = 60.0


def run(arena: Arena, options: Options) -> list[Row]:
    """The bare client first, in an empty cluster; then the operator, which keeps what it installed."""
    count = options.platforms
    names = [f"p{number:03}" for number in range(count)]
    bare = arena.bare_install(names)
    operator = arena.operate(stability_seconds=0)
    empty = proportional_bytes(operator.pid)
    namespace, mark, before = arena.namespace(), arena.audit.mark(), cpu_seconds(operator.pid)
    servers = arena.cpu_seconds()
    seconds = arena.install(namespace, names)
    arena.wait_settled()
    cpu = cpu_seconds(operator.pid) - before
    everybody = cpu + arena.cpu_seconds() - servers
    calls = arena.audit.calls(mark)
    keys = [(namespace, name) for name in names]
    rows = [
        within(f"install {count} platforms", seconds, "s", "bare client", bare.wall_seconds, at_most=HUNDRED_BAR),
        beside(
            f"CPU of client and servers per platform, {count} platforms",
            *(everybody / count, "s", "bare client", bare.all_cpu_seconds / count),
        ),
        reported(f"operator's CPU per platform, {count} platforms", cpu / count, "s"),
        reported(f"bare client's CPU per platform, {count} platforms", bare.cpu_seconds / count, "s"),
        *calls_rows(arena, f"per platform, {count} platforms", calls, count),
        *latency_rows(arena, keys, f"burst of {count}, stability 0 s", bar=None),
        *_at_rest(arena, operator, count, options.rest_seconds),
        *_memory(operator, count, empty),
    ]
    arena.stop(operator)
    return rows


def _at_rest(arena: Arena, operator: OperatorProcess, count: int, seconds: float) -> list[Row]:
    time.sleep(10.0)
    mark, head, cpu = arena.audit.mark(), arena.stage.log.head_position(), cpu_seconds(operator.pid)
    began = time.monotonic()
    time.sleep(seconds)
    share = 100 * (cpu_seconds(operator.pid) - cpu) / (time.monotonic() - began)
    appended = arena.stage.log.head_position() - head
    time.sleep(AUDIT_DELAY_SECONDS)
    calls = arena.audit.calls(mark)
    what = f"{count} platforms at rest for {seconds:.0f} s"
    gets = sum(number for (verb, _, _), number in calls.items() if verb == "get")
    return [
        limited(f"{what}: writes", float(total(calls, WRITES)), "calls", below=1),
        limited(f"{what}: appends", float(appended), "events", below=1),
        limited(f"{what}: CPU of a core", share, "%", below=REST_CPU_PERCENT_MAX),
        reported(f"{what}: GETs", float(gets), "calls"),
        reported(f"{what}: other calls", float(total(calls) - total(calls, WRITES) - gets), "calls"),
    ]


def _memory(operator: OperatorProcess, count: int, empty: int) -> list[Row]:
    now = proportional_bytes(operator.pid)
    return [
        reported("operator's memory (PSS) with 0 platforms", empty / 1e6, "MB"),
        limited(f"growth with {count} platforms", (now - empty) / 1e6, "MB", below=GROWTH_MEGABYTES_MAX),
        reported(f"growth per platform, {count} platforms", (now - empty) / 1e3 / count, "kB"),
    ]
