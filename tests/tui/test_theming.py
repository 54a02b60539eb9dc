"""Themes at work: files that change, break and are mended while the dashboard is open."""

from pathlib import Path

import pytest

from lvmtui.config import Config
from lvmtui.parts.theming import user_themes
from lvmtui.themes import DEFAULT_THEME, load_themes
from lvmtui.widgets.run_list import RunTable
from tests.tui import stores
from tests.tui.driving import opened, text, until

SHIPPED = load_themes()[0]


def mine(primary: str = "#123456", name: str = "mine") -> str:
    colours = {**SHIPPED[DEFAULT_THEME].colours, "primary": primary}
    lines = [f'{key} = "{value}"' for key, value in colours.items()]
    return "\n".join([f'name = "{name}"', "dark = true", *lines, '[series]\ncolours = ["#ffffff"]\n'])


async def test_a_theme_appears_changes_breaks_and_is_mended(tmp_path: Path) -> None:
    async with opened(tmp_path / "runs.db") as (app, pilot):
        assert "mine" not in app.own_themes
        user_themes().mkdir(parents=True)
        file = user_themes() / "mine.toml"
        file.write_text(mine())
        await until(pilot, lambda: "mine" in app.own_themes, "the theme")
        app.choose_theme("mine")
        await until(pilot, lambda: app.current_theme.primary == "#123456", "its colours")
        file.write_text(mine("#654321"))
        await until(pilot, lambda: app.current_theme.primary == "#654321", "the change")
        file.write_text(mine("purplish"))
        await until(pilot, lambda: "mine.toml: primary = 'purplish' is no colour" in text(app), "the toast")
        assert app.theme == "mine"
        assert app.current_theme.primary == "#654321", "it stays as it was"
        assert "mine" in app.own_themes
        told = len(app._notifications)
        (user_themes() / "other.toml").write_text(mine(name="other"))
        await until(pilot, lambda: "other" in app.own_themes, "the other theme")
        assert len(app._notifications) == told, "what is wrong is told once"
        file.write_text(mine("#abcdef"))
        await until(pilot, lambda: app.current_theme.primary == "#abcdef", "it is mended")
        file.unlink()
        await until(pilot, lambda: app.theme == DEFAULT_THEME, "the default in its place")
        assert "mine" not in app.own_themes


async def test_a_broken_theme_at_the_start_is_told_and_the_others_work(tmp_path: Path) -> None:
    user_themes().mkdir(parents=True)
    (user_themes() / "bad.toml").write_text("name = [")
    async with opened(tmp_path / "runs.db") as (app, pilot):
        await until(pilot, lambda: "bad.toml: not valid TOML" in text(app))
        assert set(app.own_themes) == set(SHIPPED)


@pytest.mark.parametrize("name", list(SHIPPED))
async def test_every_theme_draws_every_dialog(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / "runs.db", config=Config(theme=name)) as (app, pilot):
        assert app.theme == name
        for key, shown in (
            ("question_mark", "Help"),
            ("comma", "Settings"),
            ("ctrl+p", "Search for"),
        ):
            await pilot.press(key)
            await until(pilot, lambda shown=shown: shown in text(app), shown)  # type: ignore[misc]
            await pilot.press("escape")
            await until(pilot, lambda: len(app.screen_stack) == 1, "the dashboard")


@pytest.mark.parametrize("name", ["lvm-dark", "ansi"])
async def test_no_colour(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(tmp_path / "runs.db", config=Config(theme=name)) as (app, pilot):
        await pilot.pause()
        colours = {
            (colour.triplet.red, colour.triplet.green, colour.triplet.blue)
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None and colour.triplet is not None
        }
        assert all(red == green == blue for red, green, blue in colours)
        both = [
            (segment.style.color, segment.style.bgcolor)
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.text.strip() and segment.style.color and segment.style.bgcolor
        ]
        assert all(one.triplet != other.triplet for one, other in both if one.triplet), "it can be read"


@pytest.mark.parametrize("name", ["lvm-dark", "ansi"])
async def test_without_colour_the_cursor_is_reversed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    store = stores.filled(tmp_path / "runs.db")
    async with opened(store, config=Config(theme=name)) as (app, pilot):
        await until(pilot, lambda: app.screen.query_one(RunTable).cursor is not None, "the rows")
        await pilot.press("j")
        await pilot.pause()
        region = app.screen.query_one(RunTable).cursor_region
        assert region is not None
        reversed_rows = {
            y
            for y, strip in enumerate(app.screen._compositor.render_strips())
            for segment in strip
            if segment.style and segment.style.reverse and segment.text.strip()
        }
        assert reversed_rows == {region.y}


async def test_a_change_is_drawn(tmp_path: Path) -> None:
    user_themes().mkdir(parents=True)
    file = user_themes() / "mine.toml"
    file.write_text(mine("#20c0c0"))
    async with opened(tmp_path / "runs.db", config=Config(theme="mine")) as (app, pilot):
        await until(pilot, lambda: "#20c0c0" in app.export_screenshot().lower(), "the colour")
        file.write_text(mine("#c020c0"))
        await until(pilot, lambda: "#c020c0" in app.export_screenshot().lower(), "the changed colour")
