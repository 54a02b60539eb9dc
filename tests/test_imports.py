"""What is loaded when, seen from a fresh interpreter: the static contracts cannot see a deferred import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lvmtui.store.control import Controller
from lvmtui.store.database import Database
from lvmtui.store.records import MetricPoint, NewRun
from lvmtui.store.writer import Writer

HEAVY = {"torch", "sqlmodel", "sqlalchemy", "numpy", "textual", "plotext", "watchfiles", "sklearn", "scipy"}


def loaded_by(code: str) -> set[str]:
    """Top-level names in `sys.modules` after running some code in a fresh interpreter."""
    script = (
        f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import lvmtui", HEAVY | {"pydantic", "typer", "rich"}),
        ("import lvmtui.store.records, lvmtui.store.lifecycle, lvmtui.errors", HEAVY | {"pydantic"}),
        ("import lvmtui.start", HEAVY | {"pydantic", "typer", "rich"}),
        ("import lvmtui.snapshot", HEAVY | {"pydantic"}),
        ("import lvmtui.recipe", HEAVY),
        ("import lvmtui.cli", HEAVY | {"pydantic", "psutil"}),
        ("import lvmtui.store.reader, lvmtui.store.sqlite", HEAVY | {"pydantic", "typer", "rich"}),
        ("import lvmtui.store.writer", HEAVY - {"sqlmodel", "sqlalchemy"}),
        ("import lvmtui.feed", {"torch", "textual", "plotext"}),
        ("import lvmtui.launcher", {"torch", "textual", "plotext"}),
        ("import lvmtui.stats, lvmtui.series", {"torch", "textual", "plotext", "sqlmodel", "sklearn"}),
        ("import lvmtui.charts.drawing", {"torch", "textual", "plotext", "sqlmodel", "sklearn"}),
        ("import lvmtui.app", HEAVY - {"textual"}),
        ("import engine.__main__", HEAVY),
    ],
)
def test_importing_loads_nothing_heavy(code: str, absent: set[str]) -> None:
    assert loaded_by(code) & absent == set()


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom lvmtui.cli import main\nsys.argv = ['lvmtui', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded_by(code) & (HEAVY | {"pydantic"}) == set()


READ = """
import sys
from lvmtui.merge import snapshot
from lvmtui.store.reader import Reader
from lvmtui.store.sqlite import open_reader
found = snapshot(Reader(open_reader({store!r})), looked_at={looked_at!r}, now=0.0)
assert found.runs and len(found.details) == {details}
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    database = Database.open(tmp_path / "runs.db")
    new = NewRun("phase-1", "{}", "abc", 0, "gru", 10, "hit5", "demo", 10, 3)
    writer = Writer(database, Controller(database).create_run(new).id)
    writer.metrics([MetricPoint("train/loss", 1, 0.1, 1.0, 0.5)])
    database.close()
    return tmp_path / "runs.db"


def test_reading_a_list_loads_nothing_heavy(store: Path) -> None:
    code = READ.format(store=str(store), looked_at=(), details=0)
    assert loaded_by(code) & (HEAVY | {"pydantic"}) == set()


def test_reading_curves_loads_numpy_alone(store: Path) -> None:
    code = READ.format(store=str(store), looked_at=(1,), details=1)
    assert loaded_by(code) & (HEAVY | {"pydantic"}) == {"numpy"}


def test_the_dashboard_reads_without_the_libraries_that_write(store: Path) -> None:
    code = f"""
import asyncio
from lvmtui.app import LvmtuiApp
async def main():
    app = LvmtuiApp({str(store)!r})
    async with app.run_test(size=(120, 36)) as pilot:
        while app.snapshot is None or not app.snapshot.details:
            await pilot.pause(0.02)
asyncio.run(main())
"""
    assert loaded_by(code) & {"torch", "sqlmodel", "sqlalchemy", "pydantic"} == set()
