"""Environment variables and command line flags that a spec adds."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints, WithJsonSchema, model_validator

from api.shapes import ENV_NAME_PATTERN, Block, CelRules, SecretKeyRef, Text, preserve


class EnvVar(Block):
    """An environment variable: exactly one of `value` and `valueFrom`."""

    name: Annotated[str, StringConstraints(strict=True, pattern=ENV_NAME_PATTERN, max_length=128)] = Field(
        description="Name of the variable.", examples=["GOGC"]
    )
    value: Text | None = Field(
        default=None,
        description="Text, taken literally; $(X) is not expanded. Secrets belong into valueFrom.",
        examples=["75"],
    )
    value_from: Annotated[SecretKeyRef, WithJsonSchema(preserve("object"))] | None = Field(
        default=None, description="{secretKeyRef: {name, key}}: the value is read from a Secret of this namespace."
    )

    cel_rules: ClassVar[CelRules] = (
        ("has(self.value) != has(self.valueFrom)", "give either value or valueFrom.secretKeyRef"),
    )

    @model_validator(mode="before")
    @classmethod
    def _reference_in_one_place(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        entry = dict(data)
        if isinstance(entry.get("value"), dict):
            entry["valueFrom"] = entry.pop("value")
        source = entry.get("valueFrom")
        if isinstance(source, dict) and "secretKeyRef" in source:
            entry["valueFrom"] = source["secretKeyRef"]
        return entry

    @model_validator(mode="after")
    def _exactly_one_source(self) -> "EnvVar":
        if (self.value is None) == (self.value_from is None):
            raise ValueError(f"environment variable {self.name}: give either value or valueFrom.secretKeyRef")
        return self


class Arg(Block):
    """One extra command line flag."""

    name: Annotated[str, StringConstraints(strict=True, max_length=100)] = Field(
        description="Flag without leading dashes; each component has a list of the flags it accepts.",
        examples=["query.max-concurrency"],
    )
    value: Text = Field(default="", description="Value of the flag; empty for a switch.", examples=["20"])

    @model_validator(mode="before")
    @classmethod
    def _without_dashes(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("name"), str):
            return {**data, "name": data["name"].lstrip("-")}
        return data
