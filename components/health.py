"""Raw workload and pods -> `ComponentObserved`. Pure, and stable: the same trouble always gives the same value.

Nothing that counts up or ticks (restarts, back-off times, node counts) gets in, and a container that crashes reads the
same while it runs, ends and waits: anything else would make new events for as long as the loop goes on.
"""

import re
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from components.objects import LABEL_VERSION
from components.registry import running_version
from eventstore.events import ComponentObserved, Problem
from eventstore.vocabulary import ComponentName

KubernetesObject = dict[str, Any]

#: What a container waits for in the normal course of a start.
_NORMAL_WAITING = frozenset({"", "ContainerCreating", "PodInitializing"})
#: The kubelet alternates between these for as long as a pull fails.
_PULL_FAILING = frozenset({"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"})
_MESSAGE_LENGTH_MAX = 256
_PROBLEMS_MAX = 16
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
#: `back-off 2m40s restarting failed container=loki pod=prod-loki-0_ns(uid)`: the time grows with every attempt.
_TICKING = re.compile(r"\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?s\b")
_UID = re.compile(r"\([0-9a-f]{8}-[0-9a-f-]{27}\)")
#: Node counts change as the cluster scales; the reason after them does not.
_NODE_COUNT = re.compile(r"\b\d+(?:/\d+)? (?=nodes? |Insufficient |node\(s\))")


def component_observation(
    component: ComponentName, workload: KubernetesObject | None, pods: list[KubernetesObject]
) -> ComponentObserved:
    """What the workload and its pods say about the component; `workload` is None if it does not exist.

    Pods that are being deleted count as running the old template, so a rollout ends only when they are gone.
    """
    if workload is None:
        return ComponentObserved(
            component=component, desired_replicas=0, ready_replicas=0, updated_replicas=0, rolled_out=False
        )
    status = workload.get("status") or {}
    desired = _desired_replicas(workload)
    ready, updated = _count(status, "readyReplicas"), _updated_replicas(status)
    return ComponentObserved(
        component=component,
        desired_replicas=desired,
        ready_replicas=ready,
        updated_replicas=updated,
        rolled_out=_is_rolled_out(workload, status, desired, updated, pods),
        running_version=_running_version(component, pods),
        problems=_problems(workload, pods),
    )


def _desired_replicas(workload: KubernetesObject) -> int:
    replicas = (workload.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def _count(status: KubernetesObject, name: str) -> int:
    return int(status.get(name) or 0)


def _updated_replicas(status: KubernetesObject) -> int:
    """A StatefulSet that has finished an update drops `updatedReplicas` and makes both revisions equal."""
    updated = _count(status, "updatedReplicas")
    revision = status.get("updateRevision")
    if not updated and revision and revision == status.get("currentRevision"):
        return _count(status, "currentReplicas")
    return updated


def _is_rolled_out(
    workload: KubernetesObject, status: KubernetesObject, desired: int, updated: int, pods: list[KubernetesObject]
) -> bool:
    generation = int((workload.get("metadata") or {}).get("generation") or 0)
    if int(status.get("observedGeneration") or 0) < generation:
        return False
    if updated != desired or _count(status, "replicas") != desired:
        return False
    return not any(_is_deleting(pod) for pod in pods)


def _is_deleting(pod: KubernetesObject) -> bool:
    return bool((pod.get("metadata") or {}).get("deletionTimestamp"))


def _is_ready(pod: KubernetesObject) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _running_version(component: ComponentName, pods: list[KubernetesObject]) -> str:
    """Version of the first ready pod: during a rollout the same pod always answers, so that it does not flap."""
    for pod in sorted(pods, key=_pod_name):
        if _is_ready(pod) and not _is_deleting(pod):
            return _pod_version(component, pod)
    return ""


def _pod_version(component: ComponentName, pod: KubernetesObject) -> str:
    """By the image's tag; by the label that the template carries, where the tag says nothing (a user's own image)."""
    declared = ((pod.get("metadata") or {}).get("labels") or {}).get(LABEL_VERSION) or ""
    for container in (pod.get("spec") or {}).get("containers") or []:
        if container.get("name") == component.value:
            return running_version(component, str(container.get("image") or "")) or str(declared)
    return str(declared)


def _pod_name(pod: KubernetesObject) -> str:
    return str((pod.get("metadata") or {}).get("name") or "")


def _problems(workload: KubernetesObject, pods: list[KubernetesObject]) -> tuple[Problem, ...]:
    found = list(_workload_problems(workload))
    for pod in pods:
        if not _is_deleting(pod):
            found.extend(_pod_problems(pod, _storage_classes(workload)))
    unique = {(p.subject, p.reason, p.message): p for p in found}
    return tuple(unique[key] for key in sorted(unique))[:_PROBLEMS_MAX]


def _workload_problems(workload: KubernetesObject) -> Iterator[Problem]:
    kind, name = workload.get("kind") or "Workload", (workload.get("metadata") or {}).get("name") or ""
    for condition in (workload.get("status") or {}).get("conditions") or []:
        failing = condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
        stuck = condition.get("reason") == "ProgressDeadlineExceeded" and condition.get("status") == "False"
        if failing or stuck:
            yield _problem(condition, f"{kind}/{name}")


def _storage_classes(workload: KubernetesObject) -> str:
    """Names of the StorageClasses that a workload's volumes ask for; "" where they take the default."""
    templates = (workload.get("spec") or {}).get("volumeClaimTemplates") or []
    return ", ".join(sorted({str((claim.get("spec") or {}).get("storageClassName") or "") for claim in templates}))


def _pod_problems(pod: KubernetesObject, storage_classes: str) -> Iterator[Problem]:
    subject, status = f"Pod/{_pod_name(pod)}", pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            problem = _problem(condition, subject, default="Unschedulable")
            if storage_classes and "unbound" in problem.message and "PersistentVolumeClaim" in problem.message:
                # The operator may not read StorageClasses: it can only name the one that was asked for.
                advice = f"; is there a StorageClass {storage_classes}, and does it provision volumes?"
                problem = replace(problem, message=(problem.message.rstrip(". ")[:100] + advice)[:_MESSAGE_LENGTH_MAX])
            yield problem
    if status.get("phase") == "Failed":
        yield _problem(status, subject, default="PodFailed")
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        yield from _container_problems(container, subject)


def _container_problems(container: KubernetesObject, subject: str) -> Iterator[Problem]:
    """One problem per container and cause, the same through all states of a crash loop or a failing pull."""
    state = container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    last = (container.get("lastState") or {}).get("terminated") or {}
    reason = str(waiting.get("reason") or "")
    crash = ended or ({} if container.get("ready") else last)
    if reason in _PULL_FAILING:
        message = f"the image {container.get('image') or ''} cannot be pulled"
        yield Problem(reason="ImagePullBackOff", message=_stable_text(message), subject=subject)
    elif reason == "CrashLoopBackOff" or _exit_code(crash) != 0:
        yield _crash_problem(container, crash or last, subject)
    elif reason not in _NORMAL_WAITING:
        yield _problem(waiting, subject)


def _exit_code(ended: KubernetesObject) -> int:
    return int(ended.get("exitCode") or 0)


def _crash_problem(container: KubernetesObject, ended: KubernetesObject, subject: str) -> Problem:
    # The container's own last words (`terminated.message`) may hold secrets: only its exit code is kept.
    if ended.get("reason") == "OOMKilled":
        return Problem(reason="OOMKilled", message="the container used more memory than its limit", subject=subject)
    code = f" with exit code {_exit_code(ended)}" if ended else ""
    message = _stable_text(f"container {container.get('name') or ''} keeps ending{code}")
    return Problem(reason="CrashLoopBackOff", message=message, subject=subject)


def _problem(source: KubernetesObject, subject: str, default: str = "Unknown") -> Problem:
    return Problem(
        reason=str(source.get("reason") or default)[:64],
        message=_stable_text(str(source.get("message") or "")),
        subject=subject[:_MESSAGE_LENGTH_MAX],
    )


def _stable_text(message: str) -> str:
    """The message on one line, without what changes from one look to the next, cut to 256 characters."""
    text = _CONTROL.sub(" ", message)
    for pattern, replacement in ((_UID, ""), (_TICKING, "some time"), (_NODE_COUNT, "")):
        text = pattern.sub(replacement, text)
    return " ".join(text.split())[:_MESSAGE_LENGTH_MAX]
