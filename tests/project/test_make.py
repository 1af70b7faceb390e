"""The commands of the Makefile and of .ci/run, as far as they can be tried without installing anything."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.project.tidy import ROOT


def make(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def bare_tree(tmp_path: Path) -> Path:
    """A checkout in which nothing is installed yet: as much of it as `make install` looks at."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    return tmp_path


def test_help_lists_the_commands() -> None:
    done = make("help")
    assert done.returncode == 0
    for target in ("install", "demo", "test", "bench", "test-cluster", "bench-cluster", "lock", "lint"):
        assert f"make {target} " in done.stdout


def test_plain_make_shows_the_help_and_does_nothing() -> None:
    assert make().stdout == make("help").stdout


def test_a_python_that_is_too_old_is_named_and_nothing_is_installed(bare_tree: Path) -> None:
    old = bare_tree / "python-old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = make("install", f"PYTHON={old}", cwd=bare_tree)
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr
    assert "3.9.2" in done.stderr
    assert not (bare_tree / ".venv").exists()


@pytest.mark.parametrize("target", ["demo", "lint", "test", "bench", "test-cluster", "bench-cluster"])
def test_other_commands_install_first_where_nothing_is_installed(bare_tree: Path, target: str) -> None:
    planned = make("--dry-run", target, cwd=bare_tree).stdout
    assert planned.index("--require-hashes") < planned.index('echo "Installed.')


def test_nothing_is_installed_twice(bare_tree: Path) -> None:
    (bare_tree / ".venv").mkdir()
    (bare_tree / ".venv/.installed").touch()
    assert "--require-hashes" not in make("--dry-run", "demo", cwd=bare_tree).stdout


def test_the_cluster_suite_builds_its_control_plane_unless_it_is_given_a_cluster() -> None:
    (build, run) = make("--dry-run", "test-cluster").stdout.strip().splitlines()[-2:]
    assert build.startswith('[ -n "${STACKLEDGER_TEST_KUBECONFIG:-}" ] || ')
    assert build.endswith("-m tests.controlplane.build")
    assert run.endswith("--control-plane tests/contract tests/cluster")


def test_ci_runs_the_commands_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "set -euo pipefail" in script
    assert "\nmake test\n" in script
    assert "\nmake test-cluster\n" in script
    assert ".venv/bin/stackledger demo --exit" in script
    assert ".venv/bin/stackledger demo --tour --exit" in script


def test_each_commit_tries_another_part_of_the_rarer_faults(bare_tree: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(bare_tree)]
    parts = [part_of(bare_tree)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    for _ in range(3):
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "next"], check=True)
        parts.append(part_of(bare_tree))
    assert parts == ["1", "1", "2", "3"]
    assert part_of(bare_tree, "PART=7") == "7"


def part_of(tree: Path, *arguments: str) -> str:
    """Which part `make faults` would try."""
    planned = make("--dry-run", "faults", *arguments, cwd=tree).stdout
    return planned.rpartition("--part ")[2].split()[0]
