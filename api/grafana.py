"""Grafana: what a user may set."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from api.component import Component
from api.defaults import DEFAULT_VERSIONS
from api.pods import Storage
from api.shapes import (
    Block,
    CelRules,
    Flag,
    Host,
    ObjectName,
    Port,
    SecretField,
    SecretKeyRef,
    Spellings,
    Text,
    Url,
    Version,
    free_list,
    keyed_by,
    preserve,
)
from eventstore.vocabulary import ComponentName


class DataSource(Block):
    """A data source beside those of the platform's own components, which are made by themselves."""

    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=190)] = Field(
        description="Name, unique in the list.", examples=["Elsewhere"]
    )
    type: Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][-_a-z0-9]{0,62}$")] = Field(
        description="Type of the data source.", examples=["prometheus"]
    )
    uid: Annotated[str, StringConstraints(strict=True, pattern=r"^[-_a-zA-Z0-9]{1,40}$")] | None = Field(
        default=None, description="Stable id; derived from the name when absent."
    )
    url: Url | None = Field(default=None, description="URL, without credentials.")
    access: Literal["proxy", "direct"] = Field(default="proxy", description="Whether Grafana or the browser asks it.")
    is_default: Flag = Field(default=False, description="Whether it is the default data source; at most one is.")
    json_data: Annotated[dict[str, Any], WithJsonSchema(preserve("object"))] = Field(
        default={}, description="Settings of the data source's type."
    )
    secure_json_data: Annotated[dict[str, SecretKeyRef], WithJsonSchema(preserve("object"))] = Field(
        default={}, description="Secret settings; each {secretKeyRef: {name, key}}."
    )

    @model_validator(mode="before")
    @classmethod
    def _references(cls, data: Any) -> Any:
        secure = data.get("secureJsonData") if isinstance(data, dict) else None
        if not isinstance(secure, dict):
            return data
        bare = {key: ref.get("secretKeyRef", ref) if isinstance(ref, dict) else ref for key, ref in secure.items()}
        return {**data, "secureJsonData": bare}


class Dashboard(Block):
    """A dashboard: from a ConfigMap of this namespace, or as JSON text."""

    name: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=190)] = Field(
        description="Name, unique in the list.", examples=["nodes"]
    )
    folder: Text = Field(default="", description="Folder in Grafana; the general one when empty.")
    config_map: ObjectName | None = Field(default=None, description="ConfigMap in this namespace that holds it.")
    key: Annotated[str, StringConstraints(strict=True, pattern=r"^[-._a-zA-Z0-9]{1,253}$")] = Field(
        default="dashboard.json", description="Key in the ConfigMap."
    )
    json_text: Annotated[str, StringConstraints(strict=True, max_length=262144)] | None = Field(
        default=None, alias="json", description="The dashboard itself, JSON text."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        source = data.get("configMap") if isinstance(data, dict) else None
        if isinstance(source, dict):
            return {**data, "configMap": source.get("name"), **({"key": source["key"]} if "key" in source else {})}
        return data

    @model_validator(mode="after")
    def _exactly_one_source(self) -> "Dashboard":
        if (self.config_map is None) == (self.json_text is None):
            raise ValueError(f"dashboard {self.name}: give either configMap or json")
        return self


def _named_list(value: Any) -> Any:
    """`{name: {...}}` -> `[{name, ...}]`."""
    if isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
        return [{"name": name, **entry} for name, entry in value.items()]
    return value


class Database(Block):
    """An external database; Grafana's own SQLite file when absent."""

    type: Literal["postgres", "mysql"] = Field(default="postgres", description="Kind of database.")
    host: Host = Field(description="Host name.", examples=["grafana-db.demo.svc"])
    port: Port | None = Field(default=None, description="Port; the kind's usual one when absent.")
    name: Annotated[str, StringConstraints(strict=True, pattern=r"^[-_a-zA-Z0-9]{1,63}$")] = Field(
        default="grafana", description="Name of the database."
    )
    user: Text = Field(default="grafana", description="User of the database.")
    password: SecretField | None = Field(default=None, description="{secretKeyRef: {name, key}}.")
    ssl_mode: Literal["disable", "require", "verify-ca", "verify-full"] = Field(
        default="require", description="TLS towards the database."
    )

    also_accepted: ClassVar[Spellings] = {
        "passwordSecret": preserve(None, "Same as password; a Secret's name, or {name, key}.")
    }

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        return _reference_beside(data, "password", "passwordSecret")


class Smtp(Block):
    """Mail from Grafana."""

    host: Host = Field(description="Host name of the mail server.", examples=["mail.example.com"])
    port: Port = Field(default=587, description="Port of the mail server.")
    user: Text = Field(default="", description="User at the mail server.")
    password: SecretField | None = Field(default=None, description="{secretKeyRef: {name, key}}.")
    from_address: Text = Field(default="", alias="from", description="Sender's address.")
    tls: Flag = Field(default=True, description="Whether TLS is required.")

    also_accepted: ClassVar[Spellings] = {
        "passwordSecret": preserve(None, "Same as password; a Secret's name, or {name, key}.")
    }

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        return _reference_beside(data, "password", "passwordSecret")


def _reference_beside(data: Any, field: str, other: str) -> Any:
    """Bring `passwordSecret: name` or `passwordSecret: {name, key}` to `password`."""
    if not isinstance(data, dict) or other not in data:
        return data
    entry = dict(data)
    reference = entry.pop(other)
    entry.setdefault(field, {"name": reference} if isinstance(reference, str) else reference)
    return entry


def _plugin_names(value: Any) -> Any:
    if isinstance(value, dict):
        value = value.get("install", [name for name, on in value.items() if on is True])
    return (
        [entry.get("name") if isinstance(entry, dict) else entry for entry in value]
        if isinstance(value, list)
        else value
    )


Plugin = Annotated[
    str, StringConstraints(strict=True, pattern=r"^[a-z0-9][-a-z0-9]{1,80}([ @][0-9][-.0-9a-z]{0,20})?$")
]


class Grafana(Component):
    """Dashboards."""

    version: Version = Field(default=DEFAULT_VERSIONS[ComponentName.GRAFANA], description="Version of Grafana.")
    storage: Storage | None = Field(
        default=Storage(size="1Gi"), description="Persistent volume; persistence.enabled: false goes without."
    )
    admin_user: Text = Field(default="admin", description="Name of the administrator.")
    admin_password: SecretField | None = Field(
        default=None,
        description="{secretKeyRef: {name, key}}; generated once when absent. Inline text is moved to a Secret.",
    )
    data_sources: Annotated[tuple[DataSource, ...], Field(max_length=64), BeforeValidator(_named_list)] = Field(
        default=(),
        alias="datasources",
        description="Data sources beside those of the platform's own components.",
        json_schema_extra=keyed_by("name"),
    )
    dashboards: Annotated[
        tuple[Dashboard, ...], Field(max_length=128), BeforeValidator(_named_list), WithJsonSchema(preserve())
    ] = Field(default=(), description="Dashboards: a list of {name, folder, configMap | json}, or an object by name.")
    plugins: Annotated[
        tuple[Plugin, ...], Field(max_length=32), BeforeValidator(_plugin_names), WithJsonSchema(preserve())
    ] = Field(
        default=(),
        description="Plugins to install, downloaded at start: id, or `id version`.",
        examples=[["grafana-clock-panel"]],
    )
    database: Database | None = Field(default=None, description="External database; needed for more than one replica.")
    smtp: Smtp | None = Field(default=None, description="Mail from Grafana.")
    config: Annotated[
        dict[str, dict[str, str | int | float | bool | SecretKeyRef]], WithJsonSchema(preserve("object"))
    ] = Field(
        default={},
        description="grafana.ini as section -> key -> value.",
        examples=[{"users": {"default_theme": "light"}}],
    )

    also_accepted: ClassVar[Spellings] = {
        **Component.also_accepted,
        "dataSources": free_list("Same as datasources.", 64),
        "persistence": preserve("object", "{enabled, size, storageClassName}: same as storage."),
        "adminPasswordSecret": preserve(None, "Same as adminPassword; a Secret's name, or {name, key}."),
    }
    cel_rules: ClassVar[CelRules] = (
        (
            "!has(self.replicas) || self.replicas <= 1 || has(self.database)",
            "grafana.replicas above 1 needs a shared database; set grafana.database, or replicas: 1",
        ),
    )

    @classmethod
    def normalise(cls, entry: dict[str, Any]) -> dict[str, Any]:
        entry = dict(_reference_beside(entry, "adminPassword", "adminPasswordSecret"))
        if "dataSources" in entry:
            entry.setdefault("datasources", entry.pop("dataSources"))
        persistence = entry.pop("persistence", None)
        if isinstance(persistence, dict):
            fields = {key: persistence[key] for key in ("size", "storageClassName") if key in persistence}
            on = persistence.get("enabled", True)
            entry.setdefault("storage", {"size": "1Gi", **fields} if on is not False else None)
        if isinstance(entry.get("config"), dict):
            entry["config"] = {name: _section(section) for name, section in entry["config"].items()}
        return entry

    @model_validator(mode="after")
    def _config_reads_no_files(self) -> "Grafana":
        for section, entries in self.config.items():
            for key in entries:
                # `cert_file`, `key_file`, ...; values that Grafana would expand are refused where it is rendered.
                if key.endswith(("_file", "__FILE", "static_root_path")):
                    raise ValueError(
                        f"config.{section}.{key} is not accepted: a spec names no files; use a secretKeyRef"
                    )
        return self

    @model_validator(mode="after")
    def _replicas_need_a_database(self) -> "Grafana":
        if self.replicas > 1 and self.database is None:
            raise ValueError("replicas above 1 needs a shared database; set database, or replicas: 1")
        return self


def _section(section: Any) -> Any:
    if not isinstance(section, dict):
        return section
    return {
        key: value.get("secretKeyRef", value) if isinstance(value, dict) else value for key, value in section.items()
    }
