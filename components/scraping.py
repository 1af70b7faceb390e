"""Scrape jobs of Prometheus for the components of its own platform."""

from typing import Any

from components.context import RenderContext
from eventstore.vocabulary import ComponentName

#: Port with /metrics of each component.
METRICS_PORTS = {
    ComponentName.LOKI: 3100,
    ComponentName.TEMPO: 3200,
    ComponentName.GRAFANA: 3000,
    ComponentName.ALERTMANAGER: 9093,
}


def platform_jobs(context: RenderContext) -> list[dict[str, Any]]:
    """One job per enabled component; pods are found through DNS, so Prometheus needs no access to the API server."""
    jobs = [_job(context, ComponentName.PROMETHEUS, {"static_configs": [{"targets": ["localhost:9090"]}]})]
    for component, port in METRICS_PORTS.items():
        if context.runs(component):
            names = [context.object_name(component, "headless")]
            discovery = {"names": names, "type": "A", "port": port, "refresh_interval": "15s"}
            jobs.append(_job(context, component, {"dns_sd_configs": [discovery]}))
    return jobs


def _job(context: RenderContext, component: ComponentName, targets: dict[str, Any]) -> dict[str, Any]:
    # The name carries the platform: a scrape job of the user's own with the component's bare name does not collide.
    relabel = [{"target_label": "component", "replacement": component.value}]
    return {"job_name": context.object_name(component)} | targets | {"relabel_configs": relabel}
