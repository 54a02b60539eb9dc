"""What screens show of watched hosts and of the runs on them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.content import Content
from textual.pilot import Pilot

from lvmtui import host_words
from lvmtui.config import ViewOptions
from lvmtui.filters import chosen
from lvmtui.host_words import Standing
from lvmtui.messages import HostTried, OptionsChanged, RequestWithdrawn, RunOpened
from lvmtui.remote.hosts import global_id
from lvmtui.screens.dashboard import DashboardScreen
from lvmtui.screens.hosts import HostsScreen
from lvmtui.snapshot import Contact, HostView, PendingRequest, Snapshot
from lvmtui.widgets.cells import INK, MUTED
from lvmtui.widgets.host_line import host_line
from lvmtui.widgets.host_table import HostDetail, HostTable
from lvmtui.widgets.run_list import RunTable
from lvmtui.widgets.run_rows import RunCells, columns_for
from lvmtui.widgets.status_bar import StatusBar, status_line
from lvmtui.widgets.table_columns import Line, choose, fitted
from tests.tui import fleets, snapshots
from tests.tui.bench import Bench, BenchApp, bench, shown
from tests.tui.driving import opened, text, until
from tests.tui.fleets import GPU1, GPU2, GPU3, GPU4, HOSTS, NOW, SILENT
from tests.tui.stores import filled

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


class TestWords:
    @pytest.mark.parametrize(
        ("view", "how", "said"),
        [
            (GPU1, Standing.LIVE, "24 ms"),
            (GPU2, Standing.CONNECTING, "connecting"),
            (replace(GPU2, news=SILENT), Standing.CONNECTING, "connecting · last heard of 13:06"),
            (GPU3, Standing.OFFLINE, "no answer since 13:06 · next try 14:14:02"),
            (replace(GPU3, news=None, next_try=None), Standing.OFFLINE, "no answer"),
            (
                replace(GPU3, reason="", news=NOW - 90_000),
                Standing.OFFLINE,
                "no answer since 09-20 13:13 · next",
            ),
            (
                replace(GPU3, reason="it refuses connections"),
                Standing.OFFLINE,
                "offline since 13:06 · next try 14:14:02 · it refuses connections",
            ),
            (GPU4, Standing.READONLY, "read-only · 111 ms"),
            (replace(GPU1, is_whole=False), Standing.READING, "reading its runs"),
            (replace(GPU1, reason="no store there"), Standing.TROUBLE, "no store there"),
            (replace(GPU1, round_trip=0.0001), Standing.LIVE, "<1 ms"),
        ],
    )
    def test_of_a_host(self, view: HostView, how: Standing, said: str) -> None:
        assert host_words.standing(view) is how
        assert host_words.said(view, NOW)[0].startswith(said)

    def test_of_a_silent_run(self) -> None:
        by_id = {view.run.id: view for view in fleets.views()}
        silent, live = by_id[SILENCED], by_id[FAR]
        assert host_words.silence(silent, NOW) == (
            "gpu3 has not answered since 13:06: this is how it was then"
        )
        assert host_words.silence(by_id[global_id(3, 6)], NOW) == "gpu3 has not answered since 13:06"
        assert host_words.silence(live, NOW) == ""
        assert host_words.pending(silent) == "stop waits for gpu3"
        assert host_words.pending(replace(silent, pending=("stop", "note"))) == "stop, note wait for gpu3"

    def test_clocks_that_differ_little_count_as_equal(self) -> None:
        assert host_words.clock_difference(replace(GPU1, skew=1.9)) == ""
        assert host_words.clock_difference(replace(GPU1, skew=-12.0)) == "12s behind"
        assert host_words.clock_difference(GPU1) == "3m20s ahead"


class TestHostLine:
    @pytest.mark.parametrize("width", [40, 78, 118, 178])
    def test_it_fits_and_the_worst_come_first(self, width: int) -> None:
        line = host_line(HOSTS, NOW, width, INK)
        assert line.cell_len <= width
        assert line.plain.startswith("✖ gpu3")
        names = [name for name in ("gpu3", "gpu2", "gpu4", "gpu1") if name in line.plain]
        assert [line.plain.index(name) for name in names] == sorted(line.plain.index(name) for name in names)

    def test_it_fits_any_width_whatever_the_names_are(self) -> None:
        wide = replace(GPU3, name="登录节点-" * 5, reason="it refuses connections" * 9)
        for hosts_there in (HOSTS, (wide,), (*HOSTS, wide, *(fleets.host(f"n{k}") for k in range(9)))):
            for width in range(1, 200):
                assert host_line(hosts_there, NOW, width, INK).cell_len <= width

    def test_where_there_is_room_everything_is_said(self) -> None:
        assert host_line(HOSTS, NOW, 178, INK).plain == (
            "✖ gpu3 no answer since 13:06 · next try 14:14:02 · 1 request waits   ◌ gpu2 connecting   "
            "○ gpu4 read-only · 111 ms   ● gpu1 24 ms · 1 request waits"
        )

    def test_the_rest_is_counted(self) -> None:
        many = [fleets.host(f"node-{k:02}") for k in range(20)]
        line = host_line(many, NOW, 78, INK).plain
        named = line.count("node-")
        assert line.endswith(f"+{20 - named} more")
        assert named > 4

    async def test_it_stands_on_every_screen_only_where_hosts_are_watched(self) -> None:
        async with bench(DashboardScreen(), fleets.snapshot(), 17, (80, 24)) as place:
            bar = place.screen.query_one(StatusBar)
            assert bar.size.height == 2
            assert "✖ gpu3" in shown(bar)
            await place.give(fleets.snapshot(hosts=(), after=1))
            assert bar.size.height == 1
            assert "gpu3" not in shown(bar)

    async def test_runs_of_silent_hosts_are_counted_apart(self) -> None:
        line = status_line(fleets.snapshot(), 118, INK).plain
        assert "▶ 3 running  ◷ 1 queued  ? 2 silent  ✔" in line
        there = tuple(replace(host, contact=Contact.LIVE) for host in HOSTS)
        assert "silent" not in status_line(fleets.snapshot(hosts=there), 118, INK).plain

    async def test_time_alone_changes_nothing(self) -> None:
        """An idle dashboard paints nothing."""
        assert host_line(HOSTS, NOW, 118, INK) == host_line(HOSTS, NOW + 30, 118, INK)


class TestRunList:
    def columns(self, width: int, *, watches: bool = True, options: ViewOptions | None = None) -> list[str]:
        views = fleets.views()
        lines = [Line(str(view.run.id), RunCells(view, "name")) for view in views]
        columns = columns_for(options or ViewOptions(), views, watches=watches)
        return [column.key for column, _ in choose(columns, lines, width)]

    def test_the_column_of_hosts_takes_the_hosts_out_of_the_names(self) -> None:
        for width in (50, 76, 120):
            assert self.columns(width)[:2] == ["name_bare", "host_wide"]
        assert self.columns(20)[0] == "name"
        assert "host" not in self.columns(20)
        assert "host" not in self.columns(120, watches=False)
        assert self.columns(120, watches=False)[0] == "name"
        chosen_ones = ViewOptions(columns=("name", "host"))
        assert self.columns(60, options=chosen_ones) == ["name_bare", "host"]
        assert self.columns(60, options=ViewOptions(columns=("name", "state")))[0] == "name"

    def test_names(self) -> None:
        by_id = {view.run.id: view for view in fleets.views()}
        far, here = RunCells(by_id[FAR], "name"), RunCells(by_id[17], "name")
        assert far["name"].plain.endswith("phase-3 #17@gpu1")
        assert far["name_bare"].plain.startswith("▶")
        assert far["name_bare"].plain.endswith("phase-3 #17")
        assert (far["host"].plain, here["host"].plain) == ("gpu1", "box")
        assert far["id"].plain == here["id"].plain == "17"

    @pytest.mark.parametrize(
        ("text", "ids"),
        [
            ("host:gpu1", {FAR}),
            ("host=gpu4", {global_id(4, 3), global_id(4, 4)}),
            ("host:here", {view.run.id for view in snapshots.views()}),
            ("host:box", {view.run.id for view in snapshots.views()}),
            ("host!=here state:queued", {global_id(3, 8)}),
            ("host:gpu? id:17", {FAR}),
        ],
    )
    def test_filters(self, text: str, ids: set[int]) -> None:
        views, problem = chosen(fleets.views(), ViewOptions(filter=text))
        assert not problem
        assert {view.run.id for view in views} == ids

    def test_what_is_old_says_so(self) -> None:
        by_id = {view.run.id: view for view in fleets.views()}
        running, waiting = RunCells(by_id[SILENCED], "name", None, "13:06"), by_id[global_id(3, 8)]
        assert running["state"].plain == "stop waits"
        assert running["state_wide"].plain == "stop waits · running at 13:06?"
        assert running["name"].spans[0].style == MUTED
        assert running["left"].plain == ""
        assert RunCells(waiting, "name")["state_wide"].plain == "queued 13:06?"
        over = RunCells(by_id[global_id(3, 6)], "name")
        assert over["state"].plain == "early stop", "what is over stays so"

    def test_what_was_asked_says_so(self) -> None:
        far = next(view for view in fleets.views() if view.run.id == FAR)
        cells = RunCells(replace(far, pending=("stop",)), "name")
        assert cells["state"].plain == "stop waits"
        assert cells["state_wide"].plain == "stop waits for gpu1"

    def test_of_long_names_of_hosts_both_ends_stay(self) -> None:
        host = Content.styled("gpu-node-0017", MUTED)
        assert fitted(host, 8, keeps_end=True).plain == "gpu…0017"
        assert fitted(host, 15, keeps_end=True).plain == "gpu-node-0017  "
        assert fitted(Content("登录节点登录节点"), 8, keeps_end=True).cell_length == 8

    async def test_the_list_is_wider_where_hosts_are_watched(self) -> None:
        async with bench(DashboardScreen(), fleets.snapshot(), 17, (120, 36)) as place:
            width = place.screen.query_one("#runs").size.width
            await place.give(fleets.snapshot(hosts=(), after=1))
            await until(place.pilot, lambda: place.screen.query_one("#runs").size.width < width, "less room")

    async def test_b_groups_by_host_where_hosts_are_watched(self) -> None:
        async with bench(DashboardScreen(), fleets.snapshot(), 17, (180, 50)) as place:
            await settle(place.pilot)
            for _ in range(4):
                await place.pilot.press("b")
                await settle(place.pilot)
            assert place.app.options.group == "host"
            rows = shown(place.screen.query_one(RunTable)).splitlines()
            headings = [row.strip() for row in rows if "▾" in row and "run" in row and "▾ " in row[:4]]
            assert [heading.split()[1] for heading in headings] == ["box", "gpu3", "gpu1", "gpu4"]
            assert headings[1].endswith("1 running · ✖ since 13:06")
            assert headings[3].endswith("○ read-only")
            await place.pilot.press("b")
            await settle(place.pilot)
            assert place.app.options.group == ""

    async def test_without_hosts_there_is_no_such_group(self) -> None:
        async with bench(DashboardScreen(), snapshots.snapshot(), 17, (120, 36)) as place:
            await settle(place.pilot)
            for _ in range(4):
                await place.pilot.press("b")
                await settle(place.pilot)
            assert place.app.options.group == ""

    async def test_another_day_has_a_date(self) -> None:
        known = fleets.snapshot()
        views = tuple(
            replace(view, silent=NOW - 90_000, pending=()) if view.run.id == SILENCED else view
            for view in known.runs
        )
        async with bench(DashboardScreen(), replace(known, runs=views), SILENCED, (180, 50)) as place:
            await settle(place.pilot)
            assert "running at 09-20 13:13?" in shown(place.screen.query_one(RunTable))


class TestHostsScreen:
    @staticmethod
    def hosts(
        snapshot: Snapshot | None = None, size: tuple[int, int] = (120, 36)
    ) -> AbstractAsyncContextManager[Bench]:
        return bench(HostsScreen(), snapshot or fleets.snapshot(), 17, size)

    @pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
    async def test_every_host_is_there(self, size: tuple[int, int]) -> None:
        async with self.hosts(size=size) as place:
            rows = shown(place.screen.query_one(HostTable))
            for words in ("● gpu1  live", "◌ gpu2  connecting", "✖ gpu3  no answer since 13:06", "○ gpu4"):
                assert words in rows
            assert "stop phase-3 #7 · not sent yet" in rows
            assert "[bold]text[/bold" in rows
            assert "2 requests wait" in text(place.app)

    async def test_the_reason_and_what_to_do_stand_below(self) -> None:
        async with self.hosts() as place:
            await place.pilot.press("G")
            detail = place.screen.query_one(HostDetail)
            await until(place.pilot, lambda: "gpu4" in shown(detail))
            assert "Nothing can be changed there: lvmtui is not installed there" in shown(detail)
            await place.pilot.press("up", "up")
            await until(place.pilot, lambda: "Is the machine on" in shown(detail))
            assert "next try 14:14:02 · C tries now" in shown(detail)
            assert "stop phase-3 #7" in shown(detail)

    async def test_c_tries_now_only_what_does_not_answer(self) -> None:
        async with self.hosts() as place:
            await place.pilot.press("C")
            assert not place.posted(HostTried)
            assert not place.screen.applicable("try-host")
            await place.pilot.press("down", "down", "down", "C")
            await settle(place.pilot)
            assert place.screen.applicable("try-host")
            assert [message.host for message in place.posted(HostTried)] == ["gpu3"]  # type: ignore[attr-defined]

    async def test_w_takes_back_what_was_not_sent(self) -> None:
        async with self.hosts() as place:
            await place.pilot.press("down", "W")
            await settle(place.pilot)
            assert not place.posted(RequestWithdrawn), "it is on its way"
            await place.pilot.press("G", "up", "W")
            await settle(place.pilot)
            (message,) = place.posted(RequestWithdrawn)
            assert isinstance(message, RequestWithdrawn)
            assert (message.host, message.request_id) == ("gpu3", "a1")
            assert place.screen.cursor_run == SILENCED

    async def test_w_on_a_host_means_its_only_request(self) -> None:
        async with self.hosts() as place:
            await place.pilot.press("down", "down", "down", "W")
            await settle(place.pilot)
            assert [m.request_id for m in place.posted(RequestWithdrawn)] == ["a1"]  # type: ignore[attr-defined]

    async def test_of_several_one_must_be_chosen(self) -> None:
        more = replace(GPU3, pending=(*GPU3.pending, PendingRequest("c3", "kill phase-3 #7", SILENCED, NOW)))
        async with self.hosts(fleets.snapshot(hosts=(more,))) as place:
            await place.pilot.press("W")
            await settle(place.pilot)
            assert not place.posted(RequestWithdrawn)

    async def test_enter_shows_the_runs_of_the_host_or_the_run(self) -> None:
        async with self.hosts() as place:
            await place.pilot.press("enter")
            await settle(place.pilot)
            (changed,) = place.posted(OptionsChanged)
            assert isinstance(changed, OptionsChanged)
            assert changed.options.filter == "host=gpu1"
            await place.pilot.press("G", "up", "enter")
            await settle(place.pilot)
            assert [m.run_id for m in place.posted(RunOpened)] == [SILENCED]  # type: ignore[attr-defined]

    async def test_the_cursor_stays_on_its_host(self) -> None:
        async with self.hosts() as place:
            await place.pilot.press("G")
            changed = (replace(GPU1, pending=()), GPU2, GPU3, GPU4)
            await place.give(fleets.snapshot(hosts=changed, after=1))
            assert place.screen.query_one(HostTable).cursor == "gpu4"
            await place.pilot.press("up")
            assert place.screen.cursor_run == SILENCED
            changed = (replace(GPU1, pending=()), GPU2, replace(GPU3, pending=()), GPU4)
            await place.give(fleets.snapshot(hosts=changed, after=2))
            assert place.screen.query_one(HostTable).cursor == "gpu3", "its request was withdrawn"

    async def test_c_looks_again_where_lvmtui_was_not_installed(self) -> None:
        async with self.hosts(fleets.snapshot(hosts=(replace(GPU4, version=""),))) as place:
            await place.pilot.press("C")
            await settle(place.pilot)
            assert [message.host for message in place.posted(HostTried)] == ["gpu4"]  # type: ignore[attr-defined]

    async def test_text_from_far_away_is_text(self) -> None:
        nasty = replace(
            GPU3,
            reason="[red]no[/red] \x1b[31mway\x07",
            hint="\x1b]0;title\x07[@click=app.quit]x[/]",
            pending=(),
        )
        async with self.hosts(fleets.snapshot(hosts=(nasty,))) as place:
            words = text(place.app)
            assert "[red]no[/red] way" in words
            assert "[@click=app.quit]x[/]" in words
            assert "\x1b" not in words

    @pytest.mark.parametrize("size", [(80, 24), (120, 36)])
    async def test_without_hosts_it_says_how_to_add_one(self, size: tuple[int, int]) -> None:
        async with self.hosts(snapshots.snapshot(), size) as place:
            words = text(place.app)
            for said in ("lvmtui hosts add gpu1", "lvmtui --host gpu1", "no host is watched"):
                assert said in words
            await place.pilot.press("C", "W", "enter", "down")
            await settle(place.pilot)
            assert not place.posted(HostTried)
            assert not place.posted(RequestWithdrawn)

    async def test_six_shows_it(self, tmp_path: Path) -> None:
        async with opened(filled(tmp_path / "runs.db"), (80, 24)) as (app, pilot):
            assert "6 hosts" not in text(app)
            await pilot.press("6")
            await until(pilot, lambda: isinstance(app.screen, HostsScreen) and "no host" in text(app))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, DashboardScreen))

    async def test_readonly_withdraws_nothing(self) -> None:
        async with self.hosts() as place:
            place.app.readonly = True  # type: ignore[attr-defined]
            place.screen.refresh_bindings()
            await place.pilot.press("G", "up", "W")
            await settle(place.pilot)
            assert not place.posted(RequestWithdrawn)


class TestKeys:
    async def test_nothing_is_offered_that_the_host_would_refuse(self) -> None:
        fixed = global_id(4, 3)
        async with bench(DashboardScreen(), fleets.snapshot(), fixed, (180, 50)) as place:
            await settle(place.pilot)
            assert not place.screen.applicable("resume")
            changed = (GPU1, GPU2, GPU3, replace(GPU4, readonly=""))
            await place.give(fleets.snapshot(hosts=changed, after=1))
            assert place.screen.applicable("resume")

    async def test_what_was_asked_is_not_offered_again(self) -> None:
        async with bench(DashboardScreen(), fleets.snapshot(), SILENCED, (180, 50)) as place:
            await settle(place.pilot)
            assert not place.screen.applicable("stop")
            place.app.focused_run = FAR
            place.app.share()
            await settle(place.pilot)
            assert place.screen.applicable("stop")


async def test_an_empty_store_says_that_hosts_are_being_asked() -> None:
    empty = replace(snapshots.empty(), hosts=(GPU2, GPU3))
    async with bench(DashboardScreen(), empty, None, (80, 24)) as place:
        await settle(place.pilot)
        assert "Those of gpu2, gpu3 come as soon as they answer." in text(place.app)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("screen", [HostsScreen, DashboardScreen])
def test_pictures(
    snap_compare: Compare, screen: type[HostsScreen | DashboardScreen], size: tuple[int, int]
) -> None:
    app = BenchApp(screen(), fleets.snapshot(detailed=(SILENCED,)), SILENCED)
    assert snap_compare(app, terminal_size=size, run_before=settle)


def test_a_picture_without_colours(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = BenchApp(HostsScreen(), fleets.snapshot(), 17)
    app.ascii_only = True
    assert snap_compare(app, terminal_size=(80, 24), run_before=settle)
