"""How long it takes to turn a spec into manifests, and to find what is wrong with it."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from api.parsing import parse_spec
from benchmarks.table import Row, limited, reported
from components.context import RenderContext
from components.findings import findings
from components.registry import render

FULL = Path(__file__).parent.parent / "examples" / "full.yaml"
ROUNDS = 50
#: A pass of the reconciler may render anew; it must not be felt.
RENDER_MS_MAX = 5.0


def run() -> list[Row]:
    """Render the platform of examples/full.yaml with all five components; medians of CPU time: it does nothing else."""
    resource = _platform(FULL.read_text())
    name = resource["metadata"]["name"]
    parsed = parse_spec(resource["spec"], name=name)
    assert parsed.spec is not None, parsed.findings
    context = RenderContext(name=name, namespace="demo", spec=parsed.spec, versions=parsed.spec.versions)
    manifests = render(context)
    return [
        limited("render a full platform", _median_ms(lambda: render(context)), "ms", below=RENDER_MS_MAX),
        reported("render and digest it", _median_ms(lambda: [m.digest for m in render(context)]), "ms"),
        reported("find what is wrong with it", _median_ms(lambda: findings(context)), "ms"),
        reported("parse its spec", _median_ms(lambda: parse_spec(resource["spec"], name=name)), "ms"),
        reported("manifests rendered", float(len(manifests)), "objects"),
    ]


def _platform(text: str) -> dict[str, Any]:
    documents = [document for document in yaml.safe_load_all(text) if document]
    return next(document for document in documents if document["kind"] == "ObservabilityPlatform")


def _median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        work()
        times.append((time.thread_time() - started) * 1000)
    return median(times)
