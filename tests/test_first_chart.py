"""What makes the first chart come soon leaves the process as it was."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lvmtui.app import LvmtuiApp
from lvmtui.store.database import Database

LOAD = """
import os, sys
from lvmtui import light_numpy
light_numpy.load()
print("numpy" in sys.modules, os.environ.get("OPENBLAS_NUM_THREADS"))
"""


@pytest.mark.parametrize(("given", "expected"), [(None, "True None"), ("4", "False 4")])
def test_the_environment_of_later_processes_is_left_alone(given: str | None, expected: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    env |= {"OPENBLAS_NUM_THREADS": given} if given else {}
    done = subprocess.run([sys.executable, "-c", LOAD], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


async def test_the_garbage_collector_works_again_once_the_store_is_read(tmp_path: Path) -> None:
    Database.open(tmp_path / "runs.db").close()
    gc.disable()
    try:
        app = LvmtuiApp(str(tmp_path / "runs.db"))
        async with app.run_test() as pilot:
            while app.snapshot is None or not app.snapshot.is_whole:
                await pilot.pause(0.02)
        assert gc.isenabled()
    finally:
        gc.enable()
