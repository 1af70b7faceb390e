"""The metrics by the names that dashboards and alerts know."""

import threading
import time

from prometheus_client.parser import text_string_to_metric_families

from eventstore.vocabulary import ComponentPhase, ErrorCategory, Phase, Trigger
from reconciler.shell.metrics import REASONS_MAX, Metrics
from reconciler.shell.work_queue import WorkQueue


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def value(metrics: Metrics, metric: str, /, **labels: str) -> float | None:
    wanted = {key.rstrip("_"): text for key, text in labels.items()}
    return samples(metrics).get((metric, frozenset(wanted.items())))


def names(metrics: Metrics) -> set[str]:
    return {name for name, _ in samples(metrics)}


def test_the_state_machines_four_metrics_have_exactly_their_names() -> None:
    metrics = Metrics()
    metrics.transition("obs", "prod", None, Phase.PENDING, Trigger.CREATE)
    metrics.transition("obs", "prod", Phase.PENDING, Phase.INSTALLING, Trigger.VALIDATED)
    metrics.reconciled(0.2, "success")
    metrics.component_phase("obs", "prod", "loki", ComponentPhase.READY)
    metrics.error(ErrorCategory.RESOURCE, "QuotaExceeded")
    place = {"namespace": "obs", "name": "prod"}
    assert (
        value(
            metrics,
            "observability_platform_state_transitions_total",
            **place,
            from_="Pending",
            to="Installing",
            trigger="Validated",
        )
        == 1
    )
    assert value(metrics, "observability_platform_reconciliation_duration_seconds_count") == 1
    status = "observability_platform_component_status"
    assert value(metrics, status, **place, component="loki", phase="Ready") == 1
    assert value(metrics, status, **place, component="loki", phase="Failed") == 0
    assert value(metrics, "observability_platform_errors_total", category="resource", reason="QuotaExceeded") == 1


def test_a_component_is_in_one_phase_at_a_time() -> None:
    metrics = Metrics()
    for phase in (ComponentPhase.INSTALLING, ComponentPhase.READY):
        metrics.component_phase("obs", "prod", "loki", phase)
    found = {
        dict(labels)["phase"]: number
        for (name, labels), number in samples(metrics).items()
        if name == "observability_platform_component_status"
    }
    assert found == {"Pending": 0, "Installing": 0, "Ready": 1, "Failed": 0, "Upgrading": 0}


def test_the_series_of_a_deleted_platform_are_gone_and_others_stay() -> None:
    metrics = Metrics()
    for name in ("prod", "stage"):
        metrics.transition("obs", name, None, Phase.PENDING, Trigger.CREATE)
        metrics.component_phase("obs", name, "loki", ComponentPhase.READY)
    metrics.component_phase("obs", "stage", "loki", None)
    metrics.forget_platform("obs", "prod")
    page = metrics.render().decode()
    assert 'name="prod"' not in page
    assert 'name="stage"' in page
    assert 'component="loki"' not in page


def test_words_that_are_not_ours_and_too_many_reasons_count_as_other() -> None:
    metrics = Metrics()
    metrics.error(ErrorCategory.TRANSIENT, 'evil"} 1\n# HELP')
    for number in range(REASONS_MAX + 50):
        metrics.error(ErrorCategory.TRANSIENT, f"Reason{number}")
    found = [labels for name, labels in samples(metrics) if name == "observability_platform_errors_total"]
    assert len(found) <= REASONS_MAX + 1
    assert "evil" not in metrics.render().decode()


def test_queue_reconcile_and_client_metrics_are_named_and_labelled_as_controller_runtime_does() -> None:
    metrics = Metrics(api_host="10.0.0.1:443")
    queue = WorkQueue[str](time.monotonic, metrics)
    metrics.follow_queue(queue)
    metrics.set_workers(1, 4)
    metrics.reconciled(0.1, "error")
    metrics.request("PATCH", "409", 0.01)
    queue.add("a")
    queue.add("b")
    queue.get(0)
    queue.retry("a")
    labels = {"name": "observabilityplatform", "controller": "observabilityplatform"}
    assert value(metrics, "workqueue_depth", **labels) == 1
    assert value(metrics, "workqueue_adds_total", **labels) == 2
    assert value(metrics, "workqueue_retries_total", **labels) == 1
    assert value(metrics, "workqueue_queue_duration_seconds_count", **labels) == 1
    assert (value(metrics, "workqueue_unfinished_work_seconds", **labels) or 0) > 0
    assert (value(metrics, "workqueue_longest_running_processor_seconds", **labels) or 0) > 0
    controller = {"controller": "observabilityplatform"}
    assert value(metrics, "controller_runtime_reconcile_total", **controller, result="error") == 1
    assert value(metrics, "controller_runtime_reconcile_total", **controller, result="requeue_after") == 0
    assert value(metrics, "controller_runtime_reconcile_errors_total", **controller) == 1
    assert value(metrics, "controller_runtime_max_concurrent_reconciles", **controller) == 4
    host = "10.0.0.1:443"
    assert value(metrics, "rest_client_requests_total", code="409", method="PATCH", host=host) == 1
    assert "workqueue_work_duration_seconds_bucket" in names(metrics)
    assert "controller_runtime_reconcile_time_seconds_bucket" in names(metrics)
    assert "controller_runtime_active_workers" in names(metrics)
    assert "rest_client_request_duration_seconds_bucket" in names(metrics)


def test_every_observer_method_is_counted() -> None:
    metrics = Metrics(version="1.2.3")
    metrics.watch_stalled("Pod")
    metrics.watch_relisted("Pod", "expired")
    metrics.watch_thread_restarted("Pod")
    metrics.appended(0.001, 3)
    metrics.append_failed("conflict")
    metrics.set_projection_lag("components", 7)
    metrics.set_lease_epoch(4)
    metrics.set_platforms({"Ready": 2})
    metrics.tick(1.5)
    assert value(metrics, "stackledger_watch_stalled_total", kind="Pod") == 1
    assert value(metrics, "stackledger_watch_lists_total", kind="Pod", reason="expired") == 1
    assert value(metrics, "stackledger_ledger_events_appended_total") == 3
    assert value(metrics, "stackledger_projection_lag_events", projection="components") == 7
    assert value(metrics, "stackledger_lease_epoch") == 4
    assert value(metrics, "observability_platform_platforms", phase="Ready") == 2
    assert value(metrics, "stackledger_build_info", version="1.2.3") == 1
    metrics.set_lease_epoch(None)
    assert value(metrics, "stackledger_lease_epoch") == 0


def test_two_operators_in_one_process_do_not_share_metrics() -> None:
    first, second = Metrics(), Metrics()
    first.reconciled(0.1, "success")
    assert value(second, "observability_platform_reconciliation_duration_seconds_count") == 0


def test_a_page_can_be_read_while_threads_count() -> None:
    metrics, stop = Metrics(), threading.Event()

    def count() -> None:
        number = 0
        while not stop.is_set():
            metrics.transition("obs", f"p{number % 50}", None, Phase.PENDING, Trigger.CREATE)
            metrics.forget_platform("obs", f"p{(number + 25) % 50}")
            number += 1

    workers = [threading.Thread(target=count) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(20):
        metrics.render()
    stop.set()
    for worker in workers:
        worker.join(5)
