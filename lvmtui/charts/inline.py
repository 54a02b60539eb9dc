"""Curves printed once, for `lvmtui plot`: the only module that uses plotext."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.cells import cell_len as cells

from lvmtui import format as fmt
from lvmtui.charts.figure import MARKERS, OKABE_ITO
from lvmtui.charts.ticks import nice_ticks, tick_labels
from lvmtui.series import min_max

Array = NDArray[np.float64]


def plot_inline(
    series: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, width: int, height: int, colour: bool
) -> str:
    """Curves for `lvmtui plot`, drawn by plotext, as text of at most `width` x `height` cells.

    `series` maps a metric's key to x and y of equal length; NaN breaks a curve. Under the plot stands each
    curve's sign, name and last value. Without `colour` there is not one escape code in the text.
    """
    curves = {}
    for key, (x, y) in series.items():
        points = _drawable(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64), 2 * width)
        if len(points[0]):
            curves[key] = points
    if not curves:
        return f"{fmt.fit(fmt.plain(title), width)}\nnothing to draw yet"
    signs = (
        [""] * len(curves) if len(curves) == 1 else [MARKERS[i % len(MARKERS)] for i in range(len(curves))]
    )
    legend = [
        f"{sign} {fmt.metric_name(key)} {fmt.metric_value(key, float(y[np.isfinite(y)][-1]))}".strip()
        for sign, (key, (_, y)) in zip(signs, curves.items(), strict=True)
    ]
    drawn = [(x, 100 * y if fmt.is_percent(key) else y) for key, (x, y) in curves.items()]
    plot = _plotext(drawn, fmt.fit(fmt.plain(title), width), width, height - 1, colour)
    return f"{plot}\n{_legend(legend, width, colour)}"


def _plotext(curves: Sequence[tuple[Array, Array]], title: str, width: int, height: int, colour: bool) -> str:
    """The plot itself. plotext has one global figure; it is cleared before and after."""
    import plotext

    figure = plotext.figure
    figure.clear()
    figure.plot_size(max(width, 20), max(height, 6))
    figure.theme("colorless")
    for position, (x, y) in enumerate(curves):
        marker = "braille" if colour or len(curves) == 1 else MARKERS[position % len(MARKERS)]
        if colour:
            marker = plotext.marker(marker, _rgb(position))
        # plotext aborts the process on a line to NaN: leave these points out and break the line instead
        finite = np.isfinite(y)
        signal = figure.signal(x[finite].tolist(), y[finite].tolist(), marker=marker).lines()
        for first_after_gap in np.flatnonzero(np.diff(np.flatnonzero(finite)) > 1) + 1:
            signal.line(int(first_after_gap), False)
        figure.draw(signal)
    _round_ticks(figure, 0, np.concatenate([x for x, _ in curves]), width // 12, whole=True)
    _round_ticks(figure, 1, np.concatenate([y for _, y in curves]), height // 3, whole=False)
    figure.title(title)
    text = str(figure.build().string()).rstrip("\n")
    figure.clear()
    return text if colour else str(plotext.uncolorize(text))


def _round_ticks(figure: Any, axis: int, values: Array, count: int, *, whole: bool) -> None:
    """Ticks at round numbers; plotext's own are an even split of whatever the range is."""
    finite = values[np.isfinite(values)]
    ticks = nice_ticks(float(finite.min()), float(finite.max()), max(2, count), whole=whole)
    if len(ticks) > 1:
        figure.ruler(axis, 0).ticks(ticks, tick_labels(ticks))


def _rgb(position: int) -> tuple[int, int, int]:
    colour = OKABE_ITO[position % len(OKABE_ITO)]
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _legend(parts: Sequence[str], width: int, colour: bool) -> str:
    """As many names with their values as fit into a line."""
    shown = len(parts)
    while shown > 1 and sum(map(cells, parts[:shown])) + 3 * (shown - 1) > width:
        shown -= 1
    texts = [fmt.fit(part, width) for part in parts[:shown]]
    if colour:
        texts = ["\x1b[38;2;{};{};{}m".format(*_rgb(i)) + text + "\x1b[0m" for i, text in enumerate(texts)]
    return "   ".join(texts)


def _drawable(x: Array, y: Array, columns: int) -> tuple[Array, Array]:
    """A series as plotext takes it: x finite and not more points than can be seen; NaN in y kept as a gap."""
    known = np.isfinite(x)
    x, y = x[known], np.where(np.isfinite(y[known]), y[known], np.nan)
    if not np.isfinite(y).any():
        return x[:0], y[:0]
    return min_max(x, y, float(x[0]), float(x[-1]), columns)
