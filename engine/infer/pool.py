"""The pool that predictions are looked up in: exact search by cosine, in bounded memory."""

import importlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.infer import coarse
from engine.infer.checked import checked_vectors
from lvmtui.errors import DataError, MissingDependency

BLOCK_BYTES = 64 << 20
"""Bytes of vectors in float32 that are compared together."""
RESIDENT_BYTES = 512 << 20
"""Bytes in float32 up to which a pool is kept in memory as a whole."""
QUERIES = 1024
"""Queries that are answered together; a pool that is not resident is read once for each so many."""
COARSE = 1 << 18
"""Numbers in a resident pool from which on it is searched in a copy of 8 bits first."""
SAME = 1 - 1e-5
"""Cosine from which on two vectors are the same, one of them perhaps rounded to float16."""
_UNIT = 2.0**-24
"""Relative error of rounding to float32."""


class Hits(NamedTuple):
    """The nearest vectors of a pool, best first; of equal scores, the first row first."""

    scores: Tensor
    """(k,) or (n, k) cosines, float32, computed in float64."""
    rows: Tensor
    """(k,) or (n, k) int64: places in the pool."""


class Pool:
    """Vectors to search, by cosine.

    The answer is that of a computation in float64, whatever the blocks and the threads: products in float32
    choose the candidates, with room for their rounding, and these are scored again. For a single query an
    8-bit copy of a resident pool chooses what is multiplied in float32 (see `engine.infer.coarse`).

    Args:
        vectors: (N, D) floating-point numbers of any norm above zero: numpy array, memory-mapped or not, or
            tensor. A memory-mapped pool of more than `resident` bytes in float32 stays on disk, and a search
            reads all of it.
        index: `exact`, or `faiss` for an `IndexFlatIP` (exact too) of the package faiss.
        resident: bytes of float32 that may be kept in memory.

    Raises:
        DataError: not (N, D), empty, or a vector that is zero or not finite.
        MissingDependency: faiss is asked for and not installed.
    """

    def __init__(
        self,
        vectors: Any,
        *,
        index: Literal["exact", "faiss"] = "exact",
        resident: int = RESIDENT_BYTES,
    ) -> None:
        self._vectors: NDArray[np.generic] = _as_array(vectors)
        rows, self.dim = self._vectors.shape
        """Numbers in a vector."""
        self._step = max(1, BLOCK_BYTES // (4 * self.dim))
        self._inverse = torch.empty(rows)
        self._unit: Tensor | None = torch.empty(rows, self.dim) if 4 * rows * self.dim <= resident else None
        self._measure()
        self._faiss: Any = self._fill_faiss() if index == "faiss" else None
        self._room = 4 * (self.dim + 8) * _UNIT
        self._coarse: coarse.Coarse | None = None
        if self._unit is not None and self._unit.numel() >= COARSE and coarse.is_fast():
            self._coarse = coarse.Coarse(self._unit, self._room)

    def __len__(self) -> int:
        return len(self._inverse)

    @torch.inference_mode()
    def search(self, queries: Any, k: int = 10, *, exclude: Tensor | None = None) -> Hits:
        """The k nearest vectors of each query.

        Args:
            queries: (D,) or (n, D), any norm above zero.
            k: how many; fewer come back where the pool has no more.
            exclude: (N,) bool: rows that are no candidates.

        Raises:
            DataError: queries of another shape, zero or not finite; k below 1; everything is excluded.
        """
        asked = checked_vectors(queries, self.dim, "the query", shapes=(1, 2)).cpu()
        unit = functional.normalize(asked if asked.ndim == 2 else asked[None], dim=-1)
        k = min(k, self._available(k, exclude))
        if len(unit) == 1:
            scores, rows = self._nearest(unit, k, exclude)
        else:
            parts = [self._nearest(part, k, exclude) for part in torch.split(unit, QUERIES)]
            scores, rows = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
        return Hits(scores, rows) if asked.ndim == 2 else Hits(scores[0], rows[0])

    @torch.inference_mode()
    def find(self, vectors: Any) -> Tensor:
        """Rows (m,) int64 of the pool's vectors that are the same as one of some vectors, (D,) or (n, D), up
        to rounding to float16.

        Raises:
            DataError: vectors of another shape, zero or not finite.
        """
        asked = checked_vectors(vectors, self.dim, "the vectors", shapes=(1, 2)).cpu().view(-1, self.dim)
        parts = torch.split(functional.normalize(asked, dim=-1), QUERIES)
        found = [
            torch.stack([(block @ part.T >= SAME).any(dim=1) for part in parts]).any(dim=0)
            for _, block in self._blocks()
        ]
        return torch.nonzero(torch.cat(found)).flatten()

    def _available(self, k: int, exclude: Tensor | None) -> int:
        if k < 1:
            raise DataError(f"the number of nearest vectors is {k}; it must be at least 1")
        if exclude is None:
            return len(self)
        if exclude.shape != (len(self),):
            raise DataError(f"the excluded rows are {tuple(exclude.shape)}, the pool has {len(self)} vectors")
        left = len(self) - int(exclude.count_nonzero())
        if left == 0:
            raise DataError("every vector of the pool is excluded", "Search a larger pool.")
        return left

    def _nearest(self, unit: Tensor, k: int, exclude: Tensor | None) -> Hits:
        """The k nearest of unit queries (n, D); as many are there."""
        near = self._near if self._faiss is None else self._near_faiss
        query, row = near(unit, k, exclude)
        exact = self._cosines(unit, query, row)
        if len(unit) == 1:
            order = torch.from_numpy(np.lexsort((row.numpy(), -exact.numpy()))[:k])
            return Hits(exact[order].float()[None], row[order][None])
        order = torch.from_numpy(np.lexsort((row.numpy(), -exact.numpy(), query.numpy())))
        query, row, exact = query[order], row[order], exact[order]
        first = torch.searchsorted(query, torch.arange(len(unit)))
        chosen = first[:, None] + torch.arange(k)
        return Hits(exact[chosen].float(), row[chosen])

    def _near(self, unit: Tensor, k: int, exclude: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pairs (query, row) that hold the k nearest of each query: all whose product in float32 may belong
        to them, by the bound on its rounding."""
        rows = self._coarse.near(unit, k, exclude) if self._coarse is not None and len(unit) == 1 else None
        if rows is not None and self._unit is not None:
            score = self._unit.index_select(0, rows) @ unit[0]
            rows = rows[score >= score.topk(k).values[-1] - self._room]
            return torch.zeros_like(rows), rows
        best = torch.full((len(unit), k), -torch.inf)
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for first, block in self._blocks():
            scores = unit @ block.T
            if exclude is not None:
                scores.masked_fill_(exclude[first : first + len(block)], -torch.inf)
            top = scores.topk(min(k, len(block))).values
            best = torch.cat([best, top], dim=1).topk(k).values if first or top.shape[1] < k else top
            bar = (best[:, -1:] - self._room).clamp(min=-2.0)
            query, row = torch.nonzero(scores >= bar, as_tuple=True)
            found.append((query, row + first, scores[query, row]))
        query, row, score = (torch.cat(pieces) for pieces in zip(*found, strict=True))
        kept = score >= best[query, -1] - self._room
        return query[kept], row[kept]

    def _cosines(self, unit: Tensor, query: Tensor, row: Tensor) -> Tensor:
        """Cosines (m,) of pairs, float64. Equal vectors give equal numbers: each row is summed alike."""
        result = np.empty(len(row))
        queries = unit.double().numpy()
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        step = max(1, BLOCK_BYTES // (16 * self.dim))
        for begin in range(0, len(row), step):
            part = slice(begin, begin + step)
            vectors = np.asarray(self._vectors[row[part].numpy()], np.float64)
            products = (vectors * queries[query[part].numpy()]).sum(axis=1)
            result[part] = products / np.sqrt((vectors * vectors).sum(axis=1))
        return torch.from_numpy(result)

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        """The pool's vectors at unit length, float32: (number of the first row, (b, D))."""
        for first in range(0, len(self), self._step):
            part = slice(first, first + self._step)
            if self._unit is not None:
                yield first, self._unit[part]
            else:
                yield first, self._read(part) * self._inverse[part, None]

    def _read(self, part: slice) -> Tensor:
        return torch.from_numpy(np.array(self._vectors[part], np.float32))

    def _measure(self) -> None:
        """Take each vector's length, refuse those without one, and keep what may be kept."""
        for first in range(0, len(self), self._step):
            part = slice(first, first + self._step)
            block = self._read(part)
            norms = torch.linalg.vector_norm(block, dim=1)
            wrong = torch.nonzero(~(norms.isfinite() & (norms > torch.finfo(torch.float32).tiny)))
            if len(wrong):
                raise DataError(
                    f"vector {first + int(wrong[0])} of the pool is zero or not finite",
                    "Leave out what could not be encoded: it can be no answer.",
                )
            self._inverse[part] = 1.0 / norms
            if self._unit is not None:
                self._unit[part] = block * self._inverse[part, None]

    def _fill_faiss(self) -> Any:
        try:
            faiss = importlib.import_module("faiss")
        except ModuleNotFoundError as error:
            raise MissingDependency(
                "a faiss index needs faiss, which is not installed",
                "Install it with: pip install faiss-cpu. Or leave index='faiss' out: that is as exact.",
            ) from error
        index = faiss.IndexFlatIP(self.dim)
        for _, block in self._blocks():
            index.add(np.ascontiguousarray(block.numpy()))
        self._unit = None
        return index

    def _near_faiss(self, unit: Tensor, k: int, exclude: Tensor | None) -> tuple[Tensor, Tensor]:
        """Pairs (query, row) that hold the k nearest of each query, as faiss finds them."""
        hidden = 0 if exclude is None else int(exclude.count_nonzero())
        _, found = self._faiss.search(np.ascontiguousarray(unit.numpy()), min(k + hidden, len(self)))
        row = torch.from_numpy(found.astype(np.int64)).flatten()
        query = torch.arange(len(unit)).repeat_interleave(found.shape[1])
        kept = row >= 0 if exclude is None else ~exclude[row]
        return query[kept], row[kept]


def _as_array(vectors: Any) -> NDArray[np.generic]:
    array = vectors.detach().cpu().float().numpy() if isinstance(vectors, Tensor) else vectors
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        held = getattr(array, "dtype", type(array).__name__)
        raise DataError(
            f"the pool is {held}, where an array of floating-point numbers is needed",
            "Give numpy.asarray(vectors, numpy.float32), or numpy.load(file, mmap_mode='r').",
        )
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(
            f"the pool has the shape {array.shape} where (vectors, numbers in a vector) is needed"
        )
    return array
