"""What is drawn beside the curves: bands, levels, the patience window, stars, signs at what is clipped."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lvmtui.charts.drawing import curve_chart, plot_chart
from lvmtui.charts.figure import RAW_CURVES, Axes, Curve, Level, Look
from tests.tui.drawn import EPOCHS, RISING, area, braille, plain, span_at


def test_a_band_is_drawn_around_its_curve_and_not_where_it_is_not_known() -> None:
    low, high = RISING - 0.03, RISING + 0.03
    low[:12] = math.nan
    banded = Curve("@5", EPOCHS, RISING, low=low, high=high)
    levels = (Level("top", 0.3),)

    def cells(bands: bool) -> list[str]:
        axes = Axes(percent=True, from_zero=True, bands=bands)
        return area(plot_chart([banded], width=80, height=20, levels=levels, axes=axes))

    without, with_band = cells(False), cells(True)
    added = [
        column
        for before, after in zip(without, with_band, strict=True)
        for column, (old, new) in enumerate(zip(before, after, strict=True))
        if old == " " and new != " "
    ]
    half = len(without[0]) // 2
    assert len(added) > half
    assert min(added) >= half - 1
    assert sum(map(braille, without)) < sum(map(braille, with_band))


def test_a_band_is_dim_and_its_curve_on_top() -> None:
    curve = Curve("", EPOCHS, np.full(23, 1.0), low=np.full(23, 0.5), high=np.full(23, 1.5))
    plot = plot_chart([curve], width=60, height=16)
    row, above = plot.row_of(1.0), plot.row_of(1.3)
    assert row is not None
    assert above is not None
    colour = Look().palette[0]
    assert span_at(plot.lines[row], 30) == colour
    assert span_at(plot.lines[above], 30) == f"dim {colour}"


def test_a_band_makes_room_for_itself() -> None:
    curve = Curve("", EPOCHS, RISING, low=RISING - 1, high=RISING + 2)
    shown = plot_chart([curve], width=60, height=16).y_range
    assert shown is not None
    assert shown[0] < -0.9
    assert shown[1] > 2.1


def test_the_raw_line_stands_dimmed_behind_the_smoothed_one() -> None:
    x = np.arange(400.0)
    noisy = Curve("", x, np.sin(x))
    axes = Axes(smoothing=0.95, x="step")
    plot = plot_chart([noisy], width=60, height=20, axes=axes)
    styles = {str(style) for line in plot.lines for _, _, style in line.spans}
    assert {Look().palette[0], f"dim {Look().palette[0]}"} <= styles
    alone = plot_chart([noisy], width=60, height=20, axes=replace(axes, raw=False))
    assert not any("dim" in str(style) for line in alone.lines for _, _, style in line.spans)
    many = [Curve(str(i), x, np.sin(x) + i) for i in range(RAW_CURVES + 1)]
    drawn = plot_chart(many, width=60, height=20, axes=axes)
    assert not any("dim" in str(style) for line in drawn.lines for _, _, style in line.spans)


def test_targets_are_told_from_baselines_without_colour() -> None:
    levels = (Level("copy-last", 0.081), Level("", 0.2, target=True), Level("Hit@5", 0.15, target=True))
    for ascii_only, dash, other in ((False, "╍", "╌"), (True, "=", "-")):
        plot = plot_chart(
            [Curve("", EPOCHS, RISING / 2)],
            width=80,
            height=24,
            levels=levels,
            axes=Axes(percent=True),
            look=Look(ascii_only=ascii_only),
        )
        rows = area(plot)
        assert dash in next(row for row in rows if " target 20.0 " in row)
        assert dash in next(row for row in rows if " target Hit@5 15.0 " in row)
        baseline = next(row for row in rows if " copy-last 8.1 " in row)
        assert other in baseline
        assert dash not in baseline


def test_a_target_and_a_baseline_in_one_row_keep_their_colours() -> None:
    levels = (Level("ewm", 0.2), Level("@5", 0.2001, target=True))
    look = Look(level="#aaaaaa", target="#ffff00")
    plot = plot_chart(
        [Curve("", EPOCHS, RISING)], width=90, height=12, levels=levels, axes=Axes(percent=True), look=look
    )
    line = next(line for line in plot.lines if "target @5 20.0, ewm 20.0" in line.plain)
    assert span_at(line, line.plain.index("target")) == "#ffff00"
    assert span_at(line, line.plain.index("ewm")) == "#aaaaaa"
    assert "╍" in line.plain
    assert "╌" not in line.plain


def test_the_patience_window_is_shaded_without_colour_too() -> None:
    curve = [Curve("", EPOCHS, RISING)]
    plain_plot = plot_chart(curve, width=60, height=16)
    shaded = plot_chart(curve, width=60, height=16, axes=Axes(window=(18.0, 23.0)))
    first = shaded.column_of(18.0)
    assert first is not None
    rule = shaded.lines[shaded.rows].plain
    assert set(rule[first : shaded.left + shaded.columns]) <= set("━┯")
    assert "━" not in rule[:first]
    before, after = area(plain_plot), area(shaded)
    changed = {i for a, b in zip(before, after, strict=True) for i in range(len(a)) if a[i] != b[i]}
    assert min(changed) >= first - shaded.left
    tinted = plot_chart(
        curve, width=60, height=16, axes=Axes(window=(18.0, 23.0)), look=Look(shade="#223344")
    )
    assert area(tinted) == before
    assert "on #223344" in span_at(tinted.lines[3], first + 1)
    assert "on #223344" not in span_at(tinted.lines[3], first - 2)
    ascii_rule = plot_chart(
        curve, width=60, height=16, axes=Axes(window=(18.0, 23.0)), look=Look(ascii_only=True)
    ).lines[-2]
    assert "==" in ascii_rule.plain
    outside = plot_chart(curve, width=60, height=16, axes=Axes(window=(30.0, 40.0)))
    assert plain(outside.lines) == plain(plain_plot.lines)


def test_clipping_leaves_outliers_out_and_says_so() -> None:
    x = np.arange(500.0)
    y = np.sin(x / 30)
    y[[200, 300]] = (1000.0, -1000.0)
    curve = Curve("", x, y)
    whole = plot_chart([curve], width=80, height=16)
    assert whole.clipped == 0
    clipped = plot_chart([curve], width=80, height=16, axes=Axes(clip=True))
    assert clipped.clipped == 2
    assert clipped.y_range is not None
    assert -1.3 < clipped.y_range[0] < -1 < 1 < clipped.y_range[1] < 1.3
    rows = area(clipped)
    up, down = rows[0].index("▲"), rows[-1].index("▼")
    assert clipped.left + up == clipped.column_of(200.0)
    assert clipped.left + down == clipped.column_of(300.0)
    ascii_rows = area(
        plot_chart([curve], width=80, height=16, axes=Axes(clip=True), look=Look(ascii_only=True))
    )
    assert "^" in ascii_rows[0]
    assert "v" in ascii_rows[-1]


def test_clipping_without_outliers_changes_nothing() -> None:
    curve = Curve("", EPOCHS, RISING)
    one = plot_chart([curve], width=80, height=16)
    other = plot_chart([curve], width=80, height=16, axes=Axes(clip=True))
    assert plain(one.lines) == plain(other.lines)


def test_curves_are_told_apart_along_their_way_without_colours() -> None:
    x = np.arange(2000.0)
    curves = [Curve(f"run {i}", x, np.cos(x / 300 + i)) for i in range(4)]
    for ascii_only, signs in ((False, "●■▲◆"), (True, "o+x#")):
        plot = plot_chart(curves, width=120, height=24, look=Look(marks=True, ascii_only=ascii_only))
        bare = plot_chart(curves, width=120, height=24, look=Look(ascii_only=ascii_only))
        for sign in signs:
            assert sum(row.count(sign) for row in area(plot)) >= 4
            assert ascii_only or sum(row.count(sign) for row in area(bare)) == 1


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


def test_resumes_are_ticked_on_the_axis() -> None:
    lines = plain(curve_chart([Curve("", EPOCHS, RISING, ticks=(9.0,))], width=60, height=12))
    assert "↻" in lines[-2]


def test_the_star_is_at_the_best_epoch_on_its_curve() -> None:
    width, height = 70, 14
    y = 1.0 - (EPOCHS - 16) ** 2 / 400
    lines = plain(curve_chart([Curve("", EPOCHS, y, best_x=16.0)], width=width, height=height))
    row, column = next((r, line.index("★")) for r, line in enumerate(lines) if "★" in line)
    left = lines[0].index("│" if "│" in lines[0] else "┤") + 1
    right = max(i for line in lines for i, c in enumerate(line) if "\u2801" <= c <= "\u28ff")
    assert column == pytest.approx(left + (16 - 1) / 22 * (right - left), abs=1)
    assert row <= min(r for r, line in enumerate(lines) if braille(line))


def test_names_of_levels_do_not_hide_the_curves_of_a_low_chart() -> None:
    curves = [Curve(f"@{k}", EPOCHS, np.full(23, 0.1 * k)) for k in (1, 2, 3)]
    levels = (Level("copy-last", 0.2), Level("", 0.3, target=True), Level("ewm", 0.05))
    low = plot_chart(curves, width=44, height=6, levels=levels, axes=Axes(percent=True))
    assert sum(braille(row) for row in area(low)) == 3
    words = " ".join(row for row in area(low)).split()
    for number, name in (("20.0", "copy-last"), ("30.0", "target"), ("5.0", "ewm")):
        assert all(words[at - 1] == name for at, word in enumerate(words) if word == number)
    assert any("ewm 5.0" in row for row in area(low))
    high = plot_chart(curves, width=44, height=24, levels=levels, axes=Axes(percent=True))
    for said in ("copy-last 20.0", "target 30.0", "ewm 5.0"):
        assert any(said in row for row in area(high))


def test_a_band_down_to_zero_does_not_squash_a_logarithmic_chart() -> None:
    low, high = RISING - 0.06, RISING + 0.06
    assert low.min() < 0
    curve = Curve("", EPOCHS, RISING, low=low, high=high)
    plot = plot_chart([curve], width=60, height=16, axes=Axes(log_y=True))
    assert plot.y_range is not None
    assert 1e-4 < plot.y_range[0] < RISING.min()
    assert 0.23 < plot.y_range[1] < 0.4
    assert braille(area(plot)[-1][0])


def test_a_band_of_many_points_keeps_its_extremes() -> None:
    x = np.arange(50_000.0)
    y = np.zeros(50_000)
    high = np.ones(50_000)
    high[23_456] = 9.0
    plot = plot_chart([Curve("", x, y, low=y - 1, high=high)], width=80, height=20)
    assert plot.y_range is not None
    assert plot.y_range[1] > 9
    row, column = plot.row_of(8.5), plot.column_of(23_456.0)
    assert row is not None
    assert column is not None
    assert plot.lines[row].plain[column - 1 : column + 2].strip()
