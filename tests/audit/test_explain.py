"""Why: the deepest failing fact first."""

import pytest

from audit.errors import NotFoundError
from audit.explain import USER_UNKNOWN, explain
from eventstore import events as e
from eventstore.envelope import RecordedEvent
from eventstore.memory import InMemoryEventLog
from eventstore.vocabulary import ComponentName, ErrorCategory, Phase, Trigger
from tests.audit.recording import GRAFANA, PROD, at, phase, record_prod, record_small, seen


def test_a_failed_upgrade_leads_back_to_the_pod_and_to_whoever_asked_for_it(events: list[RecordedEvent]) -> None:
    found = explain(events, 26)
    assert found.sequence == 24
    assert "became Failed at seq 24" in found.headline
    assert found.root_cause is not None
    assert (found.root_cause.sequence, found.root_cause.subject) == (22, "Pod/prod-grafana-0")
    assert found.root_cause.message == "grafana/grafana:99.0.0: manifest unknown"
    assert [link.last_sequence for link in found.chain] == [24, 23, 22, 17, 15]
    assert found.chain[-1].text.endswith(f"manager argocd-controller, {USER_UNKNOWN}")
    assert found.kept_running == "grafana 10.2.0 (last known good: seq 14)"
    assert found.fix == "set spec.components.grafana.version (or image) to a tag that exists"


def test_a_ready_platform_has_nothing_wrong(events: list[RecordedEvent]) -> None:
    found = explain(events, 14)
    assert "became Ready at seq 13" in found.headline
    assert found.root_cause is None
    assert found.fix == ""


def test_a_component_is_explained_by_its_own_phase(events: list[RecordedEvent]) -> None:
    assert "prod's grafana became Failed at seq 23" in explain(events, 26, "grafana").headline


def test_the_first_sight_of_a_lasting_problem_is_the_root() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    again = e.Problem(reason="ImagePullBackOff", message="still", subject="Pod/prod-grafana-0")
    prod.record("10:22:00", seen(0, "10.2.0", again))
    found = explain(log.read_stream(PROD), 27)
    assert found.root_cause is not None
    assert found.root_cause.sequence == 22


def test_a_missing_prerequisite_is_named_with_what_mends_it() -> None:
    log = InMemoryEventLog()
    small = record_small(log, PROD, name="prod", namespace="obs")
    finding = e.Finding(
        reason="SecretMissing", message="secret obs/loki-s3 not found; create it", subject="Secret/loki-s3"
    )
    small.record("08:00:01", e.PrerequisiteMissing(findings=(finding,)))
    found = explain(log.read_stream(PROD), 3)
    assert "waits for Secret/loki-s3" in found.headline
    assert found.root_cause is not None
    assert found.root_cause.message == finding.message
    assert found.fix == "provide Secret/loki-s3; it goes on by itself"


def test_repeated_attempts_are_one_link_with_their_waits() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    for index, clock in enumerate(("10:30:00", "10:31:00", "10:32:00")):
        prod.record(
            clock,
            e.RetryScheduled(
                attempt=index + 2, due_at=at("10:33:00"), category=ErrorCategory.COMPONENT, reason="X", message="m"
            ),
        )
    prod.record("10:34:00", phase(Phase.FAILED, Phase.INSTALLING, Trigger.RETRY_FIX, "RetryDue", "retry 4 of 5", 2))
    chain = explain(log.read_stream(PROD), 30).chain
    retries = chain[1]
    assert (retries.first_sequence, retries.last_sequence, retries.count) == (25, 29, 4)
    assert "waits 10s 180s 120s 60s" in retries.text


def test_a_refused_action_is_a_root_cause() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    refused = e.ActionFailed(
        request=9, ref=GRAFANA, category=ErrorCategory.RESOURCE, reason="QuotaExceeded", message="cpu 4 of 4 used"
    )
    prod.record("11:00:00", e.ComponentRemoved(component=ComponentName.GRAFANA))
    prod.record("11:00:01", refused)
    found = explain(log.read_stream(PROD), 28)
    assert found.root_cause is not None
    assert found.root_cause.reason == "QuotaExceeded"


def test_before_the_first_phase_there_is_nothing_to_explain(events: list[RecordedEvent]) -> None:
    with pytest.raises(NotFoundError, match="no phase yet"):
        explain(events, 2)


def test_while_a_retry_runs_what_failed_before_is_still_the_cause() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    prod.record("10:31:00", seen(0, "10.2.0"))
    prod.record("10:32:00", phase(Phase.FAILED, Phase.INSTALLING, Trigger.RETRY_FIX, "RetryDue", "retry 1 of 5", 2))
    found = explain(log.read_stream(PROD), 28)
    assert "became Installing at seq 28" in found.headline
    assert found.root_cause is not None
    assert (found.root_cause.sequence, found.root_cause.subject) == (23, "grafana")


def test_attempts_that_failed_again_do_not_lengthen_the_story() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    for minute in (31, 32, 33):
        prod.record(
            f"10:{minute}:00",
            phase(Phase.FAILED, Phase.INSTALLING, Trigger.RETRY_FIX, "RetryDue", "again", 2),
            phase(Phase.INSTALLING, Phase.FAILED, Trigger.DEPLOYMENT_ERROR, "ImagePullBackOff", "still", 2),
        )
    assert [link.last_sequence for link in explain(log.read_stream(PROD), 32).chain] == [32, 25, 24, 23, 22, 17, 15]


def test_the_story_begins_where_all_was_well() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    failed = prod.record("10:31:00", phase(Phase.FAILED, Phase.INSTALLING, Trigger.RETRY_FIX, "Recovered", "well", 2))
    prod.record("10:32:00", phase(Phase.INSTALLING, Phase.READY, Trigger.ALL_COMPONENTS_READY, "AllReady", "well", 2))
    prod.record("10:33:00", phase(Phase.READY, Phase.FAILED, Trigger.HEALTH_CHECK_FAILED, "CrashLoop", "exit 1", 2))
    assert [link.last_sequence for link in explain(log.read_stream(PROD), failed + 2).chain] == [failed + 2, failed + 1]
