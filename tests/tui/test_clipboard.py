"""What is under the cursor goes to the clipboard of the terminal."""

import base64
from pathlib import Path

import pytest

from lvmtui.parts.clipboard import MOST_BYTES, sequence
from lvmtui.widgets.log_view import LogLines
from tests.tui.driving import opened, text, until
from tests.tui.stores import filled


def decoded(code: str) -> str:
    return base64.b64decode(code.removeprefix("\x1b]52;c;").removesuffix("\x07")).decode()


def test_a_text_is_encoded_so_that_it_cannot_end_the_sequence() -> None:
    text = "phase-3 #17\x07\x1b\\ é"
    assert decoded(sequence(text, in_tmux=False)) == text


def test_tmux_gets_it_for_itself_and_for_the_terminal_outside() -> None:
    code = sequence("x", in_tmux=True)
    plain = sequence("x", in_tmux=False)
    assert code == plain + "\x1bPtmux;\x1b" + plain + "\x1b\\"


async def test_the_runs_name_is_copied(tmp_path: Path) -> None:
    async with opened(filled(tmp_path / "runs.db")) as (app, pilot):
        view = app.view_of(app.focused_run)
        assert view is not None
        await pilot.press("ctrl+y")
        assert app.clipboard == view.run.name
        await until(pilot, lambda: f"copied: {view.run.name}" in text(app))


async def test_in_the_log_the_lines_in_sight_are_copied(tmp_path: Path) -> None:
    store = filled(tmp_path / "runs.db")
    async with opened(store) as (app, pilot):
        lines = LogLines()
        await app.screen.mount(lines)
        lines.show(("epoch 1", "epoch \u00e9 2"))
        lines.focus()
        await until(pilot, lambda: app.focused is lines and lines.size.height)
        await pilot.press("ctrl+y")
        assert app.clipboard == "epoch 1\nepoch \u00e9 2"
        lines.search("2")
        lines.go(1)
        await pilot.press("ctrl+y")
        assert app.clipboard == "epoch \u00e9 2"


async def test_what_is_too_long_for_a_terminal_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "none.db") as (app, pilot):
        monkeypatch.setattr(app, "copied_text", lambda: "x" * (MOST_BYTES + 1))
        await pilot.press("ctrl+y")
        assert app.clipboard == ""
        await until(pilot, lambda: "too long for a terminal's clipboard: 70 001" in text(app))
