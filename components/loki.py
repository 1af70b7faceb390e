"""Loki: spec -> configuration and manifests. One process holds all of Loki's parts; more of them share a bucket."""

from typing import Any

from api.loki import Loki
from api.shapes import duration_seconds
from api.versions import SemVer
from components.assembly import assemble
from components.buckets import credentials, endpoint
from components.context import RenderContext
from components.durations import days_text
from components.encode import flag_list, yaml_text
from components.manifest import Manifest
from components.objects import Port
from components.pods import ConfigMount, Design, Facts
from eventstore.vocabulary import ComponentName

FACTS = Facts(
    name=ComponentName.LOKI,
    repository="docker.io/grafana/loki",
    uid=10001,
    gid=10001,
    ports=(Port("http", 3100, app_protocol="http"), Port("grpc", 9095)),
    data_path="/loki",
    scratch_paths=("/tmp",),  # noqa: S108 - a path in the container
    # Not /ready: a bucket that cannot be reached is no reason to restart.
    live_path="/services",
    ready_path="/ready",
    startup_seconds=600,
    grace_seconds=300,
)
CONFIG_PATH = "/etc/loki"
#: Schema versions that cannot hold structured metadata, which Loki 3 wants to write.
_PLAIN_SCHEMAS = frozenset({"v11", "v12"})
#: From here on the ruler speaks Alertmanager's version 2 by itself.
_RULER_V2_BY_DEFAULT = SemVer(3, 2, 0)
_MEMBERLIST = Port("memberlist", 7946, public=False)


def render(context: RenderContext) -> list[Manifest]:
    """Manifests of Loki."""
    return assemble(context, design(context))


def design(context: RenderContext) -> Design:
    """What Loki runs with."""
    spec = settings(context)
    files = {"loki.yaml": yaml_text(config(context))}
    flags: dict[str, str | None] = {"config.file": f"{CONFIG_PATH}/loki.yaml", "target": "all"}
    flags |= {arg.name: arg.value or None for arg in spec.extra_args}
    return Design(
        facts=FACTS,
        args=flag_list(flags, "-"),
        env=credentials(spec.bucket),
        mounts=(ConfigMount(path=CONFIG_PATH, config_map=context.object_name(FACTS.name, "config"), files=files),),
        further_ports=(_MEMBERLIST,) if spec.replicas > 1 else (),
    )


def settings(context: RenderContext) -> Loki:
    """The spec's block."""
    found = context.component(FACTS.name)
    assert isinstance(found, Loki), "the spec model has one class per component"
    return found


def config(context: RenderContext) -> dict[str, Any]:
    """`loki.yaml` as data."""
    spec = settings(context)
    store = "s3" if spec.bucket else "filesystem"
    found: dict[str, Any] = {
        "auth_enabled": spec.multi_tenant,
        "server": {
            "http_listen_port": 3100,
            "grpc_listen_port": 9095,
            "log_level": spec.log_level or "info",
            "log_format": spec.log_format,
        },
        "common": _common(context, spec),
    }
    if spec.replicas > 1:
        found["memberlist"] = {"join_members": [f"dns+{context.object_name(FACTS.name, 'headless')}:7946"]}
    found["schema_config"] = {"configs": [_period(p.version, p.effective_date, store) for p in spec.schema_periods]}
    found["limits_config"] = _limits(context, spec)
    found["compactor"] = {
        "working_directory": f"{FACTS.data_path}/compactor",
        "retention_enabled": True,
        "delete_request_store": store,
    }
    found["ruler"] = _ruler(context)
    found["analytics"] = {"reporting_enabled": False}
    return found


def _common(context: RenderContext, spec: Loki) -> dict[str, Any]:
    if spec.replicas == 1:
        place: dict[str, Any] = {"instance_addr": "127.0.0.1", "replication_factor": 1}
        place["ring"] = {"kvstore": {"store": "inmemory"}}
    else:
        place = {"replication_factor": replication_factor(context, spec.replicas)}
        place["ring"] = {"kvstore": {"store": "memberlist"}}
    return {"path_prefix": FACTS.data_path} | place | {"storage": _storage(spec)}


def replication_factor(context: RenderContext, replicas: int) -> int:
    """Copies of each line: what the spec says, else 3 where there are as many replicas."""
    wanted = context.spec.high_availability.replication_factor
    return wanted or (3 if replicas >= 3 else 1)


def _storage(spec: Loki) -> dict[str, Any]:
    bucket = spec.bucket
    if bucket is None:
        directory = FACTS.data_path
        return {"filesystem": {"chunks_directory": f"{directory}/chunks", "rules_directory": f"{directory}/rules"}}
    where = endpoint(bucket)
    found: dict[str, Any] = {"bucketnames": bucket.bucket, "region": bucket.region}
    if bucket.endpoint:
        found["endpoint"] = where.host
    return {"s3": found | {"insecure": where.insecure, "s3forcepathstyle": bucket.force_path_style}}


def _period(version: str, day: str, store: str) -> dict[str, Any]:
    index = {"prefix": "index_", "period": "24h"}
    return {"from": day, "store": "tsdb", "object_store": store, "schema": version, "index": index}


def _limits(context: RenderContext, spec: Loki) -> dict[str, Any]:
    retention = min((spec.retention, spec.limits.retention_period or spec.retention), key=duration_seconds)
    found: dict[str, Any] = {"retention_period": days_text(retention), "volume_enabled": True}
    if context.semver(FACTS.name).major >= 3:
        newest = max(spec.schema_periods, key=lambda period: period.effective_date)
        found["allow_structured_metadata"] = newest.version not in _PLAIN_SCHEMAS
    limits = {
        "ingestion_rate_mb": spec.limits.ingestion_rate,
        "ingestion_burst_size_mb": spec.limits.ingestion_burst_size,
        "max_streams_per_user": spec.limits.max_streams_per_user,
        "max_entries_limit_per_query": spec.limits.max_entries_limit_per_query,
    }
    return found | {name: value for name, value in limits.items() if value is not None}


def _ruler(context: RenderContext) -> dict[str, Any]:
    directory = FACTS.data_path
    # Left to itself, the ruler writes its log into the working directory, which is read-only.
    found: dict[str, Any] = {"rule_path": f"{directory}/rules-temp", "wal": {"dir": f"{directory}/ruler-wal"}}
    if context.runs(ComponentName.ALERTMANAGER):
        hosts = context.pod_hosts(ComponentName.ALERTMANAGER)
        found["alertmanager_url"] = ",".join(f"http://{host}:9093" for host in hosts)
        if context.semver(FACTS.name) < _RULER_V2_BY_DEFAULT:
            found["enable_alertmanager_v2"] = True
    return found | {"enable_api": True}
