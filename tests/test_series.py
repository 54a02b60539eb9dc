"""Smoothing and downsampling."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lvmtui.charts.cache import Recent, own, token
from lvmtui.series import Array, ema, envelope, finite_range, min_max, robust_range, within

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
    assert x[within(x, 3.5, 5.5)].tolist() == [3.0, 4.0, 5.0, 6.0]


def test_finite_range() -> None:
    assert finite_range([np.array([1.0, math.nan]), np.array([-2.0, math.inf])]) == (-2.0, 1.0)
    assert finite_range([np.array([math.nan]), np.array([])]) is None


@pytest.mark.parametrize("columns", [1, 7])
def test_downsampling_a_range_without_extent(columns: int) -> None:
    x = np.array([3.0])
    assert min_max(x, x, 3.0, 3.0, columns)[0].tolist() == [3.0]


@given(values, st.integers(1, 12), st.integers(1, 5))
def test_downsampling_keeps_extremes_where_x_goes_back(series: list[float], columns: int, laps: int) -> None:
    y = np.array(series * laps)
    x = np.tile(np.arange(len(series), dtype=float), laps)
    high = max(float(len(series) - 1), 1.0)
    _, kept = min_max(x, y, 0.0, high, columns)
    assert len(kept) <= max(5 * columns, 5 * (columns + 1) * laps)
    if np.isfinite(y).any():
        assert np.nanmin(kept) == np.nanmin(y)
        assert np.nanmax(kept) == np.nanmax(y)


def test_the_neighbours_of_a_range_where_x_goes_back() -> None:
    x = np.array([0.0, 1, 2, 3, 4, 1, 2, 3, 4, 5])
    found = within(x, 1.5, 2.5)
    assert x[found].tolist() == [1, 2, 3, 1, 2, 3]


@given(values, st.integers(1, 30))
def test_a_bands_envelope_holds_all_of_it(series: list[float], columns: int) -> None:
    low = np.array(series)
    high = low + 1.5
    x = np.arange(len(low), dtype=float)
    span = (0.0, max(float(len(low) - 1), 1.0))
    kept_x, kept_low, kept_high = envelope(x, low, high, span, columns)
    assert len(kept_x) == len(kept_low) == len(kept_high) <= max(5 * columns, columns + 2)
    if np.isfinite(low).any():
        assert np.nanmin(kept_low) == np.nanmin(low)
        assert np.nanmax(kept_high) == np.nanmax(high)


def test_outliers_are_left_out_of_the_robust_range() -> None:
    rng = np.random.default_rng(0)
    calm = rng.normal(size=5000)
    found = robust_range([np.append(calm, [1e6, -1e9, math.nan, math.inf])])
    assert found is not None
    assert found == pytest.approx((-3.3, 3.3), abs=0.4)
    assert robust_range([np.arange(30.0)]) == (0.0, 29.0)
    falling = 5 * np.exp(-np.arange(24.0) / 6)
    assert robust_range([falling]) == (falling.min(), falling.max())
    assert robust_range([np.array([math.nan]), np.array([])]) is None


def test_a_short_series_counts_as_much_as_a_long_one() -> None:
    found = robust_range([np.zeros(50_000), np.linspace(4.0, 5.0, 20)])
    assert found == (0.0, 5.0)


def test_an_arrays_token_is_its_own() -> None:
    one, other = np.zeros(3), np.zeros(3)
    assert token(one) == token(one) != token(other)
    assert token(None) == 0
    seen = set()
    for _ in range(50):
        fresh = np.zeros(3)
        seen.add(token(fresh))
        del fresh
    gc.collect()
    assert len(seen) == 50


def test_views_are_copied_before_they_are_kept() -> None:
    whole = np.arange(10.0)
    assert own(whole) is whole
    assert own(whole[2:5]).base is None


def test_the_least_recently_used_is_dropped_first() -> None:
    kept: Recent[str] = Recent(10, len)
    kept.put("a", "xxxx")
    kept.put("b", "yyyy")
    assert kept.get("a") == "xxxx"
    kept.put("c", "zzzz")
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == ("xxxx", None, "zzzz")
    assert kept.put("huge", "x" * 99) == kept.get("huge")
    assert len(kept) == 1
    kept.clear()
    assert kept.get("huge") is None
