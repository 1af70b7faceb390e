"""Alertmanager: what a user may set."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from api.component import Component
from api.defaults import DEFAULT_VERSIONS
from api.freeform import snake_keys
from api.pods import Storage
from api.rules import RuleGroups
from api.shapes import FreeObject, Retention, SecretField, Url, Version
from eventstore.vocabulary import ComponentName

#: Below these keys stand names of the user's own (labels, headers, templates' fields): they are left as they are.
_USERS_OWN = frozenset({"match", "match_re", "source_match", "target_match", "source_match_re", "target_match_re"})
_USERS_OWN |= {"headers", "details", "labels", "secretKeyRef"}


class Alertmanager(Component):
    """Routing of alerts."""

    allowed_args = frozenset({"alerts.gc-interval", "data.maintenance-interval", "web.get-concurrency", "web.timeout"})

    version: Version = Field(
        default=DEFAULT_VERSIONS[ComponentName.ALERTMANAGER], description="Version of Alertmanager."
    )
    storage: Storage = Field(default=Storage(size="1Gi"), description="Persistent volume of each replica.")
    retention: Retention = Field(default="120h", description="How long silences and notifications are kept: h, d or w.")
    config: Annotated[FreeObject, AfterValidator(lambda config: snake_keys(config, _USERS_OWN))] | None = Field(
        default=None,
        description="Alertmanager's configuration, an object (snake_case or camelCase) or YAML text. File paths are "
        "refused; secrets are moved away. Without it alerts are shown and nobody is notified.",
    )
    config_secret: SecretField | None = Field(
        default=None,
        description="A whole configuration in a Secret, {name, key}, instead of config; key alertmanager.yaml.",
    )
    rules: RuleGroups = Field(
        default=(), description="Alerting rules that Prometheus evaluates: groups, or a flat list."
    )
    external_url: Url | None = Field(default=None, description="URL under which users reach Alertmanager.")

    @classmethod
    def normalise(cls, entry: dict[str, Any]) -> dict[str, Any]:
        reference = entry.get("configSecret")
        if isinstance(reference, str):
            reference = {"name": reference}
        if isinstance(reference, dict) and "name" in reference:
            entry["configSecret"] = {"key": "alertmanager.yaml", **reference}
        return entry
