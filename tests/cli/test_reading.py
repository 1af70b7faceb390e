"""What the reading commands print, over a recorded platform whose hashes are the same every time."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import yaml

from eventstore import events as e
from eventstore.log import EventLog
from eventstore.memory import InMemoryEventLog
from eventstore.opening import open_log
from projections.state import PlatformState
from tests.audit.recording import LAB, PROD, Recorder, observed, phase, record_prod, record_small
from tests.cli.conftest import Command, squeezed

HISTORY = """\
SEQ  TIME                  GEN  TRANSITION               REASON              BY                         TOOK   HASH
  3  2026-11-23T09:00:00Z    1  —          → Pending     PlatformCreated     kubectl-client-side-apply  -      {3}
  7  2026-11-23T09:00:02Z    1  Pending    → Installing  PreflightPassed     stackledger/epoch-4        2s     {7}
 13  2026-11-23T09:02:05Z    1  Installing → Ready       AllComponentsReady  stackledger/epoch-4        2m03s  {13}
 17  2026-11-23T10:15:40Z    2  Ready      → Upgrading   VersionChanged      argocd-controller          -      {17}
 24  2026-11-23T10:20:52Z    2  Upgrading  → Failed      ImagePullBackOff    stackledger/epoch-4        5m12s  {24}
"""


def hashes(bundle: Path) -> dict[int, str]:
    lines = [json.loads(line) for line in bundle.read_text().splitlines()]
    return {line["event"]["version"]: line["event"]["hash"] for line in lines if "event" in line}


def test_history_is_a_table_of_transitions(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("history", "prod", "-n", "obs", "--bundle", bundle)
    expected = HISTORY
    for version, digest in hashes(bundle).items():
        expected = expected.replace(f"{{{version}}}", digest[:6])
    assert shown.out == expected
    assert shown.err == "26 events, 5 transitions, chain OK to 26.  Next: stackledger explain-why prod -n obs\n"
    assert shown.code == 0


def test_history_newest_first_and_only_some(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("history", "prod", "--reverse", "--limit", 2, "--no-headers", "--bundle", bundle)
    assert [line.split()[0] for line in shown.lines] == ["24", "17"]


def test_history_of_every_event_tells_each_in_a_line(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("history", "prod", "--all", "--bundle", bundle)
    assert len(shown.lines) == 27
    assert shown.lines[22].endswith("Pod/prod-grafana-0 ImagePullBackOff: grafana/grafana:99.0.0: manifest unknown")


def test_history_as_json_has_stable_keys(stackledger: Command, bundle: Path) -> None:
    document = json.loads(stackledger("history", "prod", "--bundle", bundle, "-o", "json").out)
    assert document.keys() == {"namespace", "name", "uid", "events", "rows"}
    assert document["rows"][3].keys() == {
        "sequence",
        "time",
        "generation",
        "type",
        "from",
        "to",
        "component",
        "reason",
        "message",
        "summary",
        "by",
        "tookSeconds",
        "hash",
        "correlationId",
        "causationId",
        "payload",
        "unreadable",
    }
    same = yaml.safe_load(stackledger("history", "prod", "--bundle", bundle, "-o", "yaml").out)
    assert same == document
    lines = stackledger("history", "prod", "--bundle", bundle, "-o", "jsonl").lines
    assert [json.loads(line) for line in lines] == document["rows"]


def test_show_prints_what_needs_a_look_and_the_heading_beside_it(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("show", "prod", "--at", "10:18", "--bundle", bundle)
    assert shown.err.startswith("prod @ seq 22 (2026-11-23T10:16:52Z; next event 10:20:52)   Upgrading   Ready=False")
    assert squeezed(shown.out).splitlines()[1] == (
        "grafana Upgrading 99.0.0 10.2.0 0/1 10:15:40 "
        "Pod/prod-grafana-0 ImagePullBackOff: grafana/grafana:99.0.0: manifest unknown"
    )


def test_show_as_yaml_is_the_status_as_it_was(stackledger: Command, bundle: Path) -> None:
    then = yaml.safe_load(stackledger("show", "prod", "--at", "14", "--bundle", bundle, "-o", "yaml").out)
    assert (then["phase"], then["observedGeneration"], then["ledger"]["sequence"]) == ("Ready", 1, 14)
    assert then["ledger"]["headHash"] == hashes(bundle)[14]
    assert json.loads(stackledger("show", "prod", "--at", "14", "--bundle", bundle, "-o", "json").out) == then


def test_show_can_print_the_spec_as_it_was(stackledger: Command, bundle: Path) -> None:
    spec = yaml.safe_load(stackledger("show", "prod", "--at", "gen:1", "--spec", "--bundle", bundle).out)
    assert spec == {"components": {"grafana": {"enabled": True, "version": "10.2.0"}}}


def test_diff_exits_1_if_something_differs_and_0_if_not(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("diff", "prod", "14", "26", "--only", "spec", "--bundle", bundle)
    assert (shown.code, squeezed(shown.out)) == (
        1,
        "FIELD SEQ BY CHANGE\nspec.components.grafana.version 15 argocd-controller 10.2.0 → 99.0.0",
    )
    same = stackledger("diff", "prod", "14", "14", "--bundle", bundle)
    assert (same.code, same.out) == (0, "")


def test_diff_as_a_patch_takes_a_spec_back(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("diff", "prod", "live", "gen:1", "--as-patch", "--bundle", bundle)
    assert yaml.safe_load(shown.out) == {"spec": {"components": {"grafana": {"version": "10.2.0"}}}}
    assert shown.code == 1


def test_diff_hands_over_to_the_users_own_program(
    stackledger: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", "diff -r -u")
    assert stackledger("diff", "prod", "14", "26", "--only", "spec", "--bundle", bundle).code == 1
    monkeypatch.setenv("KUBECTL_EXTERNAL_DIFF", "no-such-program")
    assert stackledger("diff", "prod", "14", "26", "--bundle", bundle).code == 2


EXPLANATION = """\
prod became Failed at seq 24 because of ImagePullBackOff: grafana: grafana/grafana:99.0.0: manifest unknown.
ROOT CAUSE  Pod/prod-grafana-0 ImagePullBackOff: grafana/grafana:99.0.0: manifest unknown   seen at seq 22
"""


def test_explain_why_gives_the_root_cause_first(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("explain-why", "prod", "--bundle", bundle)
    assert shown.out.startswith(EXPLANATION)
    assert shown.lines[-1] == "FIX  set spec.components.grafana.version (or image) to a tag that exists"
    document = json.loads(stackledger("explain-why", "prod", "--at", "24", "--bundle", bundle, "-o", "json").out)
    assert document["rootCause"]["subject"] == "Pod/prod-grafana-0"


def test_status_is_a_table_of_all_platforms(stackledger: Command, state_dir: Path) -> None:
    log = open_log(f"sqlite:///{state_dir / 'ledger.db'}")
    record_small(log, LAB, name="prod", namespace="lab")
    log.close()
    shown = stackledger("status", "--state-dir", state_dir)
    assert squeezed(shown.out).splitlines() == [
        "NAMESPACE NAME READY PHASE COMPONENTS REASON AGE SEQ",
        "obs prod False Failed 0/1 ImagePullBackOff 3h00m 26",
        "lab prod Unknown Pending 0/0 PreflightRunning 3h00m 2",
    ]
    assert stackledger("status", "-n", "lab", "-o", "name", "--state-dir", state_dir).out == "lab/prod\n"
    document = json.loads(stackledger("status", "-o", "json", "--state-dir", state_dir).out)
    assert [platform["sequence"] for platform in document["platforms"]] == [26, 2]


def test_status_of_one_platform_is_a_page(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("status", "prod", "--bundle", bundle)
    sections = [
        line for line in shown.lines if (line and not line.startswith(" ") and line.istitle()) or "newest" in line
    ]
    assert {"Conditions", "Components", "Last transitions (newest first)"} <= set(sections)
    assert "Next try:    2026-11-23T10:21:02Z (retry 1 of 5)" in shown.out


def test_a_platform_that_cannot_be_read_does_not_hide_the_others(stackledger: Command, state_dir: Path) -> None:
    import sqlite3

    log = open_log(f"sqlite:///{state_dir / 'ledger.db'}")
    record_small(log, LAB, name="prod", namespace="lab")
    log.close()
    with sqlite3.connect(state_dir / "ledger.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute("UPDATE events SET type = 'MoonPhaseObserved' WHERE stream_id = ? AND version = 20", (PROD,))
        for (table,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%fold_version%'"
        ).fetchall():
            connection.execute(f"UPDATE {table} SET fold_version = 'older'")
    connection.close()
    shown = stackledger("status", "--state-dir", state_dir)
    assert shown.code == 0
    assert "HistoryUnreadable" in shown.lines[1]
    assert "lab" in shown.lines[2]
    assert stackledger("show", "obs/prod", "--state-dir", state_dir).code == 1


@pytest.mark.parametrize("output", ["table", "wide", "json", "yaml", "jsonl"])
def test_text_from_a_cluster_cannot_drive_the_terminal(stackledger: Command, tmp_path: Path, output: str) -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\r\n\x9b31m\u202egnp.exe\u2028"
    log: EventLog = open_log(f"sqlite:///{tmp_path / 'ledger.db'}", create=True)
    recorder = Recorder(log, PROD)
    from eventstore.vocabulary import Phase, Trigger

    recorder.record(
        "09:00:00",
        observed(1, "10.2.0", f"evil{evil}"[:40]),
        phase(None, Phase.PENDING, Trigger.CREATE, "PlatformCreated", evil),
    )
    log.close()
    for words in (["history", "prod", "--all"], ["history", "prod"]):
        shown = stackledger(*words, "-o", output, "--state-dir", tmp_path)
        assert shown.code == 0
        for text in (shown.out, shown.err):
            assert not set(text) & {"\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2028"}
    if output == "json":
        rows = json.loads(shown.out)["rows"]
        assert rows[0]["message"] == evil


def test_an_empty_ledger_says_what_to_do(stackledger: Command, tmp_path: Path) -> None:
    stackledger("db", "migrate", "--state-dir", tmp_path)
    shown = stackledger("status", "--state-dir", tmp_path)
    assert (shown.code, shown.out) == (0, "")
    assert "kubectl apply" in shown.err


def test_a_namespace_without_platforms_is_not_an_empty_ledger(stackledger: Command, bundle: Path) -> None:
    shown = stackledger("status", "-n", "elsewhere", "--bundle", bundle)
    assert (shown.code, shown.out) == (0, "")
    assert "holds obs/prod" in shown.err


def test_everything_reads_postgres_too(stackledger: Command, postgres_dsn: str) -> None:
    log = open_log(postgres_dsn)
    record_prod(log)
    log.close()
    assert len(stackledger("history", "prod", "--dsn", postgres_dsn).lines) == 6
    verdict = stackledger("verify", "--all", "--dsn", postgres_dsn)
    assert (verdict.code, squeezed(verdict.out).splitlines()[1].split()[-1]) == (0, "OK")


# -- on a terminal -------------------------------------------------------------------------------------------------


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, **environment: str) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("columns", [200, 100, 80, 60])
def test_a_table_fits_the_terminal(
    stackledger: Command, bundle: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    on_terminal(monkeypatch, columns, NO_COLOR="1")
    shown = stackledger("history", "prod", "--bundle", bundle)
    assert max(len(line.rstrip()) for line in shown.lines) <= columns
    assert "ImagePul" in shown.out


def test_colour_is_for_terminals_that_want_it(
    stackledger: Command, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\x1b" not in stackledger("status", "--state-dir", state_dir).out
    on_terminal(monkeypatch, 120)
    assert "\x1b" in stackledger("status", "--state-dir", state_dir).out
    assert "\x1b" not in stackledger("status", "--state-dir", state_dir, "--no-color").out
    on_terminal(monkeypatch, 120, NO_COLOR="1")
    assert "\x1b" not in stackledger("status", "--state-dir", state_dir).out


def test_the_recorded_platform_is_the_same_every_time() -> None:
    first, second = InMemoryEventLog(), InMemoryEventLog()
    record_prod(first)
    record_prod(second)
    assert [event.payload for event in first.read_stream(PROD)] == [ev.payload for ev in second.read_stream(PROD)]


def test_following_prints_what_is_appended_meanwhile(state_dir: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cli",
        "history",
        "prod",
        "--all",
        "-w",
        "-o",
        "jsonl",
        "--state-dir",
        str(state_dir),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            first = [json.loads(follower.stdout.readline())["sequence"] for _ in range(26)]
            log = open_log(f"sqlite:///{state_dir / 'ledger.db'}")
            stored = log.load_state(PROD)
            assert stored is not None
            again = Recorder(log, PROD, keep_state=False)
            again.state = msgspec.json.decode(stored.record.state, type=PlatformState)
            again.record("11:00:00", e.Paused())
            log.close()
            assert json.loads(follower.stdout.readline())["type"] == "Paused"
        finally:
            follower.send_signal(signal.SIGINT)
    assert first == list(range(1, 27))
    assert follower.returncode == 130
