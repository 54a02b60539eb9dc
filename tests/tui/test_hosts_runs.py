"""What the screens of runs and devices show of runs on watched hosts."""

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from lvmtui.host_processes import HostReading
from lvmtui.remote.hosts import global_id
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.devices import DevicesScreen
from lvmtui.screens.leaderboard import LeaderboardScreen
from lvmtui.screens.run import RunScreen
from lvmtui.snapshot import RunDetail, Snapshot
from lvmtui.widgets.checkpoints_table import CheckpointsTable
from lvmtui.widgets.device_rows import Past, hosts
from tests.tui import fleets
from tests.tui.bench import Bench, bench, shown
from tests.tui.driving import text, until
from tests.tui.fleets import NOW

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 36), (180, 50)]
FAR = global_id(1, 17)
"""A run on gpu1."""
SILENCED = global_id(3, 7)
"""One on gpu3, which does not answer."""

pytestmark = pytest.mark.usefixtures("fixed_surroundings")


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(5):
        await pilot.pause()


class TestSummary:
    @pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
    async def test_the_dashboard_says_how_old_it_is(self, size: tuple[int, int]) -> None:
        async with bench(DashboardScreen(), fleets.snapshot(), SILENCED, size) as place:
            if size[0] < 100:
                await place.pilot.press("tab")
            await settle(place.pilot)
            words = " ".join(text(place.app).split())
            assert "gpu3 has not answered since 13:06" in words
            assert "stop waits for gpu3" in words

    async def test_the_header_has_a_third_line_only_then(self) -> None:
        async with bench(RunScreen(), fleets.snapshot(detailed=(SILENCED, 17)), SILENCED, (120, 36)) as place:
            await settle(place.pilot)
            said = "gpu3 has not answered since 13:06: this is how it was then · stop waits for gpu3"
            assert said in text(place.app)
            assert "running?" in text(place.app)
            place.app.focused_run = 17
            place.app.share()
            await settle(place.pilot)
            assert said not in text(place.app)
            assert place.screen.query_one("RunHeader").size.height == 2


class TestRunScreen:
    @staticmethod
    def run_screen(snapshot: Snapshot, run_id: int = FAR) -> AbstractAsyncContextManager[Bench]:
        return bench(RunScreen(), snapshot, run_id, (180, 50))

    async def test_what_has_not_come_is_asked_for(self) -> None:
        known = fleets.snapshot(detailed=())
        async with self.run_screen(known) as place:
            await settle(place.pilot)
            assert "asking gpu1…" in text(place.app)
            await place.give(replace(known, taken=NOW + 1, details={FAR: RunDetail()}))
            for tab in ("Epochs", "Checkpoints"):
                await place.pilot.press("right_square_bracket")
                await settle(place.pilot)
                assert f"▸{tab}" in text(place.app)
                assert "asking gpu1…" in text(place.app)
            await place.pilot.press("right_square_bracket")
            await settle(place.pilot)
            assert "[model]" in text(place.app), "the recipe comes with the list"
            await place.pilot.press("left_square_bracket")
            await place.give(fleets.snapshot(detailed=(FAR,), after=2))
            await settle(place.pilot)
            assert "★ best" in text(place.app)

    async def test_where_nobody_answers_that_is_said(self) -> None:
        async with self.run_screen(fleets.snapshot(detailed=()), SILENCED) as place:
            await settle(place.pilot)
            assert "gpu3 has not answered since 13:06; this is asked for as soon as it does." in text(
                place.app
            )

    async def test_checkpoints_say_where_they_are_and_are_not_read(self) -> None:
        async with self.run_screen(fleets.snapshot(detailed=(FAR,))) as place:
            await place.pilot.press("right_square_bracket", "right_square_bracket")
            await settle(place.pilot)
            words = text(place.app)
            assert "files are on gpu1 in /home/me/gpu1" in words
            assert "gpu1:/home/me/gpu1/" in words
            table = place.screen.query_one(CheckpointsTable)
            assert "on gpu1" in shown(table)
            assert table.copied().startswith("gpu1:/home/me/gpu1/")
            await place.pilot.press("enter")
            await settle(place.pilot)
            assert not place.app.workers._workers
            assert "checking" not in text(place.app)

    async def test_a_recipe_is_not_held_against_the_phase_here_as_if_it_were_its_own(self) -> None:
        async with self.run_screen(fleets.snapshot(detailed=(FAR,))) as place:
            await place.pilot.press(*["right_square_bracket"] * 3)
            await until(place.pilot, lambda: "the phase here says" in text(place.app))
            assert "the phase now says" not in text(place.app)


class TestDevices:
    async def test_watched_hosts_stand_below_this_one(self) -> None:
        def here(_: Collection[int]) -> HostReading:
            return HostReading("box", NOW, (fleets.sample("box", "cpu", 0.0),))

        async with bench(DevicesScreen(here), fleets.snapshot(), 17, (120, 36)) as place:
            await until(place.pilot, lambda: "box · this host" in text(place.app))
            words = text(place.app)
            assert "gpu1 · ● live" in words
            assert "gpu2 · ◌ connecting · nothing was read of it yet" in words
            assert "gpu3 · ✖ no answer since 13:06 · next try 14:14:02 · its last readings" in words
            assert "gpu4 · ○ read-only · no readings" in words
            assert (
                words.index("box ·") < words.index("gpu1 ·") < words.index("gpu2 ·") < words.index("gpu4 ·")
            )

    def test_processes_have_the_names_of_the_runs_there(self) -> None:
        known, past = fleets.snapshot(), Past()
        for view in known.devices:
            past.add(view.recent, NOW)
        rows = {row.name: row for row in hosts(known, None, past, NOW)}
        (gpu, _) = rows["gpu1"].devices
        assert [(p.what, p.run_id) for p in gpu.processes] == [("phase-3 #17", FAR)]
        assert not gpu.stale
        assert rows["gpu3"].devices[0].stale
        assert rows["gpu2"].devices == ()

    def test_a_run_elsewhere_is_no_process_of_a_machine_of_the_same_name(self) -> None:
        views = tuple(
            replace(view, run=replace(view.run, host="gpu1", origin="")) if view.run.id == 16 else view
            for view in fleets.views()
        )
        past = Past()
        past.add([fleets.sample("gpu3", "gpu0", 0.0)], NOW)
        (row,) = [r for r in hosts(replace(fleets.snapshot(), runs=views), None, past, NOW) if r.devices]
        assert [process.run_id for process in row.devices[0].processes] == [SILENCED]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_leaderboard_does_not_cut_the_hosts_off(size: tuple[int, int]) -> None:
    async with bench(LeaderboardScreen(), fleets.snapshot(), 17, size) as place:
        await settle(place.pilot)
        assert "phase-3 #17@gpu1" in text(place.app)
