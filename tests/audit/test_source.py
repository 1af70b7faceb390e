"""Platforms are found by name, and a name that does not say enough lists what it could mean."""

import pytest

from audit.errors import AmbiguousNameError, NotFoundError
from audit.source import LedgerSource
from eventstore.memory import InMemoryEventLog
from tests.audit.recording import LAB, PROD, record_prod, record_small

NEWER = PROD[:-1] + "9"


@pytest.fixture
def source(log: InMemoryEventLog) -> LedgerSource:
    return LedgerSource(log, "memory://")


def test_a_name_alone_is_enough_if_there_is_one_namespace(source: LedgerSource) -> None:
    assert source.resolve("prod").stream_id == PROD
    assert source.resolve("prod", "obs").stream_id == PROD
    assert source.resolve("obs/prod").stream_id == PROD


def test_a_name_in_two_namespaces_lists_both(log: InMemoryEventLog, source: LedgerSource) -> None:
    record_small(log, LAB, name="prod", namespace="lab")
    with pytest.raises(AmbiguousNameError, match=r"obs/prod.*lab/prod"):
        source.resolve("prod")
    assert source.resolve("prod", "lab").stream_id == LAB


def test_a_platform_made_again_is_the_newest_and_the_older_one_has_its_uid(
    log: InMemoryEventLog, source: LedgerSource
) -> None:
    record_small(log, NEWER, name="prod", namespace="obs", clock="11:00:00")
    assert source.resolve("prod").stream_id == NEWER
    assert source.resolve("prod", uid=PROD).stream_id == PROD
    with pytest.raises(AmbiguousNameError, match="2 streams begin with"):
        source.resolve("prod", uid=PROD[:8])


@pytest.mark.parametrize(
    ("name", "namespace", "hint"),
    [("prd", None, "obs/prod"), ("prod", "lab", "obs/prod"), ("zzz", None, "obs/prod")],
)
def test_a_name_that_is_not_there_suggests_one_that_is(
    source: LedgerSource, name: str, namespace: str | None, hint: str
) -> None:
    with pytest.raises(NotFoundError) as missing:
        source.resolve(name, namespace)
    assert hint in missing.value.next_step


def test_an_empty_ledger_says_that_it_is_empty() -> None:
    with pytest.raises(NotFoundError, match="is empty"):
        LedgerSource(InMemoryEventLog(), "memory://").resolve("prod")


def test_without_a_projection_the_name_comes_from_the_events() -> None:
    log = InMemoryEventLog()
    record_prod(log, keep_state=False)
    (stream,) = LedgerSource(log, "memory://").streams()
    assert (stream.namespace, stream.name, stream.closed) == ("obs", "prod", False)
