"""A platform's whole life as a state machine: whatever happens, in whatever order, every pass keeps the laws."""

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.reconciler.core.model_machine import PlatformMachine

#: Set STACKLEDGER_WALKS for a longer search, another one each time; without it, every run is the same.
SEARCH = os.environ.get("STACKLEDGER_WALKS", "")
WALKS = int(SEARCH or "250")
#: Things that happen in one run.
STEPS = 30


def test_whatever_happens_to_a_platform_every_pass_keeps_the_laws_and_in_the_end_it_is_what_was_asked_for() -> None:
    chosen = settings(
        max_examples=WALKS,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=not SEARCH,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(PlatformMachine, settings=chosen)
