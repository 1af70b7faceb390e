"""Alertmanager: spec -> configuration and manifests."""

from typing import Any

from api.alertmanager import Alertmanager
from components.assembly import assemble
from components.context import RenderContext
from components.durations import hours_text
from components.encode import flag_list, yaml_text
from components.manifest import Manifest
from components.objects import Port
from components.pods import ConfigMount, Design, Facts
from components.secretfiles import SecretFileCollector
from eventstore.vocabulary import ComponentName

FACTS = Facts(
    name=ComponentName.ALERTMANAGER,
    repository="quay.io/prometheus/alertmanager",
    tag_prefix="v",
    uid=65534,
    gid=65534,
    ports=(Port("http", 9093, app_protocol="http"),),
    data_path="/alertmanager",
    live_path="/-/healthy",
    ready_path="/-/ready",
    startup_seconds=120,
    grace_seconds=120,
)
CONFIG_PATH = "/etc/alertmanager"
#: Keys of the configuration that Alertmanager also reads from `<key>_file`.
FILE_KEYS = frozenset(
    {
        "alert_source_token",
        "api_key",
        "api_secret",
        "api_url",
        "app_token",
        "auth_password",
        "auth_secret",
        "bearer_token",
        "bot_token",
        "ca",
        "cert",
        "client_secret",
        "credentials",
        "key",
        "mattermost_webhook_url",
        "opsgenie_api_key",
        "password",
        "rocketchat_token",
        "rocketchat_token_id",
        "routing_key",
        "service_key",
        "slack_api_url",
        "slack_app_token",
        "smtp_auth_password",
        "smtp_auth_secret",
        "telegram_bot_token",
        "token",
        "token_id",
        "url",
        "user_key",
        "victorops_api_key",
        "webhook_url",
        "wechat_api_secret",
    }
)
_GOSSIP = (Port("gossip-tcp", 9094, public=False), Port("gossip-udp", 9094, "UDP", public=False))
#: Shows alerts and notifies nobody.
SILENT_CONFIG: dict[str, Any] = {
    "route": {"receiver": "nobody", "group_by": ["alertname"]},
    "receivers": [{"name": "nobody"}],
}


def render(context: RenderContext) -> list[Manifest]:
    """Manifests of Alertmanager."""
    return assemble(context, design(context))


def design(context: RenderContext) -> Design:
    """What Alertmanager runs with."""
    spec = settings(context)
    secrets = SecretFileCollector()
    mounts: tuple[ConfigMount, ...] = ()
    if spec.config_secret is not None:
        config_file = secrets.path(spec.config_secret)
    else:
        files = {"alertmanager.yml": yaml_text(config(context, secrets))}
        name = context.object_name(FACTS.name, "config")
        config_file = f"{CONFIG_PATH}/alertmanager.yml"
        mounts = (ConfigMount(path=CONFIG_PATH, config_map=name, files=files),)
    clustered = spec.replicas > 1
    pod_ip = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return Design(
        facts=FACTS,
        args=arguments(context, config_file),
        expanded_args=("--cluster.listen-address=[$(POD_IP)]:9094",) if clustered else (),
        env=(pod_ip,) if clustered else (),
        mounts=mounts,
        secrets=secrets.files(),
        further_ports=_GOSSIP if clustered else (),
    )


def settings(context: RenderContext) -> Alertmanager:
    """The spec's block."""
    found = context.component(FACTS.name)
    assert isinstance(found, Alertmanager), "the spec model has one class per component"
    return found


def arguments(context: RenderContext, config_file: str) -> tuple[str, ...]:
    """Command line flags; a flag of `extraArgs` replaces ours."""
    spec = settings(context)
    flags: dict[str, str | None] = {
        "config.file": config_file,
        "storage.path": FACTS.data_path,
        "data.retention": hours_text(spec.retention),
        "log.level": spec.log_level or "info",
        "log.format": spec.log_format,
    }
    if spec.external_url:
        flags["web.external-url"] = spec.external_url
    if spec.replicas == 1:
        flags["cluster.listen-address"] = ""
    flags |= {arg.name: arg.value or None for arg in spec.extra_args}
    peers = context.pod_hosts(FACTS.name) if spec.replicas > 1 else []
    return flag_list(flags) + tuple(f"--cluster.peer={host}:9094" for host in peers)


def config(context: RenderContext, secrets: SecretFileCollector) -> dict[str, Any]:
    """`alertmanager.yml` as data."""
    given = settings(context).config
    if given is None:
        return SILENT_CONFIG
    found = secrets.externalise(given, "spec.components.alertmanager.config", FILE_KEYS)
    assert isinstance(found, dict), "an object stays an object"
    return found
