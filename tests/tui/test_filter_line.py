"""Typing a filter: live preview, errors in place, completion, history."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input

from lvmtui.config import load_state
from lvmtui.store.database import Database
from lvmtui.widgets.filter_line import FilterLine
from lvmtui.widgets.leaderboard_table import LeaderboardTable
from lvmtui.widgets.run_list import RunList, RunTable
from tests.tui.driving import opened, text, until
from tests.tui.stores import fill


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    database = Database.open(tmp_path / "runs.db")
    fill(database)
    yield tmp_path / "runs.db"
    database.close()


def rows(app) -> int:
    return len(app.screen.query_one(RunList).shown_ids)


def line(app) -> Input:
    return app.screen.query_one(FilterLine).query_one(Input)


async def typing(app, pilot) -> None:
    await until(pilot, lambda: isinstance(app.focused, RunTable))
    await pilot.press("slash")
    await until(pilot, lambda: isinstance(app.focused, Input))


async def test_the_list_keeps_to_the_last_good_filter_while_the_text_is_wrong(store: Path) -> None:
    async with opened(store) as (app, pilot):
        everything = rows(app)
        await typing(app, pilot)
        await pilot.press(*"phase:2b ")
        await until(pilot, lambda: rows(app) == 2)
        await pilot.press(*"hti5>3")
        await until(pilot, lambda: 'unknown field "hti5" at 10' in text(app))
        assert "did you mean" in text(app)
        assert rows(app) == 2
        assert app.screen.query_one(FilterLine)._wrong.part == (9, 13)
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.focused, Input), "what is wrong is not kept"
        await pilot.press("escape")
        await until(pilot, lambda: rows(app) == everything and isinstance(app.focused, RunTable))
        assert app.options.filter == ""


async def test_a_field_that_is_being_typed_does_not_empty_the_list(store: Path) -> None:
    async with opened(store) as (app, pilot):
        everything = rows(app)
        await typing(app, pilot)
        for letter in "hit5":
            await pilot.press(letter)
            await pilot.pause()
            assert rows(app) == everything, letter
        await until(pilot, lambda: "hit5>" in text(app), "what may follow")
        await pilot.press(*">17")
        await until(pilot, lambda: 0 < rows(app) < everything)
        assert app.options.filter == "hit5>17"


async def test_tab_changes_how_texts_are_read(store: Path) -> None:
    async with opened(store) as (app, pilot):
        await typing(app, pilot)
        await pilot.press(*"2b$", "tab")
        await until(pilot, lambda: "regex (tab)" in text(app))
        assert app.options.filter_is_regex
        assert rows(app) == 0
        await pilot.press("tab")
        await until(pilot, lambda: "glob (tab)" in text(app))


@pytest.mark.parametrize("key", ["right", "ctrl+@"])
async def test_suggestions_are_taken(store: Path, key: str) -> None:
    async with opened(store) as (app, pilot):
        await typing(app, pilot)
        await pilot.press(*"pha")
        await until(pilot, lambda: line(app)._suggestion == "phase:")
        await pilot.press(key)
        await until(pilot, lambda: line(app).value == "phase:")
        await until(pilot, lambda: len(line(app)._suggestion) > len("phase:"))
        await pilot.press(key)
        await until(pilot, lambda: rows(app) > 0 and line(app).value == app.options.filter != "")


async def test_filters_that_were_used_come_back_and_are_remembered(store: Path) -> None:
    async with opened(store) as (app, pilot):
        for used in ("phase:2b", "hit5>17"):
            await typing(app, pilot)
            await pilot.press(*used, "enter")
            await until(pilot, lambda used=used: app.options.filter == used)  # type: ignore[misc]
            await until(pilot, lambda: isinstance(app.focused, RunTable))
            await pilot.press("escape")
            await until(pilot, lambda: app.options.filter == "")
        await typing(app, pilot)
        await pilot.press(*"ctx", "up")
        assert line(app).value == "hit5>17"
        await pilot.press("up", "up")
        assert line(app).value == "phase:2b"
        await pilot.press("down", "down", "down")
        assert line(app).value == "ctx"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.focused, RunTable))
    assert load_state(str(store)).options.filter_history == ("phase:2b", "hit5>17")


async def test_the_leaderboard_is_filtered_by_the_same_language(store: Path) -> None:
    async with opened(store) as (app, pilot):
        await pilot.press("2")
        await until(pilot, lambda: isinstance(app.focused, LeaderboardTable))
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.focused, Input))
        await pilot.press(*"hit5>15 -phase:3", "enter")
        await until(pilot, lambda: isinstance(app.focused, LeaderboardTable))
        groups = app.screen.query_one(LeaderboardTable).shown_groups()
        shown = [row for group in groups for row in group.rows if not row.is_baseline]
        assert shown
        assert all(row.evaluation.hit5 > 0.15 and row.phase != "phase-3" for row in shown)


@pytest.mark.parametrize("flood", ["(" * 20_000, "hit5>1 " * 5000, "\u202e\x1b[31m[bold]" * 500, "a-" * 3000])
async def test_a_flood_is_refused_or_understood_and_the_line_goes_on(store: Path, flood: str) -> None:
    async with opened(store) as (app, pilot):
        everything = rows(app)
        await typing(app, pilot)
        line(app).insert_text_at_cursor(flood)
        await pilot.pause()
        await until(pilot, lambda: "✖" in text(app) or rows(app) == 0, "what is wrong, or no run")
        await pilot.press("escape")
        await until(pilot, lambda: rows(app) == everything)
