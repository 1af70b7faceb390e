"""A bundle holds everything, byte for byte, and notices what was done to it."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from audit.bundle import Bundle
from audit.bundle_file import read_bundle, write_atomically
from audit.errors import BundleError
from audit.export import ExportFormat, export_lines, make_bundle
from audit.source import LedgerSource
from audit.verification import verify_stream
from eventstore.memory import InMemoryEventLog
from tests.audit.recording import LAB, MANIFESTS, PROD, digest, record_small

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def bundle(log: InMemoryEventLog) -> Bundle:
    source = LedgerSource(log, "memory")
    return make_bundle(source, source.streams(), exported_at=NOW, operator_version="0.1.0", schema="0002")


@pytest.fixture
def file(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "prod.slb"
    size = write_atomically(path, export_lines(bundle, ExportFormat.BUNDLE))
    assert size == path.stat().st_size
    return path


def test_what_is_read_back_is_what_was_exported(log: InMemoryEventLog, bundle: Bundle, file: Path) -> None:
    found = read_bundle(file)
    assert found == bundle
    assert found.read_stream(PROD) == log.read_stream(PROD)
    assert found.stream_head(PROD) == log.stream_head(PROD)
    assert found.load_state(PROD) == log.load_state(PROD)
    assert found.get_content(digest(MANIFESTS["99.0.0"])) == MANIFESTS["99.0.0"]
    assert found.read_all(20, 3) == log.read_all(20, 3)
    assert verify_stream(found, PROD).ok


def test_a_payload_that_is_not_text_survives(log: InMemoryEventLog, bundle: Bundle, tmp_path: Path) -> None:
    odd = msgspec.structs.replace(bundle.events[PROD][0], payload=b"\xff\x00{")
    path = tmp_path / "odd.slb"
    write_atomically(path, export_lines(msgspec.structs.replace(bundle, events={PROD: [odd]}), ExportFormat.BUNDLE))
    assert read_bundle(path).events[PROD] == [odd]


def test_a_changed_byte_is_noticed_and_its_event_is_named(file: Path) -> None:
    # The header holds the word too, in the stored state: the last one is the event's.
    before, _, after = file.read_bytes().rpartition(b"PreflightPassed")
    file.write_bytes(before + b"PreflightFailed" + after)
    found = read_bundle(file)
    assert "changed" in found.damage
    assert verify_stream(found, PROD).faults[0].sequence == 7


@pytest.mark.parametrize("lines", [0, 1, 5, -1])
def test_a_bundle_that_is_cut_short_is_refused(file: Path, lines: int) -> None:
    kept = file.read_bytes().splitlines(keepends=True)[:lines]
    file.write_bytes(b"".join(kept))
    with pytest.raises(BundleError):
        read_bundle(file)


@pytest.mark.parametrize(
    "content", [b"", b"hello\n", b"{}\n", b"[1]\n", b'{"kind":"Pod","formatVersion":1}\n', b"\xff"]
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.slb"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is not a bundle"):
        read_bundle(path)


def test_a_bundle_of_a_newer_format_is_refused_with_both_versions(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"formatVersion":1', b'"formatVersion":2', 1))
    with pytest.raises(BundleError, match="has format 2: this build reads 1"):
        read_bundle(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"):
        read_bundle(tmp_path / "nothing.slb")


def test_a_failed_export_leaves_no_file(tmp_path: Path) -> None:
    def broken() -> "object":
        yield b"one\n"
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_atomically(tmp_path / "out.slb", broken())  # type: ignore[arg-type]  # a generator that fails
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_may_hold_several_platforms(log: InMemoryEventLog, tmp_path: Path) -> None:
    record_small(log, LAB, name="prod", namespace="lab")
    source = LedgerSource(log, "memory")
    both = make_bundle(source, source.streams(), exported_at=NOW, operator_version="0.1.0")
    path = tmp_path / "all.slb"
    write_atomically(path, export_lines(both, ExportFormat.BUNDLE))
    assert [str(stream) for stream in LedgerSource(read_bundle(path), "file").streams()] == ["obs/prod", "lab/prod"]


# -- other formats -------------------------------------------------------------------------------------------------


def lines(bundle: Bundle, form: ExportFormat) -> list[str]:
    return b"".join(export_lines(bundle, form)).decode().splitlines()


def test_json_lines_hold_the_payload_as_an_object(bundle: Bundle) -> None:
    found = [json.loads(line) for line in lines(bundle, ExportFormat.JSONL)]
    assert len(found) == 26
    assert found[6]["payload"]["to_phase"] == "Installing"
    assert found[6]["hash"] == bundle.events[PROD][6].hash.hex()


def test_cloud_events_have_what_the_standard_requires(bundle: Bundle) -> None:
    found = [json.loads(line) for line in lines(bundle, ExportFormat.CLOUDEVENTS)]
    assert all({"specversion", "id", "source", "type"} <= event.keys() for event in found)
    assert all(name.isalnum() and name.islower() for event in found for name in event)
    assert len({(event["source"], event["id"]) for event in found}) == 26
    assert found[6]["source"] == "/stackledger/obs/prod"


def test_a_text_from_the_cluster_is_no_formula_in_a_spreadsheet(bundle: Bundle) -> None:
    evil = msgspec.structs.replace(bundle.events[PROD][6], actor="=HYPERLINK(1)")
    changed = msgspec.structs.replace(bundle, events={PROD: [evil]})
    rows = list(csv.DictReader(io.StringIO("\n".join(lines(changed, ExportFormat.CSV)))))
    assert rows[0]["by"] == "'=HYPERLINK(1)"
    assert rows[0]["to"] == "Installing"
