"""Grafana dashboards of the spec: which files they become, and the provider that tells Grafana where they are."""

import re
from typing import Any

from api.grafana import Dashboard, Grafana
from components.context import RenderContext
from components.encode import literal_dollars, short_hash
from components.pods import ConfigMount
from eventstore.vocabulary import ComponentName

DASHBOARDS_PATH = "/etc/stackledger/dashboards"


def file_name(dashboard: Dashboard) -> str:
    """`nodes-3f2a9c1b.json`: readable, and different for names that differ only in odd characters."""
    readable = re.sub(r"[^a-z0-9]+", "-", dashboard.name.lower()).strip("-")[:40]
    return f"{readable or 'dashboard'}-{short_hash(dashboard.name)[:8]}.json"


def mounts(context: RenderContext, spec: Grafana) -> tuple[ConfigMount, ...]:
    """One directory per folder for dashboards given as text, and one per ConfigMap that the spec refers to."""
    found = []
    for number, folder in enumerate(folders(spec)):
        inside = [dashboard for dashboard in spec.dashboards if dashboard.folder == folder]
        texts = {file_name(d): d.json_text for d in inside if d.json_text is not None}
        if texts:
            name = context.object_name(ComponentName.GRAFANA, f"dashboards-{number}")
            found.append(ConfigMount(path=f"{_directory(number)}/own", config_map=name, files=texts))
        for place, dashboard in enumerate(d for d in inside if d.config_map is not None):
            found.append(
                ConfigMount(
                    path=f"{_directory(number)}/{place}",
                    config_map=dashboard.config_map or "",
                    items={dashboard.key: file_name(dashboard)},
                )
            )
    return tuple(found)


def folders(spec: Grafana) -> list[str]:
    """Folders in use, sorted."""
    return sorted({dashboard.folder for dashboard in spec.dashboards})


def _directory(number: int) -> str:
    return f"{DASHBOARDS_PATH}/{number}"


def providers(spec: Grafana) -> dict[str, Any]:
    """The provisioning file as data: one provider per folder."""
    found = [
        {
            "name": f"platform-{number}",
            "folder": literal_dollars(folder),
            "type": "file",
            "disableDeletion": False,
            "allowUiUpdates": False,
            "options": {"path": _directory(number)},
        }
        for number, folder in enumerate(folders(spec))
    ]
    return {"apiVersion": 1, "providers": found}
