"""Tempo: spec -> configuration and manifests. Major versions 2 and 3 have different configurations."""

from typing import Any

from api.tempo import Receivers, Tempo
from components.assembly import assemble
from components.buckets import credentials, endpoint
from components.context import RenderContext
from components.durations import hours_text
from components.encode import flag_list, yaml_text
from components.manifest import Manifest
from components.objects import Port
from components.pods import ConfigMount, Design, Facts
from components.prometheus import generator_is_on
from eventstore.vocabulary import ComponentName

FACTS = Facts(
    name=ComponentName.TEMPO,
    repository="docker.io/grafana/tempo",
    uid=10001,
    gid=10001,
    ports=(Port("http", 3200, app_protocol="http"), Port("grpc", 9095)),
    data_path="/var/tempo",
    scratch_paths=("/tmp",),  # noqa: S108 - a path in the container
    # Not /ready: a bucket that cannot be reached is no reason to restart.
    live_path="/api/status/buildinfo",
    ready_path="/ready",
    startup_seconds=600,
    grace_seconds=300,
)
CONFIG_PATH = "/etc/tempo"
_MEMBERLIST = Port("memberlist", 7946, public=False)
#: Field of `Receivers` -> (receiver, protocol in Tempo's file, port). The address is always given: Tempo's default is
#: localhost since 2.7.
RECEIVERS: dict[str, tuple[str, str, Port]] = {
    "otlp_grpc": ("otlp", "grpc", Port("otlp-grpc", 4317, app_protocol="grpc")),
    "otlp_http": ("otlp", "http", Port("otlp-http", 4318, app_protocol="http")),
    "jaeger_grpc": ("jaeger", "grpc", Port("jaeger-grpc", 14250)),
    "jaeger_thrift_http": ("jaeger", "thrift_http", Port("jaeger-http", 14268)),
    "jaeger_thrift_compact": ("jaeger", "thrift_compact", Port("jaeger-compact", 6831, "UDP")),
    "jaeger_thrift_binary": ("jaeger", "thrift_binary", Port("jaeger-binary", 6832, "UDP")),
    "zipkin": ("zipkin", "", Port("zipkin", 9411)),
}


def render(context: RenderContext) -> list[Manifest]:
    """Manifests of Tempo."""
    return assemble(context, design(context))


def design(context: RenderContext) -> Design:
    """What Tempo runs with."""
    spec = settings(context)
    files = {"tempo.yaml": yaml_text(config(context))}
    flags: dict[str, str | None] = {"config.file": f"{CONFIG_PATH}/tempo.yaml", "target": _target(spec)}
    flags |= {arg.name: arg.value or None for arg in spec.extra_args}
    ports = tuple(port for name, (_, _, port) in RECEIVERS.items() if getattr(spec.receivers, name))
    return Design(
        facts=FACTS,
        args=flag_list(flags, "-"),
        env=credentials(spec.bucket),
        mounts=(ConfigMount(path=CONFIG_PATH, config_map=context.object_name(FACTS.name, "config"), files=files),),
        further_ports=ports + ((_MEMBERLIST,) if spec.replicas > 1 else ()),
    )


def settings(context: RenderContext) -> Tempo:
    """The spec's block."""
    found = context.component(FACTS.name)
    assert isinstance(found, Tempo), "the spec model has one class per component"
    return found


def _target(spec: Tempo) -> str:
    # Tempo 3 cannot have more than one replica without Kafka: components.findings refuses it.
    return "all" if spec.replicas == 1 else "scalable-single-binary"


def config(context: RenderContext) -> dict[str, Any]:
    """`tempo.yaml` as data."""
    spec = settings(context)
    found: dict[str, Any] = {
        "stream_over_http_enabled": True,
        "multitenancy_enabled": spec.multi_tenant,
        "server": {
            "http_listen_port": 3200,
            "grpc_listen_port": 9095,
            "log_level": spec.log_level or "info",
            "log_format": spec.log_format,
        },
        "distributor": {"receivers": _receivers(spec.receivers)},
    }
    found |= _per_major(context, spec)
    if spec.replicas > 1:
        headless = context.object_name(FACTS.name, "headless")
        found["memberlist"] = {"join_members": [f"dns+{headless}:7946"]}
        found["querier"] = {"frontend_worker": {"frontend_address": f"{headless}:9095"}}
    if generator_is_on(context) and context.runs(ComponentName.PROMETHEUS):
        found |= _generator(context)
    found["storage"] = {"trace": _storage(spec)}
    return found | {"usage_report": {"reporting_enabled": False}}


def _receivers(wanted: Receivers) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, (receiver, protocol, port) in RECEIVERS.items():
        if not getattr(wanted, name):
            continue
        address = {"endpoint": f"0.0.0.0:{port.number}"}
        if protocol:
            found.setdefault(receiver, {"protocols": {}})["protocols"][protocol] = address
        else:
            found[receiver] = address
    return found


def _per_major(context: RenderContext, spec: Tempo) -> dict[str, Any]:
    """The part that is one thing in Tempo 2 and another in Tempo 3: who cuts, compacts and deletes blocks."""
    retention = {"block_retention": hours_text(spec.retention)}
    if context.semver(FACTS.name).major >= 3:
        return {
            "backend_scheduler": {
                "provider": {"compaction": {"compaction": retention}},
                "local_work_path": f"{FACTS.data_path}/scheduler",
            },
            "backend_worker": {"backend_scheduler_addr": "127.0.0.1:9095", "compaction": dict(retention)},
        }
    found: dict[str, Any] = {"compactor": {"compaction": retention}}
    if spec.replicas > 1:
        factor = context.spec.high_availability.replication_factor or (3 if spec.replicas >= 3 else 1)
        found["ingester"] = {"lifecycler": {"ring": {"replication_factor": factor}}}
    return found


def _generator(context: RenderContext) -> dict[str, Any]:
    """Span metrics and service graphs, to every replica of Prometheus: each has its own copy of all series."""
    hosts = context.pod_hosts(ComponentName.PROMETHEUS)
    remote_write = [{"url": f"http://{host}:9090/api/v1/write", "send_exemplars": True} for host in hosts]
    return {
        "metrics_generator": {
            "registry": {"external_labels": {"source": "tempo", "platform": context.name}},
            "storage": {"path": f"{FACTS.data_path}/generator/wal", "remote_write": remote_write},
        },
        "overrides": {"defaults": {"metrics_generator": {"processors": ["service-graphs", "span-metrics"]}}},
    }


def _storage(spec: Tempo) -> dict[str, Any]:
    wal = {"wal": {"path": f"{FACTS.data_path}/wal"}}
    bucket = spec.bucket
    if bucket is None:
        return {"backend": "local"} | wal | {"local": {"path": f"{FACTS.data_path}/blocks"}}
    where = endpoint(bucket)
    s3 = {
        "bucket": bucket.bucket,
        "endpoint": where.host,
        "region": bucket.region,
        "insecure": where.insecure,
        "forcepathstyle": bucket.force_path_style,
    }
    return {"backend": "s3"} | wal | {"s3": s3}
