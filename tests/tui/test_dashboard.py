"""The dashboard at its sizes, and its keys."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input

from lvmtui.screens.base import LEAST_HEIGHT, LEAST_WIDTH
from lvmtui.store.database import Database
from lvmtui.widgets.pane_tabs import PaneTabs
from lvmtui.widgets.run_list import RunTable
from tests.tui.driving import opened, text, until
from tests.tui.stores import Trainee, fill


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def runs(store: Path) -> Iterator[dict[str, Trainee]]:
    database = Database.open(store)
    yield fill(database)
    database.close()


@pytest.mark.parametrize("size", [(100, 24), (120, 36), (180, 50), (400, 100)])
async def test_a_wide_terminal_shows_everything(
    store: Path, runs: dict[str, Trainee], size: tuple[int, int]
) -> None:
    async with opened(store, size=size) as (app, pilot):
        await until(pilot, lambda: "ep 19 Hit@5" in text(app), "the log")
        shown = text(app)
        for words in ("Runs", "Hit@K on validation", "loss", "devices", "log", "phase-3 #6", "queued"):
            assert words in shown
        assert "copy-last 8.1" in shown
        assert "★" in shown
        assert not app.screen.query_one(PaneTabs).display


@pytest.mark.parametrize("size", [(80, 24), (99, 30), (60, 16)])
async def test_a_narrow_terminal_shows_a_pane_at_a_time(
    store: Path, runs: dict[str, Trainee], size: tuple[int, int]
) -> None:
    async with opened(store, size=size) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await until(pilot, lambda: "Hit@K on validation" in text(app))
        seen = []
        for _ in range(5):
            panes = [pane.id for pane in app.screen.query(".pane") if pane.display]
            assert len(panes) == 1
            seen += panes
            await pilot.press("tab")
            await pilot.pause()
        assert seen == ["hit", "run", "loss", "log", "devices"]
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: app.screen.query_one("#devices").display)
        await pilot.press("j")
        assert isinstance(app.focused, RunTable), "tab takes no focus away from the runs"


async def test_too_small_says_so_and_loses_nothing(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("j")
        focused = app.focused_run
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: "terminal too small: 40x10" in text(app))
        assert f"needs {LEAST_WIDTH}x{LEAST_HEIGHT}" in text(app)
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: "Hit@K on validation" in text(app))
        assert app.focused_run == focused
        assert isinstance(app.focused, RunTable)


async def test_the_footer_has_what_can_be_done_now(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))

        def footer() -> str:
            return text(app).splitlines()[-1]

        await until(pilot, lambda: "S stop" in footer())
        assert "r resume" not in footer()
        assert "enter open" in footer()
        await pilot.press("G")
        await until(pilot, lambda: "S stop" not in footer())
        assert "P promote" not in footer(), "it is the champion already"
        await pilot.press("k")
        await until(pilot, lambda: "r resume" in footer())
        await pilot.resize_terminal(60, 24)
        await until(pilot, lambda: footer().rstrip().endswith("? help"))


async def test_the_footer_can_be_clicked(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "? help" in text(app))
        at = text(app).splitlines()[-1].index("? help")
        await pilot.click(offset=(at, 35))
        await until(pilot, lambda: "esc closes" in text(app))


async def test_the_filter_is_typed_kept_and_cleared(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press(*"phase-2b")
        await until(pilot, lambda: app.screen.query_one(RunTable).row_count == 2)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        assert app.options.filter == "phase-2b"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one(RunTable).row_count == 7)


async def test_a_filter_without_a_match_does_not_take_the_keys_away(
    store: Path, runs: dict[str, Trainee]
) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("slash", *"zzz", "enter")
        await pilot.pause()
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one(RunTable).row_count == 7)
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        await pilot.press("s")
        await until(pilot, lambda: app.options.sort == "name")


async def test_charts_follow_the_options(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "★" in text(app))
        await pilot.press("X")
        await until(pilot, lambda: "step" in text(app))
        await pilot.press("y")
        await until(pilot, lambda: "log" in app.screen.query_one("#hit").border_title)  # type: ignore[operator]
        await pilot.press("plus", "plus", "minus")
        await until(pilot, lambda: app.options.smoothing == 0.3)
        await pilot.press("0")
        await until(pilot, lambda: app.options.smoothing == 0.0)


async def test_ascii_only_draws_ascii_only(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store, ascii_only=True) as (app, pilot):
        await until(pilot, lambda: "ep 19 Hit@5" in text(app))
        assert text(app).isascii()
        for key in ("question_mark", "P", "n", "ctrl+p"):
            await pilot.press(key)
            await until(pilot, lambda: len(app.screen_stack) == 2)
            await pilot.pause(0.2)
            assert text(app).isascii(), key
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1)


def test_ascii_keeps_every_cell_in_its_place() -> None:
    from rich.segment import Segment
    from textual.color import Color

    from lvmtui.ascii_filter import AsciiFilter

    written = AsciiFilter().apply([Segment("╭─ é 日本 ⣿ ▶│")], Color(0, 0, 0))
    assert written[0].text == "+- e ???? ? >|"
