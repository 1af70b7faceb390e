"""The port to the Kubernetes API: what the operator needs of it, and no more."""

from collections.abc import Iterator
from typing import Any, Literal, Protocol

import msgspec

from eventstore.vocabulary import ErrorCategory

KubernetesObject = dict[str, Any]


class Resource(msgspec.Struct, frozen=True):
    """A namespaced kind, as it stands in URLs."""

    api_version: str
    kind: str
    plural: str


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: KubernetesObject


class ListPage(msgspec.Struct, frozen=True):
    """A complete list (all pages), with the resourceVersion to watch from."""

    items: list[KubernetesObject]
    resource_version: str


class ClusterError(Exception):
    """A call to the API server failed; already classified and free of secrets."""

    def __init__(
        self,
        category: ErrorCategory,
        reason: str,
        message: str,
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        self.category, self.reason, self.message = category, reason, message
        self.status, self.retry_after_seconds = status, retry_after_seconds
        super().__init__(f"{reason}: {message}")


class ResourceExpiredError(ClusterError):
    """410: the resourceVersion is too old (or from the future); list again."""


class Cluster(Protocol):
    """What the operator asks of the API server. Every call has a deadline; none is retried in here."""

    def get(self, resource: Resource, namespace: str, name: str) -> KubernetesObject | None:
        """The object, or None if it does not exist."""
        ...

    def list_all(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> ListPage:
        """All objects of a kind in a namespace, or in all of them."""
        ...

    def watch(
        self,
        resource: Resource,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        *,
        seconds: float | None = None,
    ) -> Iterator[WatchEvent]:
        """Changes since the resourceVersion; ends when the server closes the stream, which is asked to by `seconds`.

        A bookmark of that very version says that the watch is open, and no more.

        Raises:
            ResourceExpiredError: list again.
        """
        ...

    def apply(self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str) -> KubernetesObject:
        """Server-side apply, forcing ownership of the fields in `body`; the object as it is afterwards."""
        ...

    def apply_new(
        self, resource: Resource, namespace: str, body: KubernetesObject, *, manager: str
    ) -> KubernetesObject | None:
        """Server-side apply of what must not be there yet; None, and nothing changed, if something of this name is."""
        ...

    def create(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """Create; an existing object is a ClusterError with reason `AlreadyExists`."""
        ...

    def apply_status(self, resource: Resource, namespace: str, body: KubernetesObject) -> KubernetesObject:
        """Server-side apply on the status subresource under its own field manager."""
        ...

    def delete(self, resource: Resource, namespace: str, name: str, *, uid: str) -> None:
        """Delete with a uid precondition, in the background; an absent object or another uid is success."""
        ...

    def set_finalizers(
        self, resource: Resource, namespace: str, name: str, finalizers: list[str], *, uid: str, resource_version: str
    ) -> KubernetesObject | None:
        """Replace metadata.finalizers, preconditioned on uid and resourceVersion; None if the object is gone."""
        ...
