"""Values of metrics as columns of small numbers, which compress to a few bytes a value.

Values arrive exactly as they were stored. Epochs are rounded to a millionth and times to a millisecond: they
place a value on an axis and are no result.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

from lvmtui.remote.agent.wire import WireError

Point = tuple[int, int, float, float, "float | None"]
"""Id, step, epoch, time and value, as `lvmtui.store.reader.Point`."""

MOST_POINTS = 20_000
"""Values in one message, at most."""

_LARGEST = 1 << 53
_EPOCHS, _SECONDS = 1e6, 1e3
_SINGLE = struct.Struct("f")


def pack(points: Sequence[Point]) -> dict[str, list[Any]]:
    """Columns of differences: `i` ids, `s` steps, `e` epochs in millionths, `t` times in milliseconds; `v`
    values, null where not finite. A value that a single-precision number holds exactly is a text, its
    shortest form."""
    return {
        "i": _differences(point[0] for point in points),
        "s": _differences(point[1] for point in points),
        "e": _differences(round(point[2] * _EPOCHS) for point in points),
        "t": _differences(round(point[3] * _SECONDS) for point in points),
        "v": [_written(point[4]) for point in points],
    }


def unpack(columns: Any) -> list[Point]:
    """The values again.

    Raises:
        WireError: the columns do not fit together, or hold something else.
    """
    if not isinstance(columns, dict):
        raise WireError("a curve is no object")
    found = [column for column in map(columns.get, "isetv") if isinstance(column, list)]
    if len(found) != 5:
        raise WireError("a curve lacks a column")
    ids, steps, epochs, times, values = found
    if len({len(column) for column in found}) != 1 or len(ids) > MOST_POINTS:
        raise WireError("the columns of a curve do not fit together")
    return list(
        zip(
            _sums(ids),
            _sums(steps),
            [number / _EPOCHS for number in _sums(epochs)],
            [number / _SECONDS for number in _sums(times)],
            map(_read, values),
        )
    )


def _differences(numbers: Iterable[int]) -> list[int]:
    found, last = [], 0
    for number in numbers:
        found.append(number - last)
        last = number
    return found


def _sums(differences: Sequence[Any]) -> list[int]:
    found, last = [], 0
    for difference in differences:
        if type(difference) is not int:
            raise WireError("a column of a curve holds something else than whole numbers")
        last += difference
        if not -_LARGEST < last < _LARGEST:
            raise WireError("a number of a curve is out of range")
        found.append(last)
    return found


def _written(value: float | None) -> Any:
    """A number as it is, or the shortest text that gives the same single-precision number again."""
    if value is None:
        return None
    try:
        single = _SINGLE.unpack(_SINGLE.pack(value))[0]
    except OverflowError:
        return value
    if single != value or value == int(value):
        return value
    for digits in (6, 7, 8):
        text = f"{value:.{digits}g}"
        if _SINGLE.unpack(_SINGLE.pack(float(text)))[0] == value:
            return text
    return f"{value:.9g}"


def _read(value: Any) -> float | None:
    if value is None:
        return None
    try:
        if type(value) is str and len(value) <= 16:
            number = float(_SINGLE.unpack(_SINGLE.pack(float(value)))[0])
        elif type(value) in (int, float):
            number = float(value)
        else:
            raise WireError("a value of a curve is no number")
    except (ValueError, OverflowError) as error:
        raise WireError("a value of a curve is no number") from error
    return number if abs(number) < float("inf") else None
