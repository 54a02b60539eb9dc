"""Lines through points, as ranges of dots."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lvmtui.charts.raster import Array, Ints, Spans, column_spans

ACROSS, DOWN = 40, 30

points = st.lists(
    st.tuples(st.floats(-20, 60), st.floats(-40, 70) | st.just(float("nan"))), min_size=1, max_size=60
)


def spans(u: Array, v: Array, line: Ints | None = None) -> Spans:
    return column_spans(u, v, np.zeros(len(u), dtype=np.int64) if line is None else line, ACROSS, DOWN)


def ascending(drawn: list[tuple[float, float]]) -> tuple[Array, Array]:
    u, v = np.array(sorted(drawn, key=lambda point: point[0])).T
    return u, v


@given(points)
def test_each_piece_covers_its_line_and_nothing_else(drawn: list[tuple[float, float]]) -> None:
    u, v = ascending(drawn)
    found = spans(u, v)
    assert (found.column >= 0).all()
    assert (found.column < ACROSS).all()
    for start in range(len(u)):
        last = min(start + 1, len(u) - 1)
        shares = np.linspace(0, 1, 400)
        across = u[start] + shares * (u[last] - u[start])
        down = v[start] + shares * (v[last] - v[start]) if np.isfinite(v[last]) else np.full(400, v[start])
        across = across if np.isfinite(v[last]) else np.full(400, u[start])
        inside = np.isfinite(down) & (across >= 0) & (across < ACROSS - 0.5) & (down > 0) & (down < DOWN - 1)
        for x, y in zip(across[inside][::23], down[inside][::23], strict=True):
            here = np.abs(found.column - x) <= 1
            assert ((found.top[here] - 1 <= y) & (y <= found.bottom[here] + 1)).any()
    finite = np.isfinite(v)
    if finite.any():
        assert (found.top >= np.floor(np.clip(v[finite].min(), -1, DOWN)) - 1).all()
        assert (found.bottom <= np.ceil(np.clip(v[finite].max(), -1, DOWN)) + 1).all()


@given(points)
def test_no_line_has_holes(drawn: list[tuple[float, float]]) -> None:
    u, v = ascending([(x, y) for x, y in drawn if y == y] or [(0.0, 0.0)])
    found = spans(u, v)
    assert (np.diff(found.column) == 1).all()
    assert (found.top[1:] <= found.bottom[:-1] + 1).all()
    assert (found.bottom[1:] >= found.top[:-1] - 1).all()


@given(st.lists(points, min_size=1, max_size=4))
def test_many_lines_at_once_are_as_each_alone(several: list[list[tuple[float, float]]]) -> None:
    lines = [ascending(drawn) for drawn in several]
    together = spans(
        np.concatenate([u for u, _ in lines]),
        np.concatenate([v for _, v in lines]),
        np.repeat(np.arange(len(lines)), [len(u) for u, _ in lines]),
    )
    for number, (u, v) in enumerate(lines):
        alone, of = spans(u, v), together.line == number
        for name in ("column", "top", "bottom"):
            np.testing.assert_array_equal(getattr(alone, name), getattr(together, name)[of])


def test_a_gentle_line_has_one_dot_a_column() -> None:
    found = spans(np.array([0.0, 39.0]), np.array([2.0, 25.0]))
    np.testing.assert_array_equal(found.top, found.bottom)
    np.testing.assert_array_equal(found.top, np.rint(2 + np.arange(40) * 23 / 39))


def test_a_steep_line_has_each_row_once() -> None:
    found = spans(np.array([5.0, 9.0]), np.array([0.0, 29.0]))
    rows = [
        row for top, bottom in zip(found.top, found.bottom, strict=True) for row in range(top, bottom + 1)
    ]
    assert sorted(rows) == list(range(30))


def test_a_line_breaks_at_nan_and_where_it_goes_back() -> None:
    gap = spans(np.array([0.0, 5, 10, 15]), np.array([3.0, 3, np.nan, 3]))
    assert gap.column.tolist() == [0, 1, 2, 3, 4, 5, 15]
    back = spans(np.array([20.0, 25, 5, 10]), np.array([3.0, 3, 9, 9]))
    assert back.column.tolist() == [*range(20, 26), *range(5, 11)]
    assert set(back.top[back.column > 15].tolist()) == {3}


def test_lines_from_far_outside_cross_the_grid() -> None:
    found = spans(np.array([-1e6, 1e6]), np.array([10.0, 10.0]))
    assert found.column.tolist() == list(range(ACROSS))
    upright = spans(np.array([7.0, 7.0]), np.array([-1e300, 1e300]))
    assert (upright.column.tolist(), upright.top.tolist(), upright.bottom.tolist()) == ([7], [-1], [DOWN])
    assert not len(spans(np.array([-9.0, -3.0]), np.array([1.0, 1.0])).line)
    assert not len(spans(np.array([3.0]), np.array([np.nan])).line)
