"""Curves printed once."""

import math

import numpy as np
from numpy.typing import ArrayLike

from lvmtui.charts.inline import plot_inline
from tests.tui.drawn import EPOCHS, RISING


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
