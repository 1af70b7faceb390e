"""What monitoring sees: the documented metrics, liveness by heartbeat, readiness by what is needed to act."""

import json
import urllib.error
import urllib.request

import pytest

from tests.operator.stage import NAMESPACE, Stage

MINIMAL = {"components": {"prometheus": {"enabled": True}}}


def fetch(stage: Stage, page: str) -> tuple[int, str]:
    """(status, body) of a page of the only operator."""
    port = stage.operators[0].ports[0]
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{page}", timeout=10) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sample(page: str, metric: str, /, **labels: str) -> float:
    """The value of the one sample that has these labels."""
    found = [
        line
        for line in page.splitlines()
        if line.startswith(metric + "{") and all(f'{key}="{value}"' in line for key, value in labels.items())
    ]
    assert len(found) == 1, (metric, labels, found)
    return float(found[0].rpartition(" ")[2])


@pytest.fixture
def observed(stage: Stage) -> Stage:
    """An operator whose pages are all served at one address."""
    stage.operate(metrics_bind="127.0.0.1:0", health_bind="127.0.0.1:0")
    return stage


def test_the_four_metrics_of_the_state_machine_count_what_happened(observed: Stage) -> None:
    observed.install(MINIMAL)
    where = {"namespace": NAMESPACE, "name": "prod"}
    page = fetch(observed, "/metrics")[1]
    transitions = "observability_platform_state_transitions_total"
    assert sample(page, transitions, **where, **{"from": "", "to": "Pending"}) == 1
    assert sample(page, transitions, **where, **{"from": "Installing", "to": "Ready"}) == 1
    component = "observability_platform_component_status"
    assert sample(page, component, **where, component="prometheus", phase="Ready") == 1
    assert sample(page, component, **where, component="prometheus", phase="Failed") == 0
    assert "observability_platform_reconciliation_duration_seconds_count" in page
    observed.apply({"components": {"prometheus": {"version": "0.0.1"}}})
    observed.wait("Failed", lambda: observed.status().get("phase") == "Failed")
    page = fetch(observed, "/metrics")[1]
    errors = "observability_platform_errors_total"
    assert sample(page, errors, category="configuration", reason="UnsupportedVersion") >= 1


def test_queue_and_client_metrics_have_the_names_dashboards_know(observed: Stage) -> None:
    observed.install(MINIMAL)
    page = fetch(observed, "/metrics")[1]
    assert sample(page, "workqueue_adds_total", name="observabilityplatform") > 0
    assert sample(page, "controller_runtime_reconcile_total", result="error") == 0
    assert sample(page, "rest_client_requests_total", code="200", method="PATCH") > 0


def test_the_series_of_a_deleted_platform_go_with_it(observed: Stage) -> None:
    uid = observed.install(MINIMAL)
    observed.remove()
    observed.wait("closed", lambda: observed.log.load_state(uid).record.closed)  # type: ignore[union-attr]  # it is there
    observed.wait("forgotten", lambda: 'name="prod"' not in fetch(observed, "/metrics")[1])


def test_a_healthy_replica_is_live_and_ready_and_says_which_checks_it_made(observed: Stage) -> None:
    assert fetch(observed, "/healthz")[0] == 200
    observed.wait("ready", lambda: fetch(observed, "/readyz")[0] == 200)
    body = fetch(observed, "/readyz")[1]
    assert {"store", "watches", "lease"} <= set(json.loads(body)["checks"])


def test_an_api_server_that_cannot_be_reached_turns_readiness_red_but_not_liveness(observed: Stage) -> None:
    observed.sandbox.faults.inject(503, remaining=None)
    observed.sandbox.faults.drop_watches()
    observed.wait("not ready", lambda: fetch(observed, "/readyz")[0] == 503)
    assert fetch(observed, "/healthz")[0] == 200
    observed.sandbox.faults.clear()
    observed.wait("ready again", lambda: fetch(observed, "/readyz")[0] == 200)


def test_a_replica_that_takes_over_shows_what_it_did_not_change(observed: Stage) -> None:
    observed.install(MINIMAL)
    assert "stackledger_ledger_events_appended_total 0.0" not in fetch(observed, "/metrics")[1]
    observed.stop(observed.operators[0])
    observed.operate(metrics_bind="127.0.0.1:0", health_bind="127.0.0.1:0")
    observed.wait("taken over", lambda: observed.operators[0].epoch() is not None)
    observed.wait("shown", lambda: 'component="prometheus"' in fetch(observed, "/metrics")[1])
    page = fetch(observed, "/metrics")[1]
    where = {"namespace": NAMESPACE, "name": "prod", "component": "prometheus"}
    assert sample(page, "observability_platform_component_status", **where, phase="Ready") == 1
    assert sample(page, "observability_platform_platforms", phase="Ready") == 1
