"""`stackledger run` as a process of its own: what keeps it from starting, in which words, and how it is ended."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventstore.opening import open_log
from tests.operator.replica import WriteHook
from tests.operator.stage import QUICK, Stage
from tests.operator.test_bad_inputs import GOOD, children

SECONDS_MAX = 30.0
KEY = "a key for tests, and for tests only"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of the test; none outlives it."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def command(directory: Path, **settings: Any) -> tuple[list[str], dict[str, str]]:
    (directory / "key").write_text(KEY)
    given = {"dsn": f"sqlite:///{directory / 'ledger.db'}", "hmac_key_file": str(directory / "key")} | QUICK | settings
    variables = {f"STACKLEDGER_{key.upper()}": str(value) for key, value in given.items() if value is not None}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("STACKLEDGER_", "KUBE"))}
    return [sys.executable, "-m", "cli", "run"], kept | variables


def run(directory: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Until it ends by itself."""
    words, environment = command(directory, **settings)
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)


def start(started: list[subprocess.Popen[str]], directory: Path, **settings: Any) -> subprocess.Popen[str]:
    words, environment = command(directory, **settings)
    with (directory / "log").open("a") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, text=True)
    started.append(process)
    return process


def check_refused(ended: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """An exit code, and one line that says what is wrong (the next one may say what to do)."""
    assert ended.returncode == code, ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, ended.stderr
    assert all(word in lines[0] for word in words), ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_the_crd_it_ends_with_3_and_says_how_to_install_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path).open(crd=False)
    ended = run(tmp_path, kubeconfig=stage.kubeconfig)
    stage.close()
    check_refused(ended, 3, "observabilityplatforms is not installed", "deploy/crds")


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (None, ("dsn",)),
        ("mysql://root:hunter2@db/x", ("mysql",)),
        ("postgresql://app:hunter2@127.0.0.1:1/ledger?sslmode=bananas", ("sslmode",)),
        ("sqlite:///no/such/place\x01/ledger.db", ()),
    ],
    ids=["missing", "scheme", "option", "path"],
)
def test_a_database_url_that_cannot_be_used_ends_it_with_2_without_the_password(
    tmp_path: Path, dsn: str | None, words: tuple[str, ...]
) -> None:
    ended = run(tmp_path, dsn=dsn)
    check_refused(ended, 2, *words)
    assert "hunter2" not in ended.stderr + ended.stdout


def test_a_password_that_is_wrong_is_said_without_it(tmp_path: Path, own_postgres_server: Any) -> None:
    server = own_postgres_server
    server.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
    server.reload("local all app scram-sha-256")
    ended = run(tmp_path, dsn=server.dsn(user="app", password="hunter2"))
    check_refused(ended, 2, "password")
    assert "hunter2" not in ended.stderr + ended.stdout


def test_a_ledger_of_another_schema_ends_it_with_4_and_names_both(tmp_path: Path) -> None:
    open_log(f"sqlite:///{tmp_path / 'ledger.db'}", create=True).close()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    check_refused(run(tmp_path), 4, "ledger schema 9999 > ", "upgrade stackledger")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("tick_seconds", "0", "from 0.05 to 60"),
        ("resync_seconds", "-5", "from 10 to 86400"),
        ("resync_seconds", "abc", "a number"),
        ("relist_seconds", "1e12", "from 60 to 86400"),
        ("workers", "0", "from 1 to 64"),
        ("lease_ttl_seconds", "3", "lease_renew_seconds"),
        ("retires_max", "3", "did you mean retries_max"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_setting_out_of_range_ends_it_with_2_and_names_what_is_allowed(
    tmp_path: Path, key: str, value: str, allowed: str
) -> None:
    renew = {"lease_renew_seconds": 3} if key == "lease_ttl_seconds" else {}
    check_refused(run(tmp_path, **{key: value} | renew), 2, key if key != "retires_max" else "RETIRES_MAX", allowed)


def wait_for_words(directory: Path, process: subprocess.Popen[str], words: str) -> None:
    """Until the process has logged them."""
    deadline = time.monotonic() + SECONDS_MAX
    while words not in (directory / "log").read_text():
        assert process.poll() is None, (directory / "log").read_text()
        assert time.monotonic() < deadline, (directory / "log").read_text()
        time.sleep(0.05)


def test_a_first_signal_ends_it_with_0_and_the_next_one_goes_on_at_once(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    stage = Stage(tmp_path).open()
    process = start(started, tmp_path, kubeconfig=stage.kubeconfig, lease_ttl_seconds=60)
    stage.apply(GOOD)
    stage.wait("Installing", lambda: children(stage))
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 0
    # The lease was given back: the next one need not wait a minute for it.
    process = start(started, tmp_path, kubeconfig=stage.kubeconfig, lease_ttl_seconds=60)
    stage.wait("Ready", stage.is_ready)
    process.send_signal(signal.SIGINT)
    assert process.wait(SECONDS_MAX) == 0
    stage.close()


def test_a_second_signal_ends_it_at_once_with_130(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    stage = Stage(tmp_path).open()
    hanging = threading.Event()

    def hang(_: tuple[str, ...]) -> None:
        hanging.set()
        time.sleep(SECONDS_MAX)

    hook = WriteHook(stage)
    hook.on_write = hang
    process = start(started, tmp_path, kubeconfig=stage.kubeconfig, shutdown_seconds=60)
    stage.apply(GOOD)
    hook.armed = True
    assert hanging.wait(SECONDS_MAX)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None, "the write in progress is waited for"
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 130
    stage.close()


def test_it_can_be_ended_while_the_api_server_is_not_there(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    stage = Stage(tmp_path).open()
    stage.close()
    process = start(started, tmp_path, kubeconfig=stage.kubeconfig)
    wait_for_words(tmp_path, process, "waiting_for_api_server")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 0


def test_it_can_be_ended_while_it_may_not_list_what_it_needs(
    tmp_path: Path, started: list[subprocess.Popen[str]]
) -> None:
    stage = Stage(tmp_path).open()
    stage.sandbox.faults.deny("list", "pods")
    process = start(started, tmp_path, kubeconfig=stage.kubeconfig)
    wait_for_words(tmp_path, process, "waiting_for_watches")
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS_MAX) == 0
    stage.close()


def test_killed_and_started_again_as_a_command_it_goes_on(tmp_path: Path, started: list[subprocess.Popen[str]]) -> None:
    stage = Stage(tmp_path).open()
    stage.apply(GOOD)
    process = start(started, tmp_path, kubeconfig=stage.kubeconfig)
    stage.wait("begun", lambda: children(stage), seconds=SECONDS_MAX)
    process.kill()
    process.wait()
    start(started, tmp_path, kubeconfig=stage.kubeconfig)
    stage.wait("Ready", stage.is_ready, seconds=SECONDS_MAX)
    stage.close()


WAITING = """
import threading
from reconciler.app import stop_on_signals, wait_for_end

stopping, never = stop_on_signals(), threading.Event()
for _ in range(30):
    threading.Thread(target=never.wait, daemon=True).start()
print("waiting", flush=True)
wait_for_end(stopping)
"""


def test_a_signal_is_heeded_that_comes_just_as_a_stopped_process_goes_on(
    started: list[subprocess.Popen[str]],
) -> None:
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
