"""The rows of the leaderboard: columns, order and what stands in each cell. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.content import Content

from lvmtui.format import MISSING, count, duration, percent, plain, signed, small
from lvmtui.ranking import Group, PhaseSummary, Row, Verdict, by_phase
from lvmtui.snapshot import GLYPHS
from lvmtui.widgets.cells import MUTED, with_interval
from lvmtui.widgets.row_table import Column

BY_RUN = (
    Column("rank", "   #", sortable=True),
    Column("name", "run", shrinks=True, sortable=True),
    Column("phase", "phase", priority=20, sortable=True),
    Column("context", "ctx", right=True, priority=13, sortable=True),
    Column("hit1", "Hit@1", right=True, priority=11, sortable=True),
    Column("hit1_wide", "Hit@1 [95 %]", right=True, priority=18, wider_than="hit1", sortable=True),
    Column("hit5", "Hit@5 [95 %]", right=True, sortable=True),
    Column("hit10", "Hit@10", right=True, priority=12, sortable=True),
    Column("hit10_wide", "Hit@10 [95 %]", right=True, priority=19, wider_than="hit10", sortable=True),
    Column("mrr", "MRR", right=True, priority=14, sortable=True),
    Column("gain", "gain", right=True, priority=10, sortable=True),
    Column("skill", "skill", right=True, priority=21, sortable=True),
    Column("params", "params", right=True, priority=17, sortable=True),
    Column("epochs", "best/ep", right=True, priority=15, sortable=True),
    Column("time", "time", right=True, priority=16, sortable=True),
    Column("verdict", "verdict", sortable=True),
)

BY_PHASE = (
    *BY_RUN[:2],
    Column("mean", "mean ± sd", right=True, priority=1, sortable=True),
    Column("seeds", "seeds", right=True, priority=2, sortable=True),
    *BY_RUN[3:],
)

VERDICT_STYLES = {
    Verdict.EXCEEDS: "$success bold",
    Verdict.MEETS: "$success",
    Verdict.ABOVE: "$success",
    Verdict.NOISE: "$warning",
    Verdict.UNDER: "$warning",
    Verdict.BELOW: "$error",
    Verdict.NONE: MUTED,
}

_ORDER = [verdict.value for verdict in Verdict]

Value = float | str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row to show: a run, a baseline, or the runs of one recipe."""

    row: Row
    rank: int | None
    summary: PhaseSummary | None = None

    @property
    def key(self) -> str:
        """What the row is known by."""
        if self.row.run_id is None:
            return f"baseline:{self.row.evaluation.protocol_id}:{self.row.name}"
        return f"run:{self.row.run_id}"

    @property
    def score(self) -> tuple[float, float]:
        """What is ranked by: Hit@5 (the mean over seeds), then MRR."""
        evaluation = self.row.evaluation
        return (self.summary.mean if self.summary else evaluation.hit5, evaluation.mrr)


SORTS: dict[str, tuple[Callable[[Entry], Value], bool]] = {
    "rank": (lambda entry: entry.rank, False),
    "name": (lambda entry: None if entry.row.is_baseline else entry.row.name, False),
    "phase": (lambda entry: None if entry.row.is_baseline else entry.row.phase, False),
    "mean": (lambda entry: entry.summary.mean if entry.summary else None, True),
    "seeds": (lambda entry: entry.summary.seeds if entry.summary else None, True),
    "context": (lambda entry: entry.row.context or None, True),
    "hit1": (lambda entry: entry.row.evaluation.hit1, True),
    "hit5": (lambda entry: entry.row.evaluation.hit5, True),
    "hit10": (lambda entry: entry.row.evaluation.hit10, True),
    "mrr": (lambda entry: entry.row.evaluation.mrr, True),
    "gain": (lambda entry: entry.row.baseline_gain, True),
    "skill": (lambda entry: entry.row.skill, True),
    "params": (lambda entry: entry.row.parameters, False),
    "epochs": (lambda entry: entry.row.best_epoch if entry.row.run_id else None, False),
    "time": (lambda entry: entry.row.seconds if entry.row.run_id else None, False),
    "verdict": (
        lambda entry: _ORDER.index(entry.row.verdict) if entry.row.verdict in _ORDER else None,
        False,
    ),
}
"""Column -> its value, and whether the greatest comes first."""


def next_sort(sort: str, *, phases: bool) -> str:
    """The column after this one; from the last back to the rank."""
    names = [name for name in SORTS if phases or name not in {"mean", "seeds"}]
    now = sort.lstrip("-") or "rank"
    following = names[(names.index(now) + 1) % len(names)] if now in names else "rank"
    return "" if following == "rank" else following


def toggled_sort(sort: str, column: str) -> str:
    """The sort after a click on a column: this column, or the other way round."""
    now = sort or "rank"
    chosen = f"-{column}" if now == column else column
    return "" if chosen == "rank" else chosen


def entries_of(group: Group, *, phases: bool) -> list[Entry]:
    """The rows of a group: its runs, or one for each recipe; and the baselines."""
    if not phases:
        return [Entry(row, row.rank) for row in group.rows]
    recipes = [Entry(summary.best, rank, summary) for rank, summary in enumerate(by_phase(group), start=1)]
    return recipes + [Entry(row, None) for row in group.rows if row.is_baseline]


def sorted_entries(entries: Sequence[Entry], sort: str, downwards: bool) -> list[Entry]:
    """The entries by a column. By rank, baselines stand where their score puts them; otherwise rows without
    a value stand at the end."""
    if sort == "rank":
        return sorted(entries, key=lambda entry: entry.score, reverse=not downwards)
    value = SORTS[sort][0]
    present = [entry for entry in entries if value(entry) is not None]
    present.sort(key=value, reverse=downwards)  # type: ignore[arg-type]
    return present + [entry for entry in entries if value(entry) is None]


def heading_of(group: Group) -> Content:
    return Content.styled(f"▌ {plain(group.heading)}", "bold $primary")


def against(group: Group) -> Content:
    best = next((row for row in group.rows if row.is_baseline), None)
    if best is None:
        return Content.styled("  no baseline was judged under this protocol", "$warning")
    words = f"  gain: Hit@5 over the best baseline, {plain(best.name)} {percent(best.evaluation.hit5)}"
    return Content.styled(words, MUTED)


def _named(row: Row) -> Content:
    if row.state is None:
        return Content.styled(f"  {plain(row.name)}", MUTED)
    style = "$primary" if row.state.is_active else MUTED
    return Content.assemble((f"{GLYPHS[row.state]} ", style), plain(row.name))


def _verdict(row: Row) -> Content:
    style = VERDICT_STYLES[Verdict(row.verdict)] if row.verdict in _ORDER else ""
    return Content.styled(f"{row.glyph} {row.verdict}", style)


def _mean(summary: PhaseSummary) -> str:
    """Mean and sample standard deviation over seeds; a single seed has none."""
    spread = " " * 6 if summary.sd is None else f" ±{percent(summary.sd):>4}"
    return f"{percent(summary.mean)}{spread}"


def cells_of(entry: Entry, marked: Sequence[int]) -> dict[str, Content]:
    """Column -> what stands there."""
    row, score = entry.row, entry.row.evaluation
    muted = MUTED if row.is_baseline else ""
    cells = {
        "rank": Content.assemble(
            ("●" if row.run_id in marked else " ", "$accent"),
            ("  -" if entry.rank is None else f"{entry.rank:3}", muted or "bold"),
            ("♛" if row.champion else " ", "$warning"),
        ),
        "name": _named(entry.row),
        "phase": Content.styled(plain(row.phase), MUTED),
        "context": Content.styled(str(row.context) if row.context and row.run_id else "-", muted),
        "hit1": Content.styled(percent(score.hit1), muted),
        "hit1_wide": with_interval(score.hit1, score.hit1_interval, muted),
        "hit5": with_interval(score.hit5, score.hit5_interval, muted or "bold"),
        "hit10": Content.styled(percent(score.hit10), muted),
        "hit10_wide": with_interval(score.hit10, score.hit10_interval, muted),
        "mrr": Content.styled(small(score.mrr), muted),
    }
    if row.run_id is None:
        return cells | {"verdict": Content.styled("baseline", muted)}
    return cells | _run_cells(row, entry.summary)


def _run_cells(row: Row, summary: PhaseSummary | None) -> dict[str, Content]:
    gain = row.baseline_gain
    falls = gain is not None and gain < 0
    cells = {
        "gain": Content.styled(signed(gain), "$error" if falls else "$success" if gain else ""),
        "skill": Content.styled(signed(row.skill), "$error" if falls else ""),
        "params": Content(count(row.parameters)),
        "epochs": Content(f"{row.best_epoch or MISSING}/{row.epochs}"),
        "time": Content(duration(row.seconds)),
        "verdict": _verdict(row),
    }
    if summary is not None:
        cells["mean"] = Content(_mean(summary))
        cells["seeds"] = Content(str(summary.seeds))
    return cells
