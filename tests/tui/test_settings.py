"""The settings screen: every setting has its effect at once and survives a restart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmtui.config import LIST_SHARES, SMOOTHING, Config, ViewOptions, load_state
from lvmtui.paths import config_file
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.settings import SettingLine
from lvmtui.store.database import Database
from lvmtui.widgets.run_list import RunTable
from tests.tui.driving import opened, text, until
from tests.tui.stores import fill


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "runs.db"
    database = Database.open(path)
    fill(database)
    yield path
    database.close()


async def open_settings(pilot, app) -> None:
    await until(pilot, lambda: isinstance(app.focused, RunTable))
    await pilot.press("comma")
    await until(pilot, lambda: isinstance(app.focused, SettingLine))


def line(app, name: str) -> SettingLine:
    return next(item for item in app.screen.query(SettingLine) if item.setting.name == name)


async def test_each_setting_goes_round_and_comes_back(store: Path) -> None:
    async with opened(store) as (app, pilot):
        await open_settings(pilot, app)
        for item in app.screen.query(SettingLine):
            item.focus()
            start = item.setting.chosen()
            for _ in item.setting.choices:
                await pilot.press("right")
                await pilot.pause()
                assert item.place == item.setting.chosen(), item.setting.name
            assert item.setting.chosen() == start
            await pilot.press("left")
            await pilot.pause()
            assert item.setting.chosen() == (start - 1) % len(item.setting.choices)


async def test_what_the_config_file_says_at_each_start_is_said(store: Path) -> None:
    async with opened(store, config=Config(theme="paper")) as (app, pilot):
        await open_settings(pilot, app)
        assert "(each start: paper, by the config file)" in text(app)
    async with opened(store) as (app, pilot):
        await open_settings(pilot, app)
        assert "each start" not in text(app)


async def test_keys_mouse_and_persistence(store: Path) -> None:
    async with opened(store) as (app, pilot):
        await open_settings(pilot, app)
        theme = app.theme
        await pilot.press("enter")
        await until(pilot, lambda: app.theme != theme)
        assert app.theme in text(app)
        await pilot.press("down", "down", "space")
        await until(pilot, lambda: app.options.axis == "step")
        await pilot.press("j", "l", "l")
        await until(pilot, lambda: app.options.smoothing == SMOOTHING[2])
        await pilot.click(line(app, "logarithmic y"), offset=(25, 0))
        await until(pilot, lambda: app.options.log_y)
        before = app.options.list_share
        await pilot.click(line(app, "list of runs"), offset=(19, 0))
        await until(pilot, lambda: app.options.list_share < before)
        assert app.options.list_share == LIST_SHARES[LIST_SHARES.index(before) - 1]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        theme, options = app.theme, app.options
    assert load_state(str(store)).options == options
    async with opened(store) as (app, pilot):
        assert (app.theme, app.options) == (theme, options)
    other = store.with_name("other.db")
    Database.open(other).close()
    async with opened(other) as (app, pilot):
        assert app.theme == theme, "of all stores"
        assert app.options == ViewOptions(), "of each store"


async def test_ascii_at_once_and_back(store: Path) -> None:
    async with opened(store) as (app, pilot):
        await open_settings(pilot, app)
        await pilot.press("down", "right")
        await until(pilot, lambda: text(app).isascii(), "ASCII")
        await pilot.press("right")
        await until(pilot, lambda: "╭" in text(app), "the corners again")
        await pilot.press("right", "escape")
        await until(pilot, lambda: isinstance(app.screen, DashboardScreen))
        assert text(app).isascii()
    async with opened(store) as (app, pilot):
        assert app.ascii_only


async def test_what_the_config_file_says_is_shown(store: Path) -> None:
    config_file().parent.mkdir(parents=True)
    config_file().write_text("")
    config = Config(keys={"stop": "ctrl+s", "kill": "q"})
    async with opened(store, config=config, size=(180, 50)) as (app, pilot):
        await until(pilot, lambda: "q is the key of quit too" in text(app), "the warning at the start")
        await open_settings(pilot, app)
        shown = text(app)
        assert "stop: ^s" in shown
        assert "keys.kill: q is the key of quit too" in shown
        assert str(config_file())[:40] in shown
        assert "toast" in shown


async def test_small_terminals_can_reach_every_setting(store: Path) -> None:
    async with opened(store, size=(80, 24)) as (app, pilot):
        await open_settings(pilot, app)
        last = app.screen.query(SettingLine).last()
        await pilot.press("up")
        await until(pilot, lambda: app.focused is last, "the cursor on the last")
        await until(pilot, lambda: last.setting.name in text(app))
