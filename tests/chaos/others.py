"""Other people: they delete and edit children, take pods away and write into the status."""

import contextlib
from collections import Counter
from typing import Any

from reconciler.shell.cluster import ClusterError, KubernetesObject
from reconciler.shell.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    NETWORK_POLICY,
    PLATFORM,
    POD,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from tests.chaos.journal import Journal
from tests.chaos.recorder import sighting
from tests.chaos.schedule import Deed
from tests.chaos.server import Server, is_gone
from tests.chaos.user import spoiled_status

CHILDREN = (STATEFUL_SET, DEPLOYMENT, SERVICE, CONFIG_MAP, SERVICE_ACCOUNT, NETWORK_POLICY, SECRET)
#: Beyond this many, what somebody does to one object is put right later and later (docs/operations.md).
TIMES_MAX = 2


class Others:
    """Interferes with one namespace."""

    def __init__(self, server: Server, namespace: str, journal: Journal) -> None:
        self._server, self._namespace, self._journal = server, namespace, journal
        #: Uids of what they deleted.
        self.deleted: set[str] = set()
        self._done: Counter[str] = Counter()

    def do(self, deed: Deed) -> None:
        """One deed; nothing where there is nothing to do it to, or the server is away."""
        with contextlib.suppress(ClusterError):
            if deed.kind == "delete-pod":
                self._delete_pod(deed)
            elif deed.kind == "spoil-status":
                self._spoil_status(deed)
            else:
                self._meddle(deed)

    def _meddle(self, deed: Deed) -> None:
        resource = CHILDREN[deed.choice % len(CHILDREN)]
        found = self._server.cluster.list_all(resource, self._namespace, f"stackledger.io/platform={deed.platform}")
        children = [
            item for item in found.items if sighting(0, "made", item, resource.kind).owner and not is_gone(item)
        ]
        if not children:
            return
        child = children[deed.choice // 16 % len(children)]
        title = f"{resource.kind}/{child['metadata']['name']}"
        self._done[title] += 1
        if self._done[title] > TIMES_MAX:
            return
        self._journal.write("other", deed.kind, platform=deed.platform, child=title, uid=child["metadata"]["uid"])
        if deed.kind == "delete-child":
            uid = child["metadata"]["uid"]
            self.deleted.add(uid)
            self._server.cluster.delete(resource, self._namespace, child["metadata"]["name"], uid=uid)
        elif resource != SECRET:
            self._server.cluster.apply(resource, self._namespace, _edited(child, resource.kind), manager="somebody")

    def _delete_pod(self, deed: Deed) -> None:
        found = self._server.cluster.list_all(POD, self._namespace, f"stackledger.io/platform={deed.platform}").items
        if found:
            pod = found[deed.choice % len(found)]["metadata"]
            self._journal.write("other", deed.kind, pod=pod["name"])
            self._server.cluster.delete(POD, self._namespace, pod["name"], uid=pod["uid"])

    def _spoil_status(self, deed: Deed) -> None:
        found = self._server.cluster.get(PLATFORM, self._namespace, deed.platform)
        if found is not None:
            self._journal.write("other", deed.kind, platform=deed.platform)
            body = {
                "apiVersion": PLATFORM.api_version,
                "kind": PLATFORM.kind,
                "metadata": {key: found["metadata"][key] for key in ("name", "namespace", "uid")},
                "status": spoiled_status(),
            }
            # Under a name of its own; what it sets is taken from the operator.
            self._server.cluster.apply_status(PLATFORM, self._namespace, body)


def _edited(child: KubernetesObject, kind: str) -> dict[str, Any]:
    """Fields of ours, set otherwise; the uid keeps the object from being made anew."""
    metadata = {key: child["metadata"][key] for key in ("name", "namespace", "uid")}
    body: dict[str, Any] = {"apiVersion": child["apiVersion"], "kind": kind, "metadata": metadata}
    if kind in ("StatefulSet", "Deployment"):
        return {**body, "spec": {"replicas": 3}}
    if kind == "ConfigMap":
        return {**body, "data": dict.fromkeys(child.get("data") or {}, "spoiled: yes\n")}
    return {**body, "metadata": {**metadata, "labels": {"app.kubernetes.io/part-of": "somebody-else"}}}
