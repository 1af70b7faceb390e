"""A platform's whole life as a state machine: whatever happens, in whatever order, every pass keeps the laws."""

import os

from hypothesis import HealthCheck, settings

from tests.reconciler.core.model_machine import PlatformMachine

#: Set STACKLEDGER_WALKS for a longer search.
WALKS = int(os.environ.get("STACKLEDGER_WALKS", "120"))


class TestPlatform(PlatformMachine.TestCase):
    settings = settings(
        max_examples=WALKS, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
