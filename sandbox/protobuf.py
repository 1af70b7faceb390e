"""Bodies that `kubectl create namespace|configmap|secret|serviceaccount|quota` send: protobuf, of these kinds only."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.errors import StatusError
from sandbox.values import Object

_MAGIC = b"k8s\0"
#: Field number -> (name, how its bytes are read).
_Fields = dict[int, tuple[str, Callable[[Any], Any]]]


def decode(body: bytes) -> Object:
    """The object in a `application/vnd.kubernetes.protobuf` body.

    Raises:
        StatusError: 415, a kind whose fields are not known here; 400, not protobuf.
    """
    try:
        if not body.startswith(_MAGIC):
            raise ValueError("no magic number")
        envelope = dict(_parts(body[len(_MAGIC) :]))
        kind = {number: _text(part) for number, part in _parts(envelope.get(1, b""))}
        fields = _KINDS.get((kind.get(1, ""), kind.get(2, "")))
        if fields is None:
            text = f"the sandbox does not read {kind.get(2)} as protobuf: use kubectl apply -f"
            raise StatusError(415, "UnsupportedMediaType", text)
        return {"apiVersion": kind[1], "kind": kind[2], **_message(fields)(envelope.get(2, b""))}
    except (ValueError, IndexError) as error:
        raise StatusError(400, "BadRequest", f"error decoding protobuf: {error}") from None


def _parts(data: bytes) -> Iterator[tuple[int, Any]]:
    """(field number, bytes or number) of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("truncated")
            yield number, data[at : at + size]
            at += size
        else:
            raise ValueError(f"wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def _text(data: bytes) -> str:
    return data.decode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _first(data: bytes) -> str:
    """A Quantity: a message with one text."""
    return _text(dict(_parts(data)).get(1, b""))


def _entry(read: Callable[[Any], Any]) -> Callable[[bytes], Object]:
    """One entry of a map."""

    def entry(data: bytes) -> Object:
        parts = dict(_parts(data))
        return {_text(parts.get(1, b"")): read(parts.get(2, b""))}

    return entry


def _message(fields: _Fields) -> Callable[[bytes], Object]:
    """A message; maps grow entry by entry, texts marked as lists item by item, empty texts are left out."""

    def message(data: bytes) -> Object:
        found: Object = {}
        for number, part in _parts(data):
            if number not in fields:
                continue
            name, read = fields[number]
            value = read(part)
            if isinstance(value, dict):
                found[name] = {**found.get(name, {}), **value}
            elif isinstance(value, list):
                found[name] = [*found.get(name, []), *value]
            elif value != "":
                found[name] = value
        return found

    return message


_TEXTS = _entry(_text)
_META: _Fields = {
    1: ("name", _text),
    2: ("generateName", _text),
    3: ("namespace", _text),
    11: ("labels", _TEXTS),
    12: ("annotations", _TEXTS),
    14: ("finalizers", lambda data: [_text(data)]),
}
_HEAD: _Fields = {1: ("metadata", _message(_META))}
_QUOTA: _Fields = {1: ("hard", _entry(_first)), 2: ("scopes", lambda data: [_text(data)])}
_KINDS: dict[tuple[str, str], _Fields] = {
    ("v1", "Namespace"): _HEAD,
    ("v1", "ServiceAccount"): _HEAD,
    ("v1", "ConfigMap"): {**_HEAD, 2: ("data", _TEXTS), 3: ("binaryData", _entry(_base64)), 4: ("immutable", bool)},
    ("v1", "Secret"): {
        **_HEAD,
        2: ("data", _entry(_base64)),
        3: ("type", _text),
        4: ("stringData", _TEXTS),
        5: ("immutable", bool),
    },
    ("v1", "ResourceQuota"): {**_HEAD, 2: ("spec", _message(_QUOTA))},
}
