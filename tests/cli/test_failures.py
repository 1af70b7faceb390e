"""Every exit code, and errors that say what, why and what to do; never a traceback, never a password."""

import sqlite3
from pathlib import Path

import pytest

from cli.failures import describe
from eventstore.dsn import mask_passwords
from eventstore.errors import (
    CorruptEventError,
    SchemaVersionError,
    StoreConfigurationError,
    StoreError,
    StoreUnavailableError,
    UnknownEventError,
)
from tests.cli.conftest import Command

SECRET = "s3cr3t"


def test_no_ledger_named_lists_every_way_to_name_one(stackledger: Command) -> None:
    shown = stackledger("history", "prod")
    assert (shown.code, shown.out) == (2, "")
    for way in ("--dsn", "--dsn-file", "--state-dir", "--bundle", "STACKLEDGER_DSN"):
        assert way in shown.err


def test_two_ledgers_are_a_mistake(stackledger: Command, state_dir: Path) -> None:
    shown = stackledger("history", "prod", "--state-dir", state_dir, "--dsn", "sqlite:///x")
    assert shown.code == 2
    assert "--dsn and --state-dir exclude each other" in shown.err


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["history"],
        ["history", "prod", "--limit", "-1"],
        ["history", "prod", "--limit", "0"],
        ["history", "prod", "--limit", "abc"],
        ["history", "prod", "-o", "xml"],
        ["history", "prod", "-o", "name"],
        ["history", "prod", "--since", "17"],
        ["show", "prod", "--at", "yesterday"],
        ["show", "prod", "--at", "\x00"],
        ["diff", "prod", "1", "2", "--only", "moods"],
        ["replay"],
        ["verify"],
        ["rebuild", "moods"],
        ["export", "prod", "--format", "docx"],
        ["crd", "print", "-o", "xml"],
        ["db"],
        ["--nonsense"],
    ],
    ids=lambda words: " ".join(words).replace("\x00", "NUL"),
)
def test_a_mistake_on_the_command_line_exits_2(stackledger: Command, state_dir: Path, words: list[str]) -> None:
    reads = words[0] in {"history", "show", "diff", "replay", "verify", "rebuild", "export"}
    shown = stackledger(*words, *(["--state-dir", state_dir] if reads else []))
    assert shown.code == 2
    assert "Traceback" not in shown.err


@pytest.mark.parametrize(
    "words",
    [["history", "prd"], ["show", "prod", "--at", "99"], ["show", "prod", "--at", "gen:9"], ["status", "x%00y"]],
)
def test_what_is_not_there_exits_3(stackledger: Command, state_dir: Path, words: list[str]) -> None:
    shown = stackledger(*words, "--state-dir", state_dir)
    assert shown.code == 3
    assert shown.err.startswith("error: ")


def test_a_ledger_that_is_not_there_exits_4_and_is_not_made(stackledger: Command, tmp_path: Path) -> None:
    shown = stackledger("status", "--state-dir", tmp_path)
    assert shown.code == 4
    assert "db migrate" in shown.err
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_does_not_answer_exits_4_without_the_password(stackledger: Command) -> None:
    shown = stackledger("status", "--dsn", f"postgresql://app:{SECRET}@127.0.0.1:1/ledger?connect_timeout=2")
    assert shown.code == 4
    assert SECRET not in shown.err + shown.out
    assert "cannot be reached" in shown.err


@pytest.mark.parametrize(
    "dsn", [f"mysql://app:{SECRET}@db/ledger", f"postgresql//app:{SECRET}@db", "sqlite://x", f"://app:{SECRET}@"]
)
def test_a_url_that_is_none_exits_2_without_the_password(stackledger: Command, dsn: str) -> None:
    shown = stackledger("status", "--dsn", dsn)
    assert shown.code == 2
    assert SECRET not in shown.err + shown.out


def test_a_password_typed_in_the_wrong_place_is_not_repeated(stackledger: Command) -> None:
    shown = stackledger("version", f"postgresql://app:{SECRET}@db/ledger")
    assert shown.code == 2
    assert SECRET not in shown.err


def test_a_newer_schema_exits_4_and_names_both(stackledger: Command, state_dir: Path) -> None:
    with sqlite3.connect(state_dir / "ledger.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    shown = stackledger("status", "--state-dir", state_dir)
    assert shown.code == 4
    assert "ledger schema 9999 > " in shown.err


def test_an_older_schema_exits_4_and_says_how_to_go_on(stackledger: Command, state_dir: Path) -> None:
    with sqlite3.connect(state_dir / "ledger.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    connection.close()
    shown = stackledger("status", "--state-dir", state_dir)
    assert shown.code == 4
    assert "db migrate" in shown.err


def test_a_file_that_is_no_database_exits_4(stackledger: Command, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_text("this is not a database, not at all, however long one looks at it\n" * 30)
    assert stackledger("status", "--state-dir", tmp_path).code in {2, 4}


def test_a_bundle_that_is_none_exits_4(stackledger: Command, tmp_path: Path) -> None:
    (tmp_path / "x.slb").write_text("hello")
    shown = stackledger("verify", "--bundle", tmp_path / "x.slb")
    assert shown.code == 4
    assert "is not a bundle" in shown.err


def test_the_url_may_stand_in_a_file_or_in_the_environment(
    stackledger: Command, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = state_dir / "uri"
    file.write_text(f"sqlite:///{state_dir / 'ledger.db'}\n")
    assert stackledger("history", "prod", "--dsn-file", file).code == 0
    monkeypatch.setenv("STACKLEDGER_DSN_FILE", str(file))
    assert stackledger("history", "prod").code == 0
    monkeypatch.setenv("STACKLEDGER_DSN", file.read_text())
    monkeypatch.delenv("STACKLEDGER_DSN_FILE")
    assert stackledger("history", "prod").code == 0
    monkeypatch.delenv("STACKLEDGER_DSN")
    monkeypatch.setenv("STACKLEDGER_STATE_DIR", str(state_dir))
    assert stackledger("history", "prod").code == 0


@pytest.mark.parametrize("content", [None, "", "  \n"])
def test_a_file_without_a_url_is_named(stackledger: Command, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "uri"
    if content is not None:
        file.write_text(content)
    shown = stackledger("status", "--dsn-file", file)
    assert shown.code == 2
    assert str(file) in shown.err


def test_a_defect_is_no_traceback_unless_it_is_asked_for(
    stackledger: Command, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"postgresql://a:{SECRET}@b/c")

    monkeypatch.setattr("audit.source.LedgerSource.resolve", broken)
    shown = stackledger("history", "prod", "--state-dir", state_dir)
    assert shown.code == 70
    assert "Traceback" not in shown.err
    assert "STACKLEDGER_DEBUG=1" in shown.err
    monkeypatch.setenv("STACKLEDGER_DEBUG", "1")
    shown = stackledger("history", "prod", "--state-dir", state_dir)
    assert "Traceback" in shown.err
    assert SECRET not in shown.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreConfigurationError("x"), 2),
        (SchemaVersionError("x"), 4),
        (StoreUnavailableError("x"), 4),
        (UnknownEventError("x"), 1),
        (CorruptEventError("x"), 1),
        (StoreError("x"), 4),
        (KeyError("x"), 70),
    ],
)
def test_errors_of_the_store_have_their_exit_codes(error: Exception, code: int) -> None:
    assert describe(error).exit_code == code


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://app:pw@db/x", "postgresql://app:***@db/x"),
        ("postgresql://app:p@ss@db/x", "postgresql://app:***@db/x"),
        (
            "postgresql://db/x?user=a&password=pw&sslmode=require",
            "postgresql://db/x?user=a&password=***&sslmode=require",
        ),
        ("host=db password='p w' user=a", "host=db password=*** user=a"),
        ("postgresql://db/x", "postgresql://db/x"),
        ("at 10:18 it was http://a/b", "at 10:18 it was http://a/b"),
    ],
)
def test_passwords_are_masked_wherever_they_stand(text: str, shown: str) -> None:
    assert mask_passwords(text) == shown


def test_a_reader_that_has_seen_enough_is_no_error(state_dir: Path) -> None:
    import subprocess
    import sys

    command = f"{sys.executable} -m cli history prod --all --state-dir {state_dir} -o jsonl | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
