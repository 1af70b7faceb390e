"""The tool itself: what is typed, what is undone, what is compared, and how it ends."""

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from cli.sim_commands import GROUPS, perform
from cli.sim_commands import Command as Entry
from cli.sim_prompt import candidates, read_commands
from cli.sim_script import play_script, printed_lines, read_script, script_of
from cli.sim_tape import MisuseError, Tape, Typed
from cli.sim_telling import tell, when
from cli.sim_words import spec_of
from simulator.faults import FaultKind
from simulator.session import Session
from tests.cli.conftest import Command, _quiet_environment, stackledger  # noqa: F401  # fixtures

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sim.md"


def told(*lines: str, seed: int = 0) -> Tape:
    tape = Tape(seed)
    for line in lines:
        perform(tape, Typed(line))
    return tape


def printed(tape: Tape, line: str) -> list[str]:
    return list(printed_lines(tape, perform(tape, Typed(line))))


INSTALLED = ("apply prod prometheus=3.13.1 grafana=13.2.0", "wait until Ready")


# -- undo ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
def test_undo_leads_to_where_the_session_was_before(seed: int) -> None:
    tape = told(*INSTALLED, seed=seed)
    before = tape.view, [new.row.hash for new in tape.newest]
    perform(tape, Typed("break grafana"))
    perform(tape, Typed("wait 5m"))
    assert tape.view != before[0]
    perform(tape, Typed("undo 2"))
    assert (tape.view, [new.row.hash for new in tape.newest]) == before


def test_what_follows_an_undo_is_what_would_have_come_without_the_detour() -> None:
    straight = told(*INSTALLED, "break grafana", "wait 2m")
    detour = told(*INSTALLED, "delete", "wait until gone", "undo 2", "break grafana", "wait 2m")
    assert detour.view == straight.view
    assert detour.typed == straight.typed


def test_more_cannot_be_undone_than_was_done() -> None:
    with pytest.raises(MisuseError, match="3 cannot be undone"):
        told(*INSTALLED, "undo 3")


def type_at_the_prompt(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    typed = iter(lines)

    def read(_prompt: str) -> str:
        line = next(typed, "exit")
        if line == "^C":
            raise KeyboardInterrupt
        return line

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("builtins.input", read)
    assert read_commands(Terminal(), seed=0, as_json=False, no_color=True) == 0


@pytest.fixture
def interrupted_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C comes in the middle of each `wait 7h`."""
    wait = Session.wait

    def half(self: Session, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        if seconds != 7 * 3600:
            return wait(self, seconds, until)
        wait(self, 600)
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "wait", half)


@pytest.mark.usefixtures("interrupted_waits")
@pytest.mark.parametrize("kept", [(), ("apply prod prometheus",), ("apply prod prometheus", "wait until Ready")])
def test_a_command_that_is_interrupted_was_never_given(
    kept: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    now = when(told(*kept).view.now)
    type_at_the_prompt(monkeypatch, *kept, "wait 7h", "state", f"save {tmp_path / 'a.sim'}")
    printed = capsys.readouterr().out
    assert f"\ninterrupted; it is {now} again\n" in printed
    assert f"\nit is {now}\n" in printed
    assert (tmp_path / "a.sim").read_text() == script_of([Typed(line) for line in kept], 0)


def test_an_interrupted_undo_takes_nothing_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    begin, begun = Tape._begin, 0

    def begin_and_be_interrupted(self: Tape) -> None:
        nonlocal begun
        begin(self)
        begun += 1
        if begun == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Tape, "_begin", begin_and_be_interrupted)
    type_at_the_prompt(monkeypatch, *INSTALLED, "undo", f"save {tmp_path / 'a.sim'}")
    assert "interrupted; it is 09:00:" in capsys.readouterr().out
    assert (tmp_path / "a.sim").read_text() == script_of([Typed(line) for line in INSTALLED], 0)


def test_ctrl_c_while_a_line_is_typed_forgets_that_line_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_at_the_prompt(monkeypatch, "apply prod prometheus", "^C", "state")
    printed = capsys.readouterr().out
    assert "interrupted" not in printed
    assert "it is 09:00:00" in printed


# -- words ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "spec"),
    [
        ("prometheus", {"components": {"prometheus": {"enabled": True}}}),
        ("prometheus=3.13.1", {"components": {"prometheus": {"version": "3.13.1"}}}),
        ("prometheus replicas=2", {"components": {"prometheus": {"enabled": True, "replicas": 2}}}),
        ("grafana.version=13.10", {"components": {"grafana": {"version": "13.10"}}}),
        ("loki.storage.size=5Gi paused=true", {"components": {"loki": {"storage": {"size": "5Gi"}}}, "paused": True}),
        ("grafana=null", {"components": {"grafana": None}}),
        ("global.logLevel=debug", {"global": {"logLevel": "debug"}}),
    ],
)
def test_a_spec_is_written_in_words(words: str, spec: dict[str, object]) -> None:
    assert spec_of(words.split()) == spec


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("brake grafana", "did you mean break"),
        ("break grafana OomKilled", "did you mean OOMKilled"),
        ("break grafanna", "did you mean"),
        ("wait until Raedy", "did you mean Ready"),
        ("wait a while", "wait 30s"),
        ("wait soon", "90s"),
        ("edit replicas=2", "prometheus.replicas=2"),
        ("fail next aply", "did you mean apply"),
        ("fail next apply with 418", "409"),
        ("deny Patch services", "patch"),
        ("delete Servise/prod-grafana", ""),
        ("expect phase Redy", "did you mean Ready"),
        ("expect event RetrySchedule", "did you mean RetryScheduled"),
        ("apply", "apply prod"),
        ("undo all", "undo 3"),
        ("crash replica-9", ""),
        ("restore", ""),
        ("apply 'prod", "quotation"),
        ("clock 30s", "+30s"),
    ],
)
def test_a_line_that_makes_no_sense_says_what_would(line: str, hint: str) -> None:
    tape = told(*INSTALLED)
    with pytest.raises(MisuseError) as error:
        perform(tape, Typed(line))
    assert hint in error.value.next_step
    assert len(tape.typed) == len(INSTALLED), "what makes no sense is not part of the session"


@pytest.mark.parametrize("command", [one for group in GROUPS.values() for one in group], ids=lambda one: one.example)
def test_each_example_of_the_help_makes_sense(command: Entry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = "kind: ObservabilityPlatform\nmetadata: {name: prod}\nspec: {components: {prometheus: {enabled: true}}}\n"
    Path("prod.yaml").write_text(spec)
    before = {"show": ("wait 2m",), "thaw": ("freeze",), "restore": ("backup",), "allow": ("deny patch services",)}
    before["repair"] = ("break grafana",)
    tape = told(*INSTALLED, *before.get(command.name, ()))
    answer = perform(tape, Typed(command.example))
    assert not any(line.startswith(("refused", "NOT MET", "error")) for line in answer.said), answer.said


def test_every_fault_of_the_simulator_can_be_ordered() -> None:
    for kind in FaultKind:
        tape = told("apply prod prometheus", f"fail next apply with {kind}", "wait 20m")
        assert tape.view.platforms, kind


def test_completion_knows_commands_components_and_objects() -> None:
    tape = told(*INSTALLED)
    assert "apply" in candidates(tape, [])
    assert "OOMKilled" in candidates(tape, ["break", "grafana"])
    assert "Service/prod-grafana" in candidates(tape, ["delete"])


# -- scripts -------------------------------------------------------------------------------------------------------


def test_a_session_that_was_saved_plays_the_same(tmp_path: Path) -> None:
    tape = told(*INSTALLED, "break grafana", "wait 1m", f"save {tmp_path / 'story.sim'}")
    text = (tmp_path / "story.sim").read_text()
    assert play_script(read_script(text, "story")).text == text == script_of(tape.typed, 0)


def test_lines_below_a_command_belong_to_it() -> None:
    text = "> apply -f -\n| metadata: {name: prod}\n| spec: {components: {loki: {enabled: true}}}\n"
    assert play_script(read_script(text, "story")).text == f"{text}created prod, generation 1\n"


def test_the_story_in_the_documentation_goes_as_it_is_written() -> None:
    (story,) = re.findall(r"^```sim\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert play_script(read_script(story, "docs/sim.md")).text == story


def test_each_command_is_documented() -> None:
    text = DOCS.read_text()
    for group in GROUPS.values():
        for command in group:
            assert command.name == "help" or f"`{command.name}" in text, command.name


def test_output_holds_no_uid_and_no_hash() -> None:
    tape = told(*INSTALLED)
    lines = [line for one in ("history --all", "status prod", "verify", "replay") for line in printed(tape, one)]
    uid = next(iter(tape.view.platforms))
    hashes = {new.row.hash[:6] for new in tape.newest}
    assert not [line for line in lines if uid in line or hashes & set(re.findall(r"[0-9a-f]{6}", line))]


# -- the command line ----------------------------------------------------------------------------------------------


def test_check_tells_a_difference_and_update_mends_it(stackledger: Command, tmp_path: Path) -> None:  # noqa: F811  # a fixture
    path = tmp_path / "story.sim"
    path.write_text("# A story.\n\n> apply prod prometheus\ncreated prod, generation 2\n")
    shown = stackledger("sim", "--check", path)
    assert shown.code == 1
    assert f"{path}:4: otherwise than written, after > apply prod prometheus" in shown.out
    assert "+created prod, generation 1" in shown.out
    assert stackledger("sim", "--update", path).code == 0
    assert stackledger("sim", "--check", path).code == 0
    assert path.read_text() == "# A story.\n\n> apply prod prometheus\ncreated prod, generation 1\n"


def test_an_expectation_that_is_not_met_is_a_finding(stackledger: Command, tmp_path: Path) -> None:  # noqa: F811  # a fixture
    path = tmp_path / "story.sim"
    path.write_text("> apply prod prometheus\n> quietly wait until Ready\n> expect phase Failed\n")
    shown = stackledger("sim", path)
    assert shown.code == 1
    assert "NOT MET  prod is Ready" in shown.out
    assert shown.err == f"{path}:3: this does not hold\n"


def test_a_line_of_a_script_that_makes_no_sense_is_named(stackledger: Command, tmp_path: Path) -> None:  # noqa: F811  # a fixture
    path = tmp_path / "story.sim"
    path.write_text("> apply prod prometheus\n\n> wiat 1m\n")
    shown = stackledger("sim", path)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith(f"{path}:3: wiat is no command\nnext:  did you mean wait?")


def test_json_is_one_object_for_each_command(stackledger: Command, tmp_path: Path) -> None:  # noqa: F811  # a fixture
    path = tmp_path / "story.sim"
    path.write_text("> apply prod prometheus\n> wait until Ready\n")
    first, second = [json.loads(line) for line in stackledger("sim", "-o", "json", path).lines]
    assert (first["said"], first["events"]) == (["created prod, generation 1"], [])
    assert second["platforms"][0]["phase"] == "Ready"
    assert {event["type"] for event in second["events"]} > {"PhaseChanged", "ApplyRequested"}


def test_an_undone_command_is_shown_as_it_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    tape = told(*INSTALLED)
    tell(perform(tape, Typed("state")))
    assert "\x1b[" in capsys.readouterr().out, "phases are coloured here"
    tell(perform(tape, Typed("undo")))
    assert capsys.readouterr().out.startswith("undone: wait until Ready\n")


@pytest.mark.parametrize("option", ["--check", "--update", "--no-color"])
def test_a_script_without_a_command_is_no_success(stackledger: Command, tmp_path: Path, option: str) -> None:  # noqa: F811  # a fixture
    path = tmp_path / "story.sim"
    path.write_text("# A story that nobody wrote.\n")
    shown = stackledger("sim", option, path)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith(f"{path}: there is no command in it\nnext:  put > before each command")


def test_scripts_are_counted(stackledger: Command, tmp_path: Path) -> None:  # noqa: F811  # a fixture
    path = tmp_path / "story.sim"
    path.write_text("> apply prod prometheus\ncreated prod, generation 1\n")
    assert stackledger("sim", "--check", path).err == "1 script, as written\n"
    assert stackledger("sim", "--check", path, path).err == "2 scripts, all as written\n"
    path.write_text("> apply prod prometheus\n")
    assert stackledger("sim", "--check", path).err == "1 script, 1 failed\n"
