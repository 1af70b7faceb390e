"""`stackledger demo`, as a user types it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "cli", "demo"]
ROOT = Path(__file__).parents[2]


def run(*arguments: str, seconds: float = 120.0) -> str:
    """Its output; the test fails if it does."""
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tour_walks_from_creation_to_deletion_and_the_ledger_vouches_for_it(tmp_path: Path) -> None:
    told = run("--tour", "--exit", "--state-dir", str(tmp_path))
    steps = (
        "→ Pending     PlatformCreated",
        "Pending    → Installing",
        "Installing → Ready",
        "demo/prod is Ready after",
        "── loki starts to crash",
        "Ready      → Failed      CrashLoopBackOff",
        "── loki is well again",
        "Failed     → Installing  Recovered",
        "── upgrade",
        "Ready      → Upgrading   VersionChanged",
        "Upgrading  → Ready       UpgradeCompleted",
        "── kubectl delete",
        "deletion was asked for",
        "finalizer released",
    )
    places = [told.index(step) for step in steps]
    assert places == sorted(places), "each step is told before the next begins"
    assert "VERDICT" in told
    assert "0 differ" in told


def test_killed_and_started_again_it_goes_on_from_its_directory(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [*COMMAND, "--state-dir", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert first.stdout is not None
    for line in first.stdout:
        if "loki" in line and "Ready" in line:
            break
    time.sleep(1.2)  # the emulated cluster writes its snapshot every second
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    told = run("--exit", "--state-dir", str(tmp_path))
    assert "goes on after" in told
    assert "is Ready after" in told
    assert "→ Pending" not in told, "the platform was not created a second time"
    verified = subprocess.run(
        [sys.executable, "-m", "cli", "verify", "--all", "--state-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout


def test_a_second_demo_in_the_same_directory_is_refused(tmp_path: Path) -> None:
    first = subprocess.Popen([*COMMAND, "--state-dir", str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline(), "it started"
        second = subprocess.run(
            [*COMMAND, "--exit", "--state-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert second.returncode == 2
        assert f"process {first.pid} uses it" in second.stderr
    finally:
        first.kill()
        first.wait()
