"""What people do to the cluster of a session: with the platform, and with what others better left alone."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from eventstore.vocabulary import RETRY_AT_ANNOTATION
from reconciler.shell.cluster import KubernetesObject
from sandbox.errors import StatusError
from sandbox.kinds import Kind
from sandbox.parts import storage_key
from simulator.interference import FOREIGN
from simulator.universe import NAMESPACE, Universe

QUOTA = "limits"


class RefusedError(Exception):
    """The API server refused it, in its own words."""


class Found(NamedTuple):
    """An object of the namespace."""

    kind: Kind
    item: KubernetesObject


@contextmanager
def _in_its_words() -> Iterator[None]:
    try:
        yield
    except StatusError as error:
        raise RefusedError(f"{error.code} {error.reason}: {error.body().get('message', '')}") from None


class Hands:
    """`kubectl`, in the namespace of the session."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe

    # -- platforms -------------------------------------------------------------------------------------------------

    @_in_its_words()
    def apply(self, name: str, spec: dict[str, Any]) -> KubernetesObject:
        """`kubectl apply --server-side` of a platform; as it is then."""
        self._universe.apply(name, spec)
        return self.platform(name)

    @_in_its_words()
    def edit(self, name: str, spec: dict[str, Any]) -> KubernetesObject:
        """`kubectl patch --type=merge` of a platform's spec; as it is then."""
        self._universe.merge(self._universe.platform_kind(), name, {"spec": spec})
        return self.platform(name)

    @_in_its_words()
    def annotate(self, name: str, annotations: Mapping[str, str]) -> None:
        """`kubectl annotate` a platform."""
        patch = {"metadata": {"annotations": dict(annotations)}}
        self._universe.merge(self._universe.platform_kind(), name, patch)

    def retry(self, name: str) -> None:
        """Ask for a retry at once, with the annotation that is for that."""
        self.annotate(name, {RETRY_AT_ANNOTATION: self._universe.clock.now().isoformat()})

    def platform(self, name: str) -> KubernetesObject:
        """The platform as it is stored.

        Raises:
            RefusedError: there is none.
        """
        found = self._universe.platform(name)
        if found is None:
            raise RefusedError(f'404 NotFound: observabilityplatforms.observability.io "{name}" not found')
        return found

    @_in_its_words()
    def delete_platform(self, name: str) -> None:
        """`kubectl delete obsp --wait=false`."""
        self.platform(name)
        self._universe.delete_platform(name)

    # -- other objects ---------------------------------------------------------------------------------------------

    def kind(self, word: str) -> Kind:
        """A namespaced kind by its name, plural or short name, in any case.

        Raises:
            LookupError: there is none such.
        """
        wanted = word.lower()
        for kind in self._universe.model.registry.all():
            if kind.namespaced and wanted in {kind.kind.lower(), kind.plural, kind.singular, *kind.short_names}:
                return kind
        raise LookupError(f"{word} is no kind that this cluster has in a namespace")

    @_in_its_words()
    def find(self, word: str, name: str) -> Found:
        """An object by kind and name.

        Raises:
            RefusedError: there is none.
            LookupError: there is no such kind.
        """
        kind = self.kind(word)
        return Found(kind, self._universe.model.read(kind, NAMESPACE, name))

    def exists(self, word: str, name: str) -> bool:
        """Whether there is such an object."""
        try:
            self.find(word, name)
        except RefusedError:
            return False
        return True

    @_in_its_words()
    def delete(self, word: str, name: str) -> None:
        """`kubectl delete --wait=false`."""
        self._universe.delete(self.find(word, name).kind, name)

    @_in_its_words()
    def patch(self, word: str, name: str, patch: dict[str, Any]) -> None:
        """`kubectl patch --type=merge`."""
        self._universe.merge(self.find(word, name).kind, name, patch)

    @_in_its_words()
    def replace(self, word: str, name: str) -> None:
        """Delete an object and put one of somebody else into its place: same name and content, other owner."""
        kind, item = self.find(word, name)
        body = {key: value for key, value in item.items() if key not in {"metadata", "status"}}
        labels = {FOREIGN: "yes"}
        self._universe.delete(kind, name)
        self._universe.create(kind, {**body, "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels}})

    @_in_its_words()
    def put_secret(self, name: str, values: Mapping[str, str]) -> bool:
        """Make a Secret, or give it these values; whether it was made."""
        if self.exists("Secret", name):
            self.patch("Secret", name, {"stringData": dict(values)})
            return False
        body = {"metadata": {"name": name, "namespace": NAMESPACE}, "stringData": dict(values)}
        self._universe.create(self.kind("Secret"), {"apiVersion": "v1", "kind": "Secret", **body})
        return True

    @_in_its_words()
    def set_quota(self, hard: Mapping[str, str]) -> None:
        """Limit the namespace; without limits, lift them."""
        exists = self.exists("ResourceQuota", QUOTA)
        if not hard:
            if exists:
                self.delete("ResourceQuota", QUOTA)
        elif exists:
            before = self.find("ResourceQuota", QUOTA).item["spec"]["hard"]
            self.patch("ResourceQuota", QUOTA, {"spec": {"hard": {**dict.fromkeys(before), **hard}}})
        else:
            metadata = {"name": QUOTA, "namespace": NAMESPACE}
            self._universe.create(self.kind("ResourceQuota"), {"metadata": metadata, "spec": {"hard": dict(hard)}})

    def objects(self) -> list[Found]:
        """Everything that a platform owns, directly."""
        found = []
        for kind in self._universe.model.registry.all():
            if kind.namespaced:
                items = self._universe.model.store.items(storage_key(kind), NAMESPACE)
                found += [Found(kind, item) for item in items if _has_platform(item)]
        return found

    def workloads(self) -> list[str]:
        """Names of the StatefulSets and Deployments."""
        return sorted(item["metadata"]["name"] for kind, item in self.objects() if kind.group == "apps")

    # -- pods ------------------------------------------------------------------------------------------------------

    def break_workload(self, workload: str, reason: str) -> None:
        """Let its pods fail, from now on."""
        self._universe.break_workload(workload, reason)

    def repair_workload(self, workload: str) -> bool:
        """Let its pods be well again; whether they were not."""
        was_broken = workload in self.broken()
        self._universe.repair_workload(workload)
        return was_broken

    def broken(self) -> dict[str, str]:
        """Workload -> reason."""
        return {name: reason for (_, name), reason in sorted(self._universe.world.settings.broken.items())}


def _has_platform(item: KubernetesObject) -> bool:
    owners = item["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") == "ObservabilityPlatform" for owner in owners)
