"""Pods: scheduled, pulled, started, failing on demand, stopped. No container runs."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from sandbox.kinds import GroupKind
from sandbox.values import Object, dig, timestamp

if TYPE_CHECKING:
    from sandbox.world import World

_NODE = "sandbox"


class Verdict(NamedTuple):
    """How a pod fares. `reason` is "" for one that is well, `hang` for one that runs and never gets ready."""

    reason: str = ""
    message: str = ""
    #: How it ended, if it started and died rather than never starting: `Error`, `OOMKilled`.
    crashed: str = ""


_WELL = Verdict()


class Kubelet:
    """Moves pods along; remembers since when each was able to start."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._since: dict[str, datetime] = {}
        self._stopping: dict[str, datetime] = {}
        self._address = 0

    def step(self, now: datetime) -> None:
        """Look at every pod."""
        pods = self._world.items("", "pods")
        for pod in pods:
            if pod["metadata"].get("deletionTimestamp"):
                self._stop(pod, now)
            else:
                self._run(pod, now)
        if len(self._since) > 2 * len(pods) + 100:
            living = {pod["metadata"]["uid"] for pod in pods}
            self._since = {uid: since for uid, since in self._since.items() if uid in living}
            self._stopping = {uid: since for uid, since in self._stopping.items() if uid in living}

    def _stop(self, pod: Object, now: datetime) -> None:
        meta = pod["metadata"]
        since = self._stopping.setdefault(meta["uid"], now)
        grace = min(meta.get("deletionGracePeriodSeconds") or 0, self._world.settings.stop_delay_seconds)
        ends = since + timedelta(seconds=grace)
        if now < ends:
            self._world.wake_at(ends)
        elif meta.get("deletionGracePeriodSeconds"):
            marked = {**pod, "metadata": {**meta, "deletionGracePeriodSeconds": 0}}
            self._world.model.commit(self._world.kind("", "pods"), pod, marked)

    def _run(self, pod: Object, now: datetime) -> None:
        kind = self._world.kind("", "pods")
        verdict = self._verdict(pod)
        if verdict.reason == "Unschedulable":
            self._since.pop(pod["metadata"]["uid"], None)
            self._world.write_status(kind, pod, _unschedulable(pod, verdict, now))
            self._world.event(pod, "Warning", "FailedScheduling", verdict.message, "default-scheduler")
            return
        if not dig(pod, "spec", "nodeName"):
            pod = self._world.model.commit(kind, pod, {**pod, "spec": {**pod["spec"], "nodeName": _NODE}})
            text = f"Successfully assigned {pod['metadata']['namespace']}/{pod['metadata']['name']} to {_NODE}"
            self._world.event(pod, "Normal", "Scheduled", text, "default-scheduler")
        uid = pod["metadata"]["uid"]
        if verdict.reason:
            self._since.pop(uid, None)
            self._world.write_status(kind, pod, self._failing(pod, verdict, now))
            return
        was_ready = dig(pod, "status", "phase") == "Running" and all(
            part.get("ready") for part in dig(pod, "status", "containerStatuses", default=[{}])
        )
        since = self._since.setdefault(uid, now)
        ready_at = since + timedelta(seconds=self._world.settings.ready_delay_seconds)
        if was_ready or now >= ready_at:
            if not was_ready:
                self._world.event(pod, "Normal", "Started", "Container started", "kubelet")
            self._world.write_status(kind, pod, self._status(pod, now, "Running", ready=True))
        else:
            self._world.wake_at(ready_at)
            self._world.write_status(kind, pod, self._status(pod, now, "Pending", waiting=Verdict("ContainerCreating")))

    # -- how it fares ----------------------------------------------------------------------------------------------

    def _verdict(self, pod: Object) -> Verdict:
        blocked = self._unbound_claim(pod)
        if blocked:
            return blocked
        broken = self._broken(pod)
        if broken in ("Unschedulable", "FailedScheduling"):
            return Verdict("Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")
        missing = self._missing_source(pod)
        if missing:
            return missing
        for container in dig(pod, "spec", "containers", default=[]):
            if self._cannot_be_pulled(container.get("image", "")):
                image = container["image"]
                return Verdict("ImagePullBackOff", f'Back-off pulling image "{image}": {image}: manifest unknown')
        if not broken:
            return _WELL
        if broken in ("hang", "NotReady", "Unhealthy"):
            return Verdict("hang", "Readiness probe failed: HTTP probe failed with statuscode: 503")
        if broken in ("ImagePullBackOff", "ErrImagePull", "CreateContainerConfigError", "ContainerCreating"):
            return Verdict(broken, f"{broken}: asked for by the sandbox")
        name = pod["metadata"]["name"]
        text = f"back-off 10s restarting failed container in pod {name}_{pod['metadata']['namespace']}"
        if broken == "OOMKilled":
            return Verdict("CrashLoopBackOff", text, crashed="OOMKilled")
        return Verdict(broken, text, crashed="Error")

    def _broken(self, pod: Object) -> str:
        """The reason the pod's workload was told to fail with, if any."""
        broken = self._world.settings.broken
        if not broken:
            return ""
        namespace, names = pod["metadata"]["namespace"], [pod["metadata"]["name"]]
        owners = list(pod["metadata"].get("ownerReferences") or [])
        while owners:
            owner = owners.pop()
            names.append(owner["name"])
            place = self._world.model.store.by_uid(owner["uid"])
            parent = place and self._world.model.store.get(*place)
            if parent:
                owners.extend(parent["metadata"].get("ownerReferences") or [])
        return next((broken[namespace, name] for name in names if (namespace, name) in broken), "")

    def _cannot_be_pulled(self, image: str) -> bool:
        tag = image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[2]
        return bool(tag and re.fullmatch(self._world.settings.broken_tag, tag))

    def _unbound_claim(self, pod: Object) -> Verdict | None:
        namespace = pod["metadata"]["namespace"]
        for volume in dig(pod, "spec", "volumes", default=[]):
            claim = dig(volume, "persistentVolumeClaim", "claimName")
            if not claim:
                continue
            found = self._world.model.store.get(GroupKind("", "persistentvolumeclaims"), (namespace, claim))
            if found is None:
                return Verdict("Unschedulable", f'persistentvolumeclaim "{claim}" not found')
            if dig(found, "status", "phase") != "Bound":
                text = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
                return Verdict("Unschedulable", text)
        return None

    def _missing_source(self, pod: Object) -> Verdict | None:
        """A ConfigMap or Secret the pod needs and that is not there."""
        for plural, name, key, mounted in _sources(pod):
            found = self._world.model.store.get(GroupKind("", plural), (pod["metadata"]["namespace"], name))
            singular = plural.removesuffix("s")
            if found is None and mounted:
                text = f'MountVolume.SetUp failed for volume: {singular} "{name}" not found'
                self._world.event(pod, "Warning", "FailedMount", text, "kubelet")
                return Verdict("ContainerCreating", text)
            if found is None:
                return Verdict("CreateContainerConfigError", f'{singular} "{name}" not found')
            if key and key not in {**(found.get("data") or {}), **(found.get("binaryData") or {})}:
                text = f"couldn't find key {key} in {singular.capitalize()} {pod['metadata']['namespace']}/{name}"
                return Verdict("CreateContainerConfigError", text)
        return None

    # -- status ----------------------------------------------------------------------------------------------------

    def _failing(self, pod: Object, verdict: Verdict, now: datetime) -> Object:
        if verdict.reason == "hang":
            self._world.event(pod, "Warning", "Unhealthy", verdict.message, "kubelet")
            return self._status(pod, now, "Running", ready=False)
        if verdict.crashed:
            self._world.event(pod, "Warning", "BackOff", verdict.message, "kubelet")
            return self._status(pod, now, "Running", waiting=verdict)
        if verdict.reason != "ContainerCreating":
            self._world.event(pod, "Warning", "Failed", verdict.message, "kubelet")
        return self._status(pod, now, "Pending", waiting=verdict)

    def _status(
        self, pod: Object, now: datetime, phase: str, *, ready: bool = False, waiting: Verdict | None = None
    ) -> Object:
        before = pod.get("status") or {}
        old = {part["name"]: part for part in before.get("containerStatuses") or []}
        address = before.get("podIP") or self._next_address()
        statuses = [
            _container_status(container, old.get(container["name"], {}), now, ready, waiting)
            for container in dig(pod, "spec", "containers", default=[])
        ]
        value = "True" if ready else "False"
        reason = {} if ready else {"reason": "ContainersNotReady", "message": "containers with unready status"}
        wanted = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Initialized", "status": "True"},
            {"type": "ContainersReady", "status": value, **reason},
            {"type": "Ready", "status": value, **reason},
        ]
        return {
            "phase": phase,
            "qosClass": before.get("qosClass", "BestEffort"),
            "conditions": _conditions(before, wanted, now),
            "containerStatuses": statuses,
            "startTime": before.get("startTime") or timestamp(now),
            "hostIP": "127.0.0.1",
            "podIP": address,
            "podIPs": [{"ip": address}],
        }

    def _next_address(self) -> str:
        taken = {dig(pod, "status", "podIP") for pod in self._world.items("", "pods")}
        while True:
            self._address += 1
            address = f"10.244.{self._address // 250 % 250}.{self._address % 250 + 1}"
            if address not in taken:
                return address


_VOLUME_SOURCES = (("configmaps", "configMap", "name"), ("secrets", "secret", "secretName"))
_ENV_SOURCES = (("configmaps", "configMapKeyRef"), ("secrets", "secretKeyRef"))
_ENV_FROM_SOURCES = (("configmaps", "configMapRef"), ("secrets", "secretRef"))


def _sources(pod: Object) -> list[tuple[str, str, str, bool]]:
    """Referenced ConfigMaps and Secrets: (plural, name, key, is it mounted); optional ones are left out."""
    found: list[tuple[str, str, str, bool, Object]] = []
    for volume in dig(pod, "spec", "volumes", default=[]):
        for part in (volume, *dig(volume, "projected", "sources", default=[])):
            for plural, source, field in _VOLUME_SOURCES:
                reference = part.get(source) or {}
                found.append((plural, reference.get(field) or reference.get("name") or "", "", True, reference))
    for container in dig(pod, "spec", "containers", default=[]):
        for entry in container.get("env") or []:
            for plural, source in _ENV_SOURCES:
                reference = dig(entry, "valueFrom", source, default={})
                found.append((plural, reference.get("name", ""), reference.get("key", ""), False, reference))
        for entry in container.get("envFrom") or []:
            for plural, source in _ENV_FROM_SOURCES:
                reference = entry.get(source) or {}
                found.append((plural, reference.get("name", ""), "", False, reference))
    return [
        (plural, name, key, mounted)
        for plural, name, key, mounted, reference in found
        if name and not reference.get("optional")
    ]


def _container_status(container: Object, old: Object, now: datetime, ready: bool, waiting: Verdict | None) -> Object:
    image = container.get("image", "")
    status: Object = {
        "name": container["name"],
        "image": image,
        "imageID": f"sandbox://{image}" if waiting is None else "",
        "ready": ready,
        "started": waiting is None,
        "restartCount": old.get("restartCount", 0),
    }
    was_running = "running" in (old.get("state") or {}) and old.get("image") == image
    if waiting is None:
        started = dig(old, "state", "running", "startedAt") if was_running else None
        status["state"] = {"running": {"startedAt": started or timestamp(now)}}
    else:
        part = {"reason": waiting.reason, **({"message": waiting.message} if waiting.message else {})}
        status["state"] = {"waiting": part}
    if waiting is not None and waiting.crashed:
        crashed_before = dig(old, "state", "waiting", "reason") == waiting.reason
        status["restartCount"] = old.get("restartCount", 0) + (0 if crashed_before else 1)
        moment = timestamp(now)
        code = 137 if waiting.crashed == "OOMKilled" else 1
        ended = {"exitCode": code, "reason": waiting.crashed, "startedAt": moment, "finishedAt": moment}
        status["lastState"] = old["lastState"] if crashed_before and "lastState" in old else {"terminated": ended}
    elif "lastState" in old:
        status["lastState"] = old["lastState"]
    return status


def _unschedulable(pod: Object, verdict: Verdict, now: datetime) -> Object:
    before = pod.get("status") or {}
    wanted = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": verdict.message}]
    return {
        "phase": "Pending",
        "qosClass": before.get("qosClass", "BestEffort"),
        "conditions": _conditions(before, wanted, now),
    }


def _conditions(before: Object, wanted: list[dict[str, str]], now: datetime) -> list[Object]:
    old = {part["type"]: part for part in before.get("conditions") or []}
    conditions: list[Object] = []
    for part in wanted:
        last = old.get(part["type"], {})
        since = last["lastTransitionTime"] if last.get("status") == part["status"] else timestamp(now)
        conditions.append({**part, "lastProbeTime": None, "lastTransitionTime": since})
    return conditions
