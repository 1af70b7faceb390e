"""Help is complete, light, and the same for `python -m cli`."""

import subprocess
import sys

import pytest
import typer

from cli.main import app
from tests.cli.conftest import Command

HEAVY = ("kubernetes", "sqlalchemy", "pydantic", "alembic", "apscheduler", "psycopg", "reconciler", "msgspec", "yaml")


def commands() -> list[list[str]]:
    group = typer.main.get_command(app)
    found: list[list[str]] = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # the app is a group
        inner = getattr(command, "commands", None)
        found += [[name, sub] for sub in inner] if inner else [[name]]
    return found


@pytest.mark.parametrize("words", [[], *commands()], ids=lambda words: " ".join(words) or "stackledger")
def test_every_command_has_help_with_an_example(stackledger: Command, words: list[str]) -> None:
    shown = stackledger(*words, "--help")
    assert shown.code == 0
    assert shown.out.startswith("Usage: ")
    if words not in (["version"], ["db", "status"]):
        assert "Example" in shown.out


@pytest.mark.parametrize(
    "words", [[], ["history"], ["verify"], ["run"], ["sim"]], ids=lambda words: " ".join(words) or "all"
)
def test_help_loads_no_heavy_library(words: list[str]) -> None:
    program = (
        "import sys\nfrom cli.main import execute\n"
        f"code = execute({[*words, '--help']!r})\n"
        f"print('LOADED', *[name for name in {HEAVY!r} if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cli", "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("stackledger ")


@pytest.mark.parametrize("words", [[], ["db"], ["crd"]], ids=lambda words: " ".join(words) or "stackledger")
def test_a_group_without_a_command_prints_its_help_as_lines_of_text(stackledger: Command, words: list[str]) -> None:
    shown = stackledger(*words)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("Usage: ")
    assert "\\n" not in shown.err
