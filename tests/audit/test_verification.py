"""Tampering of every kind is found, and the first bad event is named."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audit.anchors import anchor_lines, read_anchors
from audit.errors import AuditError
from audit.source import LedgerSource
from audit.verification import Anchor, StreamReport, verify_stream
from eventstore import events as e
from eventstore.log import EventLog
from eventstore.memory import InMemoryEventLog
from eventstore.opening import open_log
from eventstore.vocabulary import Phase, Trigger
from tests.audit.recording import GRAFANA, PROD, Recorder, phase, record_prod


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(file: Path) -> Iterator[EventLog]:
    log = open_log(f"sqlite:///{file}", create=True)
    record_prod(log)
    yield log
    log.close()


def tamper(file: Path, statement: str, *values: Any) -> None:
    """What somebody with write access to the file could do: drop the guards, alter a row."""
    with sqlite3.connect(file) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(statement, values).rowcount > 0, "the tampering changed nothing"
    connection.close()


def first(report: StreamReport) -> tuple[int, str]:
    return report.faults[0].sequence, report.faults[0].check


def test_an_untouched_stream_is_whole(ledger: EventLog) -> None:
    report = verify_stream(ledger, PROD)
    assert report.ok
    assert (report.events, report.last_sequence, report.trusted_to) == (26, 26, 26)
    assert report.notes == ()


def test_a_changed_payload_is_found_where_it_was_changed(ledger: EventLog, file: Path) -> None:
    tamper(file, "UPDATE events SET payload = replace(payload, 'PreflightPassed', 'PreflightFailed') WHERE version = 7")
    report = verify_stream(ledger, PROD)
    assert first(report) == (7, "chain")
    assert "changed after it was appended" in report.faults[0].message
    assert report.trusted_to == 6


@pytest.mark.parametrize("column", ["actor", "type"])
def test_a_changed_column_is_found(ledger: EventLog, file: Path, column: str) -> None:
    tamper(file, f"UPDATE events SET {column} = 'Paused' WHERE version = 25")
    assert first(verify_stream(ledger, PROD)) == (25, "chain")


def test_a_swapped_hash_is_found(ledger: EventLog, file: Path) -> None:
    tamper(
        file, "UPDATE events SET hash = (SELECT hash FROM events AS other WHERE other.version = 4) WHERE version = 9"
    )
    assert first(verify_stream(ledger, PROD)) == (9, "chain")


def test_a_removed_event_is_found(ledger: EventLog, file: Path) -> None:
    tamper(file, "DELETE FROM events WHERE version = 12")
    report = verify_stream(ledger, PROD)
    assert first(report) == (12, "chain")
    assert "missing" in report.faults[0].message


def test_a_cut_off_end_is_found(ledger: EventLog, file: Path) -> None:
    tamper(file, "DELETE FROM events WHERE version > 24")
    report = verify_stream(ledger, PROD)
    assert first(report) == (25, "head")
    assert "cut off" in report.faults[0].message


def test_a_changed_projection_is_found(ledger: EventLog, file: Path) -> None:
    column = _state_table(file)
    tamper(file, f"UPDATE {column} SET state = replace(state, 'Failed', 'Ready')")
    report = verify_stream(ledger, PROD)
    assert first(report) == (26, "projection")
    assert "phase" in report.faults[0].message


def test_a_projection_that_is_no_state_is_found(ledger: EventLog, file: Path) -> None:
    tamper(file, f"UPDATE {_state_table(file)} SET state = '{{}}'")
    assert first(verify_stream(ledger, PROD)) == (26, "projection")


def _state_table(file: Path) -> str:
    connection = sqlite3.connect(file)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%fold_version%'")
    names = [name for (name,) in tables.fetchall()]
    connection.close()
    assert len(names) == 1
    return str(names[0])


# -- what no database would let through, and a bug or an attacker could write ---------------------------------------


def check_of(build: Callable[[Recorder], object]) -> StreamReport:
    log = InMemoryEventLog()
    build(record_prod(log))
    return verify_stream(log, PROD)


def test_a_transition_outside_of_the_diagram_is_found() -> None:
    report = check_of(
        lambda prod: prod.record("11:00:00", phase(Phase.FAILED, Phase.READY, Trigger.SUCCESS, "Magic", "", 2))
    )
    assert first(report) == (27, "transition")
    assert "not in the diagram" in report.faults[0].message


def test_a_transition_from_a_phase_the_platform_was_not_in_is_found() -> None:
    edge = phase(Phase.INSTALLING, Phase.READY, Trigger.ALL_COMPONENTS_READY, "AllComponentsReady", "", 2)
    report = check_of(lambda prod: prod.record("11:00:00", edge))
    assert first(report) == (27, "transition")
    assert "the phase was Failed" in report.faults[0].message


def test_a_request_that_is_closed_twice_is_found() -> None:
    report = check_of(lambda prod: prod.record("11:00:00", e.ActionSucceeded(request=9, ref=GRAFANA)))
    assert first(report) == (27, "request")
    assert "event 10 had closed it" in report.faults[0].message


def test_an_outcome_without_a_request_is_found() -> None:
    report = check_of(lambda prod: prod.record("11:00:00", e.ActionSucceeded(request=13, ref=GRAFANA)))
    assert first(report) == (27, "request")
    assert "no earlier event made" in report.faults[0].message


def test_a_missing_document_is_found() -> None:
    missing = e.ApplyRequested(ref=GRAFANA, component=None, digest="sha256:none", reason="Create")
    report = check_of(lambda prod: prod.record("11:00:00", missing))
    assert first(report) == (27, "content")


def test_a_changed_document_is_found(ledger: EventLog, file: Path) -> None:
    with sqlite3.connect(file) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    connection.close()
    (contents,) = [name for name in tables if "content" in name]
    tamper(file, f"UPDATE {contents} SET body = replace(CAST(body AS TEXT), '99.0.0', '98.0.0')")
    report = verify_stream(ledger, PROD)
    assert first(report) == (20, "content")


@pytest.mark.parametrize(
    "alteration",
    ["hash = 'no hash'", "event_id = 'no id'", "payload = CAST('[]' AS BLOB)", "occurred_at = 'yesterday'"],
)
def test_a_row_that_is_no_event_is_found_and_breaks_nothing(ledger: EventLog, file: Path, alteration: str) -> None:
    tamper(file, f"UPDATE events SET {alteration} WHERE version = 12")
    report = verify_stream(ledger, PROD)
    assert report.faults[0].sequence == 12


def test_an_event_of_an_unknown_type_is_named_and_the_others_are_still_checked() -> None:
    log = InMemoryEventLog()
    prod = record_prod(log)
    strange = msgspec.structs.replace(log.read_stream(PROD)[4], type="MoonPhaseObserved")
    from uuid import UUID

    from eventstore.envelope import NewEvent

    fields = {name: getattr(strange, name) for name in NewEvent.__struct_fields__}
    log.append(PROD, prod.state.version, [NewEvent(**{**fields, "event_id": UUID(int=7)})], epoch=0)
    report = verify_stream(log, PROD)
    assert first(report) == (27, "readable")
    assert "MoonPhaseObserved" in report.faults[0].message


def test_a_stream_without_a_stored_state_says_so_and_is_fine() -> None:
    log = InMemoryEventLog()
    record_prod(log, keep_state=False)
    report = verify_stream(log, PROD)
    assert report.ok
    assert report.notes == ("no stored state to compare with",)


# -- anchors -------------------------------------------------------------------------------------------------------


def test_a_rewritten_history_does_not_match_a_head_that_was_kept_elsewhere(log: InMemoryEventLog) -> None:
    report = verify_stream(log, PROD, Anchor(stream_id=PROD, version=17, hash="00" * 32))
    assert first(report) == (17, "head")
    assert "rewritten" in report.faults[0].message


def test_anchors_survive_the_way_through_a_file(log: InMemoryEventLog, tmp_path: Path) -> None:
    source = LedgerSource(log, "memory")
    path = tmp_path / "heads.jsonl"
    path.write_bytes(b"".join(anchor_lines(source, source.streams())))
    anchor = read_anchors(path)[PROD]
    assert verify_stream(log, PROD, anchor).anchored_to == 26


def test_a_file_that_holds_no_anchors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "heads.jsonl"
    path.write_text("hello\n")
    with pytest.raises(AuditError, match="holds no anchors"):
        read_anchors(path)
