"""verify, replay, rebuild, export, db and crd: verdicts, exit codes and files."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Command, squeezed


def tamper(directory: Path, statement: str, *values: Any) -> None:
    with sqlite3.connect(directory / "ledger.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


def test_an_untouched_ledger_verifies(stackledger: Command, state_dir: Path) -> None:
    shown = stackledger("verify", "--all", "--state-dir", state_dir)
    assert shown.code == 0
    lines = squeezed(shown.out).splitlines()
    assert lines[0] == "PLATFORM EVENTS CHAIN HEAD VERDICT"
    assert lines[1].startswith("obs/prod 26 OK ")
    assert lines[1].endswith(" OK")


def test_a_tampered_payload_is_named_by_stream_and_version(stackledger: Command, state_dir: Path) -> None:
    tamper(state_dir, "UPDATE events SET payload = replace(payload, 'Healthy', 'Heathen') WHERE version = 12")
    shown = stackledger("verify", "prod", "--state-dir", state_dir)
    assert shown.code == 1
    assert "obs/prod" in shown.out
    assert "BROKEN at seq 12: stored" in shown.out
    assert "1-11 trusted" in shown.out
    document = json.loads(stackledger("verify", "--all", "--state-dir", state_dir, "-o", "json").out)
    assert document["ok"] is False
    assert document["streams"][0]["faults"][0]["sequence"] == 12
    assert document["streams"][0]["trustedTo"] == 11


def test_a_cut_off_tail_is_found_even_if_the_head_table_was_cut_too(stackledger: Command, state_dir: Path) -> None:
    heads = state_dir / "heads.jsonl"
    assert stackledger("verify", "--all", "--save-anchor", heads, "--state-dir", state_dir).code == 0
    anchored = stackledger("verify", "--all", "--anchor", heads, "--state-dir", state_dir)
    assert (anchored.code, "anchored to 26" in anchored.out) == (0, True)
    tamper(state_dir, "DELETE FROM events WHERE version > 24")
    shown = stackledger("verify", "--all", "--anchor", heads, "--state-dir", state_dir)
    assert shown.code == 1
    assert "BROKEN at seq 25" in shown.out


def test_a_stream_that_the_anchor_knows_must_be_there(stackledger: Command, state_dir: Path) -> None:
    heads = state_dir / "heads.jsonl"
    heads.write_text('{"streamId":"gone","version":3,"hash":"00"}\n')
    shown = stackledger("verify", "--all", "--anchor", heads, "--state-dir", state_dir)
    assert shown.code == 1
    assert "stream gone, which the anchor knows, is not in the ledger" in shown.out


def test_a_broken_ledger_is_not_made_an_anchor(stackledger: Command, state_dir: Path) -> None:
    tamper(state_dir, "DELETE FROM events WHERE version > 24")
    heads = state_dir / "heads.jsonl"
    assert stackledger("verify", "--all", "--save-anchor", heads, "--state-dir", state_dir).code == 1
    assert not heads.exists()


def test_replay_makes_the_same_decisions_again(stackledger: Command, operated: Path) -> None:
    shown = stackledger("replay", "prod", "--state-dir", operated)
    assert shown.code == 0
    assert "equals stored" in shown.out
    assert " 0 differ" in shown.out
    assert stackledger("verify", "--all", "--deep", "--state-dir", operated).code == 0
    document = json.loads(stackledger("replay", "--all", "--state-dir", operated, "-o", "json").out)
    assert document["platforms"][0]["divergence"] is None


def test_replay_names_the_first_sequence_that_would_be_decided_otherwise(stackledger: Command, operated: Path) -> None:
    tamper(
        operated,
        "UPDATE events SET payload = replace(payload, 'PreflightPassed', 'PreflightForged') WHERE version = 10",
    )
    shown = stackledger("replay", "prod", "--state-dir", operated)
    assert shown.code == 1
    assert "DIVERGED at seq 10" in shown.out
    assert "reason: PreflightForged → PreflightPassed" in shown.out
    deep = stackledger("verify", "--all", "--deep", "--state-dir", operated, "-o", "json")
    assert (deep.code, json.loads(deep.out)["ok"]) == (1, False)


def test_a_bundle_is_verified_and_replayed_like_the_ledger_it_came_from(stackledger: Command, operated: Path) -> None:
    file = operated / "prod.slb"
    shown = stackledger("export", "prod", "-f", file, "--state-dir", operated)
    assert shown.code == 0
    assert shown.err.startswith(f"wrote {file} (42 events, ")
    assert stackledger("verify", "--bundle", file).code == 0
    assert stackledger("replay", "--bundle", file).code == 0
    for words in (["history", "prod", "-o", "json"], ["show", "prod", "-o", "json"], ["explain-why", "prod"]):
        assert stackledger(*words, "--bundle", file).out == stackledger(*words, "--state-dir", operated).out


def test_a_changed_bundle_is_found(stackledger: Command, bundle: Path) -> None:
    before, _, after = bundle.read_bytes().rpartition(b"PreflightPassed")
    bundle.write_bytes(before + b"PreflightFailed" + after)
    shown = stackledger("verify", "--bundle", bundle)
    assert shown.code == 1
    assert "BROKEN at seq 7" in shown.out
    assert "the file was changed" in shown.out
    assert "warning" in stackledger("history", "prod", "--bundle", bundle).err


def test_an_export_does_not_replace_a_file_unless_told_to(stackledger: Command, state_dir: Path) -> None:
    file = state_dir / "prod.slb"
    file.write_text("mine")
    assert stackledger("export", "prod", "-f", file, "--state-dir", state_dir).code == 2
    assert file.read_text() == "mine"
    assert stackledger("export", "prod", "-f", file, "--force", "--state-dir", state_dir).code == 0


def test_an_export_to_a_place_that_is_not_there_says_so(stackledger: Command, state_dir: Path) -> None:
    shown = stackledger("export", "prod", "-f", state_dir / "no" / "prod.slb", "--state-dir", state_dir)
    assert shown.code == 2
    assert "cannot write" in shown.err


@pytest.mark.parametrize(("form", "lines"), [("jsonl", 26), ("csv", 27), ("cloudevents", 26), ("bundle", 30)])
def test_an_export_can_go_to_stdout(
    state_dir: Path, form: str, lines: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    import subprocess
    import sys

    command = [
        sys.executable,
        "-m",
        "cli",
        "export",
        "prod",
        "--format",
        form,
        "-f",
        "-",
        "--state-dir",
        str(state_dir),
    ]
    done = subprocess.run(command, capture_output=True, check=True)
    assert len(done.stdout.splitlines()) == lines


def test_rebuild_compares_and_swaps_when_told_to(stackledger: Command, operated: Path) -> None:
    first = stackledger("rebuild", "--state-dir", operated)
    assert squeezed(first.out).splitlines()[0] == "PROJECTION POSITION ROWS TOOK VERDICT"
    assert stackledger("rebuild", "--apply", "--state-dir", operated).code == 0
    again = stackledger("rebuild", "transition_history", "--state-dir", operated, "-o", "json")
    assert again.code == 0
    assert json.loads(again.out)["projections"][0]["identical"] is True


def test_a_stored_state_that_is_not_the_fold_is_found_and_put_right(stackledger: Command, operated: Path) -> None:
    connection = sqlite3.connect(operated / "ledger.db")
    connection.execute("""UPDATE platform_states SET state = replace(state, '"phase":"Ready"', '"phase":"Failed"')""")
    connection.commit()
    connection.close()
    found = stackledger("rebuild", "platform_states", "--state-dir", operated)
    assert found.code == 1
    assert "1 differ" in found.out
    assert stackledger("rebuild", "platform_states", "--apply", "--state-dir", operated).code == 0
    again = stackledger("rebuild", "platform_states", "--state-dir", operated, "-o", "json")
    assert json.loads(again.out)["projections"][0]["identical"] is True


def test_rebuild_does_not_take_a_bundle(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("rebuild", "--bundle", bundle)
    assert shown.code == 2
    assert "not a bundle" in shown.err


def test_migrate_makes_a_ledger_and_then_has_nothing_to_do(stackledger: Command, tmp_path: Path) -> None:
    where = tmp_path / "new" / "state"
    made = stackledger("db", "migrate", "--state-dir", where)
    assert (made.code, "applied" in made.out) == (0, True)
    assert "up to date" in stackledger("db", "migrate", "--state-dir", where).out
    status = stackledger("db", "status", "--state-dir", where, "-o", "json")
    assert (status.code, json.loads(status.out)["upToDate"]) == (0, True)


def test_an_older_schema_is_a_finding_of_db_status(stackledger: Command, tmp_path: Path) -> None:
    stackledger("db", "migrate", "--state-dir", tmp_path)
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    connection.close()
    shown = stackledger("db", "status", "--state-dir", tmp_path)
    assert shown.code == 1
    assert "stackledger db migrate" in shown.out


def test_the_crd_is_printed_as_yaml_and_json(stackledger: Command) -> None:
    document = yaml.safe_load(stackledger("crd", "print").out)
    assert document["kind"] == "CustomResourceDefinition"
    assert json.loads(stackledger("crd", "print", "-o", "json").out) == document
