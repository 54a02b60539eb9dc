"""The dashboard's panes: their widths, the border that can be dragged, and what a broken store does."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lvmtui.config import ViewOptions, load_state
from lvmtui.store.database import Database
from lvmtui.widgets.panes import LEAST_SHARE, MOST_SHARE, Panes
from lvmtui.widgets.run_list import RunTable
from tests.tui.driving import opened, text, until
from tests.tui.stores import Trainee, fill, new_run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def database(store: Path) -> Iterator[Database]:
    opened_store = Database.open(store)
    yield opened_store
    opened_store.close()


@pytest.fixture
def runs(database: Database) -> dict[str, Trainee]:
    return fill(database)


async def drag(pilot, app, by: int) -> None:
    """Drag the border of the list with the mouse."""
    runs = app.screen.query_one("#runs")
    x, y = runs.region.right - 1, runs.region.y + 3
    await pilot.mouse_down(offset=(x, y))
    assert app.screen.query_one(Panes).dragging
    for step in range(1, 5):
        await pilot.hover(offset=(x + by * step // 4, y))
    await pilot.mouse_up(offset=(x + by, y))
    await pilot.pause()


@pytest.mark.parametrize("size", [(120, 36), (180, 50), (100, 30)])
async def test_the_list_has_its_share(store: Path, runs: dict[str, Trainee], size: tuple[int, int]) -> None:
    async with opened(store, size=size) as (app, _pilot):
        width = app.screen.query_one("#runs").size.width
        assert abs(width / size[0] - ViewOptions().list_share) < 0.03
        assert app.screen.query_one("#log").region.right == size[0]


async def test_the_border_can_be_dragged_and_stays_there(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        before = app.screen.query_one("#runs").region.width
        await drag(pilot, app, 12)
        await until(pilot, lambda: app.options.list_share > 0.45, "the share")
        assert app.screen.query_one("#runs").region.width == before + 12
        assert not app.screen.query_one(Panes).dragging
        await drag(pilot, app, -24)
        await until(pilot, lambda: app.options.list_share < 0.35, "the share")
        width = app.screen.query_one("#runs").region.width
    assert load_state(str(store)).options.list_share == app.options.list_share
    async with opened(store) as (app, pilot):
        assert app.screen.query_one("#runs").region.width == width


async def test_no_pane_can_be_dragged_away(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await drag(pilot, app, 70)
        await until(pilot, lambda: app.options.list_share == MOST_SHARE)
        await drag(pilot, app, -88)
        await until(pilot, lambda: app.options.list_share == LEAST_SHARE)


async def test_a_click_beside_the_border_is_no_drag(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await pilot.mouse_down(offset=(20, 6))
        assert not app.screen.query_one(Panes).dragging
        await pilot.mouse_up(offset=(20, 6))
    async with opened(store, size=(80, 24)) as (app, pilot):
        await pilot.mouse_down(offset=(79, 4))
        assert not app.screen.query_one(Panes).dragging
        await pilot.mouse_up(offset=(79, 4))


async def test_it_goes_from_wide_to_narrow_and_back(store: Path, runs: dict[str, Trainee]) -> None:
    async with opened(store) as (app, pilot):
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: app.screen.query_one("#runs").region.width == 80, "one column")
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: "terminal too small: 40x10" in text(app))
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: app.screen.query_one("#runs").region.width == 48, "three columns")
        assert "too small" not in text(app)


async def test_a_store_that_vanishes_is_told_over_the_panes_until_it_is_back(
    store: Path, database: Database, runs: dict[str, Trainee]
) -> None:
    database.close()
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: isinstance(app.focused, RunTable))
        aside = store.with_name("aside.db")
        store.rename(aside)
        await until(pilot, lambda: "⚠" in text(app).splitlines()[1], "the banner")
        assert "was removed" in text(app).splitlines()[1]
        assert "phase-3" in text(app), "the last reading stays"
        shutil.copy(aside, store)
        await until(pilot, lambda: "⚠" not in text(app), "its end")
        assert app.screen.query_one("#panes").region.y == 1


async def test_a_store_that_is_replaced_is_read_anew(store: Path, database: Database) -> None:
    new_run(database, "phase-1").start().train(1)
    database.close()
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "phase-1 #1" in text(app))
        other = store.with_name("other.db")
        made = Database.open(other)
        new_run(made, "phase-3").start().train(1)
        made.close()
        for suffix in ("-wal", "-shm"):
            store.with_name(store.name + suffix).unlink(missing_ok=True)
        other.replace(store)
        await until(pilot, lambda: "phase-3 #1" in text(app), "the other store's run")


async def test_a_store_that_is_damaged_is_told_and_recovers(store: Path, database: Database) -> None:
    new_run(database, "phase-1").start().train(1)
    database.close()
    good = store.read_bytes()
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: "phase-1 #1" in text(app))
        store.unlink()
        store.write_bytes(b"nonsense" * 2000)
        await until(pilot, lambda: "⚠" in text(app), "the banner")
        await pilot.press("2")
        await until(pilot, lambda: "⚠" in text(app).splitlines()[1], "the banner on the leaderboard")
        store.unlink()
        store.write_bytes(good)
        await until(pilot, lambda: "⚠" not in text(app), "its end")
