"""The component versions that this build of the operator was tested with, and uses when a spec names none."""

from eventstore.vocabulary import ComponentName

DEFAULT_VERSIONS: dict[ComponentName, str] = {
    ComponentName.PROMETHEUS: "3.13.2",
    ComponentName.LOKI: "3.7.6",
    ComponentName.TEMPO: "2.10.8",
    ComponentName.GRAFANA: "13.2.2",
    ComponentName.ALERTMANAGER: "0.34.0",
}
