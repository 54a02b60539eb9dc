"""What is loaded when, seen from a fresh interpreter: the static contracts cannot see a deferred import."""

import json
import subprocess
import sys

import pytest

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
        ("import lvmtui.snapshot", HEAVY | {"pydantic"}),
        ("import lvmtui.recipe", HEAVY),
        ("import lvmtui.cli", HEAVY | {"pydantic", "psutil"}),
        ("import lvmtui.store.reader, lvmtui.store.writer", HEAVY - {"sqlmodel", "sqlalchemy"}),
        ("import lvmtui.feed", {"torch", "textual", "plotext"}),
        ("import lvmtui.launcher", {"torch", "textual", "plotext"}),
        ("import lvmtui.stats, lvmtui.series", {"torch", "textual", "plotext", "sqlmodel", "sklearn"}),
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
