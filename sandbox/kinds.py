"""The kinds that are served: the built-in ones, and those of posted CustomResourceDefinitions."""

from typing import Any, NamedTuple

from sandbox.errors import no_such_resource, qualified
from sandbox.schemas import OPEN_SCHEMA, Schema, builtin_schemas

#: Kinds whose `.metadata.generation` counts changes of the spec.
_GENERATION_KINDS = frozenset(
    [
        "Deployment",
        "ReplicaSet",
        "StatefulSet",
        "Ingress",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Job",
        "CustomResourceDefinition",
    ]
)
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class GroupKind(NamedTuple):
    """A kind, whatever the version: the key of storage."""

    group: str
    plural: str

    def __str__(self) -> str:
        return qualified(self.plural, self.group)


class Version(NamedTuple):
    """A served version of a kind."""

    name: str
    schema: Schema
    #: `additionalPrinterColumns` of a custom resource.
    columns: tuple[dict[str, Any], ...] = ()


class Kind(NamedTuple):
    """Everything the server knows about a kind."""

    group: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    #: Served versions, the preferred one first; the storage version is among them.
    versions: tuple[Version, ...]
    storage_version: str
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    #: `status` and/or `scale`.
    subresources: tuple[str, ...] = ()
    #: The subresource declaration of a custom resource's scale, if any.
    scale: dict[str, Any] | None = None
    custom: bool = False
    #: Fields a field selector may name, besides metadata.name and metadata.namespace.
    selectable: tuple[str, ...] = ()

    @property
    def verbs(self) -> tuple[str, ...]:
        """What may be done to objects of the kind. Namespaces are not deleted by the dozen."""
        if self.key == NAMESPACE_KEY:
            return tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
        if self.custom:
            return ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
        return ALL_VERBS

    def subresource_verbs(self, name: str) -> tuple[str, ...]:
        """What may be done to a subresource."""
        return ("update",) if name == "finalize" else ("get", "patch", "update")

    @property
    def key(self) -> GroupKind:
        """Where objects of the kind are stored."""
        return GroupKind(self.group, self.plural)

    @property
    def storage_api_version(self) -> str:
        """`apps/v1`, `v1`."""
        return self.api_version(self.storage_version)

    def api_version(self, version: str) -> str:
        """`group/version`, or the version alone for the core group."""
        return f"{self.group}/{version}" if self.group else version

    def version(self, name: str) -> Version:
        """A served version.

        Raises:
            StatusError: 404, not served.
        """
        for version in self.versions:
            if version.name == name:
                return version
        raise no_such_resource()

    def unselectable(self, field: str) -> str:
        """Why a field selector may not name this field."""
        if self.custom or self.selectable:
            return f"field label not supported: {field}"
        return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'

    @property
    def storage_schema(self) -> Schema:
        """Schema of the stored version."""
        return self.version(self.storage_version).schema

    @property
    def counts_generation(self) -> bool:
        """Whether `.metadata.generation` is kept."""
        return self.custom or self.kind in _GENERATION_KINDS

    @property
    def has_status(self) -> bool:
        """Whether `.status` is written through the subresource only."""
        return "status" in self.subresources


def _builtin(
    api_version: str,
    kind: str,
    plural: str,
    definition: str,
    *,
    short: str = "",
    namespaced: bool = True,
    categories: tuple[str, ...] = (),
    subresources: tuple[str, ...] = (),
    selectable: tuple[str, ...] = (),
) -> Kind:
    group, _, version = api_version.rpartition("/")
    schema = builtin_schemas()[definition] if definition else OPEN_SCHEMA
    return Kind(
        group=group,
        kind=kind,
        plural=plural,
        singular=kind.lower(),
        namespaced=namespaced,
        versions=(Version(version, schema),),
        storage_version=version,
        short_names=tuple(short.split()),
        categories=categories,
        subresources=subresources,
        selectable=selectable,
    )


_EVENT_FIELDS = (
    *(
        f"{prefix}.{field}"
        for prefix in ("involvedObject", "regarding")
        for field in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
    ),
    *("reason", "type", "source", "reportingComponent", "reportingController"),
)

_ALL = ("all",)


def builtin_kinds() -> tuple[Kind, ...]:
    """The built-in kinds. Events of `events.k8s.io` are the core ones in other words (`sandbox.eventkinds`)."""
    return (
        _builtin("v1", "Namespace", "namespaces", "api.core.v1.Namespace", short="ns", namespaced=False,
                 subresources=("status", "finalize"), selectable=("status.phase",)),
        _builtin("v1", "Node", "nodes", "api.core.v1.Node", short="no", namespaced=False, subresources=("status",)),
        _builtin("v1", "Pod", "pods", "api.core.v1.Pod", short="po", categories=_ALL, subresources=("status",),
                 selectable=("status.phase", "spec.nodeName", "status.podIP", "spec.serviceAccountName",
                             "spec.restartPolicy")),
        _builtin("v1", "Service", "services", "api.core.v1.Service", short="svc", categories=_ALL,
                 subresources=("status",), selectable=("spec.clusterIP", "spec.type")),
        _builtin("v1", "ConfigMap", "configmaps", "api.core.v1.ConfigMap", short="cm"),
        _builtin("v1", "Secret", "secrets", "api.core.v1.Secret", selectable=("type",)),
        _builtin("v1", "ServiceAccount", "serviceaccounts", "api.core.v1.ServiceAccount", short="sa"),
        _builtin("v1", "PersistentVolumeClaim", "persistentvolumeclaims", "api.core.v1.PersistentVolumeClaim",
                 short="pvc", subresources=("status",)),
        _builtin("v1", "ResourceQuota", "resourcequotas", "api.core.v1.ResourceQuota", short="quota",
                 subresources=("status",)),
        _builtin("v1", "Event", "events", "api.core.v1.Event", short="ev", selectable=_EVENT_FIELDS),
        _builtin("events.k8s.io/v1", "Event", "events", "api.events.v1.Event", short="ev", selectable=_EVENT_FIELDS),
        _builtin("apps/v1", "Deployment", "deployments", "api.apps.v1.Deployment", short="deploy", categories=_ALL,
                 subresources=("status", "scale")),
        _builtin("apps/v1", "ReplicaSet", "replicasets", "api.apps.v1.ReplicaSet", short="rs", categories=_ALL,
                 subresources=("status", "scale")),
        _builtin("apps/v1", "StatefulSet", "statefulsets", "api.apps.v1.StatefulSet", short="sts", categories=_ALL,
                 subresources=("status", "scale")),
        _builtin("batch/v1", "Job", "jobs", "api.batch.v1.Job", categories=_ALL, subresources=("status",)),
        _builtin("networking.k8s.io/v1", "Ingress", "ingresses", "api.networking.v1.Ingress", short="ing",
                 subresources=("status",)),
        _builtin("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "api.networking.v1.NetworkPolicy",
                 short="netpol"),
        _builtin("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", "api.policy.v1.PodDisruptionBudget",
                 short="pdb", subresources=("status",)),
        _builtin("storage.k8s.io/v1", "StorageClass", "storageclasses", "api.storage.v1.StorageClass", short="sc",
                 namespaced=False),
        _builtin("coordination.k8s.io/v1", "Lease", "leases", "api.coordination.v1.Lease"),
        _builtin("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", "",
                 short="crd crds", namespaced=False, categories=("api-extensions",), subresources=("status",)),
    )  # fmt: skip


#: apiextensions' own kind: posting one adds a kind.
CRD_KEY = GroupKind("apiextensions.k8s.io", "customresourcedefinitions")
NAMESPACE_KEY = GroupKind("", "namespaces")


class Registry:
    """Finds a kind by what stands in a URL or in an object."""

    def __init__(self) -> None:
        self._kinds: dict[GroupKind, Kind] = {kind.key: kind for kind in builtin_kinds()}

    def all(self) -> list[Kind]:
        """Every kind, built-in ones first."""
        return list(self._kinds.values())

    def add(self, kind: Kind) -> None:
        """Serve a kind; replaces one with the same group and plural."""
        self._kinds[kind.key] = kind

    def drop(self, key: GroupKind) -> None:
        """Serve the kind no more."""
        self._kinds.pop(key, None)

    def find(self, key: GroupKind) -> Kind:
        """The kind.

        Raises:
            StatusError: 404, not served.
        """
        kind = self._kinds.get(key)
        if kind is None:
            raise no_such_resource()
        return kind

    def by_kind(self, api_version: str, kind: str) -> Kind | None:
        """The kind an object says it is; None if it is not served in that version."""
        group, _, version = api_version.rpartition("/")
        for found in self._kinds.values():
            if found.group == group and found.kind == kind and any(v.name == version for v in found.versions):
                return found
        return None

    def groups(self) -> dict[str, list[str]]:
        """Group -> served versions, the preferred one first."""
        found: dict[str, list[str]] = {}
        for kind in self._kinds.values():
            versions = found.setdefault(kind.group, [])
            versions.extend(version.name for version in kind.versions if version.name not in versions)
        return found
