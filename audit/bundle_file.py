"""The exported bundle: one text file that `verify`, `replay`, `show` and the others read as they read a live ledger.

JSON lines, in this order:
- a header: format version, who wrote it and when, and per stream its name, head and stored projection;
- one line per event, payload and hashes exactly as stored;
- one line per document of the content store that the events refer to;
- a trailer with the counts and a SHA-256 over every byte before it, so that a file cut short is recognised.

Bytes that are UTF-8 stand as text, others as base64 under a key of their own. Instants are RFC 3339 with microseconds.
"""

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from audit.bundle import FORMAT_VERSION, KIND, Bundle, BundleHeader
from audit.errors import BundleError
from eventstore.envelope import RecordedEvent


def _put_bytes(key: str, value: bytes) -> dict[str, str]:
    try:
        return {key: value.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{key}Base64": base64.b64encode(value).decode()}


def _take_bytes(key: str, line: dict[str, Any]) -> bytes:
    if key in line:
        text: str = line[key]
        return text.encode()
    return base64.b64decode(line[f"{key}Base64"], validate=True)


def event_line(event: RecordedEvent) -> dict[str, Any]:
    """An event as a JSON object; the payload byte for byte as text (or base64)."""
    return {
        "position": event.position,
        "streamId": event.stream_id,
        "version": event.version,
        "eventId": str(event.event_id),
        "type": event.type,
        "schemaVersion": event.schema_version,
        **_put_bytes("payload", event.payload),
        "occurredAt": event.occurred_at.isoformat(),
        "recordedAt": event.recorded_at.isoformat(),
        "causationId": str(event.causation_id) if event.causation_id else None,
        "correlationId": str(event.correlation_id),
        "actor": event.actor,
        "epoch": event.epoch,
        "prevHash": event.prev_hash.hex(),
        "hash": event.hash.hex(),
    }


def _event(line: dict[str, Any]) -> RecordedEvent:
    return RecordedEvent(
        position=line["position"],
        stream_id=line["streamId"],
        version=line["version"],
        event_id=UUID(line["eventId"]),
        type=line["type"],
        schema_version=line["schemaVersion"],
        payload=_take_bytes("payload", line),
        occurred_at=datetime.fromisoformat(line["occurredAt"]),
        recorded_at=datetime.fromisoformat(line["recordedAt"]),
        causation_id=UUID(line["causationId"]) if line["causationId"] else None,
        correlation_id=UUID(line["correlationId"]),
        actor=line["actor"],
        epoch=line["epoch"],
        prev_hash=bytes.fromhex(line["prevHash"]),
        hash=bytes.fromhex(line["hash"]),
    )


def bundle_lines(bundle: Bundle) -> Iterator[bytes]:
    """The file's lines, each with its newline."""
    digest = hashlib.sha256()
    events = contents = 0

    def line(value: Any) -> bytes:
        encoded = msgspec.json.encode(value) + b"\n"
        digest.update(encoded)
        return encoded

    yield line(bundle.header)
    for stream in bundle.events.values():
        for event in stream:
            events += 1
            yield line({"event": event_line(event)})
    for key in sorted(bundle.contents):
        contents += 1
        yield line({"content": {"digest": key, **_put_bytes("data", bundle.contents[key])}})
    yield line({"end": {"events": events, "contents": contents, "sha256": digest.hexdigest()}})


# -- files ---------------------------------------------------------------------------------------------------------


def write_atomically(path: Path, lines: Iterable[bytes]) -> int:
    """Write the lines beside `path` and rename: the file is there whole or not at all. Returns its size in bytes."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        # mkstemp makes files only their owner can read: a history names people and machines, so it stays that way.
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    return size


def read_bundle(path: Path) -> Bundle:
    """Load a bundle; its events' hashes are `verify`'s business, a changed byte anywhere is noted in `damage`.

    Raises:
        BundleError: unreadable, not a bundle, newer format, or cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BundleError(f"cannot read bundle {path}", error.strerror or str(error)) from error
    lines = data.splitlines(keepends=True)
    header = _read_header(path, lines)
    try:
        return _read_body(path, header, lines)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"bundle {path} is damaged", f"{type(error).__name__}: {error}", "export it again") from error


def _read_header(path: Path, lines: list[bytes]) -> BundleHeader:
    try:
        raw = msgspec.json.decode(lines[0])
        kind, version = raw["kind"], raw["formatVersion"]
    except (IndexError, KeyError, TypeError, msgspec.DecodeError) as error:
        raise BundleError(f"{path} is not a bundle", "its first line is no bundle header") from error
    if kind != KIND:
        raise BundleError(f"{path} is not a bundle", f"its kind is {kind!r}")
    if version != FORMAT_VERSION:
        raise BundleError(
            f"bundle {path} has format {version}", f"this build reads {FORMAT_VERSION}", "use the build that wrote it"
        )
    try:
        return msgspec.convert(raw, BundleHeader)
    except msgspec.ValidationError as error:
        raise BundleError(f"bundle {path} is damaged", f"header: {error}", "export it again") from error


def _read_body(path: Path, header: BundleHeader, lines: list[bytes]) -> Bundle:
    events: dict[str, list[RecordedEvent]] = {stream.stream_id: [] for stream in header.streams}
    contents: dict[str, bytes] = {}
    digest = hashlib.sha256(lines[0])
    end: dict[str, Any] | None = None
    for raw in lines[1:]:
        line = msgspec.json.decode(raw)
        if "end" in line:
            end = line["end"]
            break
        digest.update(raw)
        if "event" in line:
            event = _event(line["event"])
            events.setdefault(event.stream_id, []).append(event)
        elif "content" in line:
            contents[line["content"]["digest"]] = _take_bytes("data", line["content"])
    if end is None:
        raise BundleError(f"bundle {path} is cut short", "its last line is missing", "copy or export it again")
    # Not an error: `verify` is to say which event it was.
    damage = "" if end["sha256"] == digest.hexdigest() else "the file was changed after it was exported"
    return Bundle(header=header, events=events, contents=contents, damage=damage)
