"""Results kept for drawing again, keyed by the arrays they came from without keeping those alive."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import count
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")

_numbers = count(1)
_known: dict[int, tuple[weakref.ref[NDArray[Any]], int]] = {}


def token(array: NDArray[Any] | None) -> int:
    """A number for this very array, never given to another; 0 for None. The array must not be changed."""
    if array is None:
        return 0
    address = id(array)
    known = _known.get(address)
    if known is not None and known[0]() is array:
        return known[1]
    number = next(_numbers)

    def forget(dead: weakref.ref[NDArray[Any]]) -> None:
        if _known.get(address, (None, 0))[0] is dead:
            del _known[address]

    _known[address] = (weakref.ref(array, forget), number)
    return number


def own(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """The array without its base: a view would keep the whole series alive."""
    return array if array.base is None else array.copy()


class Recent(Generic[Value]):
    """Values by key, the least recently used one dropped first once their costs exceed a limit."""

    def __init__(self, limit: int, cost: Callable[[Value], int] = lambda _: 1) -> None:
        self._limit, self._cost, self._total = limit, cost, 0
        self._values: OrderedDict[Hashable, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable) -> Value | None:
        """The value, now the most recent one."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: Hashable, value: Value) -> Value:
        """Keep a value; returns it."""
        if key in self._values:
            self._total -= self._cost(self._values.pop(key))
        self._values[key] = value
        self._total += self._cost(value)
        while self._total > self._limit and len(self._values) > 1:
            self._total -= self._cost(self._values.popitem(last=False)[1])
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._total = 0
