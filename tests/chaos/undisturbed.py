"""Installs of the same specs where nobody interferes, in the calm between storms: what is compared with."""

import json
import time
from collections.abc import Mapping

from reconciler.shell.cluster import Cluster, KubernetesObject, Resource
from reconciler.shell.resources import PLATFORM, POD, RESOURCE_QUOTA, SECRET, WATCHED
from tests.chaos.facts import Cluster as ClusterFacts
from tests.chaos.facts import Users
from tests.chaos.oracles.ends import content_of, unfulfilled
from tests.chaos.user import persistently, user_secret
from tests.chaos.wishes import Outcome, Spec, Wish

CHILD_KINDS: tuple[Resource, ...] = (
    *(watched.resource for watched in WATCHED if watched.resource not in (PLATFORM, POD, RESOURCE_QUOTA)),
    SECRET,
)
_SECONDS_MAX = 90.0


class Undisturbed:
    """Remembers what it saw of each spec under each name."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._seen: dict[str, dict[str, str]] = {}
        persistently(lambda: cluster.apply(SECRET, namespace, user_secret(namespace, 0), manager="user"))

    def of(self, specs: Mapping[str, Spec]) -> dict[str, dict[str, str]]:
        """Name -> (`Kind/name` -> content) of an undisturbed install of each.

        Raises:
            TimeoutError: one of them did not become Ready though nobody disturbed it.
        """
        missing = {name: spec for name, spec in specs.items() if _key(name, spec) not in self._seen}
        if missing:
            self._install(missing)
        return {name: self._seen[_key(name, spec)] for name, spec in specs.items()}

    def _install(self, specs: Mapping[str, Spec]) -> None:
        users = Users({name: Wish(spec, Outcome.READY) for name, spec in specs.items()}, {})
        for name, spec in specs.items():
            body = {
                "apiVersion": PLATFORM.api_version,
                "kind": PLATFORM.kind,
                "metadata": {"name": name, "namespace": self._namespace},
                "spec": spec,
            }
            persistently(lambda body=body: self._cluster.apply(PLATFORM, self._namespace, body, manager="kubectl"))  # type: ignore[misc]  # bound at once
        found = self._until(users)
        for name, spec in specs.items():
            uid = found.platforms[name]["metadata"]["uid"]
            self._seen[_key(name, spec)] = content_of(found.objects, uid, self._namespace)
        for name, platform in found.platforms.items():
            self._cluster.delete(PLATFORM, self._namespace, name, uid=platform["metadata"]["uid"])
        self._until(Users({name: Wish() for name in specs}, {}))

    def _until(self, users: Users) -> ClusterFacts:
        deadline = time.monotonic() + _SECONDS_MAX
        while why := unfulfilled(found := look(self._cluster, self._namespace), users):
            if time.monotonic() > deadline:
                raise TimeoutError(f"undisturbed, and not as wished after {_SECONDS_MAX:.0f} s: {why[0]}")
            time.sleep(0.3)
        return found


def look(cluster: Cluster, namespace: str) -> ClusterFacts:
    """What is in a namespace now, but for volumes and Events."""
    platforms = {item["metadata"]["name"]: item for item in cluster.list_all(PLATFORM, namespace).items}
    objects: dict[str, KubernetesObject] = {}
    for kind in CHILD_KINDS:
        for item in cluster.list_all(kind, namespace).items:
            objects[f"{kind.kind}/{item['metadata']['name']}"] = item
    return ClusterFacts(platforms, objects)


def _key(name: str, spec: Spec) -> str:
    return f"{name} {json.dumps(spec, sort_keys=True)}"
