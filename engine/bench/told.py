"""What a bench came to, as lines and as JSON. Needs no torch."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lvmtui.latencies import ENCODE, MODES, STREAM, circumstances, milliseconds, refusals
from lvmtui.store.records import Latency

if TYPE_CHECKING:
    from engine.bench.bench import Benched

BUSY = 0.5
"""Load before the bench, by core, from which on its figures say more of the machine than of the model."""

_TITLES = ("", "precision", "context", "P50 ms", "P95 ms", "P99 ms", "queries", "Hit@1", "Hit@5", "Hit@10")
_CHANGE = "Hit@1/5/10 minus fp32"


def bench_lines(benched: "Benched") -> list[str]:
    """A table, what is refused and why, and what the figures must be read with."""
    found = benched.latencies
    timed = [item for item in found if not item.refused]
    lines = [f"{benched.run.name}: {circumstances(found)}", f"check on validation: {benched.reproduced}", ""]
    if timed:
        lines += [*_table(timed), ""]
    lines += [*ratios(timed), *refusals(found)]
    busy = found[0].load
    if busy is not None and busy > BUSY * benched.cores:
        lines.append(
            f"! the machine was busy with other things (load {busy:.1f} on {benched.cores} cores): the "
            "figures are too high; their ratios hold better"
        )
    return lines


def bench_record(benched: "Benched") -> dict[str, Any]:
    """The same as JSON; times in seconds, scores and changes as fractions."""
    return {
        "run": benched.run.name,
        "run_id": benched.run.id,
        "reproduced": benched.reproduced,
        "cores": benched.cores,
        "latencies": [
            {key: value for key, value in asdict(item).items() if key not in {"id", "run_id"}}
            for item in benched.latencies
        ],
    }


def ratios(timed: Sequence[Latency]) -> Iterator[str]:
    """How much longer the whole context takes than one vector more, where both were measured."""
    p50 = {(item.precision, item.mode, item.context): item.p50 for item in timed}
    for (precision, mode, context), anew in p50.items():
        streaming = p50.get((precision, STREAM, context))
        if mode == ENCODE and anew and streaming:
            times = (
                f"{anew / streaming:.{0 if anew >= 10 * streaming else 1}f} times as long as streaming (P50)"
            )
            yield f"{precision}: re-encoding {context} vectors takes {times}"


def _table(timed: Sequence[Latency]) -> list[str]:
    changed = any(item.hit5_change is not None for item in timed)
    rows: list[tuple[str, ...]] = [(*_TITLES, _CHANGE if changed else "")]
    rows += [(*_cells(item), _changes(item)) for item in timed]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in {0, 1, len(widths) - 1} else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(item: Latency) -> tuple[str, ...]:
    times = (milliseconds(value) for value in (item.p50, item.p95, item.p99))
    hits = ("" if value is None else f"{100 * value:.1f}" for value in (item.hit1, item.hit5, item.hit10))
    return (MODES[item.mode], item.precision, str(item.context), *times, str(item.n), *hits)


def _changes(item: Latency) -> str:
    if item.hit5_change is None:
        return ""
    bounds = item.hit5_change_interval
    around = f" [{_points(bounds.low)}, {_points(bounds.high)}]" if bounds else ""
    return " / ".join(
        (
            _points(item.hit1_change),
            f"{_points(item.hit5_change)}{around}",
            _points(item.hit10_change),
        )
    )


def _points(share: float | None) -> str:
    return "" if share is None else f"{100 * share:+.1f}".replace("-", "−")
