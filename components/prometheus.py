"""Prometheus: spec -> configuration, rules and manifests."""

from typing import Any

from api.prometheus import Prometheus, RemoteWrite
from api.rules import RuleGroup
from api.versions import SemVer
from components.assembly import assemble
from components.context import RenderContext
from components.durations import days_text, hours_text
from components.encode import flag_list, literal_dollars, yaml_text
from components.manifest import Manifest
from components.objects import Port
from components.pods import ConfigMount, Design, Facts
from components.scraping import platform_jobs
from components.secretfiles import SecretFileCollector
from eventstore.vocabulary import ComponentName

FACTS = Facts(
    name=ComponentName.PROMETHEUS,
    repository="quay.io/prometheus/prometheus",
    tag_prefix="v",
    uid=65534,
    gid=65534,
    ports=(Port("http", 9090, app_protocol="http"),),
    data_path="/prometheus",
    live_path="/-/healthy",
    ready_path="/-/ready",
    # Replaying the write-ahead log of a large server takes minutes.
    startup_seconds=900,
    grace_seconds=600,
)
CONFIG_PATH = "/etc/prometheus"
RULES_PATH = "/etc/prometheus-rules"
#: Keys of scrape and remote write configuration that Prometheus also reads from `<key>_file`.
FILE_KEYS = frozenset({"bearer_token", "ca", "cert", "client_secret", "credentials", "key", "password"})
#: From here on retention stands in the file; before, only flags work (3.10 and older read the file's value wrongly).
_RETENTION_IN_FILE = SemVer(3, 11, 0)


def render(context: RenderContext) -> list[Manifest]:
    """Manifests of Prometheus."""
    return assemble(context, design(context))


def design(context: RenderContext) -> Design:
    """What Prometheus runs with."""
    spec = settings(context)
    secrets = SecretFileCollector()
    files = {"prometheus.yml": yaml_text(config(context, secrets))}
    mounts = [ConfigMount(path=CONFIG_PATH, config_map=context.object_name(FACTS.name, "config"), files=files)]
    if rules := rule_files(context):
        mounts.append(ConfigMount(path=RULES_PATH, config_map=context.object_name(FACTS.name, "rules"), files=rules))
    # The replica label of the external labels reads it.
    pod_name = {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    return Design(
        facts=FACTS,
        args=arguments(context),
        env=(pod_name,) if spec.replicas > 1 else (),
        mounts=tuple(mounts),
        secrets=secrets.files(),
    )


def settings(context: RenderContext) -> Prometheus:
    """The spec's block."""
    found = context.component(FACTS.name)
    assert isinstance(found, Prometheus), "the spec model has one class per component"
    return found


def receives_remote_write(context: RenderContext) -> bool:
    """Whether samples may be pushed: asked for, or needed by Tempo's metrics generator."""
    return settings(context).enable_remote_write_receiver or generator_is_on(context)


def generator_is_on(context: RenderContext) -> bool:
    """Whether Tempo sends span metrics to Prometheus."""
    tempo = context.spec.components.tempo
    return context.runs(ComponentName.TEMPO) and tempo is not None and tempo.metrics_generator


def arguments(context: RenderContext) -> tuple[str, ...]:
    """Command line flags; a flag of `extraArgs` replaces ours."""
    spec = settings(context)
    version = context.semver(FACTS.name)
    flags: dict[str, str | None] = {
        "config.file": f"{CONFIG_PATH}/prometheus.yml",
        "storage.tsdb.path": FACTS.data_path,
        "log.level": spec.log_level or "info",
        "log.format": spec.log_format,
    }
    if version < _RETENTION_IN_FILE:
        flags["storage.tsdb.retention.time"] = days_text(spec.retention)
        if spec.retention_size:
            flags["storage.tsdb.retention.size"] = spec.retention_size
    if not spec.wal_compression:
        flags["no-storage.tsdb.wal-compression"] = None
    if receives_remote_write(context):
        flags["web.enable-remote-write-receiver"] = None
    if spec.external_url:
        flags["web.external-url"] = spec.external_url
    flags |= _query_flags(spec)
    features = [*spec.enable_features, *(["expand-external-labels"] if version.major < 3 else [])]
    for arg in spec.extra_args:
        if arg.name == "enable-feature":
            features += arg.value.split(",")
        else:
            flags[arg.name] = arg.value or None
    if features:
        flags["enable-feature"] = ",".join(sorted(set(features)))
    return flag_list(flags)


def _query_flags(spec: Prometheus) -> dict[str, str | None]:
    flags: dict[str, str | None] = {}
    if spec.query.timeout:
        flags["query.timeout"] = hours_text(spec.query.timeout)
    if spec.query.max_samples:
        flags["query.max-samples"] = str(spec.query.max_samples)
    if spec.query.max_concurrency:
        flags["query.max-concurrency"] = str(spec.query.max_concurrency)
    return flags


def config(context: RenderContext, secrets: SecretFileCollector) -> dict[str, Any]:
    """`prometheus.yml` as data."""
    spec = settings(context)
    found: dict[str, Any] = {"global": _global(context, spec)}
    if storage := _storage(context, spec):
        found["storage"] = storage
    if rule_files(context):
        found["rule_files"] = [f"{RULES_PATH}/*.yml"]
    if context.runs(ComponentName.ALERTMANAGER):
        found["alerting"] = {"alertmanagers": [{"dns_sd_configs": [_alertmanager_discovery(context)]}]}
    place = "spec.components.prometheus.additionalScrapeConfigs"
    further = secrets.externalise(spec.additional_scrape_configs, place, FILE_KEYS)
    found["scrape_configs"] = [*platform_jobs(context), *further]
    if spec.remote_write:
        found["remote_write"] = [
            _remote_write(entry, number, secrets) for number, entry in enumerate(spec.remote_write)
        ]
    return found


def _alertmanager_discovery(context: RenderContext) -> dict[str, Any]:
    host = context.object_name(ComponentName.ALERTMANAGER, "headless")
    return {"names": [host], "type": "A", "port": 9093, "refresh_interval": "15s"}


def _global(context: RenderContext, spec: Prometheus) -> dict[str, Any]:
    found: dict[str, Any] = {"scrape_interval": hours_text(spec.scrape_interval)}
    if spec.scrape_timeout:
        found["scrape_timeout"] = hours_text(spec.scrape_timeout)
    found["evaluation_interval"] = hours_text(spec.evaluation_interval)
    labels = {name: literal_dollars(value) for name, value in spec.external_labels.items()}
    labels.setdefault("platform", literal_dollars(context.name))
    if spec.replicas > 1:
        # What receivers of remote write tell the copies of a series by.
        labels.setdefault("prometheus_replica", "${POD_NAME}")
    return found | {"external_labels": labels}


def _storage(context: RenderContext, spec: Prometheus) -> dict[str, Any]:
    tsdb: dict[str, Any] = {}
    if spec.out_of_order_time_window:
        tsdb["out_of_order_time_window"] = hours_text(spec.out_of_order_time_window)
    if context.semver(FACTS.name) >= _RETENTION_IN_FILE:
        tsdb["retention"] = {"time": days_text(spec.retention)}
        if spec.retention_size:
            tsdb["retention"]["size"] = spec.retention_size
    return {"tsdb": tsdb} if tsdb else {}


def rule_files(context: RenderContext) -> dict[str, str]:
    """Rule files by name: one per place in the spec, because group names are unique within a file only."""
    alertmanager = context.spec.components.alertmanager
    places = {
        "prometheus.yml": settings(context).alerting_rules,
        "alertmanager.yml": alertmanager.rules if alertmanager else (),
    }
    return {
        name: yaml_text({"groups": [_group(group) for group in groups]}) for name, groups in places.items() if groups
    }


def _group(group: RuleGroup) -> dict[str, Any]:
    rules = [_rule(rule.model_dump(by_alias=True, exclude_defaults=True)) for rule in group.rules]
    interval = {"interval": hours_text(group.interval)} if group.interval else {}
    return {"name": group.name} | interval | {"rules": rules}


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    for length in ("for", "keep_firing_for"):
        if length in rule:
            rule[length] = hours_text(rule[length])
    return rule


def _remote_write(entry: RemoteWrite, number: int, secrets: SecretFileCollector) -> dict[str, Any]:
    found: dict[str, Any] = {"url": entry.url}
    if entry.name:
        found["name"] = entry.name
    if entry.remote_timeout:
        found["remote_timeout"] = hours_text(entry.remote_timeout)
    plain = {name: value for name, value in entry.headers.items() if isinstance(value, str)}
    secret = {name: value for name, value in entry.headers.items() if not isinstance(value, str)}
    if plain:
        found["headers"] = plain
    if secret:
        found["http_headers"] = {name: {"files": [secrets.path(value)]} for name, value in secret.items()}
    if entry.basic_auth:
        password = secrets.path(entry.basic_auth.password)
        found["basic_auth"] = {"username": entry.basic_auth.username, "password_file": password}
    if entry.bearer_token:
        found["authorization"] = {"type": "Bearer", "credentials_file": secrets.path(entry.bearer_token)}
    if entry.tls_config:
        found["tls_config"] = _tls(entry, secrets)
    place = f"spec.components.prometheus.remoteWrite[{number}].writeRelabelConfigs"
    if entry.write_relabel_configs:
        found["write_relabel_configs"] = secrets.externalise(entry.write_relabel_configs, place, FILE_KEYS)
    if entry.queue_config:
        queue = entry.queue_config.model_dump(exclude_none=True)
        found["queue_config"] = {k: hours_text(v) if isinstance(v, str) else v for k, v in queue.items()}
    return found


def _tls(entry: RemoteWrite, secrets: SecretFileCollector) -> dict[str, Any]:
    options = entry.tls_config
    assert options is not None, "only called with tls_config"
    found: dict[str, Any] = {}
    if options.ca:
        found["ca_file"] = secrets.path(options.ca)
    if options.server_name:
        found["server_name"] = options.server_name
    return found | ({"insecure_skip_verify": True} if options.insecure_skip_verify else {})
