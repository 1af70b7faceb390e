"""What `make bench-cluster` measures with, without a cluster."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.cluster import __main__ as bench
from benchmarks.cluster.eyes import Seen
from benchmarks.cluster.figures import WRITES, AuditLog, cpu_seconds, proportional_bytes, total
from benchmarks.table import within


def line(verb: str, resource: str, agent: str = "stackledger/1.0", **subject: str) -> str:
    return json.dumps({"verb": verb, "userAgent": agent, "objectRef": {"resource": resource, **subject}}) + "\n"


def test_calls_of_the_client_are_counted_from_the_mark_on(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    file.write_text(line("patch", "configmaps", namespace="before"))
    log = AuditLog(file, "stackledger/")
    mark = log.mark()
    with file.open("a") as appended:
        appended.write(line("patch", "statefulsets", apiGroup="apps", namespace="a"))
        appended.write(line("patch", "things", apiGroup="example.com", subresource="status", namespace="a"))
        appended.write(line("get", "secrets", namespace="a"))
        appended.write(line("get", "secrets", agent="kubectl/1.37", namespace="a"))
        appended.write(json.dumps({"verb": "get", "userAgent": "stackledger/1.0"}) + "\n")
    calls = log.calls(mark)
    assert calls == Counter(
        {
            ("patch", "statefulsets.apps", "a"): 1,
            ("patch", "things.example.com/status", "a"): 1,
            ("get", "secrets", "a"): 1,
            ("get", "", ""): 1,
        }
    )
    assert (total(calls), total(calls, WRITES)) == (4, 2)


@pytest.mark.parametrize(("generation", "ready", "is_rolled_out"), [(3, 2, True), (4, 2, False), (3, 1, False)])
def test_a_workload_is_rolled_out_when_its_status_is_of_the_newest_spec_and_all_are_ready(
    generation: int, ready: int, is_rolled_out: bool
) -> None:
    seen = Seen()
    seen.metadata.generation, seen.spec.replicas = generation, 2
    seen.status.observedGeneration, seen.status.readyReplicas, seen.status.updatedReplicas = 3, ready, 2
    assert seen.is_rolled_out is is_rolled_out


def test_a_cost_above_so_many_times_the_peers_misses_its_bar() -> None:
    assert within("install", 1.3, "s", "bare", 1.0, at_most=1.3).passed is True
    assert within("install", 1.31, "s", "bare", 1.0, at_most=1.3).passed is False


def test_a_process_has_a_size_and_takes_time() -> None:
    assert proportional_bytes(os.getpid()) > 1e6
    assert cpu_seconds(os.getpid()) > 0


def test_an_unknown_benchmark_is_refused_before_anything_is_started(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["no-such"])
    assert "no-such" in capsys.readouterr().err
