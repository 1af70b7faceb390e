"""Kubernetes Events from the log: told once, none forgotten, and a server in trouble left in peace."""

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventstore import events as e
from eventstore.codec import encode
from eventstore.identifiers import uuid7
from eventstore.log import EventLog
from eventstore.opening import open_log
from eventstore.vocabulary import ErrorCategory, Phase, Trigger
from projections.engines import engine_for
from projections.outbox import Outbox
from projections.platform import initial
from reconciler.shell.announcer import BACKOFF_INITIAL_SECONDS, BACKOFF_MAX_SECONDS, Announcer
from reconciler.shell.cluster import ClusterError, KubernetesObject, Resource

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DOWN = ClusterError(ErrorCategory.TRANSIENT, "Unreachable", "no route")
BUSY = ClusterError(ErrorCategory.TRANSIENT, "TooManyRequests", "busy", retry_after_seconds=20.0)
REFUSED = ClusterError(ErrorCategory.RESOURCE, "PermissionDenied", "no", status=403)


class ScriptedCluster:
    """Takes Events, but answers as the script says while it lasts; None is a success."""

    def __init__(self) -> None:
        self.script: list[ClusterError | None] = []
        self.sent: list[str] = []
        self.kept: list[str] = []

    def create(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        self.sent.append(body["metadata"]["name"])
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.kept.append(body["metadata"]["name"])
        return body


class Bench:
    """An announcer over a real log, and the clock it reads: it stands still."""

    def __init__(self, dsn: str) -> None:
        self.log: EventLog = open_log(dsn, create=True)
        self.cluster, self.seconds = ScriptedCluster(), 0.0
        self.announcer = Announcer(
            Outbox(self.log, engine_for(dsn), "test"),
            self.cluster,  # type: ignore[arg-type]  # creating Events is all it asks for
            initial,
            self,
            "test",
        )

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def record(self, count: int) -> None:
        change = e.PhaseChanged(
            from_phase=None,
            to_phase=Phase.PENDING,
            trigger=Trigger.CREATE,
            generation=1,
            reason="PlatformCreated",
            message="new",
        )
        ids = [uuid7(AT, number.to_bytes(10, "big")) for number in range(count)]
        events = [
            encode(change, event_id=id_, occurred_at=AT, actor="test", causation_id=None, correlation_id=id_)
            for id_ in ids
        ]
        lease = self.log.lease.acquire("test", 600)
        assert lease is not None
        self.log.append("stream", 0, events, epoch=lease.epoch)

    def publish(self) -> str:
        """The reason of what stands in the way, "" if nothing does."""
        try:
            self.announcer.publish()
        except ClusterError as error:
            return error.reason
        return ""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_server_in_trouble_is_asked_less_and_less_often_and_nothing_is_forgotten(bench: Bench) -> None:
    bench.record(1)
    bench.cluster.script = [DOWN] * 8
    asked_at = []
    while not bench.cluster.kept:
        before = len(bench.cluster.sent)
        assert bench.publish() == ("" if bench.cluster.kept else "Unreachable"), "and readiness says so all the time"
        if len(bench.cluster.sent) > before:
            asked_at.append(bench.seconds)
        bench.seconds += 1
    waits = [after - before for before, after in itertools.pairwise(asked_at)]
    assert waits[:3] == [BACKOFF_INITIAL_SECONDS, 4, 8]
    assert max(waits) == BACKOFF_MAX_SECONDS
    assert len(bench.cluster.kept) == 1


def test_a_retry_after_is_obeyed(bench: Bench) -> None:
    bench.record(1)
    bench.cluster.script = [BUSY]
    assert bench.publish() == "TooManyRequests"
    bench.seconds = 19
    bench.publish()
    assert len(bench.cluster.sent) == 1
    bench.seconds = 21
    assert bench.publish() == ""
    assert len(bench.cluster.kept) == 1


def test_what_was_published_before_the_trouble_is_not_sent_again(bench: Bench) -> None:
    bench.record(3)
    bench.cluster.script = [None, None, DOWN]
    bench.publish()
    bench.seconds = 10
    bench.publish()
    assert len(bench.cluster.sent) == 4
    assert len(set(bench.cluster.kept)) == 3


def test_a_refusal_is_waited_out_for_a_minute_and_then_the_event_is_given_up(bench: Bench) -> None:
    bench.record(1)
    bench.cluster.script = [REFUSED, REFUSED]
    assert bench.publish() == "PermissionDenied"
    bench.seconds = 61
    assert bench.publish() == ""
    bench.seconds = 200
    assert bench.publish() == ""
    assert len(bench.cluster.sent) == 2
    assert bench.cluster.kept == []
