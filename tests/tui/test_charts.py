"""Charts: exact sizes, gaps, labels, scales."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lvmtui.charts.drawing import curve_chart, plot_chart
from lvmtui.charts.figure import Axes, Curve, Level, Look, sparkline
from tests.tui.drawn import EPOCHS, RISING, area, braille, plain

floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    width=st.integers(1, 130),
    height=st.integers(1, 45),
    log_y=st.booleans(),
    percent=st.booleans(),
    ascii_only=st.booleans(),
    smoothing=st.sampled_from([0.0, 0.6]),
    name=st.sampled_from(["epoch", "step", "time"]),
    clip=st.booleans(),
    log_x=st.booleans(),
    place=st.none() | st.floats(-2, 12),
    shade=st.sampled_from(["", "#303030"]),
    marks=st.booleans(),
)
def test_every_line_has_the_exact_size(
    data: st.DataObject,
    width: int,
    height: int,
    log_y: bool,
    percent: bool,
    ascii_only: bool,
    smoothing: float,
    name: str,
    clip: bool,
    log_x: bool,
    place: float | None,
    shade: str,
    marks: bool,
) -> None:
    curves = []
    for number in range(data.draw(st.integers(0, 9))):
        y = np.array(data.draw(st.lists(floats, max_size=12)), dtype=float)
        places = data.draw(st.lists(st.floats(-1e7, 1e7), min_size=len(y), max_size=len(y)))
        x = np.array(places if data.draw(st.booleans()) else sorted(places))
        band = {"low": y - 1.0, "high": y[::-1] + 1.0} if data.draw(st.booleans()) else {}
        label = data.draw(st.text(max_size=12))
        curves.append(Curve(label, x, y, best_x=float(number), ticks=(1.0,), **band))
    levels = tuple(
        Level(label, value, target=len(label) % 2 == 1)
        for label, value in data.draw(st.dictionaries(st.text(), floats, max_size=3)).items()
    )
    axes = Axes(
        x=name,
        percent=percent,
        log_y=log_y,
        log_x=log_x,
        smoothing=smoothing,
        from_zero=percent,
        clip=clip,
        cursor=place,
        window=None if place is None else (place, place + 3),
    )
    look = Look(ascii_only=ascii_only, shade=shade, marks=marks)
    plot = plot_chart(curves, width=width, height=height, levels=levels, axes=axes, look=look)
    lines = plot.lines
    assert len(lines) == height
    assert {line.cell_len for line in lines} == {width}
    assert plot.left + plot.columns <= width
    assert plot.rows <= height
    for line in lines:
        ends = [end for start, end, _ in line.spans for end in (start, end)]
        assert ends == sorted(ends)
        assert not ends or ends[-1] <= len(line.plain)
    if ascii_only:
        assert all(line.plain.isascii() for line in lines)


@pytest.mark.parametrize(("width", "height"), [(20, 5), (40, 10), (80, 24), (120, 36), (400, 100)])
def test_sizes(width: int, height: int) -> None:
    lines = curve_chart([Curve("@5", EPOCHS, RISING)], width=width, height=height, axes=Axes(percent=True))
    assert len(lines) == height
    assert {line.cell_len for line in lines} == {width}
    assert any(braille(line.plain) for line in lines)
    assert "epoch" in lines[-1].plain


def test_nan_is_a_gap() -> None:
    y = np.full(101, 1.0)
    y[40:61] = math.nan
    lines = plain(curve_chart([Curve("", np.arange(101.0), y)], width=80, height=10))
    row = next(line for line in lines if braille(line))
    drawn = [i for i, character in enumerate(row) if "\u2801" <= character <= "\u28ff"]
    holes = [b - a for a, b in pairwise(drawn) if b - a > 1]
    assert len(holes) == 1
    assert holes[0] > 10


def test_an_infinite_value_is_a_gap_too() -> None:
    y = RISING.copy()
    y[5] = math.inf
    lines = curve_chart([Curve("", EPOCHS, y)], width=60, height=12, axes=Axes(percent=True))
    assert any(braille(line.plain) for line in lines)


def test_empty_states_say_why() -> None:
    none = np.array([])
    nan = np.full(4, math.nan)
    x = np.arange(4.0)
    text = "\n".join(plain(curve_chart([], width=40, height=5, empty="press n")))
    assert "press n" in text
    assert "press n" in "\n".join(
        plain(curve_chart([Curve("a", none, none)], width=40, height=5, empty="press n"))
    )
    assert "only NaN" in "\n".join(plain(curve_chart([Curve("a", x, nan)], width=40, height=5)))
    below = curve_chart([Curve("a", x, x - 9)], width=40, height=5, axes=Axes(log_y=True))
    assert "nothing above zero" in "\n".join(plain(below))


def test_one_point_and_a_constant_are_drawn() -> None:
    one = plain(curve_chart([Curve("a", np.array([3.0]), np.array([0.5]))], width=40, height=8))
    assert any("●" in line for line in one)
    flat = plain(curve_chart([Curve("a", EPOCHS, np.full(23, 3.0))], width=60, height=9))
    rows = [line for line in flat if braille(line)]
    assert len(rows) == 1
    assert "3" in rows[0].split("┤")[0]


def test_labels_of_ends_never_share_a_row() -> None:
    curves = [Curve(f"run {i}", EPOCHS, RISING + 1e-5 * i) for i in range(8)]
    lines = plain(curve_chart(curves, width=80, height=14, axes=Axes(percent=True)))
    found = [row for i in range(8) for row, line in enumerate(lines) if re.search(rf"run {i}\b", line)]
    assert len(found) == len(set(found)) == 8


def test_more_curves_than_rows_still_fit() -> None:
    curves = [Curve(f"run {i}", EPOCHS, RISING + 0.01 * i) for i in range(30)]
    lines = curve_chart(curves, width=80, height=10, axes=Axes(percent=True))
    assert {line.cell_len for line in lines} == {80}


def test_each_curve_has_its_own_marker_and_colour() -> None:
    curves = [Curve("a", EPOCHS, RISING), Curve("b", EPOCHS, RISING / 2)]
    lines = curve_chart(curves, width=60, height=12)
    text = "\n".join(plain(lines))
    assert "●" in text
    assert "■" in text
    colours = {str(span.style) for line in lines for span in line.spans}
    assert {Look().palette[0], Look().palette[1]} <= colours


def test_the_label_gives_the_last_value_and_says_when_it_is_nan() -> None:
    y = RISING.copy()
    lines = plain(curve_chart([Curve("@5", EPOCHS, y)], width=60, height=12, axes=Axes(percent=True)))
    assert any(f"@5 {100 * y[-1]:.1f}" in line for line in lines)
    ended = y.copy()
    ended[-1] = math.nan
    lines = plain(curve_chart([Curve("@5", EPOCHS, ended)], width=60, height=12, axes=Axes(percent=True)))
    assert any(f"@5 {100 * y[-2]:.1f} NaN" in line for line in lines)


def test_log_axis_has_decades() -> None:
    y = 10.0 ** np.linspace(0, -3, 50)
    lines = plain(
        curve_chart([Curve("loss", np.arange(50.0), y)], width=60, height=16, axes=Axes(log_y=True))
    )
    ticks = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert {"1", "0.1", "0.01", "0.001"} <= set(ticks)


def test_whole_numbers_on_the_epoch_axis() -> None:
    lines = plain(
        curve_chart([Curve("", np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))], width=90, height=12)
    )
    assert re.findall(r"[\d.]+", lines[-1]) == ["1", "2", "3"]


def test_time_axis_is_written_in_spans() -> None:
    lines = plain(curve_chart([Curve("", EPOCHS * 600, RISING)], width=70, height=12, axes=Axes(x="time")))
    assert re.search(r"\b1h\b.*\b2h\b", lines[-1])


def test_smoothing_is_calmer() -> None:
    rng = np.random.default_rng(0)
    x = np.arange(400.0)
    noisy = Curve("", x, rng.normal(size=400))
    raw = sum(braille(line) for line in plain(curve_chart([noisy], width=60, height=20)))
    axes = Axes(smoothing=0.95, zoom=(0.0, 399.0), raw=False)
    text = plain(curve_chart([noisy], width=60, height=20, axes=axes))
    ticks = [float(line.split("┤")[0].replace("−", "-")) for line in text if "┤" in line]
    assert raw >= 15
    assert max(ticks) - min(ticks) < 3


def test_text_from_outside_cannot_draw() -> None:
    curves = [Curve("\x1b[31mevil\n[bold]", EPOCHS, RISING)]
    lines = plain(curve_chart(curves, width=80, height=12, levels=(Level("a\x07b", 0.1),)))
    assert "evil [bold]" in "\n".join(lines)
    assert not any(ord(character) < 32 for line in lines for character in line)


def test_sparkline() -> None:
    assert sparkline([0.0, 0.5, None, 1.0], 6) == "  ▁▅ █"
    assert sparkline([0.1] * 50, 8) == "▁" * 8
    assert sparkline([math.nan, 5.0], 2) == " █"
    assert sparkline([0.5], 3, ascii_only=True).isascii()
    assert sparkline([], 4) == "    "


def test_a_logarithmic_x_axis_has_round_ticks_at_even_distances() -> None:
    x = np.array([1.0, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    curve = Curve("cosine", x, 1 / np.sqrt(x))
    lines = [line.plain for line in curve_chart([curve], width=80, height=14, axes=Axes(x="lag", log_x=True))]
    numbers = lines[-1].split()
    assert numbers[:4] == ["1", "10", "100", "1000"] or numbers[:4] == ["1", "2", "5", "10"]
    places = [lines[-1].index(f" {n} ") if n != "1" else lines[-1].index("1") for n in ("10", "100")]
    assert places[1] - places[0] > 10
    assert all(len(line) == 80 for line in lines)


@settings(max_examples=60, deadline=None)
@example(count=3, share=0.5, up=True, ascii_only=True, width=30)
@given(
    count=st.integers(2, 20_000),
    share=st.floats(0, 1),
    up=st.booleans(),
    ascii_only=st.booleans(),
    width=st.integers(30, 120),
)
def test_every_spike_is_drawn(count: int, share: float, up: bool, ascii_only: bool, width: int) -> None:
    y = np.zeros(count)
    at = round(share * (count - 1))
    y[at] = 1.0 if up else -1.0
    plot = plot_chart(
        [Curve("", np.arange(float(count)), y)], width=width, height=14, look=Look(ascii_only=ascii_only)
    )
    row, column = plot.row_of(y[at]), plot.column_of(float(at))
    assert row is not None
    assert column is not None
    near = plot.lines[row].plain[max(plot.left, column - 1) : column + 2]
    assert near.strip()


def test_labels_of_many_curves_are_counted_where_they_do_not_fit() -> None:
    curves = [Curve(f"run {i}", EPOCHS, RISING + 0.001 * i) for i in range(50)]
    plot = plot_chart(curves, width=90, height=14, axes=Axes(percent=True))
    text = "\n".join(plain(plot.lines))
    assert plot.unlabelled == 39
    assert "+39 more" in text
    assert all(re.search(rf"run {i}\b", text) for i in range(11))
    assert "run 11" not in text


@pytest.mark.parametrize("value", [1e300, 5e-324, -1e-200, 1e-30, 1e16])
def test_huge_and_tiny_values(value: float) -> None:
    for y in (np.full(23, value), value * EPOCHS, np.where(EPOCHS > 5, value, 1.0)):
        for axes in (Axes(), Axes(log_y=True), Axes(clip=True, smoothing=0.5)):
            lines = curve_chart([Curve("a", EPOCHS, y)], width=60, height=12, axes=axes)
            assert {line.cell_len for line in lines} == {60}


@pytest.mark.parametrize("rows", [4, 5, 6, 7, 9])
def test_low_charts_have_two_numbers_on_the_y_axis(rows: int) -> None:
    for low, high in ((0.201, 0.279), (1.1, 9.4), (0.012, 0.019), (38.2, 44.0)):
        plot = plot_chart([Curve("", EPOCHS, np.linspace(low, high, 23))], width=40, height=rows + 1)
        said = [line.plain for line in plot.lines[: plot.rows] if "┤" in line.plain]
        assert len(said) >= 2


@pytest.mark.parametrize(
    "name",
    [
        "x" * 10_000,
        "長い名前" * 3000,
        "\u202eevil" * 900,
        "a\u0301" * 5000,
        "[bold]\x1b[31m" * 999,
        "🧪👩‍🔬" * 99,
    ],
)
def test_hostile_and_endless_names_are_cut(name: str) -> None:
    curves = [Curve(name, EPOCHS, RISING), Curve("b", EPOCHS, RISING / 2)]
    levels = (Level(name, 0.1), Level(name, 0.15, target=True))
    plot = plot_chart(curves, width=80, height=16, levels=levels, axes=Axes(percent=True))
    assert {line.cell_len for line in plot.lines} == {80}
    assert any(" 10.0 " in row for row in area(plot))
    assert any("target " in row and " 15.0 " in row for row in area(plot))
    assert not any(ord(c) < 32 or c in "\x1b\u202e" for line in plot.lines for c in line.plain)
