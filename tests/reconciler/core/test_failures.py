"""What each error category leads to, and how a platform gets out of it again."""

from typing import Any

import pytest

from eventstore import events as e
from eventstore.vocabulary import ComponentPhase, ErrorCategory, Phase
from reconciler.core.plan import open_requests
from reconciler.core.status import status
from tests.reconciler.core.story import MINIMAL, PAIR, Story

WITH_SECRET = {
    "components": {
        "loki": {"s3": {"bucket": "logs", "accessKeyId": {"secretKeyRef": {"name": "loki-s3", "key": "id"}}}}
    }
}


def condition(story: Story, kind: str) -> tuple[str, str]:
    found = {c["type"]: (c["status"], c["reason"]) for c in status(story.state)["conditions"]}
    return found.get(kind, ("", ""))


def installed(spec: dict[str, Any] | None = None, **policy: float) -> Story:
    story = Story(spec or MINIMAL, **policy)
    story.install()
    return story


# -- transient -----------------------------------------------------------------------------------------------------


def test_a_transient_error_is_retried_in_its_phase_five_times_after_the_first_try() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    waits = []
    for _ in range(5):
        story.fail(ErrorCategory.TRANSIENT, "Unreachable")
        assert story.is_in(Phase.INSTALLING)
        assert open_requests(story.state, story.now) == ()
        due = story.state.retry.due_at
        assert due is not None
        waits.append((due - story.now).total_seconds())
        story.wait(waits[-1])
    story.fail(ErrorCategory.TRANSIENT, "Unreachable")
    assert waits == [10, 20, 40, 80, 160]
    assert story.is_in(Phase.FAILED)
    assert len(story.all(e.RetriesExhausted)) == 1
    assert story.all(e.RetryScheduled)[-1].attempt == 5


@pytest.mark.parametrize(("asked", "waits"), [(3.0, 10.0), (45.0, 45.0)])
def test_a_server_that_asks_to_be_left_alone_is_left_alone_for_as_long(asked: float, waits: float) -> None:
    story = Story(MINIMAL)
    story.carry_out()
    request = open_requests(story.state, story.now)[0]
    assert request.ref is not None
    failed = e.ActionFailed(
        request=request.version,
        ref=request.ref,
        category=ErrorCategory.TRANSIENT,
        reason="TooManyRequests",
        message="busy",
        retry_after_seconds=asked,
    )
    story.see(failed)
    assert story.state.retry.due_at is not None
    assert (story.state.retry.due_at - story.now).total_seconds() == waits


def test_a_refused_permission_is_asked_for_again_soon_and_then_seldom() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    waits = []
    for _ in range(3):
        story.fail(ErrorCategory.RESOURCE, "PermissionDenied")
        assert story.state.retry.due_at is not None
        waits.append((story.state.retry.due_at - story.now).total_seconds())
        story.wait(waits[-1])
    assert waits == [30, 300, 300]


def test_a_retry_that_works_starts_the_counter_again() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.fail(ErrorCategory.TRANSIENT, "Timeout")
    story.wait(10)
    story.carry_out()
    assert story.state.retry == type(story.state.retry)()
    assert story.all(e.RetryReset)[-1].reason == "Recovered"
    story.install()
    assert story.is_in(Phase.READY)


def test_after_the_last_retry_a_slow_probe_goes_on_and_can_recover() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    for _ in range(6):
        story.fail(ErrorCategory.TRANSIENT, "Unreachable")
        story.wait(300)
    assert story.is_in(Phase.INSTALLING)
    assert story.transitions()[-1] == ("Failed", "Installing", "SlowProbe")
    story.fail(ErrorCategory.TRANSIENT, "Unreachable")
    assert story.is_in(Phase.FAILED)
    assert len(story.all(e.RetriesExhausted)) == 1, "the retries were spent once"
    story.wait(300)
    story.install()
    assert story.is_in(Phase.READY)
    assert not story.state.retry.exhausted


def test_the_counter_survives_nothing_but_is_folded_from_events() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.fail(ErrorCategory.TRANSIENT, "Unreachable")
    assert story.state.retry.attempt == 1
    assert story.see() == (), "a restart that folds the same events neither resets nor shortens the wait"


# -- configuration -------------------------------------------------------------------------------------------------


def test_a_refused_object_fails_at_once_and_is_not_retried() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.fail(ErrorCategory.CONFIGURATION, "Rejected", "spec.replicas: must be positive")
    assert story.is_in(Phase.FAILED)
    before = story.state.version
    story.wait(7 * 24 * 3600)
    assert story.state.version == before
    assert condition(story, "Stalled")[0] == "True"
    assert "must be positive" in status(story.state)["conditions"][0]["message"]


def test_a_new_generation_starts_a_configuration_failure_again_at_once() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.fail(ErrorCategory.CONFIGURATION, "Rejected")
    story.edit({"components": {"prometheus": {"retention": "3d"}}})
    assert story.transitions()[-1] == ("Failed", "Installing", "SpecFixed")
    story.install()
    assert story.is_in(Phase.READY)


def test_an_invalid_first_spec_fails_from_pending_and_recovers_when_mended() -> None:
    story = Story({"components": {}})
    assert story.transitions()[-1][:2] == ("Pending", "Failed")
    assert condition(story, "Ready")[0] == "False"
    story.edit(MINIMAL)
    story.install()
    assert story.is_in(Phase.READY)


def test_bad_then_good_ends_as_if_the_bad_spec_had_never_been() -> None:
    straight, detour = installed(PAIR), installed(PAIR)
    detour.edit({"components": {"prometheus": {"version": "0.0.1"}, "loki": {}}})
    detour.edit(PAIR)
    detour.install()
    assert {k: c.applied_digest for k, c in detour.state.objects.items()} == {
        k: c.applied_digest for k, c in straight.state.objects.items()
    }
    assert detour.is_in(Phase.READY)


# -- resource ------------------------------------------------------------------------------------------------------


def test_a_resource_error_changes_no_phase_and_waits_for_a_slow_poll() -> None:
    story = Story(MINIMAL)
    story.carry_out()
    story.fail(ErrorCategory.RESOURCE, "QuotaExceeded", "exceeds quota small")
    assert story.is_in(Phase.INSTALLING)
    assert condition(story, "Ready") == ("False", "QuotaExceeded")
    assert open_requests(story.state, story.now) == ()
    story.wait(299)
    assert open_requests(story.state, story.now) == ()
    story.wait(1)
    assert open_requests(story.state, story.now)


def test_a_change_of_the_blocking_quota_ends_the_waiting_at_once() -> None:
    story = Story(MINIMAL)
    quota = e.DependencyObserved(kind="ResourceQuota", name="q", found=True, limits={"count/services": ("0", "0")})
    story.carry_out()
    story.fail(ErrorCategory.RESOURCE, "QuotaExceeded", "exceeded quota: q")
    story.see(quota)
    assert open_requests(story.state, story.now) == ()
    story.see(e.DependencyObserved(kind="ResourceQuota", name="q", found=True, limits={"count/services": ("9", "0")}))
    assert open_requests(story.state, story.now)
    assert story.is_in(Phase.INSTALLING)


def test_a_quota_that_is_too_small_is_found_before_anything_is_written() -> None:
    story = Story()
    story.see(
        e.PolicyAdopted(policy=story.policy, operator_version="test"),
        *story.observed(MINIMAL),
        e.DependencyObserved(kind="ResourceQuota", name="q", found=True, limits={"pods": ("1", "1")}),
    )
    story.carry_out()
    assert story.is_in(Phase.PENDING)
    assert story.all(e.ApplyRequested) == []
    (missing,) = story.state.missing
    assert missing.reason == "QuotaExceeded"
    assert "1 of 1" in missing.message
    story.see(e.DependencyObserved(kind="ResourceQuota", name="q", found=True, limits={"pods": ("9", "1")}))
    story.install()
    assert story.is_in(Phase.READY)


# -- prerequisites -------------------------------------------------------------------------------------------------


def test_a_missing_secret_keeps_the_platform_pending_and_is_named() -> None:
    story = Story(WITH_SECRET)
    story.carry_out()
    assert story.is_in(Phase.PENDING)
    assert condition(story, "Ready") == ("False", "SecretMissing")
    assert "demo/loki-s3" in story.state.missing[0].message
    story.see(e.DependencyObserved(kind="Secret", name="loki-s3", found=True, keys={"other": "hmac"}))
    assert condition(story, "Ready") == ("False", "SecretKeyMissing")
    story.see(e.DependencyObserved(kind="Secret", name="loki-s3", found=True, keys={"id": "hmac"}))
    assert story.is_in(Phase.INSTALLING)


def test_a_secret_that_may_not_be_used_fails_until_it_is_changed() -> None:
    story = Story(WITH_SECRET)
    refused = e.DependencyObserved(
        kind="Secret", name="loki-s3", found=True, refused_reason="SecretNotGranted", refused="needs a label"
    )
    story.see(refused)
    assert story.is_in(Phase.FAILED)
    assert condition(story, "Ready") == ("False", "SecretNotGranted")
    story.wait(24 * 3600)
    assert story.is_in(Phase.FAILED)
    story.see(e.DependencyObserved(kind="Secret", name="loki-s3", found=True, keys={"id": "hmac"}))
    assert story.transitions()[-1] == ("Failed", "Installing", "DependencyChanged")
    story.install()
    assert story.is_in(Phase.READY)


# -- component -----------------------------------------------------------------------------------------------------


def test_a_crash_loop_fails_the_platform_after_the_grace_and_is_retried() -> None:
    story = installed(PAIR)
    story.broken("loki")
    assert story.is_in(Phase.READY)
    assert condition(story, "Degraded") == ("True", "ComponentNotReady")
    story.wait(30)
    assert story.is_in(Phase.FAILED)
    assert condition(story, "Available")[0] == "True", "prometheus still serves"
    assert "CrashLoopBackOff" in status(story.state)["conditions"][0]["message"]
    story.wait(10)
    assert story.transitions()[-1] == ("Failed", "Installing", "RetryDue")


def test_a_failed_component_that_heals_by_itself_is_ready_again_at_once() -> None:
    story = installed(PAIR)
    story.broken("loki")
    story.wait(30)
    story.healthy("loki")
    assert story.transitions()[-1] == ("Failed", "Installing", "Recovered")
    story.install()
    assert story.is_in(Phase.READY)
    assert len(story.all(e.LastKnownGoodRecorded)) == 1


def test_a_healthy_component_is_not_touched_because_another_failed() -> None:
    story = installed(PAIR)
    before = len(story.all(e.ApplyRequested))
    story.broken("loki")
    for _ in range(40):
        story.wait(60)
    assert [r for r in story.all(e.ApplyRequested)[before:] if r.component == "prometheus"] == []


def test_retries_of_a_component_run_out_and_then_a_slow_probe_goes_on() -> None:
    story = installed(MINIMAL)
    story.broken("prometheus")
    for _ in range(200):
        story.wait(10)
    assert [r.attempt for r in story.all(e.RetryScheduled)] == [1, 2, 3, 4, 5]
    assert len(story.all(e.RetriesExhausted)) == 1
    assert len(story.all(e.ProbeScheduled)) >= 2
    story.healthy("prometheus")
    story.install()
    assert story.is_in(Phase.READY)


def test_a_request_for_a_retry_is_acted_on_once() -> None:
    story = installed(MINIMAL)
    story.broken("prometheus")
    story.wait(30)
    story.see(e.RetryRequested(token="2026-11-23"))
    assert story.transitions()[-1] == ("Failed", "Installing", "RetryRequested")
    assert status(story.state)["lastHandledRetryAt"] == "2026-11-23"


def test_a_short_unreadiness_is_not_a_failure() -> None:
    story = installed(MINIMAL)
    story.see(story.sighted("prometheus", ready_replicas=0))
    story.wait(29)
    story.healthy("prometheus")
    story.wait(3600)
    assert story.is_in(Phase.READY)
    assert len(story.transitions()) == 3


def test_a_component_that_never_becomes_ready_misses_its_deadline() -> None:
    story = Story(MINIMAL, progress_deadline_seconds=900)
    story.carry_out()
    story.carry_out()
    story.see(story.sighted("prometheus", ready_replicas=0, rolled_out=False))
    story.wait(899)
    assert story.is_in(Phase.INSTALLING)
    story.wait(1)
    assert story.is_in(Phase.FAILED)
    assert story.state.components["prometheus"].phase is ComponentPhase.FAILED
    assert story.state.components["prometheus"].reason == "ProgressDeadlineExceeded"


@pytest.mark.parametrize("category", list(ErrorCategory))
def test_every_category_is_left_for_good_once_the_cause_is_gone(category: ErrorCategory) -> None:
    story = Story(MINIMAL)
    story.carry_out()
    if category is ErrorCategory.COMPONENT:
        story.carry_out()
        story.broken("prometheus")
        story.wait(30)
    else:
        story.fail(category, "Reason")
    story.see(e.RetryRequested(token="please"))
    story.install()
    assert story.is_in(Phase.READY)
