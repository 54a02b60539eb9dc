"""Smoothing and downsampling."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lvmtui.series import Array, ema, finite_range, min_max, within

values = st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=400)


def _column(x: Array, columns: int, high: float) -> NDArray[np.int64]:
    return np.clip((x * (columns / high)).astype(np.int64), 0, columns)


def slow_ema(series: list[float], weight: float) -> list[float]:
    total = norm = 0.0
    smooth = []
    for value in series:
        if math.isnan(value):
            smooth.append(math.nan)
            continue
        total, norm = weight * total + value, weight * norm + 1.0
        smooth.append(total / norm)
    return smooth


@given(values, st.sampled_from([0.3, 0.6, 0.9, 0.98, 0.999]))
def test_ema_is_the_recurrence(series: list[float], weight: float) -> None:
    expected = slow_ema(series, weight)
    np.testing.assert_allclose(ema(np.array(series), weight), expected, rtol=1e-6, atol=1e-5)


def test_ema_without_weight_is_the_series_itself() -> None:
    series = np.array([1.0, math.nan, 3.0])
    assert ema(series, 0.0) is series


def test_ema_of_a_long_series_keeps_a_constant() -> None:
    np.testing.assert_allclose(ema(np.full(100_000, 3.5), 0.98), 3.5)


@given(values, st.integers(1, 40))
def test_downsampling_keeps_each_columns_extremes(series: list[float], columns: int) -> None:
    y = np.array(series)
    x = np.arange(len(y), dtype=float)
    high = max(float(len(y) - 1), 1.0)
    kept_x, kept_y = min_max(x, y, 0.0, high, columns)
    assert len(kept_x) <= max(5 * columns, 5 * (columns + 1))
    assert (np.diff(kept_x) > 0).all()
    for column in range(columns):
        full, kept = y[_column(x, columns, high) == column], kept_y[_column(kept_x, columns, high) == column]
        if np.isfinite(full).any():
            assert np.nanmin(kept) == np.nanmin(full)
            assert np.nanmax(kept) == np.nanmax(full)
        assert np.isnan(kept).any() == np.isnan(full).any()


def test_downsampling_a_million_points() -> None:
    x = np.arange(1e6)
    y = np.sin(x / 1e4)
    kept_x, kept_y = min_max(x, y, 0.0, 1e6, 200)
    assert 200 <= len(kept_x) <= 1005
    assert kept_y.max() == y.max()


def test_downsampling_keeps_the_neighbours_outside_the_range() -> None:
    x = np.arange(10.0)
    kept_x, _ = within(x, x, 3.5, 5.5)
    assert kept_x.tolist() == [3.0, 4.0, 5.0, 6.0]


def test_finite_range() -> None:
    assert finite_range([np.array([1.0, math.nan]), np.array([-2.0, math.inf])]) == (-2.0, 1.0)
    assert finite_range([np.array([math.nan]), np.array([])]) is None


@pytest.mark.parametrize("columns", [1, 7])
def test_downsampling_a_range_without_extent(columns: int) -> None:
    x = np.array([3.0])
    assert min_max(x, x, 3.0, 3.0, columns)[0].tolist() == [3.0]
