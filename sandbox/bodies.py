"""Request bodies: from bytes in one of several formats to plain values."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from sandbox import protobuf
from sandbox.errors import bad_request, unsupported_media_type

_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
_PLAIN = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


class _Repeating(dict[str, Any]):
    """An object in which a field stands more than once; the last one counts."""

    repeated: tuple[str, ...] = ()


def decode(content: bytes, media_type: str) -> Any:
    """The body as JSON or YAML; None if there is none.

    Raises:
        StatusError: 400, it does not parse.
    """
    if not content:
        return None
    if "protobuf" in media_type:
        return protobuf.decode(content)
    try:
        if "yaml" in media_type:
            return _yaml(content)
        return _json(content)
    except (ValueError, RecursionError) as error:
        raise bad_request(f"error decoding the request body: {error}") from None


def check_plain(media_type: str) -> None:
    """Refuse what an object cannot be sent as.

    Raises:
        StatusError: 415.
    """
    if media_type not in _PLAIN:
        raise unsupported_media_type(_PLAIN)


def repeated_fields(value: Any, path: str = "") -> Iterator[str]:
    """Paths of fields that stand more than once."""
    if isinstance(value, dict):
        prefix = f"{path}." if path else ""
        for name in getattr(value, "repeated", ()):
            yield f"{prefix}{name}"
        for key, part in value.items():
            yield from repeated_fields(part, f"{prefix}{key}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from repeated_fields(item, f"{path}[{at}]")


def _json(content: bytes) -> Any:
    return json.loads(content.decode(), parse_constant=_no_constant, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    repeating = _Repeating(found)
    repeating.repeated = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    return repeating


def _no_constant(text: str) -> Any:
    raise ValueError(f"invalid character '{text[0]}' looking for beginning of value")


def _yaml(content: bytes) -> Any:
    if _SURROGATE.search(content):
        # JSON clients escape what is beyond the BMP as two surrogates; the YAML parser of a real server refuses them.
        raise bad_request(
            "error decoding patch: error converting YAML to JSON: yaml: found invalid Unicode character escape code"
        )
    try:
        return _json(content)
    except ValueError:
        pass
    try:
        return yaml.load(content.decode(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  a safe loader
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding patch: error converting YAML to JSON: {error}") from None
