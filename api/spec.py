"""`PlatformSpec`: what a user writes under `spec` of an ObservabilityPlatform, as one typed, frozen shape.

Read it through `api.parsing.parse_spec`, which never raises and says in words what is wrong. After validation every
component holds its final settings: those of `global` and `highAvailability` are already filled in.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictInt, WithJsonSchema, model_validator

from api.alertmanager import Alertmanager
from api.backup import Backup
from api.component import Component, LogLevel
from api.grafana import Grafana
from api.images import PullSecrets
from api.inheritance import inherit
from api.loki import Loki
from api.pods import Affinity, Toleration
from api.prometheus import Prometheus
from api.rules import RuleGroup
from api.security import Security
from api.shapes import (
    Block,
    CelRules,
    Flag,
    HostAndPort,
    LabelKey,
    Labels,
    MetricLabels,
    ObjectName,
    Replicas,
    Retention,
    Spellings,
    preserve,
)
from api.tempo import Tempo
from eventstore.vocabulary import INSTALL_ORDER, ComponentName


class Components(Block):
    """The five components; those whose block is absent do not run."""

    prometheus: Prometheus | None = Field(default=None, description="Metrics.")
    loki: Loki | None = Field(default=None, description="Logs.")
    tempo: Tempo | None = Field(default=None, description="Traces.")
    grafana: Grafana | None = Field(default=None, description="Dashboards.")
    alertmanager: Alertmanager | None = Field(default=None, description="Routing of alerts.")


class RetentionPolicies(Block):
    """Retention where a component does not set its own."""

    metrics: Retention | None = Field(default=None, description="For Prometheus.", examples=["30d"])
    logs: Retention | None = Field(default=None, description="For Loki.", examples=["14d"])
    traces: Retention | None = Field(default=None, description="For Tempo.", examples=["7d"])


class Global(Block):
    """Settings of every component that does not set its own."""

    external_labels: MetricLabels = Field(
        default={}, description="Labels on everything sent elsewhere.", examples=[{"env": "prod"}]
    )
    log_level: LogLevel = Field(default="info", description="Log level of all components.")
    node_selector: Labels = Field(default={}, description="Node labels that all pods need.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = Field(
        default=(), description="Taints that all pods tolerate."
    )
    affinity: Affinity | None = Field(default=None, description="Kubernetes affinity of all pods.")
    image_pull_secrets: PullSecrets = Field(default=(), description="Names of Secrets for the image registry.")
    image_registry: HostAndPort | None = Field(
        default=None,
        description="Registry that replaces the host of every default image.",
        examples=["registry.example.com"],
    )
    storage_class: ObjectName | None = Field(
        default=None, description="StorageClass of every volume.", examples=["gp3"]
    )
    retention_policies: RetentionPolicies = Field(
        default=RetentionPolicies(), description="Retention where a component does not set its own."
    )


class AntiAffinity(Block):
    """How replicas of a component keep apart."""

    type: Literal["soft", "hard", "none"] = Field(default="soft", description="Preferred, required, or not at all.")
    topology_key: LabelKey = Field(default="kubernetes.io/hostname", description="Node label that forms the groups.")


_ANTI_AFFINITY_WORDS = {
    "soft": "soft",
    "preferred": "soft",
    "hard": "hard",
    "required": "hard",
    "none": "none",
    "preferredduringschedulingignoredduringexecution": "soft",
    "requiredduringschedulingignoredduringexecution": "hard",
}


def _anti_affinity(value: Any) -> Any:
    """A word, or an object with `type` (or `mode`) and `topologyKey`."""
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, dict):
        return value
    entry = dict(value)
    word = entry.pop("mode", None) or entry.get("type", "soft")
    if isinstance(word, str) and word.lower() not in _ANTI_AFFINITY_WORDS:
        raise ValueError("must be soft, hard or none")
    return {**entry, "type": _ANTI_AFFINITY_WORDS[word.lower()] if isinstance(word, str) else word}


class HighAvailability(Block):
    """More than one pod of each component that can have it."""

    enabled: Flag = Field(default=True, description="Whether it is on; true when this block is given.")
    anti_affinity: Annotated[AntiAffinity, BeforeValidator(_anti_affinity), WithJsonSchema(preserve())] = Field(
        default=AntiAffinity(), description="soft, hard or none; or {type, topologyKey}.", examples=["soft"]
    )
    min_replicas: Replicas = Field(
        default=2, description="Fewest pods of a component that sets no replicas and can have more."
    )
    replication_factor: Annotated[StrictInt, Field(ge=1, le=7)] | None = Field(
        default=None, description="Copies of each log line and span; needs a bucket and as many replicas."
    )


#: CEL: the block is given and not switched off.
_ENABLED_RULE = "(has({0}) && (!has({0}.enabled) || {0}.enabled))"


class PlatformSpec(Block):
    """The desired state of an observability platform."""

    components: Components = Field(description="What runs; at least one component is enabled.")
    global_: Global = Field(
        default=Global(), alias="global", description="Settings of every component that does not set its own."
    )
    high_availability: HighAvailability = Field(
        default=HighAvailability(enabled=False), description="More than one pod of each component that can have it."
    )
    backup: Backup = Field(
        default=Backup(enabled=False, required=False), description="What is put by before an upgrade."
    )
    security: Security = Field(default=Security(), description="Network policies, image rules.")
    paused: Flag = Field(
        default=False, description="Stop writing to the platform's objects; observing and deletion go on."
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="What becomes of the volumes when the platform or a component is removed."
    )
    allow_downgrade: Flag = Field(
        default=False, description="Permit a downgrade that may lose data. Take a backup first."
    )
    adopt: Flag = Field(default=False, description="Take over objects of the same name that something else made.")
    strict: Flag = Field(default=False, description="Refuse unknown fields instead of warning of them.")

    also_accepted: ClassVar[Spellings] = {
        "alerting": {
            "type": "object",
            "description": "Another place for components.alertmanager: {alertmanager, rules}.",
            "properties": {
                "alertmanager": preserve("object", "Same as components.alertmanager.")
                | {"properties": {"enabled": {"type": "boolean", "description": "Whether it runs."}}},
                "rules": preserve(None, "Same as components.alertmanager.rules."),
            },
        },
    }

    cel_rules: ClassVar[CelRules] = (
        (
            " || ".join(_ENABLED_RULE.format(f"self.components.{name}") for name in INSTALL_ORDER)
            + " || (has(self.alerting) && "
            + _ENABLED_RULE.format("self.alerting.alertmanager")
            + ")",
            "at least one component must be enabled; set components.prometheus.enabled: true",
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _one_place_for_alertmanager(cls, data: Any) -> Any:
        return merge_alerting(data)

    @model_validator(mode="after")
    def _something_runs(self) -> "PlatformSpec":
        if next(self.enabled_components(), None) is None:
            raise ValueError("at least one component must be enabled; set components.prometheus.enabled: true")
        return self

    @model_validator(mode="after")
    def _inherited(self) -> "PlatformSpec":
        # model_copy keeps `frozen`: the components are replaced by ones with the inherited values filled in.
        object.__setattr__(self, "components", inherit(self))
        return self

    def component(self, name: ComponentName) -> Component | None:
        """The component's settings if it is enabled, else None."""
        found: Component | None = getattr(self.components, name.value)
        return found if found is not None and found.enabled else None

    def enabled_components(self) -> Iterator[tuple[ComponentName, Component]]:
        """The enabled components in install order."""
        for name in INSTALL_ORDER:
            component = self.component(name)
            if component is not None:
                yield name, component

    @property
    def versions(self) -> dict[str, str]:
        """Component name -> version, of the enabled components."""
        return {name.value: component.version for name, component in self.enabled_components()}

    @property
    def rule_groups(self) -> tuple[RuleGroup, ...]:
        """All rules that Prometheus evaluates, from wherever they were written."""
        prometheus, alertmanager = self.components.prometheus, self.components.alertmanager
        return (prometheus.alerting_rules if prometheus else ()) + (alertmanager.rules if alertmanager else ())


def merge_alerting(data: Any) -> Any:
    """Bring `alerting.alertmanager` and `alerting.rules` to `components.alertmanager`; what stands there wins."""
    alerting = data.get("alerting") if isinstance(data, dict) else None
    if not isinstance(alerting, dict) or not isinstance(data.get("components", {}), dict):
        return data
    components = dict(data.get("components", {}))
    elsewhere = alerting.get("alertmanager")
    ours = components.get("alertmanager", elsewhere)
    rules = alerting.get("rules")
    if isinstance(ours, dict):
        components["alertmanager"] = {**({"rules": rules} if rules is not None else {}), **ours}
    elif ours is not None:
        components["alertmanager"] = ours
    elif rules is not None and isinstance(components.get("prometheus"), dict):
        components["prometheus"] = {"alertingRules": rules, **components["prometheus"]}
    return {**{key: entry for key, entry in data.items() if key != "alerting"}, "components": components}
