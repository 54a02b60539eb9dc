"""Where in a chart what lies: cursor, zoom, values; and what is kept of it."""

import gc
import math
import re
import weakref

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

from lvmtui.charts import drawing as charts
from lvmtui.charts.drawing import curve_chart, plot_chart, value_at, values_at
from lvmtui.charts.figure import Axes, Curve, Level, segments_of
from tests.tui.drawn import EPOCHS, RISING, area, braille, plain


def test_a_plot_says_what_lies_where() -> None:
    plot = plot_chart([Curve("a", EPOCHS, RISING)], width=80, height=20, axes=Axes(percent=True))
    assert plot.x_range == (1.0, 23.0)
    assert plot.x_at(plot.left) == 1.0
    assert plot.x_at(plot.left + plot.columns - 1) == 23.0
    assert plot.x_at(plot.left - 1) is plot.x_at(plot.left + plot.columns) is None
    assert plot.column_of(23.0) == plot.left + plot.columns - 1
    assert plot.column_of(24.0) is None
    tick = next(row for row, line in enumerate(plot.lines) if line.plain.lstrip().startswith("10┤"))
    assert plot.row_of(0.1) == tick
    assert plot.y_at(tick) == pytest.approx(0.1, abs=0.01)
    log = plot_chart(
        [Curve("a", EPOCHS, RISING)], width=80, height=20, axes=Axes(log_x=True, log_y=True, percent=True)
    )
    assert log.x_range == (1.0, 23.0)
    assert log.x_at(log.left + log.columns // 2) == pytest.approx(math.sqrt(23), rel=0.1)
    column, row = log.column_of(4.0), log.row_of(0.1)
    assert column is not None
    assert row is not None
    assert log.x_at(column) == pytest.approx(4.0, rel=0.05)
    assert log.y_at(row) == pytest.approx(0.1, rel=0.1)
    assert plot_chart([], width=20, height=5).x_at(3) is None


def test_moving_the_cursor_moves_nothing_else() -> None:
    y = np.linspace(0.5, 1234.0, 23)
    curves = [Curve("a", EPOCHS, y), Curve("b", EPOCHS, y / 3)]
    plots = [plot_chart(curves, width=80, height=16, axes=Axes(cursor=float(at))) for at in range(1, 24, 3)]
    assert len({plot.columns for plot in plots}) == 1
    for plot, at in zip(plots, range(1, 24, 3), strict=True):
        column = plot.column_of(float(at))
        assert column is not None
        place = column - plot.left
        assert any(row[place] == "┊" for row in area(plot))
        assert not any("┊" in row[:place] + row[place + 1 :] for row in area(plot))


def test_the_cursor_marks_each_curve() -> None:
    curves = [Curve("a", EPOCHS, RISING), Curve("b", EPOCHS, RISING / 2)]
    plot = plot_chart(curves, width=80, height=20, axes=Axes(cursor=8.0))
    column = plot.column_of(8.0)
    assert column is not None
    signs = [row[column - plot.left] for row in area(plot)]
    assert signs.count("●") == signs.count("■") == 1


def test_the_cursor_gives_the_values_at_its_place() -> None:
    curve = Curve("@5", EPOCHS, RISING)
    lines = plain(curve_chart([curve], width=60, height=12, axes=Axes(percent=True, cursor=4.0)))
    assert any(f"@5 {100 * RISING[3]:.1f}" in line for line in lines)
    assert any("┊" in line for line in lines)
    assert value_at(curve, 4.4) == RISING[3]
    assert value_at(curve, 0.0) is None


def test_values_at_a_place() -> None:
    gap = RISING.copy()
    gap[3:6] = math.nan
    curves = [Curve("a", EPOCHS, RISING), Curve("b", EPOCHS, gap), Curve("c", EPOCHS + 10, RISING)]
    found = values_at(curves, 5.5)
    assert [label for label, _, _ in found] == ["a", "b", "c"]
    assert found[0][1:] == (RISING[4], 5.0)
    assert found[1][1:] == (gap[2], 3.0)
    assert all(map(math.isnan, found[2][1:]))
    smooth = values_at(curves[:1], 5.0, Axes(smoothing=0.9))[0][1]
    assert RISING[0] < smooth < RISING[4]
    assert values_at(curves[:1], 5.5, Axes(log_x=True))[0][1] == RISING[4]


@pytest.mark.parametrize(
    ("name", "log_x", "at", "said"),
    [("epoch", False, 8.0, "[8]"), ("step", False, 8000.0, "[8 000]"), ("time", False, 3780.0, "[1h03m]"),
     ("lag", True, 20.0, "[20]"), ("epoch", False, 1.0, "[1]"), ("epoch", False, 12.125, "[12.12]")],
)  # fmt: skip
def test_the_axis_says_where_the_cursor_is(name: str, log_x: bool, at: float, said: str) -> None:
    x = np.linspace(1.0, max(23.0, 2 * at), 60)
    axes = Axes(x=name, log_x=log_x, cursor=at)
    plot = plot_chart([Curve("a", x, np.sqrt(x))], width=70, height=12, axes=axes)
    numbers = plot.lines[-1].plain
    assert said in numbers
    column = plot.column_of(at)
    assert column is not None
    assert numbers.index(said) <= column < numbers.index(said) + len(said)
    assert not re.search(r"\d\[|\]\d", numbers)


def test_nothing_in_the_zoomed_range_says_so() -> None:
    lines = curve_chart([Curve("a", EPOCHS, RISING)], width=60, height=12, axes=Axes(zoom=(100.0, 120.0)))
    assert any("nothing in this range" in line.plain for line in lines)


def test_a_zoom_between_two_points_shows_the_line_between_them() -> None:
    plot = plot_chart([Curve("a", EPOCHS, EPOCHS)], width=60, height=12, axes=Axes(zoom=(4.2, 4.8)))
    assert plot.y_range is not None
    assert 4.1 < plot.y_range[0] < 4.25
    assert 4.75 < plot.y_range[1] < 4.9
    assert sum(map(braille, area(plot))) > 5


def test_zoom_shows_the_range_only() -> None:
    lines = plain(curve_chart([Curve("", EPOCHS, RISING)], width=60, height=12, axes=Axes(zoom=(10.0, 12.0))))
    assert re.search(r"\b10\b.*\b11\b.*\b12\b", lines[-1])


def test_segments_are_those_of_rich() -> None:
    console = Console(width=90)
    curves = [Curve(f"run {i}", EPOCHS, RISING + 0.01 * i, best_x=9.0) for i in range(3)]
    lines = [*curve_chart(curves, width=90, height=16, axes=Axes(cursor=4.0))]
    lines += [Text("plain"), Text(""), Text.assemble("a", ("b", "bold red"), ("", "red"), "c")]
    over = Text("overlapping")
    over.stylize("red", 0, 6)
    over.stylize("bold", 3, 9)
    for line in [*lines, over]:
        cells = [(c, s.style or None) for s in segments_of(line, console) for c in s.text]
        assert cells == [(c, s.style or None) for s in line.render(console, end="") for c in s.text]


def test_lines_have_few_spans() -> None:
    plot = plot_chart([Curve("a", EPOCHS, RISING)], width=100, height=20, levels=(Level("low", 0.1),))
    assert all(len(line.spans) <= 6 for line in plot.lines)
    for line in plot.lines[: plot.rows]:
        for start, end, _ in line.spans:
            assert line.plain[start:end] == line.plain[start:end].strip() or start == 0 or end == 100


def test_a_million_points_are_drawn_and_kept() -> None:
    x = np.arange(1e6)
    curve = Curve("loss", x, 5 * np.exp(-x / 2e5) + 0.1)
    first = curve_chart([curve], width=200, height=50, axes=Axes(x="step"))
    again = curve_chart([Curve("loss", curve.x, curve.y)], width=200, height=50, axes=Axes(x="step"))
    assert again is first


def test_what_is_kept_does_not_keep_the_series_alive() -> None:
    x, y = np.arange(300.0), np.arange(300.0)
    seen = weakref.ref(y)
    curve_chart([Curve("a", x, y, low=y - 1, high=y + 1)], width=60, height=12, axes=Axes(smoothing=0.5))
    curve_chart([Curve("a", x[:200], y[:200])], width=60, height=12)
    del y
    gc.collect()
    assert seen() is None


def test_other_arrays_are_not_taken_for_the_cached_ones() -> None:
    one = curve_chart([Curve("a", EPOCHS, RISING)], width=60, height=12)
    other = curve_chart([Curve("a", EPOCHS, RISING[::-1].copy())], width=60, height=12)
    assert plain(one) != plain(other)


def test_drawing_twice_gives_the_same() -> None:
    def draw() -> list[str]:
        charts.forget()
        return plain(curve_chart([Curve("a", EPOCHS, RISING.copy())], width=73, height=17))

    assert draw() == draw()


def test_x_may_go_back() -> None:
    x = np.array([1.0, 2, 3, 4, 2, 3, 4, 5, 6])
    y = np.array([1.0, 2, 3, 4, 8, 8, 8, 8, 8])
    plot = plot_chart([Curve("a", x, y)], width=60, height=16)
    assert len({line.cell_len for line in plot.lines}) == 1
    row = plot.row_of(8.0)
    column = plot.column_of(2.0)
    assert row is not None
    assert column is not None
    assert braille(plot.lines[row].plain[column])
    middle = plot.row_of(6.0)
    assert middle is not None
    assert not braille(plot.lines[middle].plain)
    assert value_at(Curve("a", x, y), 3.5) == 8.0
