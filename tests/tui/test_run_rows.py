"""What the list of runs shows of findings, of the gain over the baseline, and of what a run waits for."""

from dataclasses import replace

import pytest

from lvmtui.config import ViewOptions
from lvmtui.findings import Finding
from lvmtui.snapshot import RunView, State
from lvmtui.store.records import Interval, Severity, Versus
from lvmtui.versus import KEY, as_details
from lvmtui.widgets import run_rows
from lvmtui.widgets.cells import INK
from lvmtui.widgets.run_groups import GROUPS, grouped, heading_of
from tests.tui import snapshots

ERROR = Finding("a", "[bold]m[/bold]", Severity.ERROR)
WARNING = Finding("b", "m", Severity.WARN)
PASSED = Finding("c", "m")


def view(number: int = 15) -> RunView:
    return replace(next(item for item in snapshots.views() if item.run.id == number), findings=())


@pytest.mark.parametrize(
    ("findings", "words", "style"),
    [
        ((), "", ""),
        ((PASSED,), "", ""),
        ((WARNING, WARNING), "!2", INK.warning),
        ((ERROR, WARNING, WARNING), "✖1", INK.error),
    ],
)
def test_the_badge_counts_the_worst(findings: tuple[Finding, ...], words: str, style: str) -> None:
    cell = run_rows.findings(replace(view(), findings=findings))
    assert cell.plain == words
    assert [span.style for span in cell.spans] == ([style] if style else [])


def test_the_column_of_badges_is_there_where_something_was_found() -> None:
    sound, suspect = view(), replace(view(), findings=(WARNING,))
    keys = [column.key for column in run_rows.columns_for(ViewOptions(), [sound])]
    assert "found" not in keys
    assert "found" in [column.key for column in run_rows.columns_for(ViewOptions(), [sound, suspect])]


@pytest.mark.parametrize(
    ("low", "high", "style"),
    [(0.01, 0.05, INK.success), (-0.01, 0.05, INK.warning), (-0.05, -0.01, INK.error)],
)
def test_the_colour_of_the_gain_is_that_of_the_paired_comparison(low: float, high: float, style: str) -> None:
    first = view()
    assert first.best is not None
    assert first.baseline is not None
    compared = Versus(
        *(first.baseline.baseline or "", 0.02, Interval(low, high), 0.01), context=first.baseline.context
    )
    best = replace(first.best, details={KEY: as_details([compared])})
    cell = run_rows.against(replace(first, best=best))
    assert [span.style for span in cell.spans] == [style]


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (State.QUEUED, "", "queued"),
        (State.QUEUED, "starts next", "queued: starts next"),
        (State.QUEUED, "after phase-1 #4", "queued: after phase-1 #4"),
        (State.QUEUED, "held", "held"),
        (State.QUEUED, "waits for cpu: phase-1 #4 uses it", "waits for cpu: phase-1 #4 uses it"),
        (
            State.QUEUED,
            "blocked: #9, which it waits for, is gone",
            "blocked: #9, which it waits for, is gone",
        ),
        (State.COMPLETED, "", "done"),
        (State.STOPPED, "", "stopped · r resume"),
        (State.FAILED, "", "failed at ep 16 · r resume"),
        (State.LOST, "", "lost at ep 16 · r resume"),
    ],
)
def test_the_state_is_said_in_words(state: State, reason: str, words: str) -> None:
    shown = replace(view(), state=state)
    shown = replace(shown, run=replace(shown.run, progress=replace(shown.run.progress, epoch=16)))
    assert run_rows.status(shown, reason).plain == words
    short = words.replace(" at ep 16", "").replace(" resume", "")
    short = short.removeprefix("queued: ").split(":")[0].replace("waits for", "waits:")
    assert run_rows.status(shown, reason, wide=False).plain == short


def test_a_running_run_has_its_patience() -> None:
    running = next(item for item in snapshots.views() if item.state is State.RUNNING)
    used, allowed = running.run.progress.patience_used, running.run.progress.patience
    assert run_rows.status(running).plain.endswith(f"{used}/{allowed}")


@pytest.mark.parametrize("first", ["name", "hit5", "state", "tags"])
def test_signs_stand_before_the_first_column(first: str) -> None:
    shown = view()
    shown = replace(shown, run=replace(shown.run, pinned=True))
    cells = run_rows.RunCells(shown, first)
    assert cells[first].plain[:3] == f"{run_rows.signs(shown).plain[0]} ↑"
    others = {"name", "hit5", "state", "tags"} - {first}
    assert all("↑" not in cells[key].plain for key in others)


@pytest.mark.parametrize("by", [group for group in GROUPS if group])
def test_every_run_stands_in_one_group(by: str) -> None:
    views = snapshots.views()
    groups = grouped(views, by)
    assert sorted(item.run.id for group in groups for item in group.views) == sorted(v.run.id for v in views)
    assert len({group.key for group in groups}) == len(groups)
    assert all(heading_of(group, folded=True).plain.startswith("▸ ") for group in groups)
