"""Recorded logs of real runs, kept for ever: what an old build wrote, this one must read, fold and decide alike.

Everything a replay needs is taken from the log itself: policy and operator version from its `PolicyAdopted` events, the
instant of each pass from `occurred_at`, what was seen and what came of each write from its observations and outcomes.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from audit.bundle import Bundle
from audit.replay import ReplayReport, replay
from audit.verification import verify_stream
from eventstore.codec import decode
from eventstore.envelope import RecordedEvent
from eventstore.events import EVENT_TYPES, PolicyAdopted
from projections.platform import fold, initial
from projections.state import FOLD_VERSION, PlatformState
from tests.golden import files

#: Logs that this build decides otherwise, on purpose: log -> stream version of the first difference, and why.
#: An entry is a line of the changelog: whoever runs `stackledger replay` over an old log will meet it.
DIVERGES: dict[str, tuple[int, str]] = {
    "1/no-known-good": (27, "made by hand: no build leaves out that it records what works"),
}
LOGS = files.log_files()
each_log = pytest.mark.parametrize("path", LOGS, ids=files.name_of)

KEPT = f"""{{}}: golden logs are kept for ever, as they are.
What an old build recorded cannot be recorded again: put the file back (git checkout). If there is something new to
keep, add it beside: a story in tests/golden/stories.py, then {files.COMMAND} record NAME (CONTRIBUTING.md)."""
NEW_TYPE = f"""No golden log holds these (event type, schema version): {{}}.
Add a story that leads to them to tests/golden/stories.py, then: {files.COMMAND} record NAME"""
NEW_FOLD = f"""{{}} has no golden state for fold version {{}}.
Write it ({files.COMMAND} states), and look at what differs from the state before: that difference is the change."""
OTHER_FOLD = """{} folds to another state than it did.
Stored states in every database are now wrong. If that is meant: raise FOLD_VERSION in projections/state.py, then write
the new golden states ({} states) and look at the difference."""
OTHER_DECISIONS = """{}: this build decides otherwise than the one that recorded it: {}
If that is meant: say so in DIVERGES (tests/golden/test_golden.py) and CHANGELOG.md, and record a new log beside it."""


def streams(bundle: Bundle) -> Iterable[tuple[str, list[RecordedEvent]]]:
    """Every stream of a log."""
    return bundle.events.items()


# -- they stay what they are ---------------------------------------------------------------------------------------


def test_nothing_that_is_kept_was_changed_or_removed() -> None:
    changed = [
        path
        for path, digest in files.manifest().items()
        if not (files.HERE / path).exists() or files.digest_of(files.HERE / path) != digest
    ]
    assert changed == [], KEPT.format(", ".join(changed))


def test_everything_is_listed() -> None:
    here = {str(path.relative_to(files.HERE)) for path in files.HERE.glob("[0-9]*/*")}
    assert here - files.manifest().keys() == set(), "not in MANIFEST.sha256: was it recorded with the command?"


def test_there_are_golden_logs() -> None:
    assert len(LOGS) >= 20


# -- what is held --------------------------------------------------------------------------------------------------


def test_every_event_type_is_held_in_every_schema_version() -> None:
    held = {(event.type, event.schema_version) for path in LOGS for _, found in streams(load(path)) for event in found}
    wanted = {(name, version) for name, kind in EVENT_TYPES.items() for version in range(1, kind.schema_version + 1)}
    assert wanted - held == set(), NEW_TYPE.format(sorted(wanted - held))


@each_log
def test_a_golden_log_verifies(path: Path) -> None:
    bundle = load(path)
    assert bundle.damage == ""
    for stream_id, _ in streams(bundle):
        assert verify_stream(bundle, stream_id).faults == ()


@each_log
def test_a_golden_log_folds_to_the_same_state(path: Path) -> None:
    bundle = load(path)
    golden = files.state_file(path)
    assert golden.exists(), NEW_FOLD.format(files.name_of(path), FOLD_VERSION)
    assert files.folded(bundle) == golden.read_bytes(), OTHER_FOLD.format(files.name_of(path), files.COMMAND)


@each_log
def test_a_golden_log_is_decided_alike(path: Path) -> None:
    name = files.name_of(path)
    reports = list(replayed(load(path)))
    differing = [report.divergence for report in reports if report.divergence is not None]
    if name in DIVERGES:
        assert [divergence.sequence for divergence in differing] == [DIVERGES[name][0]], OTHER_DECISIONS.format(
            name, differing
        )
        return
    assert differing == [], OTHER_DECISIONS.format(name, differing)
    assert sum(report.decisions for report in reports) > 0
    assert all(report.equals_stored is not False for report in reports)


@each_log
def test_policy_and_operator_version_come_from_the_log(path: Path) -> None:
    for stream_id, found in streams(load(path)):
        adopted = [event for recorded in found if isinstance(event := decode(recorded), PolicyAdopted)]
        state = fold(initial(stream_id), found)
        assert (state.policy, state.operator_version) == (adopted[-1].policy, adopted[-1].operator_version)


def test_every_declared_difference_is_of_a_log_that_is_there() -> None:
    assert DIVERGES.keys() <= {files.name_of(path) for path in LOGS}


# -- and the tests can tell ----------------------------------------------------------------------------------------


def test_a_byte_that_was_changed_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "upgrade.jsonl"
    copy.write_bytes((files.HERE / "1/upgrade.jsonl").read_bytes().replace(b"3.13.2", b"3.13.3"))
    bundle = files.load(copy)
    assert bundle.damage
    (stream_id,) = bundle.events
    assert {fault.check for fault in verify_stream(bundle, stream_id).faults} >= {"chain", "content"}


def test_a_decision_that_is_not_made_any_more_is_found() -> None:
    bundle = load(files.HERE / "1/upgrade.jsonl")
    (found,) = bundle.events.values()
    report = replay(found, decide_again=lambda state, now: (state, ()))
    assert report.divergence is not None
    assert report.divergence.decided is None


def test_a_state_is_written_down_in_full() -> None:
    bundle = load(files.HERE / "1/upgrade.jsonl")
    (stream_id,) = bundle.events
    written = msgspec.json.decode(files.folded(bundle), type=dict[str, PlatformState])
    assert written == {stream_id: fold(initial(stream_id), bundle.events[stream_id])}


def replayed(bundle: Bundle) -> Iterable[ReplayReport]:
    """What re-deciding each stream finds."""
    return (replay(found, stored=bundle.load_state(stream_id)) for stream_id, found in streams(bundle))


_loaded: dict[Path, Bundle] = {}


def load(path: Path) -> Bundle:
    """The bundle in a file, read once."""
    if path not in _loaded:
        _loaded[path] = files.load(path)
    return _loaded[path]
