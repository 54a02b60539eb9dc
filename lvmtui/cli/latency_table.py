"""Measured latencies on the terminal: one table a bench, since only its rows can be compared."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui.cli.session import line
from lvmtui.cli.tables import Column, print_table
from lvmtui.format import MISSING, interval, percent, signed, stamp, thousands
from lvmtui.latencies import MODES, benches, circumstances, milliseconds, refusals
from lvmtui.store.records import Interval, Latency

COLUMNS = (
    Column("mode"),
    Column("precision"),
    Column("context", "right"),
    Column("P50 ms", "right"),
    Column("P95 ms", "right"),
    Column("P99 ms", "right", drop=2),
    Column("queries", "right", drop=5),
    Column("Hit@1", "right", drop=4),
    Column("Hit@5", "right", drop=1),
    Column("Hit@10", "right", drop=4),
    Column("Hit@5 minus fp32", drop=3),
)


def print_latencies(latencies: Sequence[Latency]) -> None:
    """What was measured of a run, newest first."""
    for bench in benches(latencies):
        line()
        line(f"latency, {stamp(bench[0].time)}: {circumstances(bench)}")
        timed = [item for item in bench if not item.refused]
        if timed:
            print_table(COLUMNS, [_cells(item) for item in timed])
        for words in refusals(bench):
            line(f"! {words}")


def _cells(item: Latency) -> list[str | Text]:
    times = [milliseconds(value) for value in (item.p50, item.p95, item.p99)]
    hits = [percent(value) for value in (item.hit1, item.hit5, item.hit10)]
    place = [MODES.get(item.mode, item.mode), item.precision, thousands(item.context)]
    return [
        *place,
        *times,
        thousands(item.n),
        *hits,
        change_words(item.hit5_change, item.hit5_change_interval),
    ]


def change_words(change: float | None, bounds: Interval | None) -> str:
    """A change in points with its interval; nothing for the reference itself."""
    if change is None:
        return MISSING
    return f"{signed(change)} {interval(bounds.low, bounds.high)}" if bounds else signed(change)
