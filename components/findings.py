"""What is wrong with a spec and shows only when it is rendered. Pure; found before anything reaches the cluster."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from api.alertmanager import Alertmanager
from api.component import Component
from api.grafana import Grafana
from api.loki import Loki
from api.prometheus import Prometheus, RemoteWrite
from api.shapes import duration_seconds
from api.tempo import Tempo
from api.versions import SemVer
from components.context import RenderContext
from components.datasources import PORTS as OWN_SOURCES
from components.datasources import source_uid
from components.encode import ConfigValueError
from components.images import image_version
from components.manifest import Manifest
from components.registry import COMPONENTS
from eventstore.events import Finding
from eventstore.vocabulary import ComponentName

#: The API server refuses larger ConfigMaps.
CONFIG_BYTES_MAX = 1_048_576
#: Variables that the operator sets; with other values probes fail or data is lost.
RESERVED_VARIABLES = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "GF_PATHS_CONFIG",
        "GF_PATHS_DATA",
        "GF_PATHS_PROVISIONING",
        "GF_SERVER_HTTP_ADDR",
        "GF_SERVER_HTTP_PORT",
        "GF_SERVER_PROTOCOL",
        "POD_IP",
        "POD_NAME",
    }
)
#: First version of Prometheus that reads header values from files.
_HEADER_FILES = SemVer(2, 55, 0)
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]{1,256}")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: Headers that Prometheus does not let anybody set, in lower case.
_RESERVED_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "user-agent",
        "www-authenticate",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-prometheus-remote-read-version",
        "x-prometheus-remote-write-version",
    }
)


def findings(context: RenderContext) -> tuple[Finding, ...]:
    """Everything that would be refused, or would not start, in install order; empty if the platform can be applied."""
    found = list(_platform(context))
    for name, component in context.spec.enabled_components():
        place = f"spec.components.{name.value}"
        found += _common(context, name, component, place)
        found += _specific(context, component, place)
        found += _rendered(context, name, place)
    return tuple(found)


def _finding(reason: str, subject: str, message: str) -> Finding:
    return Finding(reason=reason, subject=subject[:300], message=f"{subject}: {message}"[:1000])


def _invalid(subject: str, message: str) -> Finding:
    return _finding("InvalidValue", subject, message)


def _config_invalid(subject: str, message: str) -> Finding:
    return _finding("ConfigInvalid", subject, message)


def _platform(context: RenderContext) -> Iterator[Finding]:
    if context.spec.security.tls.enabled:
        # Better no platform than one that its owner believes to be encrypted.
        message = "TLS between components is not supported by this version; remove it, or set enabled: false"
        yield _finding("NotSupported", "spec.security.tls", message)


def _common(context: RenderContext, name: ComponentName, component: Component, place: str) -> Iterator[Finding]:
    image = component.image
    tagged = image_version(f"image:{image.tag}") if image and image.tag else ""
    if tagged and tagged != context.version(name):
        message = f"the image's tag says {tagged}, version says {context.version(name)}; set version: {tagged}"
        yield _invalid(f"{place}.image", message)
    for variable in component.extra_env:
        if variable.name in RESERVED_VARIABLES:
            message = f"{variable.name} belongs to the operator; remove it"
            yield _finding("ReservedSetting", f"{place}.extraEnv", message)


def _rendered(context: RenderContext, name: ComponentName, place: str) -> Iterator[Finding]:
    try:
        manifests = COMPONENTS[name].render(context)
    except ConfigValueError as error:
        yield _invalid(
            error.place if error.place.startswith("spec.") else f"{place}.config.{error.place}", error.problem
        )
        return
    for manifest in manifests:
        size = _config_bytes(manifest)
        if size > CONFIG_BYTES_MAX:
            message = f"{manifest.ref} would have {size} bytes, at most {CONFIG_BYTES_MAX} are possible; shorten it"
            yield _finding("ConfigTooLarge", place, message)


def _config_bytes(manifest: Manifest) -> int:
    data: dict[str, str] = manifest.body.get("data", {}) if manifest.ref.kind == "ConfigMap" else {}
    return sum(len(key.encode()) + len(text.encode()) for key, text in data.items())


def _specific(context: RenderContext, component: Component, place: str) -> Iterable[Finding]:
    if isinstance(component, Prometheus):
        return _prometheus(context, component, place)
    if isinstance(component, Loki | Tempo):
        return _replicated(context, component, place)
    if isinstance(component, Grafana):
        return _grafana(context, component, place)
    return _alertmanager(component, place) if isinstance(component, Alertmanager) else ()


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _prometheus(context: RenderContext, spec: Prometheus, place: str) -> Iterator[Finding]:
    timeout, interval = spec.scrape_timeout, spec.scrape_interval
    if timeout and duration_seconds(timeout) > duration_seconds(interval):
        yield _invalid(f"{place}.scrapeTimeout", f"{timeout} is longer than scrapeInterval {interval}; shorten it")
    own = [context.object_name(name) for name, _ in context.spec.enabled_components()]
    given = []
    for number, job in enumerate(spec.additional_scrape_configs):
        if not isinstance(job.get("job_name"), str) or not job["job_name"]:
            yield _config_invalid(
                f"{place}.additionalScrapeConfigs[{number}]", "job_name is needed; give the job a name"
            )
        else:
            given.append(job["job_name"])
    for name in _repeated([*own, *given]):
        yield _config_invalid(
            f"{place}.additionalScrapeConfigs", f"the job_name {name[:80]!r} is given twice; rename one"
        )
    for name in _repeated(entry.name for entry in spec.remote_write if entry.name):
        yield _config_invalid(f"{place}.remoteWrite", f"the name {name!r} is given twice; rename one")
    for number, entry in enumerate(spec.remote_write):
        yield from _remote_write(context, entry, f"{place}.remoteWrite[{number}]")
    alertmanager = context.spec.components.alertmanager
    yield from _rule_groups([group.name for group in spec.alerting_rules], f"{place}.alertingRules")
    rules = alertmanager.rules if alertmanager else ()
    yield from _rule_groups([group.name for group in rules], "spec.components.alertmanager.rules")


def _remote_write(context: RenderContext, entry: RemoteWrite, place: str) -> Iterator[Finding]:
    if entry.basic_auth and entry.bearer_token:
        yield _invalid(place, "give either basicAuth or bearerToken")
    for name, value in entry.headers.items():
        subject = f"{place}.headers.{name[:64]!r}"
        if not _HEADER_NAME.fullmatch(name):
            yield _invalid(subject, "is not the name of an HTTP header")
        elif name.lower() == "authorization":
            yield _invalid(subject, "Prometheus refuses this header; use basicAuth or bearerToken")
        elif name.lower() in _RESERVED_HEADERS:
            yield _invalid(subject, "Prometheus sets this header itself; remove it")
        elif isinstance(value, str) and _CONTROL.search(value):
            yield _invalid(subject, "the value of a header is on one line and has no control characters")
        elif not isinstance(value, str) and context.semver(ComponentName.PROMETHEUS) < _HEADER_FILES:
            yield _invalid(subject, "a secret header needs Prometheus 2.55 or newer; set version")


def _rule_groups(names: list[str], subject: str) -> Iterator[Finding]:
    for name in _repeated(names):
        yield _config_invalid(subject, f"the group {name[:80]!r} is given twice; rename one")


def _replicated(context: RenderContext, spec: Loki | Tempo, place: str) -> Iterator[Finding]:
    """The models refuse replicas without a bucket; what they cannot see is the version, and the rest of the spec."""
    name = ComponentName.LOKI if isinstance(spec, Loki) else ComponentName.TEMPO
    if spec.replicas > 1 and spec.bucket is None:
        yield _invalid(f"{place}.replicas", f"{spec.replicas} replicas need a bucket; set s3, or replicas: 1")
    if name is ComponentName.TEMPO and spec.replicas > 1 and context.semver(name).major >= 3:
        message = "Tempo 3 has more than one replica only with Kafka, which is not supported; set replicas: 1"
        yield _invalid(f"{place}.replicas", message)
    factor = context.spec.high_availability.replication_factor
    if factor and spec.bucket is not None and factor > spec.replicas:
        message = f"{factor} copies need as many replicas, {name.value} has {spec.replicas}; set {name.value}.replicas"
        yield _invalid("spec.highAvailability.replicationFactor", message)


def _grafana(context: RenderContext, spec: Grafana, place: str) -> Iterator[Finding]:
    if spec.replicas > 1 and spec.database is None:
        yield _invalid(f"{place}.replicas", f"{spec.replicas} replicas need a database; set database, or replicas: 1")
    own = [name for name in OWN_SOURCES if context.runs(name)]
    for uid in _repeated([*(name.value for name in own), *(source_uid(source) for source in spec.data_sources)]):
        yield _config_invalid(f"{place}.datasources", f"the uid {uid!r} is taken; give another one")
    names = [*(name.value.capitalize() for name in own), *(source.name for source in spec.data_sources)]
    for repeated in _repeated(names):
        yield _config_invalid(f"{place}.datasources", f"the name {repeated[:80]!r} is taken; give another one")
    if sum(source.is_default for source in spec.data_sources) > 1:
        yield _config_invalid(f"{place}.datasources", "more than one data source is the default; keep one")
    for repeated in _repeated(dashboard.name for dashboard in spec.dashboards):
        yield _config_invalid(f"{place}.dashboards", f"the name {repeated[:80]!r} is given twice; rename one")
    for number, dashboard in enumerate(spec.dashboards):
        if dashboard.json_text is not None:
            yield from _dashboard(dashboard.json_text, f"{place}.dashboards[{number}].json")


def _dashboard(text: str, subject: str) -> Iterator[Finding]:
    try:
        parsed = json.loads(text)
    except json.JSONDecodeError as error:
        yield _config_invalid(subject, f"not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}")
        return
    except RecursionError:
        yield _config_invalid(subject, "nested too deeply")
        return
    if not isinstance(parsed, dict):
        yield _config_invalid(subject, "a dashboard is a JSON object; export it from Grafana")


def _alertmanager(spec: Alertmanager, place: str) -> Iterator[Finding]:
    if spec.config is not None and spec.config_secret is not None:
        yield _invalid(f"{place}.configSecret", "give either config or configSecret")
    if spec.config is None:
        return
    subject, receivers = f"{place}.config", spec.config.get("receivers", [])
    route = spec.config.get("route")
    if not isinstance(route, dict) or not isinstance(route.get("receiver"), str):
        yield _config_invalid(f"{subject}.route", "a route with a receiver is needed; name one of receivers")
        return
    if not isinstance(receivers, list) or not all(
        isinstance(r, dict) and isinstance(r.get("name"), str) for r in receivers
    ):
        yield _config_invalid(f"{subject}.receivers", "receivers is a list of objects, each with a name")
        return
    known = [receiver["name"] for receiver in receivers]
    for name in _repeated(known):
        yield _config_invalid(f"{subject}.receivers", f"the receiver {name[:80]!r} is given twice; rename one")
    for where, name in _routed_to(route, f"{subject}.route"):
        if name not in known:
            yield _config_invalid(where, f"there is no receiver {name[:80]!r}; add it to receivers")


def _routed_to(route: dict[str, Any], where: str) -> Iterator[tuple[str, str]]:
    if isinstance(route.get("receiver"), str):
        yield f"{where}.receiver", route["receiver"]
    inner = route.get("routes", [])
    for number, child in enumerate(inner if isinstance(inner, list) else []):
        if isinstance(child, dict):
            yield from _routed_to(child, f"{where}.routes[{number}]")
