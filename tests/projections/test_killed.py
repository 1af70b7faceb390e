"""The runner's process killed with -9 at any moment."""

import signal
import subprocess
import sys

import pytest
from sqlalchemy import Engine

from eventstore.log import EventLog
from eventstore.opening import open_log
from projections.engines import engine_for
from projections.runner import ProjectionRunner
from tests.projections.histories import Author, fill
from tests.projections.reading import everything

CATCH_UP = """
import sys
from eventstore.opening import open_log
from projections.engines import engine_for
from projections.runner import ProjectionRunner
runner = ProjectionRunner(open_log(sys.argv[1]), engine_for(sys.argv[1]), page_size=1)
runner.catch_up()
"""


@pytest.mark.parametrize("dsn", ["sqlite", "postgres"], indirect=True)
def test_a_runner_killed_again_and_again_loses_and_repeats_nothing(dsn: str) -> None:
    log, engine = open_log(dsn), engine_for(dsn)
    fill(Author(log), streams=4, events_each=50)
    for killed_at in (180, 120, 60):
        process = subprocess.Popen([sys.executable, "-c", CATCH_UP, dsn])
        while behind(log, engine) > killed_at:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        # It was killed while it was at work, or this test shows nothing.
        assert behind(log, engine) > 0
    ProjectionRunner(log, engine).catch_up()
    fresh = engine_for("memory://")
    ProjectionRunner(log, fresh).catch_up()
    assert everything(engine) == everything(fresh)
    engine.dispose()
    log.close()


def behind(log: EventLog, engine: Engine) -> int:
    return max(ProjectionRunner(log, engine).lag().values())
