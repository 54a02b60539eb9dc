"""The leaderboard: groups, ranks, words, columns, and a cursor that stays where it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input, Static

from lvmtui.messages import RunFocused, RunMarked, RunOpened
from lvmtui.screens.diff import DiffScreen, recipe_differences
from lvmtui.screens.export import ExportScreen, FormatChoice, problem_of
from lvmtui.store.records import Interval, Versus
from lvmtui.versus import KEY, as_details
from lvmtui.widgets.leaderboard_rows import SORTS, next_sort, toggled_sort
from lvmtui.widgets.leaderboard_table import LeaderboardTable
from lvmtui.widgets.row_table import RowTable
from tests.tui import snapshots
from tests.tui.bench import Bench, shown, until


def table(bench: Bench) -> LeaderboardTable:
    return bench.screen.query_one(LeaderboardTable)


def rows(bench: Bench) -> list[str]:
    """Keys of the rows, without the headings."""
    return [line.key for line in table(bench).lines if line.heading is None]


async def test_runs_and_baselines_stand_in_order_of_score_within_their_protocol() -> None:
    async with Bench.leaderboard() as bench:
        first = rows(bench)[:11]
        assert first[:6] == [f"run:{number}" for number in (17, 15, 12, 14, 16, 11)]
        assert first[6] == f"baseline:{snapshots.MAIN}:ewm-whitened"
        assert first[8] == "run:9"
        assert rows(bench)[12:14] == ["run:7", "run:8"]
        text = shown(table(bench))
        assert "n 4 109 · pool 4 802" in text
        assert "Not comparable with the first group: " in text
        assert "17.9 [16.8, 19.1]" in text
        assert "▼ below baseline" in text
        assert "≈ within noise" in text
        assert "▲ exceeds target" in text
        assert "3♛" in text
        assert "#2, #3, #4 tied with #1" in text


@pytest.mark.parametrize(
    ("size", "there", "gone"),
    [
        ((80, 24), ("Hit@5 [95 %]", "skill", "verdict"), ("MRR", "params", "Hit@1 [95 %]")),
        ((120, 36), ("Hit@1", "Hit@10", "p95 ms", "skill", "gain"), ("Hit@10 [95 %]", "test Hit@5")),
        ((180, 50), ("skill", "test Hit@5", "ctx", "p95 ms", "best/ep", "MRR"), ()),
        ((230, 50), ("Hit@1 [95 %]", "Hit@10 [95 %]", "test Hit@5", "params", "phase"), ()),
    ],
)
async def test_columns_go_where_the_width_does_not_do(
    size: tuple[int, int], there: tuple[str, ...], gone: tuple[str, ...]
) -> None:
    async with Bench.leaderboard(size=size) as bench:
        lines = shown(table(bench)).splitlines()
        assert all(word in lines[1] for word in there)
        assert not any(word in lines[1] for word in gone)
        assert all(len(line) <= size[0] for line in lines)
        full = size[0] >= 180
        assert ("≈ within noise of its baseline" if full else "≈ within noise ") in "\n".join(lines)


async def test_findings_looks_and_test_scores_stand_beside_the_scores() -> None:
    async with Bench.leaderboard(size=(180, 50)) as bench:
        lines = shown(table(bench)).splitlines()
        by_name = {name: line for name in ("#17", "#12", "#15") for line in lines if f" {name} " in line}
        assert " !3 " in by_name["#17"]
        assert by_name["#12"].count("16.4 [15.3, 17.6]") == 2
        assert by_name["#15"].count("[") == 1
        assert any("(best baseline) · test split: 2 looks" in line for line in lines)
        assert any("test split: no look yet" in line for line in lines)


async def test_without_findings_and_test_scores_their_columns_are_left_out() -> None:
    base = snapshots.snapshot()
    plain = replace(base, runs=tuple(replace(view, findings=(), test=None) for view in base.runs))
    async with Bench.leaderboard(plain, size=(180, 50)) as bench:
        text = shown(table(bench))
        assert "test Hit@5" not in text
        assert "!3" not in text


async def test_a_paired_comparison_decides_and_its_lack_is_said() -> None:
    base = snapshots.snapshot()
    baseline = snapshots.baselines()[-1]
    compared = Versus("ewm-whitened", 0.003, Interval(0.001, 0.005), 0.01, context=baseline.context)
    views = tuple(
        replace(view, best=replace(view.best, details={KEY: as_details([compared])}))
        if view.run.id == 11 and view.best
        else view
        for view in base.runs
    )
    async with Bench.leaderboard(replace(base, runs=views), size=(230, 50)) as bench:
        lines = shown(table(bench)).splitlines()
        assert "↑ above its baseline" in next(line for line in lines if " phase-2 #11 " in line)
        said = " ".join(line.strip("│ ") for line in lines)
        assert "Verdicts on phase-3 #17, phase-2 #15, phase-2 #12, phase-2 #14 and 2 more: by each" in said


async def test_a_legacy_protocol_is_labelled_with_what_is_wrong() -> None:
    base = snapshots.snapshot()
    flaws = ["Windows overlap [bold]and[/bold] were split at random."]
    legacy = replace(base.protocols[snapshots.MAIN], name="window-v0", spec={"flaws": flaws})
    changed = replace(base, protocols={**base.protocols, snapshots.MAIN: legacy})
    async with Bench.leaderboard(changed) as bench:
        keys = [line.key for line in table(bench).lines if line.key.startswith("heading:")]
        assert keys == [f"heading:{snapshots.OTHER}", f"heading:{snapshots.MAIN}"]
        text = shown(table(bench))
        assert "window-v0 (legacy) on wikitext2 · validation · n 4 109 · pool 4 802" in text
        assert "! Windows overlap [bold]and[/bold] were split at random." in text


async def test_cursor_stays_on_its_run_when_ranks_change() -> None:
    async with Bench.leaderboard(focused=15) as bench:
        assert table(bench).cursor == "run:15"
        await bench.give(snapshots.changed(snapshots.snapshot(), 16, 0.199))
        assert rows(bench)[:3] == ["run:16", "run:17", "run:15"]
        assert table(bench).cursor == "run:15"
        assert not bench.posted(RunFocused)


async def test_moving_marking_and_opening_post_the_run() -> None:
    async with Bench.leaderboard() as bench:
        await bench.pilot.press("j", "down", "space", "enter")
        assert [m.run_id for m in bench.posted(RunFocused)] == [15, 12]  # type: ignore[attr-defined]
        assert [m.run_id for m in bench.posted(RunMarked)] == [12]  # type: ignore[attr-defined]
        assert [m.run_id for m in bench.posted(RunOpened)] == [12]  # type: ignore[attr-defined]
        assert "●  3♛" in shown(table(bench))
        await bench.pilot.press("G")
        assert table(bench).cursor == "run:8"
        await bench.pilot.press("g")
        assert table(bench).cursor == "run:17"


async def test_cursor_passes_over_headings_and_baselines() -> None:
    async with Bench.leaderboard(focused=11) as bench:
        await bench.pilot.press("down")
        assert table(bench).cursor == "run:9"
        await bench.pilot.press("down")
        assert table(bench).cursor == "run:7"


async def test_a_run_that_is_not_ranked_hands_the_cursor_over() -> None:
    async with Bench.leaderboard(focused=18) as bench:
        await bench.pilot.pause()
        assert bench.app.focused_run == 17
        assert table(bench).cursor == "run:17"


async def test_sort_by_key_and_by_click() -> None:
    async with Bench.leaderboard() as bench:
        bench.screen.change_options(leaderboard_sort="hit1")
        await bench.pilot.pause()
        assert rows(bench)[0] == "run:17"
        bench.screen.change_options(leaderboard_sort="-hit1")
        await bench.pilot.pause()
        assert rows(bench)[0] == f"baseline:{snapshots.MAIN}:mean"
        header = shown(table(bench)).splitlines()[1]
        await bench.pilot.click(LeaderboardTable, offset=(header.index("Hit@10"), 1))
        assert bench.app.options.leaderboard_sort == "hit10"
        await bench.pilot.click(LeaderboardTable, offset=(header.index("Hit@10"), 1))
        assert bench.app.options.leaderboard_sort == "-hit10"
        assert table(bench).cursor == "run:17"


async def test_latency_stands_with_its_place_and_can_be_sorted_by() -> None:
    async with Bench.leaderboard(size=(180, 50)) as bench:
        lines = shown(table(bench)).splitlines()
        by_name = {words[0]: line for line in lines if (words := [w for w in line.split() if "#" in w])}
        assert "2.16 cpu×2" in by_name["#17"]
        assert "0.470 cuda:0" in by_name["#12"]
        assert "  –  " in by_name["#16"]
        text = " ".join("".join(lines).replace("│", " ").split())
        assert "measured at different places, so these figures are not comparable" in text
        await bench.pilot.click(LeaderboardTable, offset=(lines[1].index("p95"), 1))
        assert bench.app.options.leaderboard_sort == "p95"
        await bench.pilot.pause()
        assert rows(bench)[:2] == ["run:12", "run:17"], "the fastest first, what was not measured last"


async def test_without_room_for_latency_its_note_is_left_out() -> None:
    async with Bench.leaderboard(size=(80, 24)) as bench:
        assert "p95" not in "".join(line.key + str(line.heading) for line in table(bench).lines)


async def test_without_a_measurement_there_is_no_column() -> None:
    base = snapshots.snapshot()
    bare = replace(base, runs=tuple(replace(view, latency=None) for view in base.runs))
    async with Bench.leaderboard(bare, size=(180, 50)) as bench:
        assert "p95" not in shown(table(bench))
        assert "params" in shown(table(bench))


def test_sorts_go_round() -> None:
    seen, sort = [], ""
    for _ in SORTS:
        seen.append(sort)
        sort = next_sort(sort, phases=True)
    assert sort == ""
    assert len(set(seen)) == len(SORTS)
    assert toggled_sort("", "rank") == "-rank"
    assert toggled_sort("-rank", "rank") == ""


async def test_phases_show_mean_and_sd_over_seeds() -> None:
    async with Bench.leaderboard(focused=12) as bench:
        await bench.pilot.press("p")
        text = shown(table(bench))
        assert "16.5 ± 0.6" in text
        assert "#2 and #1: no verdict: intervals overlap, fewer than 3 seeds" in text
        # The cursor stands on the row that the run is part of.
        assert table(bench).cursor == "run:15"
        assert bench.app.focused_run == 12
        assert rows(bench)[:3] == ["run:17", "run:15", "run:16"]


async def test_filter_keeps_ranks_and_baselines() -> None:
    async with Bench.leaderboard() as bench:
        await bench.pilot.press("slash", *"phase-2", "enter")
        assert bench.app.options.filter == "phase-2"
        assert [key for key in rows(bench) if key.startswith("run")] == [
            "run:15",
            "run:12",
            "run:14",
            "run:11",
        ]
        assert "    2    ✔ phase-2 #15" in shown(table(bench))
        assert bench.screen.focused is table(bench)
        await bench.pilot.press("slash", "escape")
        assert bench.app.options.filter == ""
        await bench.pilot.press("slash", *"nothing", "enter")
        assert "No run fits the filter" in shown(table(bench))


async def test_empty_states() -> None:
    async with Bench.leaderboard(snapshots.empty(), None) as bench:
        assert "n launches one" in shown(table(bench))
        await bench.pilot.press("w", "d", "s", "p", "down", "enter", "space")
        unjudged = tuple(replace(view, best=None) for view in snapshots.views())
        await bench.give(replace(snapshots.snapshot(), runs=unjudged))
        assert "No run has been judged yet" in shown(table(bench))


async def test_nothing_is_painted_when_nothing_changed() -> None:
    async with Bench.leaderboard() as bench:
        drawn = table(bench)._drawn
        refreshed = []
        table(bench).refresh = lambda *regions, **_: refreshed.append(regions) or table(bench)  # type: ignore[assignment,method-assign,return-value]
        same = snapshots.snapshot()
        await bench.give(replace(same, taken=same.taken + 1))
        assert refreshed == []
        await bench.give(snapshots.changed(same, 16, 0.143))
        assert len(refreshed) == 1
        assert len(table(bench)._drawn) == len(drawn)


async def test_names_are_text_and_never_markup() -> None:
    odd = snapshots.view(snapshots.run(30, "phase-3", 0.2))
    odd = replace(odd, run=replace(odd.run, phase="[red]\x1b[31mx[/]"))
    base = snapshots.snapshot()
    async with Bench.leaderboard(replace(base, runs=(odd, *base.runs)), 30, (180, 50)) as bench:
        text = shown(table(bench))
        assert "[red]x[/] #30" in text
        assert "\x1b" not in text


async def test_diff_shows_only_what_differs() -> None:
    async with Bench.leaderboard() as bench:
        bench.app.marked = (7, 8)
        bench.app.share()
        await bench.pilot.press("d")
        assert isinstance(bench.app.screen, DiffScreen)
        differing = bench.app.screen.query_one(RowTable)
        await until(lambda: any(line.key == "train.lr" for line in differing.lines))
        first = next(line.key for line in differing.lines if line.is_row)
        assert differing.cursor == first, "it opens at its top"
        assert differing.scroll_offset.y == 0
        await bench.pilot.pause()
        text = shown(differing)
        assert "0.0005" in text
        assert "0.0001" in text
        assert "context" not in text
        await bench.pilot.press("escape")
        bench.app.marked = ()
        bench.app.share()
        await bench.pilot.press("d")
        assert not isinstance(bench.app.screen, DiffScreen)


def test_differences_of_three_recipes() -> None:
    texts = [
        snapshots.recipe("a", context=context, seed=seed).to_json()
        for context, seed in ((100, 0), (500, 0), (100, 3))
    ]
    found = {item.field: item.values for item in recipe_differences(texts)}
    assert found == {"data.context": ("100", "500", "100"), "train.seed": ("0", "0", "3")}


async def test_export_writes_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with Bench.leaderboard() as bench:
        await bench.pilot.press("w")
        assert isinstance(bench.app.screen, ExportScreen)
        bench.app.screen.query_one(FormatChoice).focus()
        await bench.pilot.press("down", "up", "down")
        assert bench.app.screen.query_one(Input).value == "exports/leaderboard.csv"
        bench.app.screen.query_one(Input).focus()
        await bench.pilot.press("enter")
        written = tmp_path / "exports" / "leaderboard.csv"
        await until(written.exists)
        await bench.app.workers.wait_for_complete()
        assert "phase-3 #17" in written.read_text()

        written.write_text("mine")
        await bench.pilot.press("w")
        bench.app.screen.query_one(Input).value = "exports/leaderboard.csv"
        await bench.pilot.press("enter")
        assert isinstance(bench.app.screen, ExportScreen)
        assert "replaces it" in str(bench.app.screen.query_one("#export-problem", Static).content)
        assert written.read_text() == "mine"
        await bench.pilot.press("enter")
        await until(lambda: "phase-3 #17" in written.read_text())


def test_file_names_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert problem_of("new/board.md") == ""
    assert "Name a file" in problem_of("  ")
    assert "folder" in problem_of(str(tmp_path))
    assert "not a folder" in problem_of("file/board.md")
    assert "control" in problem_of("a\x1b[0m.md")
