"""The house rules of docs/style.md that a machine can check."""

import re
import subprocess
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.project import tidy

#: Files over the limit, each with its reason. Numbers may only go down; an entry no longer needed must go.
LONG_FILES: dict[str, int] = {
    # The list of every fact: one class each, read by searching and best kept in one place.
    "eventstore/events.py": 500,
    # One small function per event, in the order of events.py.
    "projections/platform.py": 495,
}
#: Functions over the limit, `path::name`.
LONG_FUNCTIONS: dict[str, int] = {
    # Mostly its options: each is a parameter with its help.
    "cli/operate.py::run": 62,
    # The one place that wires: a list of what is made from what, without a branch.
    "reconciler/app.py::__init__": 82,
}

PURE = (
    "api",
    "components",
    "eventstore/events.py",
    "eventstore/vocabulary.py",
    "projections/platform.py",
    "projections/state.py",
    "reconciler/core",
)


def read(path: Path) -> str:
    return (tidy.ROOT / path).read_text()


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=tidy.ROOT, capture_output=True, text=True, check=True)
    return [path for name in listing.stdout.split("\0") if name and (path := tidy.ROOT / name).is_file()]


def test_no_file_is_too_long_to_read_at_one_sitting() -> None:
    lengths = {str(path): len(read(path).splitlines()) for path in tidy.python_files(*tidy.PACKAGES, "benchmarks")}
    over = {path: lines for path, lines in lengths.items() if lines > tidy.FILE_LINES_MAX}
    assert {path: lines for path, lines in over.items() if lines > LONG_FILES.get(path, 0)} == {}
    assert set(LONG_FILES) <= set(over), "an entry of LONG_FILES is no longer needed"


def test_no_function_is_too_long_to_see_at_once() -> None:
    over = {
        f"{path}::{name}": lines
        for path in tidy.python_files(*tidy.PACKAGES, "benchmarks")
        for name, lines in tidy.long_functions(read(path))
    }
    assert {name: lines for name, lines in over.items() if lines > LONG_FUNCTIONS.get(name, 0)} == {}
    assert set(LONG_FUNCTIONS) <= set(over), "an entry of LONG_FUNCTIONS is no longer needed"


def test_pure_modules_use_no_clock_no_chance_and_no_io() -> None:
    found = {str(path): calls for path in tidy.python_files(*PURE) if (calls := tidy.impure_calls(read(path)))}
    assert found == {}


def test_names_say_what_a_thing_is_for() -> None:
    found = {
        str(path): names for path in tidy.python_files(*tidy.PACKAGES) if (names := tidy.vague_names(path, read(path)))
    }
    assert found == {}


def test_every_module_says_what_it_is() -> None:
    files = tidy.python_files(*tidy.PACKAGES, "benchmarks", "tests")
    assert [str(path) for path in files if tidy.lacks_docstring(path, read(path))] == []


def test_packages_have_empty_init_files() -> None:
    files = [path for path in tidy.python_files(*tidy.PACKAGES) if path.name == "__init__.py"]
    assert files, "no package found"
    assert [str(path) for path in files if read(path)] == []


def test_a_silenced_checker_is_silenced_for_a_reason() -> None:
    files = tidy.python_files(*tidy.PACKAGES, "benchmarks")
    assert {str(path): lines for path in files if (lines := tidy.unexplained_silence(read(path)))} == {}


def test_lock_files_name_hashes_and_no_address() -> None:
    locks = sorted((tidy.ROOT / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["build.txt", "dev.txt", "go.txt", "runtime.txt", "tools.txt"]
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text, lock.name
        assert not re.search(r"^-|^\s*--(?!hash=)", text, re.MULTILINE), f"{lock.name} holds an option"
        pins = re.findall(r"^[a-z0-9][^ =]*==\S+", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^\S", text, re.MULTILINE)), f"{lock.name} holds an unpinned line"


def test_what_runs_in_a_cluster_is_what_was_tested() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (tidy.ROOT / "requirements" / name).read_text(), re.MULTILINE))

    assert pins("runtime.txt") | pins("build.txt") <= pins("dev.txt")


def test_what_the_product_imports_is_what_it_declares() -> None:
    project = tomllib.loads((tidy.ROOT / "pyproject.toml").read_text())["project"]
    declared = {normalised(re.split(r"[\[<>=]", wanted)[0]) for wanted in project["dependencies"]}
    imported = {name for path in tidy.python_files(*tidy.PACKAGES) for name in tidy.third_party_imports(read(path))}
    providers = packages_distributions()
    distributions = {normalised(owner) for name in imported for owner in providers.get(name, [name])}
    # pydantic-core is one half of pydantic and pinned by it.
    assert distributions - {"pydantic-core"} == declared


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    # Written in two parts so that this file does not match itself.
    private = re.compile(r"(?:^|[^\w.-])/(?:" + "work|farm|Users|root" + r")/|/home/" + r"(?!\$|nonroot)\w+/")
    found = [
        str(path.relative_to(tidy.ROOT))
        for path in tracked_files()
        if path.suffix not in {".png", ".svg", ".gz"} and private.search(path.read_text(errors="replace"))
    ]
    assert found == []


# -- the checks themselves -----------------------------------------------------------------------------------------


def test_the_length_check_counts_the_lines_of_a_function() -> None:
    source = "def short():\n    pass\n\n\ndef long():\n" + "    pass\n" * 5
    assert tidy.long_functions(source, limit=5) == [("long", 6)]


@pytest.mark.parametrize(
    "call",
    [
        "datetime.now(UTC)",
        "time.time()",
        "time.sleep(1)",
        "uuid4()",
        "uuid.uuid4()",
        "random.random()",
        "secrets.token_hex()",
        "os.getenv('HOME')",
        "print('x')",
        "open('x')",
    ],
)
def test_the_purity_check_finds(call: str) -> None:
    assert len(tidy.impure_calls(f"def f():\n    return {call}\n")) == 1


@pytest.mark.parametrize("call", ["datetime.fromisoformat(x)", "state.open(x)", "timedelta(seconds=1)", "UUID(x)"])
def test_the_purity_check_lets_pass(call: str) -> None:
    assert tidy.impure_calls(f"def f(x, state):\n    return {call}\n") == []


def test_the_name_check_finds_vague_modules_classes_and_functions() -> None:
    source = "class StateManager: ...\nclass EventHandler: ...\ndef common_things(): ...\nclass Uncommon: ...\n"
    names = tidy.vague_names(Path("core/utils.py"), source)
    assert sorted(names) == ["EventHandler", "StateManager", "common_things", "utils"]


def test_the_silence_check_wants_a_reason_beside_the_code() -> None:
    lines = [
        "a = 1  # type: ignore[misc]",
        "b = 2  # noqa: S608  # table names are constants",
        "c = 3  # noqa: S608 - built from constants",
        "d = 4  # noqa",
        "e = 5  # type: ignore[arg-type]  # the stub lags behind",
    ]
    assert tidy.unexplained_silence("\n".join(lines)) == [1, 4]
