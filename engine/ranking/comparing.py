"""Queries compared with a pool, tile by tile: how many candidates are above each query's cutoff, and which
are too near to it to be told by fast arithmetic."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor

from engine.data.split import SplitView
from engine.protocol import Positions, Queries
from engine.ranking.margins import HIDDEN, Arithmetic, classify, reaching
from engine.ranking.pairs import Floats, Pairs, exact_rows, products_at, unit_rows
from engine.ranking.workers import each
from lvmtui.errors import DataError

TILE = 1024
"""Candidates compared together."""
BLOCK = 1024
"""Queries compared with a tile together: the margins stay in the processor's cache."""
GROUP = 8192
"""Queries that are in memory together, in the forms that are compared."""
_WORTH_A_LOOK = 0.6
"""Share of the queries that a first look may leave over and still pay for itself."""
_TILES_BLIND = 15
"""Tiles without a first look after one that did not."""
_ALL = 0x7F00
"""A ceiling above every margin of 16 bits (and, followed by zeros, of 32)."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A group of queries compared with one tile of the pool."""

    first: int
    """The group's first query."""
    above: Positions
    """(group,) candidates of the tile that are surely above the query's cutoff."""
    pairs: Pairs
    """What could not be told, by query."""
    cosines: Floats
    """Cosines of these, exact."""


def compare(
    vectors: Tensor,
    cutoff: Floats,
    pool: SplitView,
    queries: Queries,
    device: torch.device,
    hidden: Pairs | None,
) -> Generator[Compared, None, None]:
    """Compare the cosines of vectors (n, D) and all their candidates with a cutoff (n,), tile by tile.

    Args:
        hidden: pairs that do not count, sorted by candidate; None: nothing is hidden, and all that is above
            the cutoff is among the pairs, none in the count.

    Raises:
        DataError: a vector of the pool is zero or not finite.
    """
    arithmetic = Arithmetic.best(vectors.shape[1], device)
    starts = range(0, len(pool), TILE)
    threads = min(torch.get_num_threads(), len(starts)) if device.type == "cpu" else 1
    memory: SimpleQueue[_Memory] = SimpleQueue()
    for _ in range(max(1, threads)):
        memory.put(_Memory.of(arithmetic, device))
    with _full_precision():
        for first in range(0, len(queries), GROUP):
            part = slice(first, first + GROUP)
            group = _Group.of(vectors[part], cutoff[part], first, arithmetic, device)

            def work(start: int, group: _Group = group) -> Compared:
                mine = memory.get()
                try:
                    return group.compare(_Tile.of(pool, start, mine), mine, queries, hidden)
                finally:
                    memory.put(mine)

            yield from each(work, starts, threads)


@dataclass(eq=False)
class _Memory:
    """What one worker writes into, again for every tile."""

    arithmetic: Arithmetic
    device: torch.device
    operand: Tensor
    """(tile, width) candidates, as the product wants them."""
    margins: Tensor
    """(block * tile,) margins."""
    scratch: Tensor
    """As much again."""
    blind: int = 0
    """Tiles to come without a first look."""

    @classmethod
    def of(cls, arithmetic: Arithmetic, device: torch.device) -> "_Memory":
        # Very small products may take another way through torch, with other rounding.
        tile = max(64, -(-TILE // 8) * 8)
        operand = torch.zeros(tile, arithmetic.width, dtype=arithmetic.dtype, device=device)
        margins = operand.new_empty(BLOCK * tile)
        return cls(arithmetic, device, operand, margins, torch.empty_like(margins))

    def product(self, queries: Tensor, columns: slice) -> Tensor:
        """Margins (n, tile) of query operands (n, width) over some of the columns."""
        margins = self.margins[: len(queries) * len(self.operand)].view(len(queries), -1)
        return torch.mm(queries[:, columns], self.operand[:, columns].T, out=margins)


@dataclass(frozen=True, eq=False)
class _Tile:
    """Some of the pool's vectors."""

    start: int
    """Position of the first."""
    vectors: Tensor
    """(t, D) as they are."""

    @classmethod
    def of(cls, pool: SplitView, start: int, memory: _Memory) -> "_Tile":
        """Take a tile, and put it into the worker's operand at unit length."""
        vectors = torch.from_numpy(pool.take(start, min(start + TILE, len(pool))))
        unit, wrong = unit_rows(vectors)
        if wrong is not None:
            raise DataError(
                f"vector {pool.rows[start + wrong]} of {pool.data.path} is zero or not finite",
                "`lvmtui data build` drops such vectors; others have to be removed by hand.",
            )
        memory.arithmetic.candidates(unit.to(memory.device), memory.operand[: len(unit)])
        return cls(start, vectors)

    def __len__(self) -> int:
        return len(self.vectors)

    def products(self, left: Tensor, row: Positions, column: Positions) -> Floats:
        """Cosines (m,) of rows of `left`, at unit length, with the tile's vectors; see `products_at`."""
        if 2 * len(row) > len(self):
            return products_at(left, self._exact, row, column)
        some, column = np.unique(column, return_inverse=True)
        return products_at(left, exact_rows(self.vectors[torch.from_numpy(some)]), row, column)

    @cached_property
    def _exact(self) -> Tensor:
        """(t, D) at unit length, float64."""
        return exact_rows(self.vectors)


@dataclass(frozen=True, eq=False)
class _Group:
    """Some of the queries, in the forms that are compared."""

    first: int
    """Number of the first."""
    operand: Tensor
    """(n, width) as the product wants them."""
    exact: Tensor
    """(n, D) at unit length, float64."""

    @classmethod
    def of(
        cls, vectors: Tensor, cutoff: Floats, first: int, arithmetic: Arithmetic, device: torch.device
    ) -> "_Group":
        unit = unit_rows(vectors)[0].to(device)
        operand = arithmetic.queries(unit, torch.from_numpy(cutoff))
        return cls(first, operand, exact_rows(vectors))

    def compare(self, tile: _Tile, memory: _Memory, queries: Queries, hidden: Pairs | None) -> Compared:
        """Compare all of these queries with a tile, a block at a time."""
        above = np.zeros(len(self.operand), np.int64)
        found: list[Pairs] = []
        cosines: list[Floats] = []
        columns = memory.arithmetic.whole
        reach = self._first_look(memory)
        for a in range(0, len(reach), BLOCK):
            block = reach[a : a + BLOCK]
            number = block + self.first
            margins = memory.product(_rows(self.operand, block), columns)
            margins[:, len(tile) :] = HIDDEN
            _hide_past(margins, queries, number, tile)
            ceiling = memory.arithmetic.ceiling
            if hidden is None:
                ceiling = _ALL << (8 * margins.element_size() - 16)
            else:
                _hide(margins, hidden, number, tile)
            above[block], row, column = classify(margins, memory.scratch[: margins.numel()], ceiling)
            if len(row):
                found.append(Pairs(number[row], column + tile.start))
                if 2 * len(row) < len(block):
                    block, row = np.unique(block[row], return_inverse=True)
                cosines.append(tile.products(_rows(self.exact, block), row, column))
        none = np.empty(0, np.int64)
        pairs = Pairs(
            np.concatenate([none, *(part.query for part in found)]),
            np.concatenate([none, *(part.position for part in found)]),
        )
        return Compared(self.first, above, pairs, np.concatenate([np.empty(0), *cosines]))

    def _first_look(self, memory: _Memory) -> Positions:
        """The queries, ascending, that any candidate of the tile may be above the cutoff of."""
        everyone = np.arange(len(self.operand))
        columns = memory.arithmetic.coarse
        if columns is None:
            return everyone
        if memory.blind:
            memory.blind -= 1
            return everyone
        blocks = (self.operand[a : a + BLOCK] for a in range(0, len(everyone), BLOCK))
        some = np.concatenate([reaching(memory.product(block, columns)) for block in blocks])
        reach: Positions = everyone[some]
        if len(reach) > _WORTH_A_LOOK * len(everyone):
            memory.blind = _TILES_BLIND
        return reach


@contextmanager
def _full_precision() -> Iterator[None]:
    """Float32 products without TF32 or bfloat16 inside, which training may have allowed."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _rows(matrix: Tensor, index: Positions) -> Tensor:
    """Rows by ascending index (n,); no copy where they are neighbours."""
    first, last = int(index[0]), int(index[-1])
    if last - first + 1 == len(index):
        return matrix[first : last + 1]
    return matrix[torch.from_numpy(index)]


def _hide_past(margins: Tensor, queries: Queries, number: Positions, tile: _Tile) -> None:
    """Take out what stands before each query in its own document, the last vector included.

    Args:
        number: (n,) the queries that the rows of margins are of, ascending.
    """
    position, document = queries.positions[number], queries.document_start[number]
    # Both grow with the query, so the queries whose past reaches into this tile are neighbours.
    a = int(np.searchsorted(position, tile.start, side="right"))
    b = int(np.searchsorted(document, tile.start + len(tile), side="left"))
    if a >= b:
        return
    left = max(0, int(document[a]) - tile.start)
    right = min(len(tile), int(position[b - 1]) - tile.start)
    if left >= right:
        return
    column = np.arange(left, right) + tile.start
    past = (column >= document[a:b, None]) & (column < position[a:b, None])
    margins[a:b, left:right].masked_fill_(torch.from_numpy(past).to(margins.device), HIDDEN)


def _hide(margins: Tensor, pairs: Pairs, number: Positions, tile: _Tile) -> None:
    """Take out pairs, sorted by candidate; rows as in `_hide_past`."""
    a, b = np.searchsorted(pairs.position, [tile.start, tile.start + len(tile)])
    query, position = pairs.query[a:b], pairs.position[a:b] - tile.start
    row = np.searchsorted(number, query).clip(max=len(number) - 1)
    here = number[row] == query
    margins[torch.from_numpy(row[here]), torch.from_numpy(position[here])] = HIDDEN
