"""The Dockerfile, as far as it can be held to its promises without a container engine."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.project.tidy import PACKAGES, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE.rsplit("\nFROM ", 1)[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel as the builder stage makes it: no isolation, nothing fetched."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_stage_starts_from_a_tagged_base() -> None:
    (base,) = re.findall(r"^ARG BASE=(\S+)", DOCKERFILE, re.MULTILINE)
    assert re.fullmatch(r"python:3\.1[1-9]-slim-\w+", base)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${BASE}", "${BASE}"]


def test_it_runs_as_nobody_in_particular() -> None:
    assert re.findall(r"^USER (.*)", FINAL_STAGE, re.MULTILINE) == ["65532:65532"]
    assert FINAL_STAGE.index("\nUSER ") > FINAL_STAGE.rindex("\nRUN ")


def test_everything_installed_is_checked_against_its_hash() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install(?:[^&]*)", DOCKERFILE)
    assert len(installs) == 3
    for install in installs:
        assert "--require-hashes" in install or "--no-index" in install


def test_no_build_tool_reaches_the_final_stage() -> None:
    assert "pip uninstall" in FINAL_STAGE
    assert "--without-pip" in DOCKERFILE
    assert re.findall(r"^COPY (.*)", FINAL_STAGE, re.MULTILINE) == ["--from=builder /opt/stackledger /opt/stackledger"]


def test_the_version_on_the_label_is_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f'org.opencontainers.image.version="{project["version"]}"' in FINAL_STAGE
    kustomization = (ROOT / "deploy/base/kustomization.yaml").read_text()
    assert f"newTag: {project['version']}" in kustomization


def test_the_wheel_holds_every_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    assert folders == set(PACKAGES)
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".db"))]
    assert {"cli/full.yaml", "migrations/env.py", "sandbox/builtin_schemas.json"} <= set(wheel.namelist())


def test_the_build_context_is_what_the_wheel_is_made_of() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(PACKAGES) <= allowed
    assert {"pyproject.toml", "README.md", "LICENSE", "requirements/build.txt", "requirements/runtime.txt"} <= allowed
    assert {"tests", ".git", ".venv", "benchmarks"} & allowed == set()


def test_the_command_starts_with_no_home_no_locale_and_a_bad_time_zone(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("stackledger")
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C", "TZ": "Not/AZone", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [command, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "stackledger" in done.stdout
