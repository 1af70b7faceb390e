"""What the documentation points at exists, and what it promises can be typed."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from tests.project.tidy import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Git forges make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code_blocks(page: Path) -> str:
    return "\n".join(re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (anchor and anchor not in anchors(found)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_every_make_target_that_is_mentioned_exists(name: str) -> None:
    mentioned = set(re.findall(r"\bmake ([a-z-]+)`|^\$ make ([a-z-]+)", (ROOT / name).read_text(), re.MULTILINE))
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {first or second for first, second in mentioned} <= targets


def test_every_file_that_a_command_names_exists() -> None:
    named = {path for page in PAGES for path in re.findall(r" -[fk] ((?:deploy|examples)/\S+)", code_blocks(page))}
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_every_command_that_is_mentioned_exists_with_its_options() -> None:
    group = typer.main.get_command(app)
    mentioned = {
        line
        for page in PAGES
        for line in re.findall(r"^\$ (?:\S+/)?stackledger (.+?)(?:\s+#.*)?$", code_blocks(page), re.MULTILINE)
    }
    assert mentioned
    for line in mentioned:
        words = line.split()
        command: Any = group
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        assert command is not group, f"stackledger {line}: no such command"
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= options, f"stackledger {line}"


def test_the_readme_lists_every_command() -> None:
    section = (ROOT / "README.md").read_text().split("\n## The command\n")[1].split("\n## ")[0]
    listed = {
        name.split()[0]
        for cell in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
        for name in re.findall(r"`(.+?)`", cell)
    }
    assert listed == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # the app is a group


def test_the_readme_opens_with_what_it_is_a_picture_and_the_two_commands() -> None:
    opening = (ROOT / "README.md").read_text().split("\n## ")[0]
    assert opening.index("is a Kubernetes operator") < opening.index("```mermaid") < opening.index("$ make demo")
    assert "$ make test" in opening
    main_path = [ROOT / path for path in re.findall(r"\]\(([\w/]+\.py)\)", opening)]
    assert [path.name for path in main_path] == [
        "events.py",
        "platform.py",
        "transitions.py",
        "decide.py",
        "plan.py",
        "loop.py",
    ]


def test_the_index_lists_every_decision_once_and_in_order() -> None:
    folder = ROOT / "docs/adr"
    pages = sorted(path.name for path in folder.glob("0*.md"))
    assert LINK.findall((folder / "README.md").read_text()) == pages
    assert [int(name[:4]) for name in pages] == list(range(1, len(pages) + 1))


@pytest.mark.parametrize("page", sorted((ROOT / "docs/adr").glob("0*.md")), ids=lambda page: page.stem)
def test_a_decision_says_why_what_and_what_follows(page: Path) -> None:
    text = page.read_text()
    assert re.match(rf"# {int(page.name[:4])}\. \S", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert re.search(r"^Status: (accepted|replaced by \[.+\])$", text, re.MULTILINE)


def test_every_reason_that_is_documented_is_one_the_code_gives() -> None:
    text = (ROOT / "docs/state-machine.md").read_text()
    conditions = text.split("\n## Conditions\n")[1].split("\n## Metrics\n")[0]
    documented = set(re.findall(r"(?:True|False|Unknown)/([A-Z]\w+)", conditions))
    documented |= {
        word
        for row in re.findall(r"^\| .+? \| (.+) \|$", conditions.split("\n## Reasons\n")[1], re.MULTILINE)
        for word in re.findall(r"\b[A-Z]\w+", row)
    }
    documented |= set(re.findall(r"`([A-Z]\w+)`", conditions.split("A *cause* is")[1].split("\n## ")[0]))
    sources = "".join(
        path.read_text() for folder in ("reconciler", "components") for path in (ROOT / folder).rglob("*.py")
    )
    given = set(re.findall(r"\"([A-Z]\w+)\"", sources)) | {f"{kind}Missing" for kind in ("Secret", "ConfigMap")}
    assert len(documented) > 25
    assert documented - given == set()


def test_the_documented_metrics_have_the_documented_labels() -> None:
    section = (ROOT / "docs/state-machine.md").read_text().split("\n## Metrics\n")[1]
    rows = re.findall(r"^\| `(observability_platform_\w+)` \| \w+[^|]* \| (.*?) ?\|$", section, re.MULTILINE)
    assert len(rows) == 4
    source = (ROOT / "reconciler/shell/metrics.py").read_text()
    for name, labels in rows:
        call = re.search(rf'"{name}",\s*"[^"]*"(?:,\s*\[(.*?)\])?', source, re.DOTALL)
        assert call, name
        assert re.findall(r'"(\w+)"', call[1] or "") == re.findall(r"`(\w+)`", labels), name
