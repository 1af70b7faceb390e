"""Tempo: what a user may set."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from api.component import S3, Component
from api.defaults import DEFAULT_VERSIONS
from api.loki import s3_of_storage
from api.pods import Storage
from api.shapes import Block, CelRules, Flag, Retention, Version, preserve
from eventstore.vocabulary import ComponentName


class Receivers(Block):
    """Protocols on which spans are received."""

    otlp_grpc: Flag = Field(default=True, description="OTLP over gRPC, port 4317.")
    otlp_http: Flag = Field(default=True, description="OTLP over HTTP, port 4318.")
    jaeger_grpc: Flag = Field(default=False, description="Jaeger over gRPC, port 14250.")
    jaeger_thrift_http: Flag = Field(default=False, description="Jaeger Thrift over HTTP, port 14268.")
    jaeger_thrift_compact: Flag = Field(default=False, description="Jaeger Thrift compact over UDP, port 6831.")
    jaeger_thrift_binary: Flag = Field(default=False, description="Jaeger Thrift binary over UDP, port 6832.")
    zipkin: Flag = Field(default=False, description="Zipkin, port 9411.")


_PROTOCOLS = {
    "otlp": {"grpc": "otlpGrpc", "http": "otlpHttp"},
    "jaeger": {
        "grpc": "jaegerGrpc",
        "thriftHttp": "jaegerThriftHttp",
        "thrift_http": "jaegerThriftHttp",
        "thriftCompact": "jaegerThriftCompact",
        "thrift_compact": "jaegerThriftCompact",
        "thriftBinary": "jaegerThriftBinary",
        "thrift_binary": "jaegerThriftBinary",
    },
}


#: What `otlp: true` or `jaeger: {}` without any protocol means.
_WITHOUT_PROTOCOLS = {"otlp": ("otlpGrpc", "otlpHttp"), "jaeger": ("jaegerGrpc",)}


def _flat_receivers(value: Any) -> Any:
    """Tempo's own nesting (`otlp: {protocols: {grpc: {}}}`), the same without `protocols`, or flags -> flags."""
    if not isinstance(value, dict):
        return value
    flat: dict[str, Any] = {key: entry for key, entry in value.items() if key not in _PROTOCOLS}
    if "zipkin" in value:
        flat["zipkin"] = _is_on("zipkin", value["zipkin"])
    if any(name in value for name in _PROTOCOLS):
        # Naming one receiver means these and no others.
        flat = {"otlpGrpc": False, "otlpHttp": False, **flat}
    for name in _PROTOCOLS:
        if name in value:
            flat.update(_protocol_flags(name, value[name]))
    return flat


def _protocol_flags(name: str, block: Any) -> dict[str, bool]:
    if not _is_on(name, block):
        return {}
    inner = block.get("protocols", block) if isinstance(block, dict) else {}
    if not isinstance(inner, dict):
        raise ValueError(f"{name}.protocols must be an object such as {{grpc: {{}}}}")
    flags = _PROTOCOLS[name]
    named = {flags[protocol]: _is_on(protocol, inner[protocol]) for protocol in flags if protocol in inner}
    return named or dict.fromkeys(_WITHOUT_PROTOCOLS[name], True)


def _is_on(name: str, value: Any) -> bool:
    """`{}`, null, true and `{enabled: true}` switch a receiver on."""
    on = value.get("enabled", True) if isinstance(value, dict) else value is None or value
    if not isinstance(on, bool):
        raise ValueError(f"{name} must be an object, or true or false")
    return on


class Tempo(Component):
    """Traces."""

    allowed_args = frozenset({"log.level", "server.http-read-timeout", "server.http-write-timeout"})

    version: Version = Field(default=DEFAULT_VERSIONS[ComponentName.TEMPO], description="Version of Tempo.")
    storage: Storage = Field(default=Storage(size="10Gi"), description="Persistent volume of each replica.")
    retention: Retention = Field(default="14d", description="How long traces are kept: h, d or w.", examples=["7d"])
    s3: S3 | None = Field(default=None, description="Bucket for blocks; the local volume when absent.")
    receivers: Annotated[Receivers, BeforeValidator(_flat_receivers), WithJsonSchema(preserve("object"))] = Field(
        default=Receivers(),
        description="Protocols: otlp, jaeger, zipkin as in Tempo's configuration; addresses in it are not used.",
        examples=[{"otlp": {"grpc": {}, "http": {}}}],
    )
    metrics_generator: Flag = Field(
        default=True, description="Whether span metrics and service graphs go to Prometheus, if it is enabled."
    )
    multi_tenant: Flag = Field(default=False, description="Whether requests need the header X-Scope-OrgID.")

    cel_rules: ClassVar[CelRules] = (
        (
            "!has(self.replicas) || self.replicas <= 1 || has(self.s3) && (!has(self.s3.enabled) || self.s3.enabled)",
            "tempo.replicas above 1 needs a bucket; set tempo.s3, or replicas: 1",
        ),
    )

    @property
    def bucket(self) -> S3 | None:
        """The bucket that is in use, if any."""
        return self.s3 if self.s3 and self.s3.enabled else None

    @classmethod
    def normalise(cls, entry: dict[str, Any]) -> dict[str, Any]:
        generator = entry.get("metricsGenerator")
        if isinstance(generator, dict):
            entry["metricsGenerator"] = generator.get("enabled", True)
        return s3_of_storage(entry)

    @model_validator(mode="after")
    def _replicas_need_a_bucket(self) -> "Tempo":
        if self.replicas > 1 and self.bucket is None:
            raise ValueError("replicas above 1 needs a bucket; set s3, or replicas: 1")
        return self
