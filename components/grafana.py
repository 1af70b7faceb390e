"""Grafana: spec -> grafana.ini, provisioning and manifests."""

from typing import Any

from api.grafana import Grafana
from api.shapes import SecretKeyRef
from api.versions import SemVer
from components.assembly import assemble
from components.context import RenderContext
from components.dashboards import mounts as dashboard_mounts
from components.dashboards import providers
from components.datasources import provisioning
from components.encode import ConfigValueError, FileValue, ini_text, yaml_text
from components.manifest import Manifest, SecretSource
from components.objects import Port, manifest, metadata, secret
from components.pods import ConfigMount, Design, Facts
from components.secretfiles import SecretFileCollector
from eventstore.vocabulary import ComponentName

FACTS = Facts(
    name=ComponentName.GRAFANA,
    repository="docker.io/grafana/grafana",
    uid=472,
    gid=472,
    ports=(Port("http", 3000, app_protocol="http"),),
    data_path="/var/lib/grafana",
    scratch_paths=("/tmp", "/var/log/grafana"),  # noqa: S108 - paths in the container
    live_path="/api/health",
    ready_path="/api/health",
    # The first start of a new major version rewrites the whole database.
    startup_seconds=900,
    grace_seconds=60,
)
#: Not /etc/grafana: a mount there would hide files of the image, and nothing could be mounted below it.
CONFIG_PATH = "/etc/stackledger/grafana"
PROVISIONING_PATH = f"{CONFIG_PATH}/provisioning"
ADMIN_SECRET_SUFFIX = "admin"  # noqa: S105 - part of a name
ADMIN_PASSWORD_KEY = "password"  # noqa: S105 - name of a key
_ADMIN_PASSWORD_LENGTH = 32
_GOSSIP = (Port("gossip-tcp", 9094, public=False), Port("gossip-udp", 9094, "UDP", public=False))
#: grafana.ini settings that belong to the operator: changing them breaks probes, mounts or the data.
RESERVED_SETTINGS = frozenset(
    {
        ("paths", "data"),
        ("paths", "logs"),
        ("paths", "plugins"),
        ("paths", "provisioning"),
        ("server", "http_addr"),
        ("server", "http_port"),
        ("server", "protocol"),
        ("server", "socket"),
    }
)
_PLACE = "spec.components.grafana.config"
_LOG_FORMATS = {"logfmt": "text", "json": "json"}
#: From here on plugins are installed by a setting; before, by a variable that the image's start script reads.
_PREINSTALL = SemVer(11, 5, 0)
_DATABASE_PORTS = {"postgres": 5432, "mysql": 3306}


def render(context: RenderContext) -> list[Manifest]:
    """Manifests of Grafana."""
    first = [] if settings(context).admin_password else [_admin_secret(context)]
    return assemble(context, design(context), first)


def _admin_secret(context: RenderContext) -> Manifest:
    meta = metadata(context.object_name(FACTS.name, ADMIN_SECRET_SUFFIX), context.name, FACTS.name)
    source = SecretSource(kind="generated", length=_ADMIN_PASSWORD_LENGTH)
    # Never written again: Grafana keeps the first password in its database.
    return manifest(FACTS.name, secret(meta), secret_sources={ADMIN_PASSWORD_KEY: source}, create_only=True)


def design(context: RenderContext) -> Design:
    """What Grafana runs with."""
    spec = settings(context)
    secrets = SecretFileCollector()
    files = {
        "grafana.ini": ini_text(ini(context, secrets)),
        "datasources.yaml": yaml_text(provisioning(context, spec, secrets)),
        "dashboards.yaml": yaml_text(providers(spec)),
    }
    items = {
        "grafana.ini": "grafana.ini",
        "datasources.yaml": "provisioning/datasources/platform.yaml",
        "dashboards.yaml": "provisioning/dashboards/platform.yaml",
    }
    name = context.object_name(FACTS.name, "config")
    own = ConfigMount(path=CONFIG_PATH, config_map=name, files=files, items=items)
    return Design(
        facts=FACTS,
        env=_environment(context),
        mounts=(own, *dashboard_mounts(context, spec)),
        secrets=secrets.files(),
        further_ports=_GOSSIP if spec.replicas > 1 else (),
        stateful=spec.storage is not None,
    )


def settings(context: RenderContext) -> Grafana:
    """The spec's block."""
    found = context.component(FACTS.name)
    assert isinstance(found, Grafana), "the spec model has one class per component"
    return found


def _environment(context: RenderContext) -> tuple[dict[str, Any], ...]:
    """What the image's start script goes by."""
    found = [
        {"name": "GF_PATHS_CONFIG", "value": f"{CONFIG_PATH}/grafana.ini"},
        {"name": "GF_PATHS_PROVISIONING", "value": PROVISIONING_PATH},
    ]
    plugins = settings(context).plugins
    if plugins and context.semver(FACTS.name) < _PREINSTALL:
        wanted = ",".join(plugin.replace("@", " ") for plugin in plugins)
        found.append({"name": "GF_INSTALL_PLUGINS", "value": wanted})
    return tuple(found)


def ini(context: RenderContext, secrets: SecretFileCollector) -> dict[str, dict[str, Any]]:
    """`grafana.ini` as data; settings of the spec's `config` win over ours.

    Raises:
        ConfigValueError: a setting that belongs to the operator.
    """
    spec = settings(context)
    found: dict[str, dict[str, Any]] = {
        "paths": {"data": FACTS.data_path, "provisioning": PROVISIONING_PATH},
        "server": _server(spec),
        "security": _security(context, spec, secrets),
        "log": {"mode": "console", "level": spec.log_level or "info"},
        "log.console": {"format": _LOG_FORMATS[spec.log_format]},
        "analytics": {
            "reporting_enabled": False,
            "check_for_updates": False,
            "check_for_plugin_updates": False,
            "feedback_links_enabled": False,
        },
        "news": {"news_feed_enabled": False},
        "metrics": {"enabled": True},
        "database": _database(spec, secrets),
    }
    if context.semver(FACTS.name) >= _PREINSTALL:
        found["plugins"] = _plugins(spec)
    if spec.smtp:
        found["smtp"] = _smtp(spec, secrets)
    if spec.replicas > 1:
        peers = f"{context.object_name(FACTS.name, 'headless')}:9094"
        found["unified_alerting"] = {"ha_peers": peers, "ha_listen_address": "0.0.0.0:9094"}
    for section, entries in spec.config.items():
        for key, value in entries.items():
            if (section, key) in RESERVED_SETTINGS:
                raise ConfigValueError(f"{_PLACE}.{section}.{key}", "belongs to the operator; remove it")
            setting = FileValue(secrets.path(value)) if isinstance(value, SecretKeyRef) else value
            found.setdefault(section, {})[key] = setting
    return found


def _server(spec: Grafana) -> dict[str, Any]:
    found: dict[str, Any] = {"http_port": 3000}
    options = spec.ingress
    if options is None or not options.enabled:
        return found
    scheme = "https" if options.tls and options.tls.enabled else "http"
    found["root_url"] = f"{scheme}://{options.host}{options.path.rstrip('/')}/"
    return found | ({"serve_from_sub_path": True} if options.path != "/" else {})


def _security(context: RenderContext, spec: Grafana, secrets: SecretFileCollector) -> dict[str, Any]:
    generated = SecretKeyRef(name=context.object_name(FACTS.name, ADMIN_SECRET_SUFFIX), key=ADMIN_PASSWORD_KEY)
    password = secrets.path(spec.admin_password or generated)
    return {"admin_user": spec.admin_user, "admin_password": FileValue(password), "disable_gravatar": True}


def _database(spec: Grafana, secrets: SecretFileCollector) -> dict[str, Any]:
    given = spec.database
    if given is None:
        # Without the write-ahead log, the migrations of Grafana 13 run into "database is locked".
        return {"type": "sqlite3", "wal": True}
    port = given.port or _DATABASE_PORTS[given.type]
    found: dict[str, Any] = {"type": given.type, "host": f"{given.host}:{port}", "name": given.name, "user": given.user}
    if given.password:
        found["password"] = FileValue(secrets.path(given.password))
    return found | {"ssl_mode": given.ssl_mode}


def _smtp(spec: Grafana, secrets: SecretFileCollector) -> dict[str, Any]:
    mail = spec.smtp
    assert mail is not None, "only called with smtp"
    found: dict[str, Any] = {"enabled": True, "host": f"{mail.host}:{mail.port}"}
    if mail.user:
        found["user"] = mail.user
    if mail.password:
        found["password"] = FileValue(secrets.path(mail.password))
    if mail.from_address:
        found["from_address"] = mail.from_address
    return found | {"startTLS_policy": "MandatoryStartTLS" if mail.tls else "OpportunisticStartTLS"}


def _plugins(spec: Grafana) -> dict[str, Any]:
    """The wanted plugins, or none at all: by default Grafana downloads some of its own."""
    if not spec.plugins:
        return {"preinstall_disabled": True}
    return {"preinstall": ",".join(plugin.replace(" ", "@") for plugin in spec.plugins)}
