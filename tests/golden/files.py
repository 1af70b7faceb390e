"""Golden logs as files: what is there, how one is written, and the list that nothing in it may change.

`1/NAME.jsonl` is a bundle as `stackledger export` writes it: every event byte for byte as it was stored, every document
it refers to, the stored projection. `1/NAME.fold-6.json` is the state it folds to under fold version 6, to be read.
The number of the directory is the format version of the bundle.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from audit.bundle import FORMAT_VERSION, Bundle
from audit.bundle_file import bundle_lines, read_bundle, write_atomically
from audit.export import make_bundle
from audit.source import LedgerSource
from eventstore.log import EventLog
from projections.platform import fold, initial
from projections.state import FOLD_VERSION

HERE = Path(__file__).parent
#: `sha256  path` of every file here that is kept for ever, as `sha256sum -c` reads it.
MANIFEST = HERE / "MANIFEST.sha256"
#: What the command is called in every message.
COMMAND = "python -m tests.golden"


def log_files() -> list[Path]:
    """Every golden log, of every format."""
    return sorted(HERE.glob("[0-9]*/*.jsonl"))


def name_of(path: Path) -> str:
    """`1/upgrade`"""
    return str(path.relative_to(HERE).with_suffix(""))


def load(path: Path) -> Bundle:
    """The bundle in a file."""
    return read_bundle(path)


def state_file(path: Path, fold_version: str = FOLD_VERSION) -> Path:
    """Where the golden state of a log lies."""
    return path.with_suffix(f".fold-{fold_version}.json")


def folded(bundle: Bundle) -> bytes:
    """What its streams fold to, as text for people: stream -> state, keys sorted."""
    states = {stream: fold(initial(stream), events) for stream, events in bundle.events.items()}
    text = msgspec.json.encode(msgspec.to_builtins(states, str_keys=True), order="sorted")
    return msgspec.json.format(text, indent=1) + b"\n"


def write(name: str, log: EventLog, exported_at: Any) -> Path:
    """Write a log as the newest format has it, with its golden state, and list both."""
    source = LedgerSource(log, "simulator")
    bundle = make_bundle(source, source.streams(), exported_at=exported_at, operator_version="golden")
    path = HERE / str(FORMAT_VERSION) / f"{name}.jsonl"
    if path.exists():
        raise FileExistsError(f"{path} is kept for ever: choose another name")
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, bundle_lines(bundle))
    path.chmod(0o644)
    write_state(path)
    add_to_manifest([path, state_file(path)])
    return path


def write_state(path: Path) -> Path:
    """Write the state a log folds to under this build, unless one was written under this fold version before."""
    target = state_file(path)
    if not target.exists():
        target.write_bytes(folded(load(path)))
    return target


# -- the list ------------------------------------------------------------------------------------------------------


def manifest() -> dict[str, str]:
    """Path -> hash of every file that is kept."""
    lines = MANIFEST.read_text().splitlines() if MANIFEST.exists() else []
    return {path: digest for digest, _, path in (line.partition("  ") for line in lines)}


def add_to_manifest(paths: Iterable[Path]) -> None:
    """List files that are not listed yet."""
    listed = manifest()
    new = {str(path.relative_to(HERE)): digest_of(path) for path in paths}
    with MANIFEST.open("a") as file:
        file.writelines(f"{digest}  {path}\n" for path, digest in sorted(new.items()) if path not in listed)


def digest_of(path: Path) -> str:
    """Hash of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
