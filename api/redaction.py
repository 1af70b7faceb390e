"""Takes secrets out of a spec before it is recorded anywhere, and brings what cannot be recorded to a form that can.

Each inline secret is replaced by a reference to a key of the platform's own Secret; the models accept that shape.
Applied to its own output, `redact` changes nothing.
"""

import hashlib
import hmac
import math
import re
from typing import Any

import msgspec

from api.freeform import UNRECORDED, FreeTextError, is_unrecorded_text, parse_yaml_text, unrecorded_text

_DEPTH_MAX = 80
_TOO_DEEP = UNRECORDED + "more than 80 levels deep"
_BAD_NAME = UNRECORDED + "its name has a NUL or a lone surrogate"
_BAD_TEXT = UNRECORDED + "text with a NUL or a lone surrogate"
_NOT_FINITE = UNRECORDED + "not a finite number"
_TOO_LARGE = UNRECORDED + "a number beyond 64 bits"
#: In the place of everything in a spec that is too long to be kept in one event.
SPEC_TOO_LONG = UNRECORDED + "more than 900 KiB; move dashboards and rules to ConfigMaps, or split the platform"
#: Bytes of JSON of a spec and the fingerprints in it. The log takes events of 1 MiB, etcd objects of 1.5 MiB.
SPEC_BYTES_MAX = 900 * 1024
_MARKERS = frozenset({_TOO_DEEP, _BAD_NAME, _BAD_TEXT, _NOT_FINITE, _TOO_LARGE, SPEC_TOO_LONG})

# Names of keys, without case, dashes and underscores.
_SECRET_KEY = re.compile(
    r"(passwords?|passwd|passphrase|pwd|pass|tokens?|secret|secretkey|accesskey|accesskeyid|apikeys?|privatekey"
    r"|signingkey|encryptionkey|credentials?|authorization|cookie|dsn|connectionstring|webhookurl|slackapiurl|routingkey"
    r"|servicekey|userkey)$"
)
#: These name a Secret; the value is no secret.
_NAMES_A_SECRET = re.compile(r"(password|existing|config|tls|pull|ca|token|credentials|key)secret$")
#: Below these keys a plain `url` carries the credential.
_WEBHOOK = re.compile(r"webhook|slack|discord|msteams")
_SECRET_VALUE = re.compile(
    # Every repetition is bounded or stops where the next one could begin: texts of a mebibyte must stay linear.
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----"
    r"|://[^\s/?#@]+@"
    r"|^(Bearer|Basic) +\S{6,}"
    r"|[?&](access_)?(token|key|api_?key|secret|password|sig|signature)=[^&\s]"
    r"|\beyJ[A-Za-z0-9_-]{10,400}\.eyJ|\bglsa_|\bxox[abp]-|\bghp_|\bAKIA[0-9A-Z]{16}\b"
)
#: `password: x`, `token=x` inside a longer text.
_SECRET_TEXT = re.compile(
    r"(?i)(password|passwd|token|secret|api[_-]?key|credentials?)[\"']?\s*[:=]\s*[\"']?[^\s\"',}{]"
)
#: Words and queries for people: only `_SECRET_VALUE` is looked for in them.
_PROSE = frozenset({"expr", "annotations", "json", "description", "summary", "message", "query", "title", "text"})
#: Text under these keys is YAML that the models read.
_YAML_TEXT = frozenset({"additionalScrapeConfigs", "writeRelabelConfigs", "alertingRules", "rules"})
_REFERENCE_KEYS = frozenset({"name", "key", "optional", "secretName"})
_REFERENCE_WRAPPERS = frozenset({"secretKeyRef", "secretRef", "valueFrom", "configMapKeyRef"})


class Redacted(msgspec.Struct, frozen=True):
    """A spec that may be recorded, and the secrets that stood in it."""

    spec: dict[str, Any]
    #: Path in the spec -> plain text. Never recorded, logged or shown.
    inline: dict[str, str]

    def __repr__(self) -> str:
        return f"Redacted({len(self.inline)} inline secrets)"


def redact(raw_spec: Any, *, secret_name: str) -> Redacted:
    """Replace every inline secret by `{"secretKeyRef": {"name": secret_name, "key": ...}}`.

    Args:
        raw_spec: `spec` of the live resource, as JSON values; anything but an object becomes `{}`.
        secret_name: name of the Secret that will hold the secrets (`api.naming.inline_secret_name`).
    """
    walk = _Walk(secret_name)
    spec = walk.value(raw_spec, (), False) if isinstance(raw_spec, dict) else {}
    return Redacted(spec, walk.inline)


def within_limit(spec: dict[str, Any], fingerprints: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """A redacted spec and its inline secrets' fingerprints as they may be recorded: whole, or as a mark to refuse.

    What could not be recorded could not even be deleted: `paused` is kept, for it is decided on before the rest.
    """
    if len(msgspec.json.encode([spec, fingerprints])) <= SPEC_BYTES_MAX:
        return spec, fingerprints
    paused = {"paused": spec["paused"]} if isinstance(spec.get("paused"), bool) else {}
    return {"components": SPEC_TOO_LONG, **paused}, {}


def hmac_value(key: bytes, value: str) -> str:
    """Keyed fingerprint of a secret: tells that it changed, and nothing else. Empty for an empty value."""
    if not value:
        return ""
    # A value from the API may hold lone surrogates; they must not raise here.
    return "hmac-sha256:" + hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def path_text(path: tuple[str | int, ...]) -> str:
    """`components.prometheus.remoteWrite[0].url`; keys with other characters as `headers["X.Key"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif re.fullmatch(r"[-A-Za-z0-9_]+", part):
            text += f".{part}" if text else part
        else:
            text += f"[{msgspec.json.encode(part.encode('utf-8', 'replace').decode()).decode()}]"
    return text


def secret_key(path: str) -> str:
    """Key in the inline Secret for the secret at `path`: readable, valid, and different for different paths."""
    readable = re.sub(r"[^-._A-Za-z0-9]+", "_", path)
    if readable == path and len(path) <= 200:
        return path
    return f"{readable[:180]}-{hashlib.sha256(path.encode()).hexdigest()[:10]}"


class _Walk:
    """One pass over a spec; collects the secrets it takes out."""

    def __init__(self, secret_name: str) -> None:
        self.secret_name = secret_name
        self.inline: dict[str, str] = {}

    def value(self, value: Any, path: tuple[str | int, ...], secret: bool) -> Any:
        """The value as it may be recorded; `secret`: the key it stands under says that it is one."""
        if len(path) > _DEPTH_MAX:
            return _TOO_DEEP
        if isinstance(value, dict):
            return self._object(value, path, secret)
        if isinstance(value, list | tuple):
            return [self.value(entry, (*path, index), secret) for index, entry in enumerate(value)]
        if isinstance(value, str):
            return self._text(value, path, secret)
        if value is None or isinstance(value, bool):
            return value
        return self._number(value, path, secret)

    def _object(self, value: dict[str, Any], path: tuple[str | int, ...], secret: bool) -> dict[str, Any]:
        named_secret = isinstance(value.get("name"), str) and is_secret_name(value["name"])
        recorded = {}
        for key, entry in value.items():
            if not _recordable(key):
                recorded[_escaped(key)] = _BAD_NAME
            elif (secret and (key in _REFERENCE_WRAPPERS or key in _REFERENCE_KEYS)) or key in _REFERENCE_WRAPPERS:
                recorded[key] = self._reference(entry, (*path, key))
            else:
                inner = secret and key in {"value", "data", "plain", "inline"}
                inner = inner or is_secret_name(key) or (named_secret and key == "value") or _is_webhook(key, path)
                recorded[key] = self.value(entry, (*path, key), inner)
        return recorded

    def _reference(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """A reference is kept: its names are no secrets. Anything else in its place is treated as one."""
        if isinstance(value, dict):
            return {
                key: self._reference(entry, (*path, key))
                if key in _REFERENCE_KEYS | _REFERENCE_WRAPPERS
                else self.value(entry, (*path, key), True)
                for key, entry in value.items()
                if _recordable(key)
            }
        if isinstance(value, str):
            return value if _recordable(value) else _BAD_TEXT
        return self.value(value, path, False)

    def _text(self, value: str, path: tuple[str | int, ...], secret: bool) -> Any:
        if is_unrecorded(value):
            return value
        if _is_yaml_text(path):
            try:
                return self.value(parse_yaml_text(value), path, secret)
            except FreeTextError as error:
                return unrecorded_text(error)
        if not value:
            return value
        if secret or _SECRET_VALUE.search(value) or (not _is_prose(path) and _SECRET_TEXT.search(value)):
            return self._taken_out(value, path)
        return value if _recordable(value) else _BAD_TEXT

    def _number(self, value: Any, path: tuple[str | int, ...], secret: bool) -> Any:
        if isinstance(value, int):
            # Compared before anything else: a huge int does not even convert to float or text.
            if not -(2**63) <= value < 2**63:
                return _TOO_LARGE
        elif not isinstance(value, float) or not math.isfinite(value):
            return _NOT_FINITE
        return self._taken_out(str(value), path) if secret else value

    def _taken_out(self, value: str, path: tuple[str | int, ...]) -> dict[str, Any]:
        where = path_text(path)
        self.inline[where] = value
        return {"secretKeyRef": {"name": self.secret_name, "key": secret_key(where)}}


def is_unrecorded(value: Any) -> bool:
    """Whether `redact` put this in the place of something that could not be recorded."""
    return isinstance(value, str) and (value in _MARKERS or is_unrecorded_text(value))


def is_secret_name(key: str) -> bool:
    """Whether a value under this key, or of this environment variable or header, is a secret."""
    bare = re.sub(r"[^a-z0-9]", "", key.lower())
    return _SECRET_KEY.search(bare) is not None and _NAMES_A_SECRET.search(bare) is None


def _is_webhook(key: str, path: tuple[str | int, ...]) -> bool:
    if key.lower() not in {"url", "apiurl", "api_url"}:
        return False
    return any(isinstance(part, str) and _WEBHOOK.search(part.lower()) for part in path)


def _is_yaml_text(path: tuple[str | int, ...]) -> bool:
    if not path or not isinstance(path[-1], str):
        return False
    return path[-1] in _YAML_TEXT or (path[-1] == "config" and len(path) > 1 and path[-2] == "alertmanager")


def _is_prose(path: tuple[str | int, ...]) -> bool:
    return any(part in _PROSE for part in path)


def _recordable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _escaped(text: str) -> str:
    return text.encode("unicode_escape", "backslashreplace").decode("ascii")
