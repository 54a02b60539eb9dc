"""The dashboard over the local store and a host: one list, one leaderboard, marks that last, a quick end."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from lvmtui.app import LvmtuiApp, make_app
from lvmtui.config import load_state
from lvmtui.errors import UsageError
from lvmtui.messages import HostTried, RequestWithdrawn
from lvmtui.remote import fleet
from lvmtui.remote.hosts import Host
from lvmtui.snapshot import Contact, PendingRequest
from lvmtui.store.database import Database
from tests.remote.telling import told
from tests.remote.watching import Machines
from tests.tui.driving import text, until
from tests.tui.stores import filled, new_run

GPU1 = Host("gpu1", "gpu1")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("there") / "runs.db")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    store = tmp_path / "runs.db"
    database = Database.open(store)
    new_run(database, "local-phase").start().train(3)
    database.close()
    return store


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machines:
    """Hosts whose links do what a test says."""
    found = Machines(tmp_path / "hosts")
    monkeypatch.setattr(fleet, "opener", lambda ssh, readonly: found.open)
    return found


@asynccontextmanager
async def watching(store: Path, **options: Any) -> AsyncIterator[tuple[LvmtuiApp, Pilot[int]]]:
    app = LvmtuiApp(str(store), hosts=(GPU1,), **options)
    async with app.run_test(size=(150, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.fleet is not None and app.fleet.mirrors(), "the mirror")
        yield app, pilot


async def arrive(machines: Machines, app: LvmtuiApp, pilot: Pilot[int], there: Path) -> None:
    link = machines["gpu1"]
    link.show(contact=Contact.LIVE, news=None)
    link.come |= set(range(1, 99))
    link.say(told(there))
    link.show(is_whole=True)
    await until(pilot, lambda: app.snapshot and app.snapshot.hosts and app.snapshot.hosts[0].is_whole, "all")


def remote_run(app: LvmtuiApp, number: int) -> int:
    assert app.snapshot is not None
    return next(v.run.id for v in app.snapshot.runs if v.run.origin == "gpu1" and v.run.number == number)


async def test_runs_of_both_are_listed_and_looked_at(here: Path, there: Path, machines: Machines) -> None:
    async with watching(here) as (app, pilot):
        await until(pilot, lambda: "local-phase" in text(app), "the local run")
        await arrive(machines, app, pilot, there)
        await until(pilot, lambda: "gpu1" in text(app), "the host")
        run_id = remote_run(app, 1)
        app.focused_run = run_id
        app.share_state()
        await until(pilot, lambda: app.snapshot and run_id in app.snapshot.details, "its details")
        assert machines["gpu1"].wanted()[-1] == ([1], [], False)
        await until(pilot, lambda: "#1@gpu1" in text(app), "its name")
        assert str(run_id) not in text(app)
        await pilot.press("2")
        await until(pilot, lambda: "phase-2 #1@gpu1" in text(app), "the leaderboard")
        assert "local-phase #1" in text(app)
        await pilot.press("4")
        await until(pilot, lambda: machines["gpu1"].wanted()[-1][2], "its sensors are wanted")
        await pilot.press("1")
        await until(pilot, lambda: not machines["gpu1"].wanted()[-1][2], "and no longer")


async def test_marks_and_cursor_outlast_a_host_that_is_away(
    here: Path, there: Path, machines: Machines, tmp_path: Path
) -> None:
    async with watching(here) as (app, pilot):
        await arrive(machines, app, pilot, there)
        marked = (remote_run(app, 1), 1, remote_run(app, 2))
        app.marked, app.focused_run = marked, remote_run(app, 2)
        app.remember()
    assert load_state(str(here)).marked == marked
    async with watching(here) as (app, pilot):  # at once, from the mirror
        await until(pilot, lambda: set(app.marked) == set(marked), "the marks")
        await until(pilot, lambda: app.focused_run == marked[2], "the cursor")
    plain = LvmtuiApp(str(here))  # not watched this time
    async with plain.run_test(size=(150, 40)) as pilot:
        await until(pilot, lambda: plain.marked == (1,), "the local mark alone")
        plain.remember()
    assert set(load_state(str(here)).marked) == set(marked), "the others are kept"
    async with watching(here) as (app, pilot):
        await until(pilot, lambda: app.marked == marked, "all in their order")


async def test_marks_of_runs_that_a_host_has_deleted_go(here: Path, there: Path, machines: Machines) -> None:
    async with watching(here) as (app, pilot):
        await arrive(machines, app, pilot, there)
        gone = remote_run(app, 1)
        app.marked = (gone, 1)
        machines["gpu1"].say([{"m": "gone", "runs": [1]}])
        await until(pilot, lambda: app.marked == (1,), "the mark to go")
        assert app.marked_elsewhere == ()


async def test_a_host_that_goes_offline_is_told_and_its_rows_stay(
    here: Path, there: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lvmtui.alerts.hosts.PATIENCE_SECONDS", 0.3)
    async with watching(here) as (app, pilot):
        await arrive(machines, app, pilot, there)
        machines["gpu1"].show(contact=Contact.OFFLINE, news=5.0, reason="no route to host", is_whole=False)
        await until(pilot, lambda: "gpu1 cannot be reached: no route" in text(app), "the notice")
        assert app.snapshot is not None
        assert app.snapshot.view(remote_run(app, 1)).silent == 5.0  # type: ignore[union-attr]
        machines["gpu1"].show(contact=Contact.LIVE, news=None, reason="", is_whole=True)
        await until(pilot, lambda: "gpu1 is back after" in text(app), "its return")
        assert [alert.kind.value for alert in app.alerts] == ["host", "host"]


async def test_runs_of_both_are_compared(here: Path, there: Path, machines: Machines) -> None:
    async with watching(here) as (app, pilot):
        await arrive(machines, app, pilot, there)
        app.marked = (1, remote_run(app, 1))
        app.share_state()
        await pilot.press("3", "]")
        await until(pilot, lambda: "the ranks of its best evaluation are not stored" in text(app), "why not")


async def test_requests_are_withdrawn_and_hosts_tried(here: Path, there: Path, machines: Machines) -> None:
    async with watching(here) as (app, pilot):
        await arrive(machines, app, pilot, there)
        link = machines["gpu1"]
        link.show(pending=(PendingRequest("r1", "stop phase-2 #1@gpu1", remote_run(app, 1), 1.0),))
        app.post_message(RequestWithdrawn("gpu1", "r1"))
        app.post_message(HostTried("gpu1"))
        await until(pilot, lambda: ("retry",) in link.calls, "a try")
        assert ("withdraw", "r1") in link.calls
        app.post_message(RequestWithdrawn("gpu1", "r2"))
        await until(pilot, lambda: "Not withdrawn" in text(app), "that it is too late")


async def test_the_end_is_quick_where_a_host_hangs(here: Path, machines: Machines) -> None:
    released: list[bool] = []
    async with watching(here) as (app, pilot):
        link = machines["gpu1"]
        end = link.stop

        def hang() -> None:
            while not released:
                time.sleep(0.01)

        link.stop = hang  # type: ignore[method-assign]
        began = time.monotonic()
        app.exit()
        await until(pilot, lambda: not app.is_running, "the end")
        assert time.monotonic() - began < 5.0
    released.append(True)
    end()


def test_hosts_are_named_as_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LVMTUI_SSH", raising=False)
    (tmp_path / "lvmtui").mkdir()
    (tmp_path / "lvmtui" / "config.toml").write_text("[hosts.gpu1]\n[hosts.gpu2]\nwatch = false\n")
    store = str(tmp_path / "runs.db")
    assert [host.name for host in make_app(store).hosts] == ["gpu1"]
    assert make_app(store, hosts=()).hosts == ()
    assert make_app(store).ssh == ("ssh",)
    found = make_app(store, hosts=("gpu2", "me@big:x/runs.db")).hosts
    assert [(host.name, host.destination, host.store) for host in found] == [
        ("gpu2", "gpu2", ""),
        ("big", "me@big", "x/runs.db"),
    ]
    with pytest.raises(UsageError):
        make_app(store, hosts=("-oProxyCommand=x",))
