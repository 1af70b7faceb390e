"""Every setting of the operator: from arguments, then the environment (`STACKLEDGER_...`), then defaults.

A wrong one ends the start with exit code 2 and one line that names key, value and what is allowed.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from eventstore.dsn import parse_dsn, sends_in_clear
from eventstore.errors import StoreConfigurationError
from eventstore.events import Policy

ENVIRONMENT_PREFIX = "STACKLEDGER_"
#: Read by the command line, not by the operator.
_FOREIGN_KEYS = frozenset({"debug", "state_dir"})
#: What Kubernetes sets in every pod of a namespace that has a Service named `stackledger` or `stackledger-...`.
_SERVICE_LINK = re.compile(
    r"(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_[A-Z]+(?:_\w+)?)?)"
)
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
HMAC_KEY_BYTES_MIN = 16
FILE_BYTES_MAX = 64 * 1024


class SettingsError(Exception):
    """The settings cannot be used. One line: key, value, what is allowed."""


def _split_namespaces(value: Any) -> Any:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    return () if value in (["*"], ("*",), None) else value


def _check_namespace(name: str) -> str:
    if not _NAMESPACE.fullmatch(name):
        raise ValueError("not a namespace")
    return name


def _check_bind(bind: str) -> str:
    host, separator, port = bind.rpartition(":")
    if bind and not (separator and port.isascii() and port.isdigit() and int(port) <= 65535 and " " not in host):
        raise ValueError("not an address")
    return bind


Namespace = Annotated[str, BeforeValidator(_check_namespace)]
Bind = Annotated[str, BeforeValidator(_check_bind), Field(description='HOST:PORT, :PORT, or "" for none')]


class Settings(BaseModel):
    """How the operator runs. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    #: The ledger: a URL, or a file that holds one.
    dsn: SecretStr = SecretStr("")
    dsn_file: Path | None = None
    #: Permit sslmode=disable to a database on another host: for development.
    insecure_database: bool = False
    #: Key of the HMACs that stand for secrets in the ledger; it must stay the same.
    hmac_key_file: Path | None = None

    kubeconfig: Path | None = None
    context: str | None = None
    #: Namespaces that are looked after; empty: all.
    namespaces: Annotated[
        tuple[Namespace, ...],
        BeforeValidator(_split_namespaces),
        Field(description="names separated by commas, or *"),
    ] = ()

    workers: int = Field(default=4, ge=1, le=64)
    #: Every platform is looked at this often, whatever the watches say.
    resync_seconds: float = Field(default=600.0, ge=10, le=86_400)
    #: How often due work is looked for.
    tick_seconds: float = Field(default=1.0, ge=0.05, le=60)
    #: A tick older than this turns liveness red.
    tick_limit_seconds: float = Field(default=60.0, ge=5, le=3600)
    #: A watch that is silent for so long is opened again. The API server sends a bookmark about once a minute. Well
    #: below `WatchTimes.hang_seconds`, or silence would pass for a hung thread.
    watch_stall_seconds: float = Field(default=90.0, ge=5, le=120)
    #: All kinds are listed anew this often.
    relist_seconds: float = Field(default=1800.0, ge=60, le=86_400)
    #: After the cluster came back from a backup, nothing is taken for deleted before this has passed.
    rewind_grace_seconds: float = Field(default=60.0, ge=1, le=3600)
    #: After SIGTERM, work in progress may go on for so long.
    shutdown_seconds: float = Field(default=20.0, ge=1, le=300)

    lease_ttl_seconds: float = Field(default=15.0, ge=3, le=600)
    lease_renew_seconds: float = Field(default=5.0, ge=0.5, le=300)

    metrics_bind: Bind = ":8080"
    health_bind: Bind = ":8081"

    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    retries_max: int = Field(default=5, ge=0, le=100)
    retry_initial_seconds: float = Field(default=10.0, ge=0.1, le=3600)
    retry_max_seconds: float = Field(default=300.0, ge=0.1, le=86_400)
    retry_factor: float = Field(default=2.0, ge=1, le=10)
    retry_jitter: float = Field(default=0.1, ge=0, le=1)
    prerequisite_poll_seconds: float = Field(default=30.0, ge=0.5, le=3600)
    slow_probe_seconds: float = Field(default=300.0, ge=1, le=86_400)
    stability_seconds: float = Field(default=5.0, ge=0, le=3600)
    health_grace_seconds: float = Field(default=30.0, ge=0, le=3600)
    problem_grace_seconds: float = Field(default=30.0, ge=0, le=3600)
    progress_deadline_seconds: float = Field(default=900.0, ge=5, le=86_400)
    teardown_deadline_seconds: float = Field(default=300.0, ge=1, le=86_400)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        if self.lease_ttl_seconds < 1.5 * self.lease_renew_seconds:
            # Not a ValueError: pydantic would wrap it and lose which keys it is about.
            raise SettingsError(
                f"lease_ttl_seconds={self.lease_ttl_seconds:g} is not valid: use at least 1.5 times "
                f"lease_renew_seconds ({self.lease_renew_seconds:g}), or the lease runs out before it is renewed"
            )
        if self.retry_max_seconds < self.retry_initial_seconds:
            raise SettingsError(
                f"retry_max_seconds={self.retry_max_seconds:g} is not valid: use at least retry_initial_seconds "
                f"({self.retry_initial_seconds:g})"
            )
        return self

    @property
    def policy(self) -> Policy:
        """The settings that decisions depend on, as they are recorded in the log."""
        return Policy(**{name: getattr(self, name) for name in Policy.__struct_fields__})

    def database_url(self) -> str:
        """The URL of the ledger's database.

        Raises:
            SettingsError: it is missing, given twice or not usable.
        """
        given = self.dsn.get_secret_value()
        if given and self.dsn_file:
            raise SettingsError("dsn and dsn_file are both set: use one of them")
        if self.dsn_file:
            given = _read_file("dsn_file", self.dsn_file).decode("utf-8", "replace").strip()
        try:
            parse_dsn(given)
        except StoreConfigurationError as error:
            key = "dsn_file" if self.dsn_file else "dsn"
            raise SettingsError(f"{key} is not valid: {error} ({_sources(key)})") from None
        if sends_in_clear(given) and not self.insecure_database:
            raise SettingsError(
                "dsn is not valid: sslmode=disable would send the ledger and its password in the clear; use "
                "sslmode=verify-full, or for development --set insecure_database=true"
            )
        return given

    def hmac_key(self) -> bytes | None:
        """The key of the secrets' HMACs, None if none is configured.

        Raises:
            SettingsError: the file cannot be read or holds too little.
        """
        if self.hmac_key_file is None:
            return None
        key = _read_file("hmac_key_file", self.hmac_key_file).strip()
        if len(key) < HMAC_KEY_BYTES_MIN:
            raise SettingsError(
                f"hmac_key_file={self.hmac_key_file} is not valid: use a file with at least {HMAC_KEY_BYTES_MIN} bytes"
            )
        return key


def load(arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """The settings from arguments (None: not given; `-` and `_` are the same) and environment variables.

    Raises:
        SettingsError: an unknown key, or a value outside its range.
    """
    values = {**_from_environment(environment), **_from_arguments(arguments)}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(error, values)) from None


def _from_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    given = {key.replace("-", "_"): value for key, value in arguments.items() if value is not None}
    for key in given:
        if key not in Settings.model_fields:
            raise SettingsError(f"unknown setting {key[:80]!r}: {_known_keys(key)}")
    return given


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if environment.get("KUBECONFIG"):
        found["kubeconfig"] = environment["KUBECONFIG"].split(":")[0]
    for variable, value in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        rest = variable.removeprefix(ENVIRONMENT_PREFIX)
        key = rest.lower()
        if key in Settings.model_fields:
            # An empty variable is one that a template left out.
            if value or key.endswith("_bind"):
                found[key] = value
        elif key not in _FOREIGN_KEYS and not _SERVICE_LINK.fullmatch(rest):
            raise SettingsError(f"unknown setting {variable[:80]}: {_known_keys(key)}")
    return found


def _known_keys(key: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, Settings.model_fields, n=1)
    return f"did you mean {close[0]}?" if close else "there is no such setting"


def _explain(error: ValidationError, values: Mapping[str, Any]) -> str:
    place = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    key = str(place[0]) if place else "settings"
    shown = "***" if key == "dsn" else repr(values.get(key))[:80]
    return f"{key}={shown} is not valid: use {_allowed(Settings.model_fields[key])} ({_sources(key)})"


def _allowed(field: FieldInfo) -> str:
    kind = field.annotation
    options = getattr(kind, "__args__", ())
    if getattr(kind, "__origin__", None) is Literal:
        return " or ".join(str(option) for option in options)
    if field.description:
        return field.description
    if kind is bool:
        return "true or false"
    low = next((item.ge for item in field.metadata if isinstance(item, Ge)), None)
    high = next((item.le for item in field.metadata if isinstance(item, Le)), None)
    if low is None or high is None:
        return "a path" if Path in options or kind is Path else "text"
    return f"{'a whole number' if kind is int else 'a number'} from {low} to {high}"


def _sources(key: str) -> str:
    return f"--{key.replace('_', '-')} or {ENVIRONMENT_PREFIX}{key.upper()}"


def _read_file(key: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES_MAX)
    except OSError as error:
        raise SettingsError(f"{key}={path} cannot be read: {error.strerror} ({_sources(key)})") from None
