"""Field types that several parts of the spec use: one typed shape each, other spellings are normalised on entry."""

import re
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    StringConstraints,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from api.freeform import parse_yaml_text

#: Field name -> schema, and (rule, message).
Spellings = dict[str, dict[str, Any]]
CelRules = tuple[tuple[str, str], ...]


class Block(BaseModel):
    """Base of every object in a spec: frozen, camelCase outside, unknown fields left out (api.parsing names them)."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
    #: Other spellings that validators bring to the typed shape: field name -> its schema in the CRD.
    also_accepted: ClassVar[Spellings] = {}
    #: CEL rules of the CRD: (rule, message).
    cel_rules: ClassVar[CelRules] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        schema.setdefault("properties", {}).update(cls.also_accepted)
        if cls.cel_rules:
            schema["x-kubernetes-validations"] = [{"rule": rule, "message": text} for rule, text in cls.cel_rules]
        return schema


# Patterns are in the common subset of RE2 (the API server), Rust (pydantic) and Python's re.
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
KEY_PATTERN = r"^[-._a-zA-Z0-9]*[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"
VERSION_PATTERN = r"^v?(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})\.(0|[1-9][0-9]{0,4})(-[0-9A-Za-z][-.0-9A-Za-z]{0,30})?$"
BYTES_PATTERN = r"^([1-9][0-9]{5,17}|[1-9][0-9]{0,8}(\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P))$"
CPU_PATTERN = r"^([1-9][0-9]{0,6}m|[1-9][0-9]{0,4}(\.[0-9]{1,3})?|0\.[0-9]{1,3})$"
DURATION_PATTERN = r"^([1-9][0-9]{0,6}(ms|s|m|h|d|w)){1,4}$"
RETENTION_PATTERN = r"^([1-9][0-9]{0,5}(m|h|d|w)){1,3}$"
RETENTION_SIZE_PATTERN = r"^[1-9][0-9]{0,8}(K|M|G|T|P)i?B?$"
LABEL_NAME_PATTERN = r"^[a-zA-Z_][a-zA-Z0-9_]*$"
LABEL_KEY_PATTERN = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
HOST_PATTERN = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$"
URL_PATTERN = r"^https?://[^\s@/?#]+([/?#][^\s]*)?$"
IMAGE_REPOSITORY_PATTERN = (
    r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$"
)
IMAGE_TAG_PATTERN = r"^[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$"
IMAGE_DIGEST_PATTERN = r"^sha256:[0-9a-f]{64}$"
IMAGE_PATTERN = (
    r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
    r"(:[A-Za-z0-9_][-A-Za-z0-9_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
ENV_NAME_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"
CRON_PATTERN = r"^(@(yearly|monthly|weekly|daily|hourly)|[-*/,0-9A-Za-z]+( [-*/,0-9A-Za-z]+){4})$"

Flag = StrictBool
Text = Annotated[str, StringConstraints(strict=True, max_length=1024)]
#: An object of the platform's own namespace (DNS-1123 subdomain); never with a namespace, never a path.
ObjectName = Annotated[str, StringConstraints(strict=True, pattern=NAME_PATTERN, max_length=253)]
SecretKeyName = Annotated[str, StringConstraints(strict=True, pattern=KEY_PATTERN, max_length=253)]
#: Without a leading `v`, whichever way it was written.
Version = Annotated[
    str,
    StringConstraints(strict=True, pattern=VERSION_PATTERN, max_length=64),
    AfterValidator(lambda text: text.removeprefix("v")),
]
#: Storage and memory: `500Mi`, `10Gi`.
Bytes = Annotated[str, StringConstraints(strict=True, pattern=BYTES_PATTERN, max_length=20)]
#: `250m`, `0.5`, `2`; an integer is accepted as well.
Cpu = Annotated[
    str,
    StringConstraints(strict=True, pattern=CPU_PATTERN, max_length=20),
    BeforeValidator(lambda value: str(value) if isinstance(value, int) and not isinstance(value, bool) else value),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": CPU_PATTERN, "maxLength": 20, "minimum": 1}),
]
#: `30s`, `1h30m`.
Duration = Annotated[str, StringConstraints(strict=True, pattern=DURATION_PATTERN, max_length=32)]
#: `36h`, `15d`, `4w`; never zero, never a year (it has no fixed length).
Retention = Annotated[str, StringConstraints(strict=True, pattern=RETENTION_PATTERN, max_length=32)]
#: In Prometheus' own units: `50GB`.
RetentionSize = Annotated[
    str,
    StringConstraints(strict=True, pattern=RETENTION_SIZE_PATTERN, max_length=16),
    AfterValidator(lambda text: re.sub(r"([KMGTP])i?B?$", r"\1B", text)),
]
Replicas = Annotated[StrictInt, Field(ge=1, le=50)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Url = Annotated[str, StringConstraints(strict=True, pattern=URL_PATTERN, max_length=2048)]
Host = Annotated[str, StringConstraints(strict=True, pattern=HOST_PATTERN, max_length=253)]
HostAndPort = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?(:[0-9]{1,5})?$", max_length=253),
]
Cron = Annotated[str, StringConstraints(strict=True, pattern=CRON_PATTERN, max_length=100)]
LabelName = Annotated[str, StringConstraints(strict=True, pattern=LABEL_NAME_PATTERN, max_length=128)]
LabelKey = Annotated[str, StringConstraints(strict=True, pattern=LABEL_KEY_PATTERN, max_length=317)]
LabelValue = Annotated[str, StringConstraints(strict=True, pattern=LABEL_VALUE_PATTERN, max_length=63)]
#: Kubernetes labels: pods, node selectors.
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Annotations = Annotated[
    dict[LabelKey, Annotated[str, StringConstraints(strict=True, max_length=8192)]], Field(max_length=64)
]
#: Prometheus labels: any text is a value.
MetricLabels = Annotated[dict[LabelName, Text], Field(max_length=64)]


def keyed_by(field: str) -> dict[str, Any]:
    """Schema of a list whose entries are told apart by one field, so that appliers own entries and not the list."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [field]}


def preserve(json_type: str | None = None, description: str | None = None) -> dict[str, Any]:
    """Schema of a field that is written in several shapes: the API server lets it pass, api.parsing judges it."""
    schema: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
    if json_type is not None:
        schema["type"] = json_type
    if description is not None:
        schema["description"] = description
    return schema


def free_list(description: str, length_max: int) -> dict[str, Any]:
    """Schema of a list of objects that is another spelling of a typed one."""
    return {"type": "array", "maxItems": length_max, "description": description, "items": preserve("object")}


def _yaml_or_value(value: Any) -> Any:
    return parse_yaml_text(value) if isinstance(value, str) else value


def _no_file_paths(value: Any) -> Any:
    """Free-form configuration must not make a component read its own file system."""
    stack = [value]
    while stack:
        entry = stack.pop()
        if isinstance(entry, dict):
            for key in entry:
                if re.search(r"(_file|File|_files)$|^(files?|file_sd_configs|fileSdConfigs|templates)$", key):
                    raise ValueError(f"{key} is not accepted: a spec names no files; give the value, or a secretKeyRef")
            stack.extend(entry.values())
        elif isinstance(entry, list | tuple):
            stack.extend(entry)
    return value


#: A list of free-form objects, given as a list or as YAML text. Secrets in it are `{"secretKeyRef": {name, key}}`.
FreeList = Annotated[
    tuple[dict[str, Any], ...],
    Field(max_length=500),
    BeforeValidator(_yaml_or_value),
    AfterValidator(_no_file_paths),
    WithJsonSchema(preserve()),
]
#: A free-form object, given as an object or as YAML text. Secrets in it are `{"secretKeyRef": {name, key}}`.
FreeObject = Annotated[
    dict[str, Any], BeforeValidator(_yaml_or_value), AfterValidator(_no_file_paths), WithJsonSchema(preserve())
]


class SecretKeyRef(Block):
    """One key of a Secret in the platform's namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the platform's own namespace.", examples=["loki-s3"])
    key: SecretKeyName = Field(description="Key in the Secret's data.", examples=["password"])


def _secret_reference(value: Any, info: ValidationInfo) -> Any:
    """Bring `{secretKeyRef}`, `{secretRef}`, `{valueFrom}`, `{name, key}` to one; default key: the field's name."""
    if isinstance(value, str):
        raise ValueError("a secret is given by reference here: {secretKeyRef: {name: ..., key: ...}}")
    for wrapper in ("valueFrom", "secretKeyRef", "secretRef"):
        if isinstance(value, dict) and wrapper in value:
            value = value[wrapper]
    if isinstance(value, dict) and "name" in value and info.field_name:
        return {"key": to_camel(info.field_name), **value}
    return value


#: A secret, by reference in any of the usual shapes. Inline text is moved to a Secret by api.redaction before this.
SecretField = Annotated[SecretKeyRef, BeforeValidator(_secret_reference), WithJsonSchema(preserve())]


def duration_seconds(text: str) -> float:
    """Length of a `Duration` or `Retention` in seconds: `1h30m` -> 5400.0."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return float(sum(int(count) * units[unit] for count, unit in re.findall(r"([0-9]+)(ms|s|m|h|d|w)", text)))


def quantity_value(text: str) -> float:
    """A `Bytes` in bytes, a `Cpu` in cores."""
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", text)
    if match is None:
        raise ValueError(f"not a quantity: {text[:20]!r}")
    factors = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
    factors |= {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
    return float(match[1]) * factors[match[2]]
