"""The list of runs: many of them, hostile names, groups, columns, shelves; and the table under it."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual import events
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Region
from textual.pilot import Pilot
from textual.reactive import reactive
from textual.widgets import Input

from lvmtui.config import ViewOptions
from lvmtui.messages import OptionsChanged, RunFocused, RunMarked, RunOpened
from lvmtui.run_fields import FIELDS
from lvmtui.screens.annotate import AnnotateScreen, Annotation
from lvmtui.screens.columns import ColumnsScreen
from lvmtui.snapshot import RunView, Snapshot, State
from lvmtui.store.database import Database
from lvmtui.store.lifecycle import Result, Status
from lvmtui.themes import load_themes, to_textual_theme
from lvmtui.widgets.row_table import Column, Line, RowTable
from lvmtui.widgets.run_list import RunList, RunTable
from tests.tui import snapshots
from tests.tui.bench import shown
from tests.tui.driving import opened, until
from tests.tui.stores import new_run

HOSTILE = (
    "a" * 10_000,
    "שלום עולם " * 50,
    "\u202eevil\u202c",
    "[red]x[/red]",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "e\u0301\u0301\u0301" * 40,
    "👨\u200d👩\u200d👧\u200d👦" * 30,
    "☺\ufe0f" * 30,
    "👍\U0001f3fd" * 20,
    "漢字" * 40,
    "line\nbreak\ttab",
    "",
)


class Listed(App[None]):
    """Holds the state as the real App does."""

    CSS_PATH = "../../lvmtui/app.tcss"

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None)
    focused_run: reactive[int | None] = reactive[int | None](None)
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]](())
    options: reactive[ViewOptions] = reactive(ViewOptions())
    ascii_only = False

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[int] = []

    def compose(self) -> ComposeResult:
        yield RunList().data_bind(
            snapshot=Listed.snapshot,
            focused=Listed.focused_run,
            marked=Listed.marked,
            options=Listed.options,
        )

    def on_mount(self) -> None:
        for theme in load_themes()[0].values():
            self.register_theme(to_textual_theme(theme))
        self.theme = "lvm-dark"
        self.query_one(RunTable).focus()

    @property
    def table(self) -> RunTable:
        return self.screen_stack[0].query_one(RunTable)

    @property
    def ids(self) -> tuple[int, ...]:
        return self.screen_stack[0].query_one(RunList).shown_ids

    @property
    def rows(self) -> list[str]:
        """The lines in sight, without the header."""
        return [line.strip() for line in shown(self.table).splitlines()[1:] if line.strip()]

    def on_run_focused(self, message: RunFocused) -> None:
        self.focused_run = message.run_id

    def on_run_marked(self, message: RunMarked) -> None:
        self.marked = (*self.marked, message.run_id)

    def on_run_opened(self, message: RunOpened) -> None:
        self.opened.append(message.run_id)

    def on_options_changed(self, message: OptionsChanged) -> None:
        self.options = message.options

    def on_run_list_columns_wanted(self, message: RunList.ColumnsWanted) -> None:
        self.push_screen(ColumnsScreen(self.options, message.shown))


async def settle(pilot: Pilot[None]) -> None:
    for _ in range(4):
        await pilot.pause()


@asynccontextmanager
async def listed(
    views: Sequence[RunView] | None = None,
    size: tuple[int, int] = (120, 30),
    *,
    ascii_only: bool = False,
    **options: object,
) -> AsyncIterator[tuple[Listed, Pilot[None]]]:
    app = Listed()
    app.ascii_only = ascii_only
    app.options = ViewOptions(**options)  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        base = snapshots.snapshot()
        app.snapshot = base if views is None else replace(base, runs=tuple(views))
        await settle(pilot)
        yield app, pilot


def view(number: int, phase: str = "phase-3", score: float | None = 0.15, **changes: object) -> RunView:
    made = snapshots.view(snapshots.run(number, "phase-3", score))
    return replace(made, run=replace(made.run, phase=phase, **changes))  # type: ignore[arg-type]


def queued(number: int, **changes: object) -> RunView:
    gone = dict.fromkeys(("result", "host", "device", "pid", "heartbeat", "started", "ended"))
    made = view(number, score=None, status=Status.QUEUED, attempt=0, **{**gone, **changes})
    return replace(made, state=State.QUEUED)


def many(count: int) -> list[RunView]:
    chance = random.Random(0)
    pattern = snapshots.view(snapshots.run(1, "phase-3", 0.15))
    assert pattern.best is not None
    best = pattern.best
    return [
        replace(
            pattern,
            run=replace(pattern.run, id=n, phase=f"phase-{n % 5}", created=snapshots.NOW - 1000 + n),
            best=replace(best, hit5=chance.random() / 3),
        )
        for n in range(count, 0, -1)
    ]


class TestManyRuns:
    async def test_only_what_is_in_sight_is_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        written: list[int] = []
        from lvmtui.widgets import run_rows

        whole = run_rows.signs
        monkeypatch.setattr(
            run_rows, "signs", lambda view, mark=None: written.append(view.run.id) or whole(view, mark)
        )
        async with listed(many(3000)) as (app, pilot):
            first = len(set(written))
            assert first < 300
            await pilot.press("G")
            await settle(pilot)
            assert app.focused_run == 1
            assert len(set(written)) < first + 60

    async def test_the_cursor_and_the_sight_stay_when_rows_come_on_top(self) -> None:
        runs = many(500)
        async with listed(runs) as (app, pilot):
            await pilot.press(*["pagedown"] * 4)
            await settle(pilot)
            at, before = app.table.run_at_cursor, app.rows
            newer = [view(1000 + n, created=snapshots.NOW + n) for n in range(7)]
            app.snapshot = replace(snapshots.snapshot(), runs=(*newer, *runs))
            await settle(pilot)
            assert app.table.run_at_cursor == at
            assert [row.split()[2] for row in app.rows] == [row.split()[2] for row in before]

    async def test_what_the_wheel_brought_into_sight_stays_there(self) -> None:
        runs = many(500)
        async with listed(runs) as (app, pilot):
            app.table.scroll_to(y=200, animate=False)
            await settle(pilot)
            before = [row.split()[2] for row in app.rows]
            newer = view(1000, created=snapshots.NOW + 1)
            app.snapshot = replace(snapshots.snapshot(), runs=(newer, *runs))
            await settle(pilot)
            assert [row.split()[2] for row in app.rows] == before
            await pilot.press("down")
            await settle(pilot)
            assert app.table.cursor_region is not None, "a key brings the cursor back into sight"

    async def test_sorting_keeps_the_cursor_on_its_run_and_in_sight(self) -> None:
        async with listed(many(500)) as (app, pilot):
            await pilot.press("down", "down")
            await settle(pilot)
            at = app.table.run_at_cursor
            for sort in ("hit5", "name", "started"):
                app.options = replace(app.options, sort=sort)
                await settle(pilot)
                assert app.table.run_at_cursor == at
                assert app.table.cursor_region is not None

    async def test_a_wider_cell_that_comes_into_sight_gets_room(self) -> None:
        runs = many(1000)
        runs[777] = replace(runs[777], run=replace(runs[777].run, phase="a-very-long-name-of-a-phase"))
        async with listed(runs) as (app, pilot):
            app.table.scroll_to(y=770, animate=False)
            await settle(pilot)
            assert any("a-very-long-name-of-a-phase #223" in row for row in app.rows)

    async def test_one_changed_run_repaints_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        runs = many(500)
        async with listed(runs) as (app, pilot):
            painted: list[tuple[Region, ...]] = []
            table, whole = app.table, app.table.refresh
            monkeypatch.setattr(table, "refresh", lambda *r, **k: painted.append(r) or whole(*r, **k))
            base = replace(snapshots.empty(), protocols=snapshots.snapshot().protocols)
            app.snapshot = replace(base, runs=tuple(runs))
            await settle(pilot)
            assert painted == []
            assert runs[3].best is not None
            runs[3] = replace(runs[3], best=replace(runs[3].best, hit5=0.999))
            runs[300] = replace(runs[300], best=replace(runs[3].best, hit5=0.5))
            app.snapshot = replace(base, runs=tuple(runs), taken=base.taken + 1)
            await settle(pilot)
            assert [[region.y for region in regions] for regions in painted] == [[4]]

    @pytest.mark.parametrize("seed", range(3))
    async def test_what_is_on_the_screen_is_what_a_fresh_drawing_gives(self, seed: int) -> None:
        """Whatever comes, goes and moves: no line is left over from before, and the cursor is on its run."""
        chance, runs = random.Random(seed), many(60)
        base = snapshots.empty()
        async with listed(runs, (100, 20)) as (app, pilot):
            for step in range(25):
                await self.change_something(app, pilot, runs, chance)
                app.snapshot = replace(base, runs=tuple(runs), taken=base.taken + step)
                await settle(pilot)
                table = app.table
                drawn = [list(strip.simplify()) for strip in table.render_lines(table.size.region)]
                for kept in (table._styles_cache, table._strips, table._layout._written):
                    kept.clear()
                assert drawn == [list(strip.simplify()) for strip in table.render_lines(table.size.region)]
                assert (table.cursor is None) == (not table.lines)
                assert table.run_at_cursor in {None, app.focused_run}

    @staticmethod
    async def change_something(
        app: Listed, pilot: Pilot[None], runs: list[RunView], chance: random.Random
    ) -> None:
        place = chance.randrange(len(runs))
        match chance.randrange(9):
            case 0:
                del runs[place]
            case 1:
                number = 1 + max(item.run.id for item in runs)
                run = replace(runs[0].run, id=number, created=snapshots.NOW + number)
                runs.insert(0, replace(runs[0], run=run))
            case 2:
                best = runs[place].best
                assert best is not None
                runs[place] = replace(runs[place], best=replace(best, hit5=chance.random()))
            case 3:
                sort = chance.choice(["hit5", "name", "started"])
                app.options = replace(app.options, sort=sort, reverse=chance.random() < 0.5)
            case 4:
                app.options = replace(app.options, group=chance.choice(["", "phase", "tags"]))
            case 5:
                app.options = replace(app.options, filter=chance.choice(["", "phase:2", "zzz"]))
            case 6:
                app.table.scroll_to(y=chance.randrange(60), animate=False)
            case 7:
                await pilot.press(chance.choice(["j", "k", "g", "G", "pagedown", "left", "right", "enter"]))
            case 8:
                app.options = replace(app.options, columns=chance.choice([(), ("name", "mrr"), ("hit5",)]))


class TestHostileNames:
    @pytest.mark.parametrize("size", [(60, 16), (80, 24), (180, 50)])
    @pytest.mark.parametrize("columns", [(), ("name", "tags", "note", "error", "state")])
    async def test_every_row_is_one_line_of_the_right_width(
        self, size: tuple[int, int], columns: tuple[str, ...]
    ) -> None:
        runs = [view(n, name, tags=name, note=name) for n, name in enumerate(HOSTILE, 1)]
        async with listed(runs, size, columns=columns) as (app, _):
            width = app.table.scrollable_content_region.width
            strips = app.table.render_lines(Region(0, 0, *app.table.size))
            for strip in strips:
                assert cell_len(strip.text) == strip.cell_length
                assert cell_len(strip.text) in {width, app.table.size.width}
                assert not set(strip.text) & set("\x1b\u202e\u202c\u200d\n\t\x07")
            assert "[red]x[/red]" in shown(app.table)

    async def test_ascii(self) -> None:
        runs = [view(n, name, pinned=True, tags=name) for n, name in enumerate(HOSTILE, 1)]
        async with listed(runs, ascii_only=True, sort="hit5", group="tags") as (app, pilot):
            await pilot.press("j", "space")
            await settle(pilot)
            assert [sign for sign in shown(app.table) if not sign.isascii()] == []

    async def test_groups_of_hostile_tags(self) -> None:
        runs = [view(n, tags=name) for n, name in enumerate(HOSTILE, 1)]
        async with listed(runs, (80, 60), group="tags") as (app, _):
            assert len(app.ids) == len(HOSTILE)
            assert all(cell_len(row) <= 80 for row in app.rows)


class TestSorting:
    async def test_a_click_on_a_header_sorts_and_again_reverses(self) -> None:
        async with listed() as (app, pilot):
            header = shown(app.table).splitlines()[0]
            at = (header.index("Hit@5") + 2, 1)
            await pilot.click(RunList, offset=at)
            await settle(pilot)
            assert (app.options.sort, app.options.reverse) == ("hit5", False)
            assert "Hit@5 ▾" in shown(app.table).splitlines()[0]
            down = app.ids
            await pilot.click(RunList, offset=at)
            await settle(pilot)
            assert app.options.reverse
            assert "Hit@5 ▴" in shown(app.table).splitlines()[0]
            judged = [v.run.id for v in snapshots.views() if v.best is not None]
            scored = [i for i in app.ids if i in judged]
            assert scored != [i for i in down if i in judged]

    async def test_s_goes_through_the_columns_and_v_reverses(self) -> None:
        async with listed() as (app, pilot):
            seen = [app.options.sort]
            for _ in range(len(app.table.columns)):
                await pilot.press("s")
                await settle(pilot)
                seen.append(app.options.sort)
            assert seen[:3] == ["started", "name", "ctx"] or seen[1] == "name"
            assert {"hit5", "epoch", "state"} <= set(seen)
            assert seen.count("started") >= 2, "round and round"
            await pilot.press("v")
            await settle(pilot)
            assert app.options.reverse

    async def test_every_field_can_be_a_column_and_sorted_by(self) -> None:
        async with listed() as (app, pilot):
            for key, field in FIELDS.items():
                app.options = ViewOptions(columns=(key,), sort=key)
                await pilot.pause()
                await pilot.pause()
                assert len(app.ids) == len(snapshots.views())
                assert field.title in shown(app.table).splitlines()[0]

    async def test_pinned_runs_stand_first_with_a_sign(self) -> None:
        runs = [view(3), view(2), view(1, pinned=True)]
        async with listed(runs) as (app, _):
            assert app.ids[0] == 1
            assert "↑" in app.rows[0][:4]


class TestGroups:
    async def test_b_groups_by_phase_tag_recipe_and_not(self) -> None:
        runs = [view(3, "a", tags="x, y"), view(2, "b"), view(1, "a", tags="y")]
        async with listed(runs) as (app, pilot):
            await pilot.press("b")
            await settle(pilot)
            assert app.options.group == "phase"
            assert [row.split()[:2] for row in app.rows if row[0] == "▾"] == [["▾", "a"], ["▾", "b"]]
            assert "2 runs · best 15.0" in app.rows[0]
            assert app.ids == (3, 1, 2)
            await pilot.press("b")
            await settle(pilot)
            headings = [row for row in app.rows if row[0] == "▾"]
            assert [row.split()[1] for row in headings] == ["x", "y", "without"]
            assert "by first tag" in str(app.query_one(RunList).border_title)
            await pilot.press("b", "b")
            await settle(pilot)
            assert app.options.group == ""
            assert app.ids == (3, 2, 1)

    async def test_groups_fold_and_unfold(self) -> None:
        runs = [view(3, "a"), view(2, "b"), view(1, "a")]
        async with listed(runs, group="phase") as (app, pilot):
            await pilot.press("g", "enter")
            await settle(pilot)
            assert app.ids == (2,)
            assert app.rows[0].startswith("▸ a")
            await pilot.press("right")
            await settle(pilot)
            assert app.ids == (3, 1, 2)
            await pilot.press("down", "down", "left")
            await settle(pilot)
            assert app.ids == (2,)
            assert app.table.cursor == "group:phase:a"
            app.snapshot = replace(snapshots.snapshot(), runs=(*runs, view(9, "a")))
            await settle(pilot)
            assert app.table.cursor == "group:phase:a", "no reading moves the cursor"
            assert app.opened == []
            await pilot.press("space", "down", "enter")
            await settle(pilot)
            assert app.marked == ()
            assert app.opened == [2] or app.table.cursor == "group:phase:b"

    async def test_running_runs_are_counted(self) -> None:
        async with listed(group="phase") as (app, _):
            assert any("1 running" in row for row in app.rows)

    async def test_scores_of_several_protocols_have_no_best(self) -> None:
        first, second = view(2), view(1)
        assert first.best is not None
        other = replace(first, best=replace(first.best, protocol_id="other"))
        async with listed([other, second], group="phase") as (app, _):
            assert "several protocols" in app.rows[0]


class TestColumns:
    async def test_columns_are_chosen_ordered_and_reset(self) -> None:
        async with listed() as (app, pilot):
            await pilot.press("o")
            await settle(pilot)
            assert isinstance(app.screen, ColumnsScreen)
            table = app.screen.query_one(RowTable)
            first = [line.key for line in table.lines]
            assert set(first) == set(FIELDS)
            await pilot.press("space")
            await settle(pilot)
            assert "name" not in app.options.columns
            table.move_to("seed")
            await pilot.press("space")
            await settle(pilot)
            assert app.options.columns[-1] == "seed"
            assert "seed" in shown(app.table).splitlines()[0], "the list follows at once"
            await pilot.press(*["less_than_sign"] * 20)
            await settle(pilot)
            assert app.options.columns[0] == "seed"
            assert table.cursor == "seed"
            await pilot.press("r")
            await settle(pilot)
            assert app.options.columns == ()
            await pilot.press("escape")
            await settle(pilot)
            assert not isinstance(app.screen, ColumnsScreen)
            assert shown(app.table).splitlines()[0].split()[0] == "name"

    async def test_one_column_stays(self) -> None:
        async with listed(columns=("hit5",)) as (app, pilot):
            await pilot.press("o", "space")
            await settle(pilot)
            assert app.options.columns == ("hit5",)

    async def test_the_last_columns_go_first_where_there_is_no_room(self) -> None:
        columns = ("name", "hit5", "mrr", "params", "started", "ended", "model", "data", "recipe")
        async with listed(size=(60, 20), columns=columns) as (app, _):
            header = shown(app.table).splitlines()[0]
            assert header.split()[:3] == ["name", "Hit@5", "MRR"]
            assert "recipe" not in header

    async def test_unknown_columns_are_left_out(self) -> None:
        async with listed(columns=("nothing", "hit5")) as (app, _):
            assert shown(app.table).splitlines()[0].split() == ["Hit@5"]


class TestShelves:
    async def test_a_goes_through_runs_archive_and_trash(self) -> None:
        runs = [view(3), view(2, archived=True), view(1, trashed=snapshots.NOW)]
        async with listed(runs) as (app, pilot):
            titles = []
            for wanted in ((3,), (2,), (1,), (3,)):
                assert app.ids == wanted
                titles.append(str(app.query_one(RunList).border_title).split("  ")[0])
                await pilot.press("a")
                await settle(pilot)
            assert titles == ["Runs", "Archived runs", "Trash", "Runs"]

    @pytest.mark.parametrize(
        ("shelf", "said"),
        [("archived", "Nothing is archived"), ("trash", "The trash is empty"), ("runs", "in the trash")],
    )
    async def test_an_empty_shelf_says_what_it_is(self, shelf: str, said: str) -> None:
        runs = [] if shelf != "runs" else [view(1, trashed=1.0)]
        async with listed(runs or [view(1)], shelf=shelf) as (app, _):
            assert said in " ".join(app.rows)

    async def test_the_title_counts_what_the_filter_lets_through(self) -> None:
        async with listed([view(3), view(2, "a"), view(1, archived=True)], filter="phase=a") as (app, _):
            assert str(app.query_one(RunList).border_title).startswith("Runs 1/2  (filter: phase=a")


class TestStates:
    async def test_queued_runs_say_why_they_wait(self) -> None:
        running = snapshots.view(snapshots.run(7, "phase-1", 0.1, status=Status.RUNNING, result=None))
        async with listed([running, queued(2, held=True), queued(1, after=7)]) as (app, _):
            rows = {row.split("#")[1].split()[0]: row for row in app.rows}
            assert "held" in rows["2"]
            assert "after phase-1 #7" in rows["1"]

    async def test_lost_and_failed_runs_say_where_and_what_helps(self) -> None:
        for state in (State.LOST, State.FAILED):
            async with listed([replace(view(1), state=state)], (160, 20)) as (app, _):
                assert f"{state.value} at ep 23 · r resume" in app.rows[0]

    async def test_keys_typed_fast_do_not_lose_moves(self) -> None:
        async with listed(many(50)) as (app, pilot):
            assert app._driver is not None
            for _ in range(20):
                app._driver.send_message(events.Key("j", "j"))
            await settle(pilot)
            await settle(pilot)
            assert app.focused_run == 30
            assert app.table.run_at_cursor == 30


class TestAnnotating:
    async def test_it_opens_under_the_row_and_takes_a_paste(self) -> None:
        async with listed(many(50), (120, 30)) as (app, pilot):
            await pilot.press("down", "down")
            await settle(pilot)
            row = app.table.cursor_region
            assert row is not None
            answers: list[Annotation | None] = []
            app.push_screen(AnnotateScreen("phase-3 #1", Annotation("old", "a")), answers.append)
            await settle(pilot)
            box = app.screen.query_one("Vertical").region
            assert (box.x, box.y) == (row.x, row.bottom)
            note = app.screen.query_one("#note", Input)
            assert note.has_focus
            note.post_message(events.Paste(" [b]pasted[/b]\nsecond line"))
            await pilot.press("tab", "end", *",b", "enter")
            await settle(pilot)
            assert answers == [Annotation("old [b]pasted[/b]", "a,b")]

    async def test_over_the_last_row_and_escape_saves_nothing(self) -> None:
        async with listed(many(50), (80, 24)) as (app, pilot):
            await pilot.press("G")
            await settle(pilot)
            row = app.table.cursor_region
            assert row is not None
            answers: list[Annotation | None] = []
            app.push_screen(AnnotateScreen("x" * 5000, Annotation("", "")), answers.append)
            await settle(pilot)
            assert app.screen.query_one("Vertical").region.bottom == row.y
            await pilot.press(*"abc", "escape")
            await settle(pilot)
            assert answers == [None]


class Plain(App[None]):
    """A table alone."""

    def compose(self) -> ComposeResult:
        yield RowTable([Column("a", "a", sortable=True), Column("b", "b", right=True)], opens=True)


async def test_a_double_click_opens_and_the_wheel_scrolls() -> None:
    async with Plain().run_test(size=(40, 12)) as pilot:
        table = pilot.app.query_one(RowTable)
        opened: list[str] = []
        table.show([Line(str(n), {"a": Content(f"row {n}")}) for n in range(100)])
        await settle(pilot)
        table.action_open = lambda: opened.append(table.cursor or "")  # type: ignore[method-assign]
        await pilot.click(RowTable, offset=(3, 5), times=2)
        assert table.cursor == "4"
        assert opened == ["4"]
        table.scroll_down(animate=False)
        await settle(pilot)
        assert table.scroll_offset.y > 0
        assert table.cursor == "4"


async def test_a_key_typed_right_after_a_move_means_the_run_under_the_cursor(tmp_path: Path) -> None:
    store = tmp_path / "runs.db"
    database = Database.open(store)
    for number in range(3):
        new_run(database, f"phase-{number}").start().train(2).finish(Result.STOPPED)
    database.close()
    async with opened(store) as (app, pilot):
        await until(pilot, lambda: app.screen.query_one(RunTable).row_count == 3)
        table = app.screen.query_one(RunTable)
        table.focus()
        await until(pilot, lambda: table.has_focus and app.focused_run == table.run_at_cursor == 3)
        assert app._driver is not None
        for key in "jje":
            app._driver.send_message(events.Key(key, key))
        await until(pilot, lambda: isinstance(app.screen, AnnotateScreen))
        assert table.run_at_cursor == 1
        assert app.screen._run_name == "phase-0 #1"  # type: ignore[attr-defined]
