"""From the last pod's Ready to the platform's: p99, platform after platform."""

import time
from statistics import median

from benchmarks.cluster.arena import SECONDS_MAX, Arena
from benchmarks.cluster.eyes import Key
from benchmarks.cluster.options import Options
from benchmarks.stage import percentile
from benchmarks.table import Row, limited, reported

READY_SECONDS_MAX = 1.0
#: One more platform is created so often.
PERIOD_SECONDS = 0.8
#: What `stability_seconds` is by default is waited for on purpose, after the pod's Ready.
STABILITY_SECONDS = 5.0
#: Samples at the default: each shows the same wait.
DEFAULT_SAMPLES = 30


def run(arena: Arena, options: Options) -> list[Row]:
    """Platforms of one component, one every now and then; at stability 0 and at the default."""
    rows = []
    for seconds, samples, bar in (
        (0.0, options.samples, READY_SECONDS_MAX),
        (STABILITY_SECONDS, DEFAULT_SAMPLES, None),
    ):
        operator = arena.operate(stability_seconds=seconds)
        namespace, names = arena.namespace(), [f"l{number:03}" for number in range(samples)]
        for name in names:
            arena.create(namespace, [name], components=1)
            time.sleep(PERIOD_SECONDS)
        keys = [(namespace, name) for name in names]
        arena.eyes.wait_ready(keys, SECONDS_MAX)
        rows += latency_rows(arena, keys, f"one at a time, stability {seconds:g} s", bar=bar)
        arena.remove(namespace, names)
        arena.stop(operator)
    return rows


def latency_rows(arena: Arena, keys: list[Key], how: str, *, bar: float | None) -> list[Row]:
    """p99 against the bar; beside it the median, and what remains once the workload's own status says it is ready."""
    eyes = arena.eyes
    pods = [eyes.ready_at(key) - eyes.last_pod_at(key) for key in keys]
    workloads = [eyes.ready_at(key) - eyes.last_workload_at(key) for key in keys]
    name, p99 = f"pod Ready to platform Ready, {how}: p99", percentile(pods, 99)
    return [
        reported(name, p99, "s") if bar is None else limited(name, p99, "s", below=bar),
        reported("  the same, median", median(pods), "s"),
        reported("  from the workload's status on, p99", percentile(workloads, 99), "s"),
    ]
