"""Core Events, folded: the same thing said again raises `count`."""

import hashlib

from sandbox.errors import StatusError
from sandbox.eventkinds import CORE_EVENTS
from sandbox.model import ClusterModel, Write
from sandbox.values import Object, timestamp


def record_event(model: ClusterModel, item: Object, kind: str, reason: str, message: str, source: str) -> None:
    """Record an Event about an object; within the same minute a repetition is not even counted."""
    meta = item["metadata"]
    namespace = meta.get("namespace", "default")
    digest = hashlib.sha256(f"{meta['uid']}{kind}{reason}{message}{source}".encode()).hexdigest()[:16]
    name = f"{meta['name']}.{digest}"
    now = timestamp(model.now())
    events = model.registry.find(CORE_EVENTS)
    before = model.store.get(CORE_EVENTS, (namespace, name))
    if before is not None:
        if before.get("lastTimestamp", "")[:16] != now[:16]:
            model.commit(events, before, {**before, "count": before.get("count", 1) + 1, "lastTimestamp": now})
        return
    body: Object = {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": item["apiVersion"],
            "kind": item["kind"],
            "name": meta["name"],
            "namespace": namespace,
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "type": kind,
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "reportingComponent": source,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "eventTime": None,
    }
    try:
        model.create(events, events.versions[0], namespace, body, Write(manager=source))
    except StatusError:
        # Best effort, as in a cluster: the namespace may be gone.
        return
