"""Grafana data sources: those of the platform's own components, linked to each other, and the spec's."""

import hashlib
from typing import Any

from api.grafana import DataSource, Grafana
from api.loki import Loki
from api.prometheus import Prometheus
from api.tempo import Tempo
from components.context import RenderContext
from components.durations import hours_text
from components.encode import FileValue, literal_dollars
from components.secretfiles import SecretFileCollector
from eventstore.vocabulary import INSTALL_ORDER, ComponentName

#: The components' own data sources have the component's name as uid, for ever: dashboards refer to it.
PORTS = {
    ComponentName.PROMETHEUS: 9090,
    ComponentName.LOKI: 3100,
    ComponentName.TEMPO: 3200,
    ComponentName.ALERTMANAGER: 9093,
}
#: Trace ids in log lines, as the common libraries write them.
_TRACE_ID = r'(?:trace_?id|traceID|TraceId)"?[=:]\s*"?([0-9a-fA-F]{16,32})'


def provisioning(context: RenderContext, spec: Grafana, secrets: SecretFileCollector) -> dict[str, Any]:
    """The provisioning file as data. Data sources that are no longer in it are removed from Grafana."""
    own_default = not any(source.is_default for source in spec.data_sources)
    found = [own_source(context, name, own_default) for name in INSTALL_ORDER if name in PORTS and context.runs(name)]
    found += [_users_source(source, secrets) for source in spec.data_sources]
    return {"apiVersion": 1, "prune": True, "datasources": literal_dollars(found)}


def own_source(context: RenderContext, name: ComponentName, may_be_default: bool) -> dict[str, Any]:
    """The data source of one component."""
    found: dict[str, Any] = {
        "name": name.value.capitalize(),
        "uid": name.value,
        "type": name.value,
        "access": "proxy",
        "url": context.url(name, PORTS[name]),
        "isDefault": may_be_default and name is _first(context),
        "editable": False,
    }
    settings: dict[str, Any] = {}
    if name is ComponentName.PROMETHEUS:
        settings = _prometheus(context)
    elif name is ComponentName.LOKI:
        settings = _loki(context)
    elif name is ComponentName.TEMPO:
        settings = _tempo(context)
    else:
        settings = {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}
    found["jsonData"] = settings
    if _is_multi_tenant(context, name):
        # Not a secret: Grafana has no other place for the value of a header.
        settings["httpHeaderName1"] = "X-Scope-OrgID"
        found["secureJsonData"] = {"httpHeaderValue1": context.name}
    return found


def _first(context: RenderContext) -> ComponentName:
    return next(name for name in PORTS if context.runs(name))


def _is_multi_tenant(context: RenderContext, name: ComponentName) -> bool:
    component = context.component(name)
    return isinstance(component, Loki | Tempo) and component.multi_tenant


def _prometheus(context: RenderContext) -> dict[str, Any]:
    component = context.component(ComponentName.PROMETHEUS)
    assert isinstance(component, Prometheus), "the spec model has one class per component"
    found: dict[str, Any] = {"httpMethod": "POST", "timeInterval": hours_text(component.scrape_interval)}
    if context.runs(ComponentName.TEMPO):
        found["exemplarTraceIdDestinations"] = [
            {"name": label, "datasourceUid": ComponentName.TEMPO.value} for label in ("trace_id", "traceID")
        ]
    if context.runs(ComponentName.ALERTMANAGER):
        found["alertmanagerUid"] = ComponentName.ALERTMANAGER.value
    return found


def _loki(context: RenderContext) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if context.runs(ComponentName.TEMPO):
        link = {"url": "${__value.raw}", "datasourceUid": ComponentName.TEMPO.value, "urlDisplayLabel": "Trace"}
        found["derivedFields"] = [
            {"name": "TraceID", "matcherRegex": _TRACE_ID} | link,
            {"name": "trace_id", "matcherType": "label", "matcherRegex": "trace_id"} | link,
        ]
    if context.runs(ComponentName.ALERTMANAGER):
        found["alertmanagerUid"] = ComponentName.ALERTMANAGER.value
    return found


def _tempo(context: RenderContext) -> dict[str, Any]:
    found: dict[str, Any] = {"nodeGraph": {"enabled": True}}
    tags = [{"key": "service.name", "value": "service_name"}]
    around = {"spanStartTimeShift": "-15m", "spanEndTimeShift": "15m"}
    if context.runs(ComponentName.LOKI):
        found["tracesToLogsV2"] = {"datasourceUid": ComponentName.LOKI.value, "tags": tags, "filterByTraceID": True}
        found["tracesToLogsV2"] |= around
    if context.runs(ComponentName.PROMETHEUS):
        found["serviceMap"] = {"datasourceUid": ComponentName.PROMETHEUS.value}
        found["tracesToMetrics"] = {"datasourceUid": ComponentName.PROMETHEUS.value, "tags": tags} | around
    return found


def source_uid(source: DataSource) -> str:
    """Stable uid of a data source of the spec: its own, or one derived from its name."""
    return source.uid or "ds-" + hashlib.sha256(source.name.encode()).hexdigest()[:24]


def _users_source(source: DataSource, secrets: SecretFileCollector) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": source.name,
        "uid": source_uid(source),
        "type": source.type,
        "access": source.access,
    }
    if source.url:
        found["url"] = source.url
    found |= {"isDefault": source.is_default, "editable": False}
    if source.json_data:
        found["jsonData"] = source.json_data
    if source.secure_json_data:
        found["secureJsonData"] = {
            key: FileValue(secrets.path(reference)) for key, reference in source.secure_json_data.items()
        }
    return found
