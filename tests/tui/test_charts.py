"""Charts: exact sizes, gaps, labels, stars, scales."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from rich.text import Text

from lvmtui import charts
from lvmtui.charts import Axes, Curve, Level, Look, curve_chart, plot_inline, sparkline, value_at

EPOCHS = np.arange(1.0, 24.0)
RISING = 0.18 * (1 - np.exp(-EPOCHS / 5)) + 0.02

floats = st.floats(allow_nan=True, allow_infinity=True, width=64)


def plain(lines: Sequence[Text]) -> list[str]:
    return [line.plain for line in lines]


def braille(text: str) -> bool:
    return any("\u2801" <= character <= "\u28ff" for character in text)


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
) -> None:
    curves = []
    for number in range(data.draw(st.integers(0, 9))):
        y = np.array(data.draw(st.lists(floats, max_size=12)), dtype=float)
        x = np.sort(np.array(data.draw(st.lists(st.floats(-1e7, 1e7), min_size=len(y), max_size=len(y)))))
        label = data.draw(st.text(max_size=12))
        curves.append(Curve(label, x, y, best_x=float(number), ticks=(1.0,)))
    levels = tuple(
        Level(label, value)
        for label, value in data.draw(st.dictionaries(st.text(), floats, max_size=3)).items()
    )
    axes = Axes(x=name, percent=percent, log_y=log_y, smoothing=smoothing, from_zero=percent)
    lines = curve_chart(
        curves, width=width, height=height, levels=levels, axes=axes, look=Look(ascii_only=ascii_only)
    )
    assert len(lines) == height
    assert {line.cell_len for line in lines} == {width}
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


def test_the_star_is_at_the_best_epoch_on_its_curve() -> None:
    width, height = 70, 14
    y = 1.0 - (EPOCHS - 16) ** 2 / 400
    lines = plain(curve_chart([Curve("", EPOCHS, y, best_x=16.0)], width=width, height=height))
    row, column = next((r, line.index("★")) for r, line in enumerate(lines) if "★" in line)
    left = lines[0].index("│" if "│" in lines[0] else "┤") + 1
    right = max(i for line in lines for i, c in enumerate(line) if "\u2801" <= c <= "\u28ff")
    assert column == pytest.approx(left + (16 - 1) / 22 * (right - left), abs=1)
    assert row <= min(r for r, line in enumerate(lines) if braille(line))


def test_labels_of_ends_never_share_a_row() -> None:
    curves = [Curve(f"run {i}", EPOCHS, RISING + 1e-5 * i) for i in range(8)]
    lines = plain(curve_chart(curves, width=80, height=14, axes=Axes(percent=True)))
    found = [row for i in range(8) for row, line in enumerate(lines) if re.search(rf"run {i}\b", line)]
    assert len(found) == len(set(found)) == 8


def test_more_curves_than_rows_still_fit() -> None:
    curves = [Curve(f"run {i}", EPOCHS, RISING + 0.01 * i) for i in range(30)]
    lines = curve_chart(curves, width=80, height=10, axes=Axes(percent=True))
    assert {line.cell_len for line in lines} == {80}


def test_levels_carry_name_and_value_left_of_the_end_labels() -> None:
    curves = [Curve("@5", EPOCHS, RISING), Curve("@10", EPOCHS, RISING * 1.3)]
    levels = (Level("copy-last", 0.081), Level("ewm", 0.12))
    lines = plain(curve_chart(curves, width=80, height=16, levels=levels, axes=Axes(percent=True)))
    end = min(line.index("@5") for line in lines if "@5" in line)
    for name in ("copy-last 8.1", "ewm 12.0"):
        row = next(line for line in lines if name in line)
        assert row.index(name) + len(name) <= end
        assert "╌" in row


def test_levels_in_one_row_share_a_text() -> None:
    levels = (Level("first", 0.1), Level("second", 0.1001), Level("third", 0.0999))
    lines = plain(
        curve_chart([Curve("", EPOCHS, RISING)], width=90, height=10, levels=levels, axes=Axes(percent=True))
    )
    assert any("first 10.0, second 10.0, third 10.0" in line for line in lines)
    narrow = plain(
        curve_chart([Curve("", EPOCHS, RISING)], width=30, height=10, levels=levels, axes=Axes(percent=True))
    )
    assert any("first 10.0 +2" in line for line in narrow)


def test_a_level_outside_the_curves_widens_the_axis() -> None:
    lines = plain(
        curve_chart(
            [Curve("", EPOCHS, RISING)],
            width=60,
            height=12,
            levels=(Level("top", 0.9),),
            axes=Axes(percent=True),
        )
    )
    assert any("top 90.0" in line for line in lines)


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


def test_the_cursor_gives_the_values_at_its_place() -> None:
    curve = Curve("@5", EPOCHS, RISING)
    lines = plain(curve_chart([curve], width=60, height=12, axes=Axes(percent=True, cursor=4.0)))
    assert any(f"@5 {100 * RISING[3]:.1f}" in line for line in lines)
    assert any("┊" in line for line in lines)
    assert value_at(curve, 4.4) == RISING[3]
    assert value_at(curve, 0.0) is None


def test_zoom_shows_the_range_only() -> None:
    lines = plain(curve_chart([Curve("", EPOCHS, RISING)], width=60, height=12, axes=Axes(zoom=(10.0, 12.0))))
    assert re.search(r"\b10\b.*\b11\b.*\b12\b", lines[-1])


def test_log_axis_has_decades() -> None:
    y = 10.0 ** np.linspace(0, -3, 50)
    lines = plain(
        curve_chart([Curve("loss", np.arange(50.0), y)], width=60, height=16, axes=Axes(log_y=True))
    )
    ticks = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert {"1", "0.1", "0.01", "0.001"} <= set(ticks)


def test_resumes_are_ticked_on_the_axis() -> None:
    lines = plain(curve_chart([Curve("", EPOCHS, RISING, ticks=(9.0,))], width=60, height=12))
    assert "↻" in lines[-2]


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
    axes = Axes(smoothing=0.95, zoom=(0.0, 399.0))
    text = plain(curve_chart([noisy], width=60, height=20, axes=axes))
    ticks = [float(line.split("┤")[0].replace("−", "-")) for line in text if "┤" in line]
    assert raw >= 15
    assert max(ticks) - min(ticks) < 3


def test_text_from_outside_cannot_draw() -> None:
    curves = [Curve("\x1b[31mevil\n[bold]", EPOCHS, RISING)]
    lines = plain(curve_chart(curves, width=80, height=12, levels=(Level("a\x07b", 0.1),)))
    assert "evil [bold]" in "\n".join(lines)
    assert not any(ord(character) < 32 for line in lines for character in line)


def test_a_million_points_are_drawn_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(1e6)
    curve = Curve("loss", x, 5 * np.exp(-x / 2e5) + 0.1)
    first = curve_chart([curve], width=200, height=50, axes=Axes(x="step"))
    monkeypatch.setattr(charts, "_draw", lambda *_: pytest.fail("drawn again"))
    again = curve_chart([Curve("loss", curve.x, curve.y)], width=200, height=50, axes=Axes(x="step"))
    assert again is first


def test_other_arrays_are_not_taken_for_the_cached_ones() -> None:
    one = curve_chart([Curve("a", EPOCHS, RISING)], width=60, height=12)
    other = curve_chart([Curve("a", EPOCHS, RISING[::-1].copy())], width=60, height=12)
    assert plain(one) != plain(other)


def test_drawing_twice_gives_the_same() -> None:
    def draw() -> list[str]:
        charts._CACHE.clear()
        return plain(curve_chart([Curve("a", EPOCHS, RISING.copy())], width=73, height=17))

    assert draw() == draw()


def test_sparkline() -> None:
    assert sparkline([0.0, 0.5, None, 1.0], 6) == "  ▁▅ █"
    assert sparkline([0.1] * 50, 8) == "▁" * 8
    assert sparkline([math.nan, 5.0], 2) == " █"
    assert sparkline([0.5], 3, ascii_only=True).isascii()
    assert sparkline([], 4) == "    "


def test_inline_plot_without_colour_has_no_escape_codes() -> None:
    y = RISING.copy()
    y[7] = math.nan
    text = plot_inline(
        {"val/hit5": (EPOCHS, y), "val/hit10": (EPOCHS, y * 1.3)},
        title="phase-3 \x1b[31m#17",
        width=70,
        height=16,
        colour=False,
    )
    assert "\x1b" not in text
    assert "phase-3 #17" in text
    assert f"Hit@5 {100 * RISING[-1]:.1f}" in text
    assert len(text.splitlines()) <= 16
    assert all(len(line) <= 70 for line in text.splitlines())


def test_inline_plot_in_colour() -> None:
    text = plot_inline({"train/loss": (EPOCHS, RISING)}, title="t", width=70, height=16, colour=True)
    assert "\x1b[38;2;86;180;233m" in text


def test_inline_plot_of_nothing() -> None:
    nan = np.full(3, math.nan)
    nothing: list[dict[str, tuple[ArrayLike, ArrayLike]]] = [{}, {"a": ([], [])}, {"a": ([1, 2, 3], nan)}]
    for series in nothing:
        assert "nothing to draw" in plot_inline(series, title="t", width=60, height=10, colour=False)


def test_inline_plot_of_one_point_and_a_million() -> None:
    assert plot_inline({"a": ([1], [2.0])}, title="t", width=60, height=10, colour=False)
    x = np.arange(1e6)
    assert plot_inline({"a": (x, np.sin(x / 1e5))}, title="t", width=60, height=10, colour=False)


def test_a_logarithmic_x_axis_has_round_ticks_at_even_distances() -> None:
    x = np.array([1.0, 2, 5, 10, 20, 50, 100, 200, 500, 1000])
    curve = Curve("cosine", x, 1 / np.sqrt(x))
    lines = [line.plain for line in curve_chart([curve], width=80, height=14, axes=Axes(x="lag", log_x=True))]
    numbers = lines[-1].split()
    assert numbers[:4] == ["1", "10", "100", "1000"] or numbers[:4] == ["1", "2", "5", "10"]
    places = [lines[-1].index(f" {n} ") if n != "1" else lines[-1].index("1") for n in ("10", "100")]
    assert places[1] - places[0] > 10
    assert all(len(line) == 80 for line in lines)
