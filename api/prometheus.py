"""Prometheus: what a user may set."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field, StrictInt, StringConstraints, WithJsonSchema

from api.component import Component
from api.defaults import DEFAULT_VERSIONS
from api.freeform import snake_keys
from api.pods import Storage
from api.rules import RuleGroups
from api.shapes import (
    Block,
    Duration,
    Flag,
    FreeList,
    Host,
    MetricLabels,
    Retention,
    RetentionSize,
    SecretField,
    Spellings,
    Text,
    Url,
    Version,
    preserve,
)
from eventstore.vocabulary import ComponentName


class BasicAuth(Block):
    """HTTP basic authentication."""

    username: Text = Field(default="", description="User name.")
    password: SecretField = Field(description="{secretKeyRef: {name, key}}; inline text is moved to a Secret.")


class TlsConfig(Block):
    """TLS towards a remote end."""

    insecure_skip_verify: Flag = Field(default=False, description="Accept any certificate. For tests only.")
    server_name: Host | None = Field(default=None, description="Name the certificate must carry.")
    ca: SecretField | None = Field(
        default=None, description="{secretKeyRef: {name, key}} with the CA certificate in PEM."
    )


class QueueConfig(Block):
    """Queue of one remote write endpoint."""

    capacity: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Samples buffered per shard."
    )
    max_shards: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Most parallel senders."
    )
    min_shards: Annotated[StrictInt, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Fewest parallel senders."
    )
    max_samples_per_send: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Most samples in one request."
    )
    batch_send_deadline: Duration | None = Field(
        default=None, description="Longest wait before a part-filled batch is sent."
    )
    min_backoff: Duration | None = Field(default=None, description="First wait before a retry.")
    max_backoff: Duration | None = Field(default=None, description="Longest wait before a retry.")


def _snake_entries(entries: tuple[dict[str, Any], ...]) -> tuple[dict[str, Any], ...]:
    return tuple(snake_keys(entries))


class RemoteWrite(Block):
    """An endpoint that samples are sent to."""

    url: Url = Field(description="Endpoint, without credentials.", examples=["https://metrics.example.com/api/v1/push"])
    name: Annotated[str, StringConstraints(strict=True, max_length=63)] = Field(
        default="", description="Name in Prometheus' metrics, unique in the list."
    )
    remote_timeout: Duration | None = Field(default=None, description="Timeout of one request.")
    basic_auth: BasicAuth | None = Field(default=None, description="HTTP basic authentication.")
    bearer_token: SecretField | None = Field(
        default=None, description="{secretKeyRef: {name, key}}; inline text is moved to a Secret."
    )
    headers: Annotated[
        dict[str, Text | SecretField],
        Field(max_length=32),
        WithJsonSchema(preserve("object")),
    ] = Field(default={}, description="HTTP headers. A secret one is {secretKeyRef: {name, key}}.")
    tls_config: TlsConfig | None = Field(default=None, description="TLS towards the endpoint.")
    write_relabel_configs: Annotated[FreeList, AfterValidator(_snake_entries)] = Field(
        default=(), description="Prometheus relabel_configs (snake_case or camelCase), a list or YAML text."
    )
    queue_config: QueueConfig | None = Field(default=None, description="Queue of this endpoint.")


class Query(Block):
    """Limits on queries."""

    timeout: Duration | None = Field(default=None, description="Longest run of a query.")
    max_samples: Annotated[StrictInt, Field(ge=1)] | None = Field(
        default=None, description="Most samples in memory per query."
    )
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Most queries at once."
    )


class Prometheus(Component):
    """Metrics."""

    allowed_args = frozenset(
        {
            "enable-feature",
            "query.lookback-delta",
            "query.max-concurrency",
            "query.max-samples",
            "query.timeout",
            "rules.alert.for-grace-period",
            "rules.alert.resend-delay",
            "scrape.discovery-reload-interval",
            "storage.remote.flush-deadline",
            "storage.remote.read-concurrent-limit",
            "storage.remote.read-max-bytes-in-frame",
            "storage.tsdb.max-block-duration",
            "storage.tsdb.min-block-duration",
            "storage.tsdb.wal-compression",
            "web.max-connections",
            "web.page-title",
            "web.read-timeout",
        }
    )

    version: Version = Field(default=DEFAULT_VERSIONS[ComponentName.PROMETHEUS], description="Version of Prometheus.")
    storage: Storage = Field(default=Storage(size="10Gi"), description="Persistent volume of each replica.")
    retention: Retention = Field(default="15d", description="How long samples are kept: h, d or w.", examples=["30d"])
    retention_size: RetentionSize | None = Field(
        default=None, description="Most disk space for samples; keep it below the volume's size.", examples=["45GB"]
    )
    scrape_interval: Duration = Field(default="30s", description="Default scrape interval.")
    scrape_timeout: Duration | None = Field(default=None, description="Default scrape timeout; at most the interval.")
    evaluation_interval: Duration = Field(default="30s", description="How often rules are evaluated.")
    external_labels: MetricLabels = Field(
        default={},
        description="Labels on everything sent elsewhere; added to those of spec.global.",
        examples=[{"env": "prod"}],
    )
    external_url: Url | None = Field(default=None, description="URL under which users reach Prometheus.")
    remote_write: Annotated[tuple[RemoteWrite, ...], Field(max_length=16)] = Field(
        default=(), description="Endpoints that samples are sent to."
    )
    additional_scrape_configs: FreeList = Field(
        default=(),
        description="Prometheus scrape_configs, a list or YAML text. File paths are refused; secrets are moved away.",
    )
    alerting_rules: RuleGroups = Field(
        default=(), description="Rules: groups, or a flat list. Added to those of alertmanager.rules."
    )
    enable_remote_write_receiver: Flag = Field(default=False, description="Accept samples pushed to /api/v1/write.")
    enable_features: Annotated[
        tuple[Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9-]{1,64}$")], ...], Field(max_length=32)
    ] = Field(default=(), description="Feature flags of Prometheus.", examples=[["exemplar-storage"]])
    wal_compression: Flag = Field(default=True, description="Compress the write-ahead log.")
    out_of_order_time_window: Duration | None = Field(default=None, description="Accept samples that are this late.")
    query: Query = Field(default=Query(), description="Limits on queries.")

    also_accepted: ClassVar[Spellings] = {
        **Component.also_accepted,
        "config": preserve(
            "object", "scrapeInterval, scrapeTimeout, evaluationInterval and externalLabels in one block."
        ),
        "rules": preserve(None, "Same as alertingRules."),
        "tsdb": preserve("object", "{outOfOrderTimeWindow}: same as outOfOrderTimeWindow."),
    }

    @classmethod
    def normalise(cls, entry: dict[str, Any]) -> dict[str, Any]:
        config = entry.pop("config", None)
        if isinstance(config, dict):
            for field in ("scrapeInterval", "scrapeTimeout", "evaluationInterval", "externalLabels"):
                if field in config:
                    entry.setdefault(field, config[field])
        window = entry.pop("tsdb", None)
        if isinstance(window, dict) and "outOfOrderTimeWindow" in window:
            entry.setdefault("outOfOrderTimeWindow", window["outOfOrderTimeWindow"])
        if "rules" in entry:
            entry.setdefault("alertingRules", entry.pop("rules"))
        return retention_of_storage(entry)


def retention_of_storage(entry: dict[str, Any]) -> dict[str, Any]:
    """`storage.retention` is another place for `retention`."""
    storage = entry.get("storage")
    if isinstance(storage, dict) and "retention" in storage:
        entry.setdefault("retention", storage["retention"])
    return entry
