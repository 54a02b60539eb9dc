"""The dashboard in a real terminal that nothing happens in."""

from pathlib import Path

import pytest

from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result
from tests.e2e.terminal import terminal
from tests.tui.stores import new_run


@pytest.mark.slow
def test_nothing_is_written_to_the_terminal_when_nothing_changes(tmp_path: Path) -> None:
    store = str(tmp_path / "runs.db")
    database = Database.open(store)
    new_run(database, "phase-3").start().train(5).finish(Result.COMPLETED)
    database.close()
    with terminal(["-m", "lvmtui", "--store", store]) as screen:
        screen.wait_for("phase-3 #1")
        screen.read_for(3.0)
        assert screen.read_for(3.0) == ""
        screen.press("q")
        screen.read_for(2.0)
        assert screen.process.wait(timeout=10) == 0
