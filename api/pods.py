"""What a spec may say about pods: an allow-list. No volumes, security contexts, commands or init containers."""

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints, WithJsonSchema, model_validator

from api.shapes import (
    ENV_NAME_PATTERN,
    IMAGE_DIGEST_PATTERN,
    IMAGE_PATTERN,
    IMAGE_REPOSITORY_PATTERN,
    IMAGE_TAG_PATTERN,
    Annotations,
    Block,
    Bytes,
    CelRules,
    Cpu,
    Flag,
    Host,
    LabelKey,
    Labels,
    LabelValue,
    ObjectName,
    SecretKeyRef,
    Spellings,
    Text,
    preserve,
    quantity_value,
)


class Image(Block):
    """A container image; parts that are not given come from the component's default image and version."""

    repository: Annotated[str, StringConstraints(strict=True, pattern=IMAGE_REPOSITORY_PATTERN, max_length=255)] = (
        Field(
            default="",
            description="Registry and repository, without a tag.",
            examples=["registry.example.com/prometheus"],
        )
    )
    tag: Annotated[str, StringConstraints(strict=True, pattern=IMAGE_TAG_PATTERN)] = Field(
        default="", description="Tag; the component's version when absent.", examples=["v3.13.2"]
    )
    digest: Annotated[str, StringConstraints(strict=True, pattern=IMAGE_DIGEST_PATTERN)] = Field(
        default="", description="Digest; wins over the tag.", examples=["sha256:" + "0" * 64]
    )


def _split_image(value: Any) -> Any:
    """`registry:5000/name:tag@sha256:...` -> its parts; what is not an image reference is left for the patterns."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(IMAGE_PATTERN, value) or value.endswith("\n"):
        raise ValueError("not an image reference; write for example quay.io/prometheus/prometheus:v3.13.2")
    rest, _, digest = value.partition("@")
    head, _, last = rest.rpartition("/")
    name, _, tag = last.partition(":")
    parts = {"repository": f"{head}/{name}" if head else name, "tag": tag, "digest": digest}
    return {key: part for key, part in parts.items() if part}


#: A reference as text, or {repository, tag, digest}.
ImageField = Annotated[
    Image,
    BeforeValidator(_split_image),
    WithJsonSchema(preserve() | {"pattern": IMAGE_PATTERN, "maxLength": 512}),
]


class ResourceAmounts(Block):
    """Amounts of CPU and memory for one container."""

    cpu: Cpu | None = Field(
        default=None, description="CPU cores, or thousandths of a core with the suffix m.", examples=["250m"]
    )
    memory: Bytes | None = Field(default=None, description="Bytes, with a suffix such as Mi or Gi.", examples=["1Gi"])


class Resources(Block):
    """Requests and limits of one container."""

    requests: ResourceAmounts = Field(default=ResourceAmounts(), description="What the scheduler reserves.")
    limits: ResourceAmounts = Field(default=ResourceAmounts(), description="What the container may use at most.")

    cel_rules: ClassVar[CelRules] = tuple(
        (
            (
                f"!(has(self.requests) && has(self.limits) && has(self.requests.{unit}) && has(self.limits.{unit})) || "
                f"quantity(string(self.requests.{unit})).compareTo(quantity(string(self.limits.{unit}))) <= 0"
            ),
            f"requests.{unit} is more than limits.{unit}; raise the limit or lower the request",
        )
        for unit in ("cpu", "memory")
    )

    @model_validator(mode="after")
    def _requests_within_limits(self) -> "Resources":
        for unit in ("cpu", "memory"):
            request, limit = getattr(self.requests, unit), getattr(self.limits, unit)
            if request and limit and quantity_value(request) > quantity_value(limit):
                raise ValueError(f"requests.{unit} ({request}) is more than limits.{unit} ({limit}); raise the limit")
        return self


class Storage(Block):
    """A persistent volume per replica."""

    size: Bytes = Field(
        default="10Gi", description="Size of each replica's volume. It can grow, never shrink.", examples=["50Gi"]
    )
    storage_class_name: ObjectName | None = Field(
        default=None,
        description="StorageClass; the cluster's default when absent. Cannot be changed later.",
        examples=["gp3"],
    )

    cel_rules: ClassVar[CelRules] = (
        (
            "!has(self.size) || !has(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0",
            "storage.size cannot shrink; set it to the size it had, or more",
        ),
        (
            (
                "has(self.storageClassName) == has(oldSelf.storageClassName) && "
                "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
            ),
            "storage.storageClassName cannot be changed; set it back, or create another platform and move over",
        ),
    )


class EnvVar(Block):
    """An environment variable: exactly one of `value` and `valueFrom`."""

    name: Annotated[str, StringConstraints(strict=True, pattern=ENV_NAME_PATTERN, max_length=128)] = Field(
        description="Name of the variable.", examples=["GOGC"]
    )
    value: Text | None = Field(
        default=None,
        description="Text, taken literally; $(X) is not expanded. Secrets belong into valueFrom.",
        examples=["75"],
    )
    value_from: Annotated[SecretKeyRef, WithJsonSchema(preserve("object"))] | None = Field(
        default=None, description="{secretKeyRef: {name, key}}: the value is read from a Secret of this namespace."
    )

    cel_rules: ClassVar[CelRules] = (
        ("has(self.value) != has(self.valueFrom)", "give either value or valueFrom.secretKeyRef"),
    )

    @model_validator(mode="before")
    @classmethod
    def _reference_in_one_place(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        entry = dict(data)
        if isinstance(entry.get("value"), dict):
            entry["valueFrom"] = entry.pop("value")
        source = entry.get("valueFrom")
        if isinstance(source, dict) and "secretKeyRef" in source:
            entry["valueFrom"] = source["secretKeyRef"]
        return entry

    @model_validator(mode="after")
    def _exactly_one_source(self) -> "EnvVar":
        if (self.value is None) == (self.value_from is None):
            raise ValueError(f"environment variable {self.name}: give either value or valueFrom.secretKeyRef")
        return self


class Arg(Block):
    """One extra command line flag."""

    name: Annotated[str, StringConstraints(strict=True, max_length=100)] = Field(
        description="Flag without leading dashes; each component has a list of the flags it accepts.",
        examples=["query.max-concurrency"],
    )
    value: Text = Field(default="", description="Value of the flag; empty for a switch.", examples=["20"])

    @model_validator(mode="before")
    @classmethod
    def _without_dashes(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("name"), str):
            return {**data, "name": data["name"].lstrip("-")}
        return data


class Toleration(Block):
    """A taint that the pods tolerate."""

    key: LabelKey | None = Field(
        default=None, description="Key of the taint; absent means every key.", examples=["dedicated"]
    )
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="How key and value are compared.")
    value: LabelValue | None = Field(default=None, description="Value of the taint; only with operator Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; absent means every effect."
    )
    toleration_seconds: StrictInt | None = Field(
        default=None, description="How long a NoExecute taint is tolerated, seconds; absent means for ever."
    )


class LabelRequirement(Block):
    """One requirement of a label selector."""

    key: LabelKey = Field(description="Label key.", examples=["app.kubernetes.io/name"])
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How the label is compared.")
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = Field(
        default=(), description="Values; empty for Exists and DoesNotExist."
    )


class LabelSelector(Block):
    """Labels that pods must have."""

    match_labels: Labels = Field(default={}, description="Labels that must be equal.")
    match_expressions: Annotated[tuple[LabelRequirement, ...], Field(max_length=16)] = Field(
        default=(), description="Further requirements; all must hold."
    )


class TopologySpreadConstraint(Block):
    """How replicas are spread over nodes or zones."""

    max_skew: Annotated[StrictInt, Field(ge=1, le=100)] = Field(
        default=1, description="Largest allowed difference in pods."
    )
    topology_key: LabelKey = Field(
        description="Node label that forms the groups.", examples=["topology.kubernetes.io/zone"]
    )
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(
        default="ScheduleAnyway", description="What to do when the spread cannot be kept."
    )
    label_selector: LabelSelector | None = Field(
        default=None, description="Pods that are counted; the component's own pods when absent."
    )


_AFFINITY_KINDS = ("nodeAffinity", "podAffinity", "podAntiAffinity")


def _own_namespace_only(value: Any) -> Any:
    """Affinity in Kubernetes' own shape; terms that look into other namespaces are refused."""
    if not isinstance(value, dict):
        raise ValueError("must be an object with nodeAffinity, podAffinity or podAntiAffinity")
    stack: list[Any] = [{kind: entry for kind, entry in value.items() if kind in _AFFINITY_KINDS}]
    while stack:
        entry = stack.pop()
        if isinstance(entry, dict):
            if "namespaces" in entry or "namespaceSelector" in entry:
                raise ValueError("namespaces and namespaceSelector are not accepted; terms match this namespace only")
            stack.extend(entry.values())
        elif isinstance(entry, list):
            stack.extend(entry)
    return {kind: entry for kind, entry in value.items() if kind in _AFFINITY_KINDS}


#: Kubernetes' affinity object, as it is.
Affinity = Annotated[dict[str, Any], BeforeValidator(_own_namespace_only), WithJsonSchema(preserve("object"))]


def _names(value: Any) -> Any:
    """`[{name: x}]` and `[x]` -> `[x]`."""
    if isinstance(value, list | tuple):
        return [entry["name"] if isinstance(entry, dict) and "name" in entry else entry for entry in value]
    return value


#: Names of Secrets; given as names or as {name}.
PullSecrets = Annotated[
    tuple[ObjectName, ...],
    Field(max_length=16),
    BeforeValidator(_names),
    WithJsonSchema({"type": "array", "maxItems": 16, "items": preserve()}),
]


class ServiceOptions(Block):
    """The component's Service."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service."
    )
    annotations: Annotations = Field(default={}, description="Annotations of the Service.")


class IngressTls(Block):
    """TLS of an Ingress."""

    enabled: Flag = Field(default=True, description="Whether the Ingress serves TLS.")
    secret_name: ObjectName | None = Field(
        default=None, description="Secret with the certificate; `<ingress>-tls` when absent.", examples=["grafana-tls"]
    )


class Ingress(Block):
    """Reaching the component from outside the cluster by name."""

    also_accepted: ClassVar[Spellings] = {
        "ingressClassName": {"type": "string", "maxLength": 253, "description": "Same as className."},
        "tlsSecret": {"type": "string", "maxLength": 253, "description": "Same as tls.secretName."},
    }

    enabled: Flag = Field(default=True, description="Whether an Ingress is made; true when this block is given.")
    host: Host | None = Field(
        default=None, description="Host name; needed when enabled.", examples=["grafana.example.com"]
    )
    class_name: ObjectName | None = Field(
        default=None, description="IngressClass; the cluster's default when absent.", examples=["nginx"]
    )
    path: Annotated[str, StringConstraints(strict=True, pattern=r"^/[-A-Za-z0-9._~/]*$", max_length=255)] = Field(
        default="/", description="URL prefix under which the component is served."
    )
    tls: Annotated[IngressTls, WithJsonSchema(preserve())] | None = Field(
        default=None, description="TLS: {enabled, secretName}, or true. Without it the Ingress serves plain HTTP."
    )
    annotations: Annotations = Field(
        default={}, description="Annotations of the Ingress, for example for cert-manager."
    )

    cel_rules: ClassVar[CelRules] = (
        (
            "has(self.host) || (has(self.enabled) && !self.enabled)",
            "ingress.host is needed; set it, for example grafana.example.com, or enabled: false",
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _one_shape(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        entry = dict(data)
        secret = entry.pop("tlsSecret", None)
        if secret is not None:
            entry.setdefault("tls", {"secretName": secret})
        if isinstance(entry.get("tls"), bool):
            entry["tls"] = {"enabled": entry["tls"]}
        if isinstance(entry.get("tls"), list):
            entry["tls"] = {
                "secretName": next((x.get("secretName") for x in entry["tls"] if isinstance(x, dict)), None)
            }
        if "ingressClassName" in entry:
            entry.setdefault("className", entry.pop("ingressClassName"))
        return entry

    @model_validator(mode="after")
    def _host_when_enabled(self) -> "Ingress":
        if self.enabled and self.host is None:
            raise ValueError("host is needed; set host, for example grafana.example.com, or enabled: false")
        return self
