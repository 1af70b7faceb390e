"""Alerting and recording rules, in Prometheus' own shape; a flat list of rules becomes one group."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from api.freeform import parse_yaml_text
from api.shapes import Block, Duration, MetricLabels, Text, preserve


class Rule(Block):
    """One alerting rule (`alert`) or recording rule (`record`)."""

    alert: Text = Field(
        default="", description="Name of the alert; empty for a recording rule.", examples=["InstanceDown"]
    )
    record: Text = Field(default="", description="Name of the recorded series; empty for an alerting rule.")
    expr: Annotated[str, Field(strict=True, min_length=1, max_length=8192)] = Field(
        description="PromQL expression.", examples=["up == 0"]
    )
    for_: Duration | None = Field(default=None, alias="for", description="How long it must hold before it fires.")
    keep_firing_for: Duration | None = Field(
        default=None, alias="keep_firing_for", description="How long it goes on firing after it no longer holds."
    )
    labels: MetricLabels = Field(default={}, description="Labels added to the alert or series.")
    annotations: MetricLabels = Field(default={}, description="Texts of the alert.")

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        if isinstance(data, dict) and "keepFiringFor" in data:
            data = {**data, "keep_firing_for": data["keepFiringFor"]}
        return data

    @model_validator(mode="after")
    def _alert_or_record(self) -> "Rule":
        if bool(self.alert) == bool(self.record):
            raise ValueError("a rule has either alert (a name) or record (a name)")
        return self


class RuleGroup(Block):
    """Rules that are evaluated together."""

    name: Annotated[str, Field(strict=True, min_length=1, max_length=253)] = Field(
        description="Name of the group, unique in its list."
    )
    interval: Duration | None = Field(default=None, description="Evaluation interval; Prometheus' own when absent.")
    rules: Annotated[tuple[Rule, ...], Field(max_length=500)] = Field(default=(), description="The rules.")


def _grouped(value: Any) -> Any:
    """Groups, `{groups: [...]}`, one `{name, rules}`, a flat list of rules, or YAML text of any of them -> groups."""
    if isinstance(value, str):
        value = parse_yaml_text(value)
    if isinstance(value, dict):
        value = value.get("groups", [value])
    if not isinstance(value, list | tuple):
        return value
    groups: list[Any] = []
    flat: list[Any] = []
    for entry in value:
        if isinstance(entry, dict) and isinstance(entry.get("groups"), list):
            groups.extend(entry["groups"])
        elif isinstance(entry, dict) and "expr" in entry:
            flat.append(entry)
        else:
            groups.append(entry)
    return [*groups, {"name": "default", "rules": flat}] if flat else groups


#: Rule groups; names are unique.
RuleGroups = Annotated[
    tuple[RuleGroup, ...], Field(max_length=200), BeforeValidator(_grouped), WithJsonSchema(preserve())
]
