"""How long a query takes: everything that was measured of a run, bench by bench."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual.content import Content

from lvmtui.format import MISSING, percent, plain, signed, stamp, thousands, wrap
from lvmtui.latencies import MODES, benches, circumstances, milliseconds, refusals
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import Latency
from lvmtui.widgets.cells import MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("mode", "mode"),
    Column("precision", "precision"),
    Column("context", "context", right=True),
    Column("p50", "P50 ms", right=True, priority=1),
    Column("p95", "P95 ms", right=True),
    Column("p99", "P99 ms", right=True, priority=3),
    Column("n", "queries", right=True, priority=6),
    Column("hit1", "Hit@1", right=True, priority=7),
    Column("hit5", "Hit@5", right=True, priority=2),
    Column("hit10", "Hit@10", right=True, priority=8),
    Column("change", "minus fp32", right=True, priority=4),
    Column("change_wide", "minus fp32 [95 %]", right=True, priority=5, wider_than="change"),
)

HEADING_LINES = 3
"""Lines at most of what is said over a bench, and of a refusal."""


class LatencyTable(RowTable):
    """The measurements of one run."""

    def __init__(self) -> None:
        super().__init__(COLUMNS, id="latency-table")
        self._latencies: tuple[Latency, ...] = ()

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show the measurements of this run."""
        where = f" on {view.run.origin}" if view.run.origin else ""
        self.empty = f"Nothing was measured: `lvmtui bench {view.run.number}` does it{where}."
        self._latencies = detail.latencies
        self._show()

    def _show(self) -> None:
        width = max(20, self.scrollable_content_region.width - 2)
        self.show([line for bench in benches(self._latencies) for line in bench_lines(bench, width)])

    def on_resize(self) -> None:
        self._show()
        super().on_resize()


def bench_lines(bench: Sequence[Latency], width: int) -> Iterator[Line]:
    """Where and when, then a line a measurement, then what is not offered and why."""
    key = f"{bench[0].id}"
    for part, text in enumerate(wrap(_said(bench), width, HEADING_LINES)):
        yield Line(f"{key}/heading/{part}", heading=Content.styled(text, "bold" if not part else MUTED))
    for item in bench:
        if not item.refused:
            yield Line(f"{key}/{item.id}", _cells(item))
    for number, words in enumerate(refusals(bench)):
        for part, text in enumerate(wrap(plain(f"! {words}"), width, HEADING_LINES)):
            yield Line(f"{key}/refused/{number}/{part}", heading=Content.styled(text, "$warning"))
    yield Line(f"{key}/gap", heading=Content(""))


def _said(bench: Sequence[Latency]) -> str:
    return plain(f"{stamp(bench[0].time)}  {circumstances(bench)}")


def _cells(item: Latency) -> dict[str, Content]:
    bounds, change = item.hit5_change_interval, item.hit5_change
    style = MUTED if change is None or change >= 0 else "$warning"
    short = signed(change) if change is not None else MISSING
    wide = f"{short} [{signed(bounds.low)}, {signed(bounds.high)}]" if bounds else short
    return {
        "mode": Content(MODES.get(item.mode, plain(item.mode))),
        "precision": Content(plain(item.precision)),
        "context": Content(thousands(item.context)),
        "p50": Content(milliseconds(item.p50)),
        "p95": Content.styled(milliseconds(item.p95), "bold"),
        "p99": Content(milliseconds(item.p99)),
        "n": Content.styled(thousands(item.n), MUTED),
        "hit1": Content(percent(item.hit1)),
        "hit5": Content(percent(item.hit5)),
        "hit10": Content(percent(item.hit10)),
        "change": Content.styled(short, style),
        "change_wide": Content.styled(wide, style),
    }
