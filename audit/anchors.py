"""Anchors: heads of streams, copied to a place that a writer of the database cannot reach.

A hash chain alone does not show that its end was cut off, nor that all of it was written anew. A copy of the heads that
lies elsewhere (a Git repository, an object store with a retention lock) does.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from audit.errors import AuditError
from audit.source import LedgerSource, StreamInfo
from audit.verification import Anchor


def anchor_lines(source: LedgerSource, streams: list[StreamInfo]) -> Iterator[bytes]:
    """One JSON line per stream: where its chain ends now."""
    for stream in streams:
        version, digest = source.log.stream_head(stream.stream_id)
        yield msgspec.json.encode(Anchor(stream_id=stream.stream_id, version=version, hash=digest.hex())) + b"\n"


def read_anchors(path: Path) -> Mapping[str, Anchor]:
    """Stream id -> anchor; the file of `anchor_lines`.

    Raises:
        AuditError: the file cannot be read or holds something else.
    """
    try:
        anchors = msgspec.json.Decoder(Anchor).decode_lines(path.read_bytes())
    except OSError as error:
        raise AuditError(f"cannot read anchors from {path}", error.strerror or str(error)) from error
    except msgspec.MsgspecError as error:
        raise AuditError(f"{path} holds no anchors", str(error), "make them with verify --save-anchor FILE") from error
    return {anchor.stream_id: anchor for anchor in anchors}
