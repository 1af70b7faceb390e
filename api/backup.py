"""Backups: what a user may set."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from api.component import S3
from api.shapes import Block, CelRules, Cron, Flag, Spellings, preserve
from eventstore.events import Finding


class BackupDestination(Block):
    """Where backups go."""

    type: Literal["ledger", "s3"] = Field(default="ledger", description="The operator's own store, or a bucket.")
    s3: S3 | None = Field(default=None, description="The bucket; needed for type s3.")

    cel_rules: ClassVar[CelRules] = (
        ("!has(self.type) || self.type != 's3' || has(self.s3)", "type s3 needs s3: {bucket: ...}"),
    )

    @model_validator(mode="after")
    def _bucket_for_s3(self) -> "BackupDestination":
        if self.type == "s3" and self.s3 is None:
            raise ValueError("type s3 needs s3: {bucket: ...}")
        return self


def _retention_days(value: Any) -> Any:
    """`7`, `"7"`, `"7d"`, `"2w"` -> days."""
    if isinstance(value, str) and value.rstrip("dw").isascii() and value.rstrip("dw").isdigit():
        count = int(value.rstrip("dw")[:6])
        return count * 7 if value.endswith("w") else count
    return value


class Backup(Block):
    """What is put by before an upgrade, and on a schedule."""

    enabled: Flag = Field(default=True, description="Whether backups are made; true when this block is given.")
    required: Flag = Field(default=True, description="Whether an upgrade waits until its backup is complete.")
    schedule: Cron | None = Field(default=None, description="Cron expression, UTC.", examples=["0 2 * * *"])
    retention_days: Annotated[StrictInt, Field(ge=1, le=3650), BeforeValidator(_retention_days)] = Field(
        default=14, description="How many days a backup is kept."
    )
    destination: BackupDestination = Field(default=BackupDestination(), description="Where backups go.")

    also_accepted: ClassVar[Spellings] = {
        "retention": {
            "x-kubernetes-int-or-string": True,
            "pattern": "^[1-9][0-9]{0,3}(d|w)?$",
            "maxLength": 8,
            "minimum": 1,
            "maximum": 3650,
            "description": "Same as retentionDays: days, or text such as 14d or 2w.",
        },
        "s3": preserve("object", "Same as destination: {type: s3, s3: ...}."),
    }

    @model_validator(mode="before")
    @classmethod
    def _one_spelling(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        entry = dict(data)
        if "retention" in entry:
            entry.setdefault("retentionDays", entry.pop("retention"))
        if "s3" in entry:
            entry.setdefault("destination", {"type": "s3", "s3": entry.pop("s3")})
        return entry


def backup_warnings(backup: Backup) -> tuple[Finding, ...]:
    """What the spec asks of backups that this build does not do."""
    if not backup.enabled or (backup.schedule is None and backup.destination.type == "ledger"):
        return ()
    message = (
        "backups of data, on a schedule or to a bucket, are not made by this version: before an upgrade the operator "
        "keeps what runs (manifests and versions) in its ledger; back the volumes up by other means"
    )
    return (Finding(reason="DataNotBackedUp", subject="spec.backup", message=message),)
