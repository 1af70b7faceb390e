"""What a spec may say about pods: an allow-list. No volumes, security contexts, commands or init containers."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints, WithJsonSchema, model_validator

from api.shapes import (
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
    Spellings,
    preserve,
    quantity_value,
)


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

    # Memory is a string already: with string() around it the API server takes it for a string without a maximal length,
    # and refuses the definition because the rule could cost too much.
    cel_rules: ClassVar[CelRules] = tuple(
        (
            (
                f"!(has(self.requests) && has(self.limits) && has(self.requests.{unit}) && has(self.limits.{unit})) || "
                f"quantity({requested}).compareTo(quantity({limit})) <= 0"
            ),
            f"requests.{unit} is more than limits.{unit}; raise the limit or lower the request",
        )
        for unit, requested, limit in (
            ("cpu", "string(self.requests.cpu)", "string(self.limits.cpu)"),
            ("memory", "self.requests.memory", "self.limits.memory"),
        )
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
    also_accepted: ClassVar[Spellings] = {
        "retention": {"type": "string", "maxLength": 32, "description": "Same as retention of the component."},
        "s3": preserve("object", "Loki and Tempo: same as s3 of the component."),
    }


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
