"""Kubernetes Events about components on their way: several in one, and before whatever comes after them."""

from pathlib import Path
from typing import Any

import pytest

from eventstore import events as e
from eventstore.codec import encode
from eventstore.identifiers import uuid7
from eventstore.vocabulary import ComponentName, ComponentPhase, Phase, Trigger
from reconciler.shell.cluster import KubernetesObject, Resource
from reconciler.shell.held_news import HOLD_SECONDS
from tests.reconciler.shell.test_announcer import AT, DOWN
from tests.reconciler.shell.test_announcer import Bench as AnnouncerBench

DEPLOYING, READY = ComponentPhase.INSTALLING, ComponentPhase.READY


class Bench(AnnouncerBench):
    """With a stream of any events, and what was told of it."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.told: list[tuple[str, str]] = []
        self._version = 0
        create = self.cluster.create

        def remember(resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
            created = create(resource, namespace, body)
            self.told.append((body["reason"], body["note"]))
            return created

        self.cluster.create = remember  # type: ignore[method-assign]  # the seam of these tests

    def append(self, *events: e.Event) -> None:
        ids = [uuid7(AT, number.to_bytes(10, "big")) for number in range(self._version, self._version + len(events))]
        envelopes = [
            encode(event, event_id=id_, occurred_at=self.now(), actor="test", causation_id=None, correlation_id=id_)
            for id_, event in zip(ids, events, strict=True)
        ]
        lease = self.log.lease.acquire("test", 600)
        assert lease is not None
        self.log.append("stream", self._version, envelopes, epoch=lease.epoch)
        self._version += len(events)

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.told]


def component(name: str, phase: ComponentPhase) -> e.ComponentPhaseChanged:
    return e.ComponentPhaseChanged(
        component=ComponentName(name), from_phase=None, to_phase=phase, reason="Any", message="", version="1.2.3"
    )


def transition(to: Phase, reason: str) -> e.PhaseChanged:
    fields: dict[str, Any] = {"trigger": Trigger.CREATE, "generation": 1, "message": "", "reason": reason}
    return e.PhaseChanged(from_phase=None, to_phase=to, **fields)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_an_install_that_goes_quickly_tells_of_its_components_once_before_it_is_ready(bench: Bench) -> None:
    bench.append(transition(Phase.INSTALLING, "PreflightPassed"), component("prometheus", DEPLOYING))
    bench.publish()
    assert bench.reasons == ["PreflightPassed"]
    bench.append(component("prometheus", READY), component("loki", DEPLOYING))
    bench.publish()
    bench.append(component("loki", READY), transition(Phase.READY, "AllComponentsReady"))
    bench.publish()
    assert bench.reasons == ["PreflightPassed", "ComponentReady", "AllComponentsReady"]
    assert "prometheus 1.2.3 is ready; loki 1.2.3 is ready" in bench.told[1][1]


def test_an_install_that_takes_its_time_is_told_of_meanwhile(bench: Bench) -> None:
    bench.append(component("prometheus", DEPLOYING))
    bench.publish()
    bench.seconds += HOLD_SECONDS / 2
    bench.append(component("prometheus", READY), component("loki", DEPLOYING))
    bench.publish()
    assert bench.told == []
    bench.seconds += HOLD_SECONDS / 2
    bench.publish()
    assert bench.reasons == ["ComponentReady"]
    assert "prometheus 1.2.3 is ready; loki 1.2.3 is being deployed" in bench.told[0][1]
    bench.seconds += HOLD_SECONDS
    bench.publish()
    assert len(bench.told) == 1, "each news once"


def test_news_that_are_due_while_the_server_is_away_are_told_later(bench: Bench) -> None:
    bench.append(component("prometheus", READY))
    bench.publish()
    bench.seconds += HOLD_SECONDS
    bench.cluster.script = [DOWN]
    assert bench.publish() == "Unreachable"
    assert bench.told == []
    bench.seconds += 60
    bench.publish()
    assert bench.reasons == ["ComponentReady"]
