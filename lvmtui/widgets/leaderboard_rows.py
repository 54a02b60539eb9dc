"""The rows of the leaderboard: columns, order and what stands in each cell. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from textual.content import Content

from lvmtui.format import MISSING, count, duration, percent, plain, signed, small
from lvmtui.latencies import milliseconds, short_place
from lvmtui.leaderboard.ranking import Group, Row
from lvmtui.leaderboard.seeds import PhaseSummary, by_phase
from lvmtui.leaderboard.verdicts import SHORT, Verdict, badge
from lvmtui.remote.hosts import slot_of
from lvmtui.snapshot import GLYPHS
from lvmtui.store.records import Severity
from lvmtui.widgets.cells import MUTED, with_interval
from lvmtui.widgets.row_table import Column

BY_RUN = (
    Column("rank", "   #", sortable=True),
    Column("name", "run", shrinks=True, sortable=True),
    Column("phase", "phase", priority=21, sortable=True),
    Column("context", "ctx", right=True, priority=16, sortable=True),
    Column("hit1", "Hit@1", right=True, priority=11, sortable=True),
    Column("hit1_wide", "Hit@1 [95 %]", right=True, priority=20, wider_than="hit1", sortable=True),
    Column("hit5", "Hit@5 [95 %]", right=True, sortable=True),
    Column("hit10", "Hit@10", right=True, priority=12, sortable=True),
    Column("hit10_wide", "Hit@10 [95 %]", right=True, priority=22, wider_than="hit10", sortable=True),
    Column("mrr", "MRR", right=True, priority=13, sortable=True),
    Column("skill", "skill", right=True, priority=4, sortable=True),
    Column("gain", "gain", right=True, priority=10, sortable=True),
    Column("params", "params", right=True, priority=19, sortable=True),
    Column("epochs", "best/ep", right=True, priority=17, sortable=True),
    Column("time", "time", right=True, priority=18, sortable=True),
    Column("verdict", "verdict", sortable=True),
    Column("verdict_wide", "verdict", priority=14, wider_than="verdict", sortable=True),
)

LEAST_FAR_NAME = 26
"""Cells that names keep where some end with a host: cut, they would be the same."""

FOUND = Column("found", "", priority=3)
"""How much the audits found, where they found something."""

TEST = Column("test", "test Hit@5", right=True, priority=15, sortable=True)
"""The score on the test split, where a run has one."""

LATENCY = Column("p95", "p95 ms", right=True, priority=12, sortable=True)
"""Streaming latency, where a run was measured: with device and threads, without which it says little."""

BY_PHASE = (
    *BY_RUN[:2],
    Column("mean", "mean ± sd", right=True, priority=1, sortable=True),
    Column("seeds", "seeds", right=True, priority=2, sortable=True),
    *BY_RUN[3:],
    Column("order", "beside the first", priority=5),
)

BADGE_STYLES = {Severity.ERROR: "$error", Severity.WARN: "$warning"}

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

    @property
    def gain(self) -> float | None:
        """Hit@5 (the mean over seeds) above the strongest baseline's."""
        return self.summary.gain if self.summary else self.row.baseline_gain

    @property
    def skill(self) -> float | None:
        """Share of what the strongest baseline leaves that is gained, by the mean over seeds."""
        return self.summary.skill if self.summary else self.row.skill

    @property
    def tied(self) -> bool:
        """The order between it and the first may be chance."""
        return self.summary.tied if self.summary else self.row.tied


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
    "skill": (lambda entry: entry.skill, True),
    "gain": (lambda entry: entry.gain, True),
    "test": (lambda entry: entry.row.test.hit5 if entry.row.test else None, True),
    "p95": (lambda entry: entry.row.latency.p95 if entry.row.latency else None, False),
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


def columns_of(groups: Sequence[Group], *, phases: bool) -> tuple[Column, ...]:
    """The columns that these groups have something to show in."""
    rows = [row for group in groups for row in group.rows]
    columns: list[Column] = []
    for column in BY_PHASE if phases else BY_RUN:
        if column.key == "params" and any(row.test for row in rows):
            columns.append(TEST)
        if column.key == "params" and any(row.latency for row in rows):
            columns.append(LATENCY)
        if column.key == "name" and any(row.run_id is not None and slot_of(row.run_id) for row in rows):
            column = replace(column, least=LEAST_FAR_NAME)
        columns.append(column)
        if column.key == "name" and any(row.findings for row in rows):
            columns.append(FOUND)
    return tuple(columns)


def heading_of(group: Group) -> Content:
    """What was judged; a protocol with flaws stands out."""
    return Content.styled(f"▌ {plain(group.heading)}", "bold $warning" if group.flaws else "bold $primary")


def against(group: Group) -> Content:
    """What gain and skill are over, and how often the test split was looked at."""
    looks = "" if group.looks is None else f" · test split: {_looks(group.looks)}"
    best = next((row for row in group.rows if row.is_baseline), None)
    if best is None:
        return Content.styled(f"  no baseline was judged under this protocol{looks}", "$warning")
    words = f"  skill, gain: over {plain(best.name)} {percent(best.evaluation.hit5)} (best baseline)"
    return Content.assemble((words, MUTED), (looks, "$warning" if (group.looks or 0) > 1 else MUTED))


def _looks(looks: int) -> str:
    return "1 look" if looks == 1 else f"{looks} looks" if looks else "no look yet"


def _named(row: Row) -> Content:
    if row.state is None:
        return Content.styled(f"  {plain(row.name)}", MUTED)
    style = "$primary" if row.state.is_active else MUTED
    return Content.assemble((f"{GLYPHS[row.state]} ", style), plain(row.name))


def _found(row: Row) -> Content:
    """The worst kind of finding, and how many."""
    worst = badge(row.findings)[:1]
    return Content("").join(Content.styled(words, BADGE_STYLES[severity]) for severity, words in worst)


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
        words = Content.styled("baseline", muted)
        return cells | {"verdict": words, "verdict_wide": words}
    return cells | _run_cells(entry)


def _latency(row: Row) -> Content:
    if row.latency is None:
        return Content.styled(MISSING, MUTED)
    place = f" {plain(short_place(row.latency))}"
    return Content.assemble(milliseconds(row.latency.p95), (place, MUTED))


def _run_cells(entry: Entry) -> dict[str, Content]:
    row, summary = entry.row, entry.summary
    verdict = Verdict(row.verdict)
    style = VERDICT_STYLES[verdict]
    cells = {
        "found": _found(row),
        "skill": Content.styled(signed(entry.skill), style),
        "gain": Content.styled(signed(entry.gain), style),
        "p95": _latency(row),
        "params": Content(count(row.parameters)),
        "epochs": Content(f"{row.best_epoch or MISSING}/{row.epochs}"),
        "time": Content(duration(row.seconds)),
        "verdict": Content.styled(f"{row.glyph} {SHORT[verdict]}", style),
        "verdict_wide": Content.styled(f"{row.glyph} {verdict.value}", style),
    }
    if row.test is not None:
        cells["test"] = with_interval(row.test.hit5, row.test.hit5_interval)
    if summary is not None:
        cells["order"] = Content.styled(summary.order, "$warning" if summary.tied else MUTED)
        cells["mean"] = Content(_mean(summary))
        cells["seeds"] = Content(str(summary.seeds))
    return cells
