"""Loki: what a user may set."""

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictInt, StringConstraints, WithJsonSchema, model_validator

from api.component import S3, Component
from api.defaults import DEFAULT_VERSIONS
from api.pods import Storage
from api.shapes import Block, CelRules, Flag, Retention, Spellings, Version, free_list
from eventstore.vocabulary import ComponentName


def _megabytes(value: Any) -> Any:
    """`10`, `"10MB"`, `"10"` -> 10: Loki's ingestion limits are in megabytes."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})(MB|M|Mi|MiB)?", value) if isinstance(value, str) else None
    return int(match[1]) if match else value


#: Megabytes: 10, "10" or "10MB".
Megabytes = Annotated[
    StrictInt,
    Field(ge=1, le=100_000),
    BeforeValidator(_megabytes),
    WithJsonSchema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": r"^[1-9][0-9]{0,5}(MB|M|Mi|MiB)?$",
            "maxLength": 10,
            "minimum": 1,
            "maximum": 100000,
        }
    ),
]
Limit = Annotated[StrictInt, Field(ge=0, le=2_147_483_647)]


class LokiLimits(Block):
    """Limits per tenant; absent ones have Loki's own defaults."""

    ingestion_rate: Megabytes | None = Field(default=None, description="Megabytes per second.", examples=[10])
    ingestion_burst_size: Megabytes | None = Field(default=None, description="Megabytes in one burst.", examples=[20])
    max_streams_per_user: Limit | None = Field(default=None, description="Most active streams; 0 means no limit.")
    max_entries_limit_per_query: Limit | None = Field(default=None, description="Most lines a query returns.")
    retention_period: Retention | None = Field(
        default=None, description="Same as retention; the shorter of the two is used."
    )


class SchemaPeriod(Block):
    """From this day on, logs are stored in this schema. A period that has begun must not be edited."""

    version: Literal["v12", "v13"] = Field(
        default="v13", description="Schema version (store tsdb); only v13 has structured metadata."
    )
    effective_date: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = Field(
        default="2024-04-01", description="First day, UTC: YYYY-MM-DD."
    )

    @model_validator(mode="after")
    def _is_a_day(self) -> "SchemaPeriod":
        try:
            date.fromisoformat(self.effective_date)
        except ValueError:
            raise ValueError(f"effectiveDate {self.effective_date} is not a day; write YYYY-MM-DD") from None
        return self


class Loki(Component):
    """Logs."""

    allowed_args = frozenset({"log.level", "server.http-read-timeout", "server.http-write-timeout"})

    version: Version = Field(default=DEFAULT_VERSIONS[ComponentName.LOKI], description="Version of Loki.")
    storage: Storage = Field(default=Storage(size="10Gi"), description="Persistent volume of each replica.")
    retention: Retention = Field(default="30d", description="How long logs are kept: h, d or w.", examples=["14d"])
    s3: S3 | None = Field(default=None, description="Bucket for chunks and index; the local volume when absent.")
    limits: LokiLimits = Field(default=LokiLimits(), description="Limits per tenant.")
    schema_periods: Annotated[tuple[SchemaPeriod, ...], Field(min_length=1, max_length=16)] = Field(
        default=(SchemaPeriod(),), alias="schema", description="Storage schema over time, oldest first."
    )
    multi_tenant: Flag = Field(default=False, description="Whether requests need the header X-Scope-OrgID.")

    also_accepted: ClassVar[Spellings] = {
        **Component.also_accepted,
        "schemas": free_list("Same as schema.", 16),
    }
    cel_rules: ClassVar[CelRules] = (
        (
            "!has(self.replicas) || self.replicas <= 1 || has(self.s3) && (!has(self.s3.enabled) || self.s3.enabled)",
            "loki.replicas above 1 needs a bucket; set loki.s3, or replicas: 1",
        ),
    )

    @property
    def bucket(self) -> S3 | None:
        """The bucket that is in use, if any."""
        return self.s3 if self.s3 and self.s3.enabled else None

    @classmethod
    def normalise(cls, entry: dict[str, Any]) -> dict[str, Any]:
        if "schemas" in entry:
            entry.setdefault("schema", entry.pop("schemas"))
        if "multiTenancy" in entry:
            entry.setdefault("multiTenant", entry.pop("multiTenancy"))
        return s3_of_storage(entry)

    @model_validator(mode="after")
    def _replicas_need_a_bucket(self) -> "Loki":
        if self.replicas > 1 and self.bucket is None:
            raise ValueError("replicas above 1 needs a bucket; set s3, or replicas: 1")
        return self


def s3_of_storage(entry: dict[str, Any]) -> dict[str, Any]:
    """`storage.s3` is another place for `s3`, and `storage.retention` for `retention`."""
    storage = entry.get("storage")
    if isinstance(storage, dict):
        for field in ("s3", "retention"):
            if field in storage:
                entry.setdefault(field, storage[field])
    return entry
