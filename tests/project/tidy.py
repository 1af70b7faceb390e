"""What a reader may rely on in every file here, as checks over source text: each returns the places that break it."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "api",
    "audit",
    "cli",
    "components",
    "eventstore",
    "migrations",
    "projections",
    "reconciler",
    "sandbox",
    "simulator",
)

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400

#: Calls that would let the clock, chance or the machine into code that must give the same answer for ever.
IMPURE_CALLS = re.compile(
    r"^(datetime|date|datetime\.datetime|dt|dt\.datetime)\.(now|utcnow|today)$"
    r"|^time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|sleep)$"
    r"|^(uuid\.)?uuid[1-8]$"
    r"|^random\..+$|^secrets\.(token_\w+|choice|rand\w+|SystemRandom)$"
    r"|^os\.(getenv|environ.*|urandom)$"
    r"|^(print|open|input)$"
)
VAGUE_WORDS = re.compile(r"(?:^|_)(utils?|common|helpers?|misc)(?:_|$)|(Manager|Handler|Helper|Util|Utils)$")


def python_files(*folders: str) -> list[Path]:
    """Python sources under the folders (or single files), relative to the root, sorted."""
    found: list[Path] = []
    for folder in folders:
        path = ROOT / folder
        found.extend([path] if path.is_file() else sorted(path.rglob("*.py")))
    return [path.relative_to(ROOT) for path in found]


def long_functions(source: str, limit: int = FUNCTION_LINES_MAX) -> list[tuple[str, int]]:
    """(name, lines) of each function longer than the limit."""
    return [
        (node.name, lines)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > limit
    ]


def impure_calls(source: str) -> list[str]:
    """`datetime.now (line 7)` for each call that pure code may not make."""
    return [
        f"{name} (line {node.lineno})"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and IMPURE_CALLS.match(name := ast.unparse(node.func))
    ]


def vague_names(path: Path, source: str) -> list[str]:
    """Names of modules and of public classes and functions that say nothing about what they are for."""
    return [name for name in _names(path, source) if VAGUE_WORDS.search(name)]


def _names(path: Path, source: str) -> Iterator[str]:
    yield from (part.removesuffix(".py") for part in path.parts)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.name


def lacks_docstring(path: Path, source: str) -> bool:
    """A module that has code and no word about what it is."""
    return not path.name.startswith("_") and bool(source.strip()) and ast.get_docstring(ast.parse(source)) is None


def unexplained_silence(source: str) -> list[int]:
    """Lines that silence a checker and do not say why on the same line, after the codes."""
    silenced = re.compile(
        r"#\s*(?:type: ignore(?:\[[\w, -]*\])?|noqa(?::\s*[A-Z]+\d+(?:,\s*[A-Z]+\d+)*)?)(?P<reason>.*)$"
    )
    return [
        number
        for number, line in enumerate(source.splitlines(), 1)
        if (match := silenced.search(line)) and not re.search(r"[a-z]{3,}", match["reason"])
    ]


def third_party_imports(source: str) -> set[str]:
    """Top-level names imported from neither the standard library nor this tree."""
    ours = {*PACKAGES, "benchmarks", "tests", *sys.stdlib_module_names}
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module)
    return {name.partition(".")[0] for name in imported} - ours
