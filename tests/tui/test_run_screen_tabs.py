"""The tabs of a run's screen that are views of their own: log, recipe, checkpoints, evaluation."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input

from lvmtui.leaderboard.protocols import protocol_words
from lvmtui.screens.run import TABS
from lvmtui.snapshot import Snapshot
from lvmtui.widgets.audit_view import AuditView, FindingsList, LagCurve
from lvmtui.widgets.checkpoints_table import CheckpointsTable
from lvmtui.widgets.evaluation_view import EvaluationView, ScorePanel
from lvmtui.widgets.latency_table import LatencyTable
from lvmtui.widgets.log_view import LogLines, LogView, dropped
from lvmtui.widgets.recipe_view import Reference, recipe_lines
from lvmtui.widgets.slices_table import SlicesTable
from tests.tui import snapshots
from tests.tui.bench import Bench, shown, until


async def opened(bench: Bench, tab: str) -> None:
    for _ in range(list(TABS).index(tab)):
        await bench.pilot.press("right_square_bracket")
    await bench.pilot.pause()


async def test_search_in_log_goes_from_match_to_match() -> None:
    async with Bench.run_screen() as bench:
        await opened(bench, "log")
        await bench.pilot.press("slash", *"ep 1")
        lines = bench.screen.query_one(LogLines)
        assert bench.screen.query_one("#log-search", Input).value == "ep 1"
        assert [lines.text[i][9:14] for i in lines.matches][:2] == ["ep 1 ", "ep 10"]
        assert lines.current == lines.matches[-1]
        await bench.pilot.press("up")
        assert lines.current == lines.matches[-2]
        await bench.pilot.press("escape")
        assert not bench.screen.query_one(LogView).has_class("-searching")
        assert not lines.matches
        assert bench.screen.focused is lines


async def test_log_is_followed_only_from_its_end() -> None:
    base = snapshots.snapshot()
    long = replace(base.details[17], log=tuple(f"line {i}" for i in range(200)))
    async with Bench.run_screen(with_detail(base, long)) as bench:
        await opened(bench, "log")
        lines = bench.screen.query_one(LogLines)
        assert lines.follows
        assert "line 199" in shown(lines)
        more = replace(long, log=(*long.log[3:], "line 200", "line 201", "line 202"))
        await bench.give(with_detail(base, more))
        await bench.pilot.pause()
        assert "line 202" in shown(lines)
        await bench.pilot.press("g")
        await bench.pilot.press("j", "j", "j", "j", "j")
        top = shown(lines).splitlines()[0]
        assert top == "line 8"
        await bench.give(with_detail(base, replace(more, log=(*more.log[2:], "line 203", "line 204"))))
        await bench.pilot.pause()
        assert shown(lines).splitlines()[0] == top
        assert not lines.follows


def with_detail(base: Snapshot, detail: object) -> Snapshot:
    return replace(base, details={17: detail})  # type: ignore[dict-item]


def test_dropped_lines_are_counted() -> None:
    assert dropped(("a", "b", "c"), ("a", "b", "c", "d")) == 0
    assert dropped(("a", "b", "c"), ("b", "c", "d")) == 1
    assert dropped(("a", "b"), ("x",)) == 2
    assert dropped((), ("x",)) == 0


def test_recipe_says_what_was_overridden_and_what_it_was() -> None:
    run = snapshots.run(7, "brown-1", 0.2, train__lr="0.0005")
    reference = Reference({"train.lr": "0.0001", "data.path": '"demo"'}, {"train.lr": "peak learning rate"})
    lines = {line.key: line for line in recipe_lines(run, reference)}
    assert lines["train.lr"].cells["was"].plain == "◆ overridden, was 0.0001"
    assert lines["train.lr"].cells["value"].plain == "0.0005"
    assert lines["data.path"].cells["was"].plain == 'the phase now says "demo"'
    assert lines["train.clip"].cells["was"].plain == ""
    broken = recipe_lines(replace(run, recipe="{"), None)
    assert broken[0].heading is not None
    assert "not readable" in broken[0].heading.plain


async def test_recipe_reads_the_phase_in_a_thread() -> None:
    async with Bench.run_screen() as bench:
        await opened(bench, "recipe")
        from lvmtui.widgets.recipe_view import RecipeView

        view = bench.screen.query_one(RecipeView)
        await until(
            lambda: (
                "folder of a vector set"
                in "".join(c.plain for line in view.lines for c in line.cells.values())
            )
        )
        text = shown(view)
        assert "[data]" in text
        assert '"wikitext2"' in text
        assert text.index("[data]") < text.index("[model]")


async def test_checkpoint_files_are_compared_on_demand(tmp_path: Path) -> None:
    base = snapshots.snapshot()
    good = tmp_path / "good.safetensors"
    good.write_bytes(b"weights")
    (tmp_path / "bad.safetensors").write_bytes(b"other")
    best, last = base.details[17].checkpoints
    sha256 = hashlib.sha256(b"weights").hexdigest()
    checkpoints = (
        replace(best, path="good.safetensors", sha256=sha256),
        replace(last, path="bad.safetensors", sha256=sha256),
        replace(last, path="gone.safetensors", id=999, is_last=False),
    )
    taken = replace(base, store=str(tmp_path / "runs.db"))
    async with Bench.run_screen(
        with_detail(taken, replace(base.details[17], checkpoints=checkpoints))
    ) as bench:
        await opened(bench, "checkpoints")
        table = bench.screen.query_one(CheckpointsTable)
        assert shown(table).count("not checked") == 3
        await bench.pilot.press("enter", "down", "enter", "down", "enter")
        await until(lambda: "not checked" not in shown(table) and "checking" not in shown(table))
        text = shown(table)
        assert "✖ missing" in text
        assert "✖ damaged" in text
        assert "✔ as recorded" in text
        assert "★ best" in text


async def test_evaluation_tells_verdict_skill_and_audit() -> None:
    async with Bench.run_screen(size=(120, 36)) as bench:
        await opened(bench, "evaluation")
        text = " ".join(line.plain.strip() for line in bench.screen.query_one(ScorePanel).lines)
        assert "above its baseline: Hit@5 +6.1 against ewm-whitened" in text
        assert "skill +6.9 %" in text
        assert "! audit: 3 warnings: few-steps" in text


async def test_any_k_can_be_read() -> None:
    async with Bench.run_screen() as bench:
        await opened(bench, "evaluation")
        view = bench.screen.query_one(EvaluationView)
        assert view.k == 5
        assert "Hit@5 17.9 ─ best baseline 11.8 ─ gain +6.1" in view._said()
        await bench.pilot.press("right", "right")
        assert view.k == 7
        assert "Hit@7 20.3" in view._said()


@pytest.mark.parametrize(("tab", "widget"), [("evaluation", EvaluationView), ("audit", AuditView)])
async def test_what_does_not_fit_is_scrolled_to_by_key(
    tab: str, widget: type[EvaluationView | AuditView]
) -> None:
    async with Bench.run_screen(size=(80, 24)) as bench:
        await opened(bench, tab)
        view = bench.screen.query_one(widget)
        await bench.pilot.press("j", "j")
        assert view.scroll_offset.y == 2
        await bench.pilot.press("k")
        assert view.scroll_offset.y == 1
        await bench.pilot.press("G")
        assert view.scroll_offset.y == view.max_scroll_y > 2


async def test_the_end_of_long_lines_of_the_log_is_reached_by_key() -> None:
    base = snapshots.snapshot()
    long = replace(base.details[17], log=("x" * 150 + "the end",))
    async with Bench.run_screen(with_detail(base, long)) as bench:
        await opened(bench, "log")
        lines = bench.screen.query_one(LogLines)
        assert "the end" not in shown(lines)
        await bench.pilot.press("l", "l", "l")
        assert "the end" in shown(lines)
        await bench.pilot.press("h", "h", "h")
        assert lines.scroll_offset.x == 0


def test_protocol_in_words() -> None:
    words = " ".join(protocol_words(snapshots.protocol(), snapshots.evaluation(0.1)))
    assert "4 109 queries in 61 documents" in words
    assert "1.3 % of the targets have a near duplicate in the pool (cosine above 0.98)" in words
    assert "Ties count against the model" in words
    assert "bootstrap over documents" in words


async def test_audit_tells_what_is_wrong_worst_first_and_what_to_do() -> None:
    async with Bench.run_screen(size=(120, 36)) as bench:
        await opened(bench, "audit")
        text = str(bench.screen.query_one(FindingsList).content)
        assert text.splitlines()[0] == "! 3 warnings; 3 checks of the data passed"
        assert text.index("few-steps") < text.index("near-duplicates") < text.index("\npassed")
        assert "→ Remove the duplicated documents" in text
        assert "[bold]not markup[/bold]" in text
        curve = bench.screen.query_one(LagCurve)
        assert "nothing beyond lag 100" in curve.heading()
        assert "chance" in shown(curve)
        assert "1000" in shown(curve).splitlines()[-2]


async def test_without_an_audit_its_tab_says_how_to_make_one() -> None:
    base = replace(snapshots.snapshot(), audits={})
    base = replace(base, runs=tuple(replace(view, findings=()) for view in base.runs))
    async with Bench.run_screen(base, size=(80, 24)) as bench:
        await opened(bench, "audit")
        assert "not audited yet" in str(bench.screen.query_one(FindingsList).content)
        assert not bench.screen.query_one(LagCurve).display


async def test_slices_stand_under_what_was_cut() -> None:
    async with Bench.run_screen(size=(100, 30)) as bench:
        await opened(bench, "slices")
        lines = shown(bench.screen.query_one(SlicesTable)).splitlines()
        assert "k-means" in lines[1]
        assert lines[2].split()[:3] == ["lane", "0", "1"]
        assert "+6.0" in lines[2]
        assert any("position" in line for line in lines), lines


async def test_experts_stand_under_the_lanes_with_their_queries() -> None:
    base = snapshots.snapshot()
    (view,) = (item for item in base.runs if item.run.id == 17)
    assert view.best is not None
    lane = {"name": "law[red]\x1b[2J", "n": 1204, "share": [0.25, 0.75]}
    use = {"source": "given", "share": [0.25, 0.75], "lanes": [lane]}
    best = replace(view.best, details={**view.best.details, "experts": use})
    runs = tuple(replace(item, best=best) if item is view else item for item in base.runs)
    async with Bench.run_screen(replace(base, runs=runs), size=(100, 30)) as bench:
        await opened(bench, "slices")
        text = shown(bench.screen.query_one(SlicesTable))
        lines = text.splitlines()
        place = next(i for i, line in enumerate(lines) if line.split()[:1] == ["experts"])
        assert "asked for the targets of each lane: given" in lines[place]
        assert "all  n 1 204: expert 2 75.0 %, expert 1 25.0 %" in lines[place + 1]
        assert "law[red]" in lines[place + 2]
        assert "\x1b" not in text
        assert any("position" in line for line in lines[place + 3 :])


async def test_latencies_stand_bench_by_bench_with_what_was_refused() -> None:
    base = snapshots.snapshot()
    measured = base.details[17].latencies
    evil = replace(measured[-1], device_name="[red]x[/red]\x1b[2J", refused="[bold]no[/bold]\x07")
    async with Bench.run_screen(
        with_detail(base, replace(base.details[17], latencies=(*measured[:-1], evil)))
    ) as bench:
        await opened(bench, "latency")
        table = bench.screen.query_one(LatencyTable)
        lines = shown(table).splitlines()
        first = next(i for i, line in enumerate(lines) if "cpu AMD EPYC 9454, 2 threads, on box" in line)
        second = next(i for i, line in enumerate(lines) if "cuda:0 NVIDIA H200" in line)
        assert first < second, "the newest first"
        assert any(line.split()[:6] == ["re-encoding", "fp32", "1", "000", "306", "343"] for line in lines)
        assert any("−0.1 [−0.3, +0.1]" in line for line in lines)
        assert "! int8 refused: [bold]no[/bold]" in shown(table)
        assert "\x1b[2J" not in shown(table)


async def test_without_measurements_it_is_said_how_to_measure() -> None:
    base = snapshots.snapshot()
    async with Bench.run_screen(with_detail(base, replace(base.details[17], latencies=()))) as bench:
        await opened(bench, "latency")
        assert "`lvmtui bench 17`" in shown(bench.screen.query_one(LatencyTable))


async def test_what_is_said_over_a_bench_is_wrapped_to_the_width() -> None:
    async with Bench.run_screen(size=(80, 24)) as bench:
        await opened(bench, "latency")
        narrow = shown(bench.screen.query_one(LatencyTable))
        assert "checkpoint of epoch 16; top 10 of 4 802" in narrow
        await bench.pilot.resize_terminal(120, 36)
        await bench.pilot.pause()
        wide = shown(bench.screen.query_one(LatencyTable))
        assert "load before 0.1; checkpoint of epoch 16; top 10 of 4 802" in wide
