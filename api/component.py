"""What all components have in common."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from api.environment import Arg, EnvVar
from api.images import ImageField, PullSecrets
from api.pods import Affinity, Ingress, Resources, ServiceOptions, Storage, Toleration, TopologySpreadConstraint
from api.shapes import (
    Annotations,
    Block,
    CelRules,
    Flag,
    Labels,
    ObjectName,
    Replicas,
    SecretField,
    Spellings,
    Version,
    free_list,
    keyed_by,
    preserve,
)

LogLevel = Literal["debug", "info", "warn", "error"]
LogFormat = Literal["logfmt", "json"]


class Component(Block):
    """Fields of every component. Inherited settings of `spec.global` are filled in by `PlatformSpec`."""

    #: Command line flags (without dashes) that `extraArgs` may hold; none of them names a file or opens an API.
    allowed_args: ClassVar[frozenset[str]] = frozenset()

    enabled: Flag = Field(default=True, description="Whether the component runs; true when its block is given.")
    version: Version = Field(default="", description="Version, with or without a leading v.")
    replicas: Replicas = Field(default=1, description="Number of pods.", examples=[2])
    resources: Resources = Field(default=Resources(), description="CPU and memory of each pod's main container.")
    storage: Storage | None = Field(default=Storage(), description="Persistent volume of each replica.")
    image: ImageField | None = Field(
        default=None,
        description="Image, as text or as {repository, tag, digest}; the upstream image of `version` when absent.",
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        default=None, description="When the image is pulled; Kubernetes' default when absent."
    )
    image_pull_secrets: PullSecrets = Field(default=(), description="Names of Secrets for the image registry.")
    node_selector: Labels = Field(
        default={}, description="Node labels that the pods need.", examples=[{"disktype": "ssd"}]
    )
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that the pods tolerate."
    )
    affinity: Affinity | None = Field(
        default=None,
        description="Kubernetes affinity; replaces the spread that highAvailability.antiAffinity asks for.",
    )
    topology_spread_constraints: Annotated[tuple[TopologySpreadConstraint, ...], Field(max_length=8)] = Field(
        default=(), description="How replicas are spread over nodes or zones."
    )
    pod_annotations: Annotations = Field(default={}, description="Annotations of the pods.")
    pod_labels: Labels = Field(default={}, description="Further labels of the pods; ours win.")
    priority_class_name: ObjectName | None = Field(default=None, description="PriorityClass of the pods.")
    extra_args: Annotated[tuple[Arg, ...], Field(max_length=32)] = Field(
        default=(), description="Further command line flags, from the component's list of accepted ones."
    )
    extra_env: Annotated[tuple[EnvVar, ...], Field(max_length=64)] = Field(
        default=(),
        description="Further environment variables; names are unique.",
        json_schema_extra=keyed_by("name"),
    )
    log_level: LogLevel | None = Field(default=None, description="Log level; that of spec.global when absent.")
    log_format: LogFormat = Field(default="logfmt", description="Format of log lines.")
    service: ServiceOptions = Field(default=ServiceOptions(), description="The component's Service.")
    ingress: Ingress | None = Field(default=None, description="Ingress; none when absent.")

    also_accepted: ClassVar[Spellings] = {
        "additionalArgs": free_list("Same as extraArgs.", 32),
        "extraEnvVars": free_list("Same as extraEnv.", 64),
    }

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        entry = dict(data)
        for other, ours in (("additionalArgs", "extraArgs"), ("extraEnvVars", "extraEnv")):
            if other in entry:
                entry.setdefault(ours, entry.pop(other))
        return cls.normalise(entry)

    @classmethod
    def normalise(cls, entry: dict[str, Any]) -> dict[str, Any]:
        """Bring the component's other spellings to the typed shape; `entry` is a copy and may be changed."""
        return entry

    @model_validator(mode="after")
    def _extras_are_sound(self) -> "Component":
        names = [variable.name for variable in self.extra_env]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"extraEnv: {name} is given twice; keep one")
        for arg in self.extra_args:
            if arg.name not in self.allowed_args:
                known = ", ".join(sorted(self.allowed_args)) or "none"
                raise ValueError(f"extraArgs: --{arg.name} is not accepted here; accepted are: {known}")
        return self


class S3(Block):
    """An S3 bucket (or a compatible store)."""

    enabled: Flag = Field(default=True, description="Whether the bucket is used; true when this block is given.")
    bucket: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][-.a-z0-9]{1,61}[a-z0-9]$")] = Field(
        default="", description="Name of the bucket; needed when enabled.", examples=["prod-loki"]
    )
    region: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][-a-z0-9]{0,62}$")] = Field(
        default="us-east-1", description="Region of the bucket."
    )
    endpoint: Annotated[str, StringConstraints(strict=True, pattern=r"^(https?://)?[^\s@/?#]+$", max_length=253)] = (
        Field(
            default="",
            description="Host of an S3-compatible store, without credentials.",
            examples=["minio.storage.svc:9000"],
        )
    )
    insecure: Flag = Field(default=False, description="Whether the endpoint is plain HTTP.")
    force_path_style: Flag = Field(default=True, description="Bucket in the path instead of in the host name.")
    access_key_id: SecretField | None = Field(
        default=None, description="{secretKeyRef: {name, key}}; the pod's own cloud identity when absent."
    )
    secret_access_key: SecretField | None = Field(
        default=None, description="{secretKeyRef: {name, key}}; the pod's own cloud identity when absent."
    )

    also_accepted: ClassVar[Spellings] = {
        "bucketName": {"type": "string", "maxLength": 63, "description": "Same as bucket."},
        "secretRef": preserve(None, "A Secret (name, or {name}) with the keys accessKeyId and secretAccessKey."),
    }
    cel_rules: ClassVar[CelRules] = (
        (
            "has(self.bucket) || has(self.bucketName) || (has(self.enabled) && !self.enabled)",
            "s3: bucket is needed; name the bucket, or set enabled: false",
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        entry = dict(data)
        if "bucketName" in entry:
            entry.setdefault("bucket", entry.pop("bucketName"))
        reference = entry.pop("secretRef", None)
        if reference is not None:
            name = reference.get("name") if isinstance(reference, dict) else reference
            entry.setdefault("accessKeyId", {"name": name, "key": "accessKeyId"})
            entry.setdefault("secretAccessKey", {"name": name, "key": "secretAccessKey"})
        return entry

    @model_validator(mode="after")
    def _bucket_when_enabled(self) -> "S3":
        if self.enabled and not self.bucket:
            raise ValueError("bucket is needed; name the bucket, or set enabled: false")
        return self
