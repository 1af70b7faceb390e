"""What workload and pods say about a component, and that the same trouble always reads the same."""

from typing import Any

import pytest

from components.health import component_observation
from eventstore.events import ComponentObserved
from eventstore.vocabulary import ComponentName

LOKI = ComponentName.LOKI


def workload(replicas: int = 1, generation: int = 2, **status: Any) -> dict[str, Any]:
    full = {"observedGeneration": 2, "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas}
    return {
        "kind": "StatefulSet",
        "metadata": {"name": "prod-loki", "generation": generation},
        "spec": {"replicas": replicas},
        "status": full | status,
    }


def pod(
    name: str = "prod-loki-0", *, image: str = "grafana/loki:3.7.6", ready: bool = True, **container: Any
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"app.kubernetes.io/version": "3.7.6"}},
        "spec": {"containers": [{"name": "loki", "image": image}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [{"name": "loki", "image": image, "ready": ready} | container],
        },
    }


def observe(found: dict[str, Any] | None, *pods: dict[str, Any]) -> ComponentObserved:
    return component_observation(LOKI, found, list(pods))


def test_a_workload_that_does_not_exist_has_nothing() -> None:
    seen = observe(None)
    assert (seen.desired_replicas, seen.ready_replicas, seen.rolled_out, seen.running_version) == (0, 0, False, "")


def test_a_finished_rollout_is_rolled_out_and_says_its_version() -> None:
    seen = observe(workload(), pod())
    assert (seen.desired_replicas, seen.ready_replicas, seen.updated_replicas) == (1, 1, 1)
    assert seen.rolled_out
    assert seen.running_version == "3.7.6"
    assert seen.problems == ()


@pytest.mark.parametrize(
    "found",
    [
        workload(generation=3),
        workload(replicas=3, updatedReplicas=2),
        workload(updatedReplicas=0),
        {**workload(), "status": {}},
        {"metadata": {"generation": 1}, "spec": {}},
    ],
    ids=["controller-has-not-seen-it", "one-replica-is-old", "none-is-new", "no-status", "new-object"],
)
def test_an_unfinished_rollout_is_not_rolled_out(found: dict[str, Any]) -> None:
    assert not observe(found, pod()).rolled_out


def test_surplus_replicas_and_pods_that_still_end_are_an_unfinished_rollout() -> None:
    more = workload()
    more["status"]["replicas"] = 2
    assert not observe(more, pod()).rolled_out
    ending = pod()
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not observe(workload(), ending).rolled_out


def test_a_stateful_set_that_no_longer_counts_updated_replicas_is_rolled_out_when_its_revisions_agree() -> None:
    found = workload(updatedReplicas=0, currentReplicas=1, currentRevision="r1", updateRevision="r1")
    assert observe(found, pod()).rolled_out


def test_the_version_is_that_of_ready_pods_only() -> None:
    assert observe(workload(), pod(ready=False)).running_version == ""
    old, new = pod("prod-loki-0", image="grafana/loki:3.6.0"), pod("prod-loki-1")
    assert observe(workload(2), new, old).running_version == "3.6.0"


def test_a_tag_that_tells_nothing_leaves_it_to_the_label() -> None:
    assert observe(workload(), pod(image="mirror/loki@sha256:" + "0" * 64)).running_version == "3.7.6"


WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s restarting failed container=loki"}}
LAST = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z", "message": "secret!"}}
#: One crash loop, as it looks from moment to moment.
CRASHING: list[dict[str, Any]] = [
    {"state": WAITING, "lastState": LAST, "restartCount": 7},
    {"state": WAITING, "lastState": LAST, "restartCount": 8},
    {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}, "lastState": LAST},
    {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, "lastState": LAST, "restartCount": 9},
    {"state": LAST, "lastState": LAST, "restartCount": 9},
]


def test_a_crash_loop_reads_the_same_at_every_moment() -> None:
    seen = {repr(observe(workload(readyReplicas=0), pod(ready=False, **moment))) for moment in CRASHING}
    assert len(seen) == 1


def test_a_crash_loop_is_named_with_its_exit_code_and_without_the_last_words_of_the_container() -> None:
    (problem,) = observe(workload(readyReplicas=0), pod(ready=False, **CRASHING[0])).problems
    assert (problem.reason, problem.subject) == ("CrashLoopBackOff", "Pod/prod-loki-0")
    assert "exit code 1" in problem.message
    assert "secret" not in problem.message


def test_a_failing_pull_reads_the_same_while_it_is_tried_and_while_it_waits() -> None:
    seen = {
        observe(
            workload(readyReplicas=0), pod(ready=False, state={"waiting": {"reason": reason, "message": message}})
        ).problems
        for reason, message in (
            ("ErrImagePull", 'rpc error: code = NotFound desc = failed to pull "x"'),
            ("ImagePullBackOff", 'Back-off pulling image "x"'),
        )
    }
    (problems,) = seen
    assert problems[0].reason == "ImagePullBackOff"
    assert "grafana/loki:3.7.6" in problems[0].message


def test_running_out_of_memory_is_said_while_it_lasts_and_forgotten_after() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    (problem,) = observe(workload(readyReplicas=0), pod(ready=False, state=waiting, lastState=killed)).problems
    assert problem.reason == "OOMKilled"
    assert observe(workload(), pod(state={"running": {}}, lastState=killed)).problems == ()


def test_a_missing_secret_key_is_told_in_the_kubelets_words() -> None:
    waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}
    (problem,) = observe(workload(readyReplicas=0), pod(ready=False, state=waiting)).problems
    assert (problem.reason, problem.message) == ("CreateContainerConfigError", 'secret "x" not found')


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_normal_start_is_no_problem(reason: str) -> None:
    assert observe(workload(readyReplicas=0), pod(ready=False, state={"waiting": {"reason": reason}})).problems == ()


def test_a_pod_that_fits_no_node_is_unschedulable_whatever_the_number_of_nodes() -> None:
    def unschedulable(message: str) -> ComponentObserved:
        found = pod(ready=False)
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        found["status"] = {"phase": "Pending", "conditions": [condition]}
        return observe(workload(readyReplicas=0), found)

    first = unschedulable("0/3 nodes are available: 3 Insufficient memory.")
    assert first.problems[0].reason == "Unschedulable"
    assert "Insufficient memory" in first.problems[0].message
    assert first == unschedulable("0/5 nodes are available: 5 Insufficient memory.")


def test_quota_that_stops_pods_is_seen_on_the_workload() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota: q"}
    (problem,) = observe(workload(readyReplicas=0, conditions=[condition])).problems
    assert (problem.reason, problem.subject) == ("FailedCreate", "StatefulSet/prod-loki")


def test_messages_are_one_short_line_without_control_characters() -> None:
    waiting = {"waiting": {"reason": "CreateContainerError", "message": "a\n\x1b[31m" + "b" * 1000}}
    (problem,) = observe(workload(), pod(ready=False, state=waiting)).problems
    assert len(problem.message) <= 256
    assert problem.message.isprintable()


def test_the_order_of_pods_and_the_pods_that_are_leaving_do_not_matter() -> None:
    bad = [pod(f"prod-loki-{n}", ready=False, **CRASHING[0]) for n in range(3)]
    leaving = pod("prod-loki-9", ready=False, **CRASHING[0])
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    first = observe(workload(3), *bad)
    assert first.problems == observe(workload(3), *reversed(bad), leaving).problems
    assert len(first.problems) == 3


@pytest.mark.parametrize("odd", [{}, {"status": None, "spec": None, "metadata": None}])
def test_half_empty_objects_are_looked_at_without_harm(odd: dict[str, Any]) -> None:
    assert observe(odd, odd).ready_replicas == 0
