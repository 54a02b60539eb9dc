"""Lanes: the kinds of vectors there are, given with the data or found as clusters of the training vectors.

Given lanes are `lanes.npy` beside the vectors, a whole number from 0 for each, and their names, where there
are any, a list under "lanes" in `meta.json`.
"""

import os
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.data.npy import ArrayFile
from engine.data.split import SplitView
from engine.data.vectors import LANES, VectorSet
from engine.protocol import Positions
from engine.ranks import unit_rows
from lvmtui.errors import DataError

GIVEN = f"given in {LANES}"
"""Where lanes come from that were not found by clustering."""
CLUSTERS = 16
CLUSTERED = 20_000
"""Training vectors that clusters are made of, at most."""
ITERATIONS = 25
_SEED = 0
_LARGEST = (1 << 32) - 1
Source = Literal["auto", "given", "kmeans"]
"""Which lanes: those given, clusters, or those given where there are any."""
_BLOCK = 4096
_SAME = 1e-6
"""1 - cosine of vectors that float32 cannot tell apart."""


@dataclass(frozen=True, eq=False)
class Lanes:
    """The lanes of some vectors."""

    number: NDArray[np.int64]
    """(n,) from 0."""
    names: tuple[str, ...]
    """Of the lanes by number; empty where they have none."""
    source: str
    """Where they come from, in words."""


def lanes_of(split: SplitView, positions: Positions, train: SplitView) -> Lanes:
    """The lanes of a split's vectors at `positions` (n,): as given, else the nearest cluster's.

    Args:
        train: what clusters are made of, where no lanes are given.

    Raises:
        DataError: `lanes.npy` is damaged, or no lane for each vector; or a vector is zero or not finite.
    """
    given = read_lanes(split.data)
    if given is not None:
        return Lanes(given[split.rows[positions]], _names(split.data), GIVEN)
    centres = cluster(train)
    number = np.empty(len(positions), np.int64)
    for start in range(0, len(positions), _BLOCK):
        part = slice(start, start + _BLOCK)
        number[part] = (_unit(split, positions[part]) @ centres.T).argmax(1).numpy()
    names = tuple(f"cluster {k + 1}" for k in range(len(centres)))
    return Lanes(number, names, f"{len(centres)} clusters of the training vectors (spherical k-means)")


def read_lanes(data: VectorSet) -> NDArray[np.int64] | None:
    """The given lane (N,) of every vector; None where there is no `lanes.npy`.

    Raises:
        DataError: it is unreadable, or no whole number from 0 for each vector.
    """
    path = data.path / LANES
    if not os.path.lexists(path):
        return None
    file = ArrayFile.open(path)
    hint = f"Give each vector its lane, numbered from 0, or remove {LANES}: then clusters are used."
    if file.dtype.kind not in "iu":
        raise DataError(f"{path} holds {file.dtype} where integers are needed", hint)
    if file.shape != (len(data),):
        raise DataError(f"{path} has the shape {file.shape} for {len(data)} vectors", hint)
    stored = file.map()
    if len(stored) and (int(stored.min()) < 0 or int(stored.max()) > _LARGEST):
        wrong = int(stored.min()) if int(stored.min()) < 0 else int(stored.max())
        raise DataError(f"{path} holds {wrong}, which is no lane", hint)
    return stored.astype(np.int64)


def _names(data: VectorSet) -> tuple[str, ...]:
    names = data.meta.get("lanes")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def centres(train: SplitView, count: int, source: Source = "auto") -> Tensor:
    """Unit centres (count, D) of lanes of the training vectors, the largest lane first, float32.

    Of more given lanes the largest are taken; for fewer, clusters of all the vectors fill the rest, and
    directions at random where fewer vectors differ. The same for the same vectors.

    Raises:
        DataError: given lanes are asked for, and there are none; or they are damaged; or a vector is zero or
            not finite.
    """
    found = _given_centres(train, count) if source != "kmeans" else None
    if found is None and source == "given":
        raise DataError(
            f"there are no lanes given with {train.data.path}, and data.lanes = given",
            f"Add {LANES}, the number of each vector's lane from 0, or set data.lanes = kmeans.",
        )
    found = torch.empty(0, train.data.dim) if found is None else found
    if len(found) < count:
        found = torch.cat([found, spherical_kmeans(_sample(train), count - len(found))])
    if len(found) < count:
        random = torch.Generator().manual_seed(_SEED)
        drawn = torch.randn(count - len(found), train.data.dim, generator=random)
        found = torch.cat([found, torch.nn.functional.normalize(drawn, dim=-1)])
    return found


def _given_centres(train: SplitView, most: int) -> Tensor | None:
    """Unit centres (k, D), k <= most, of the largest given lanes of the training vectors; None where none
    are given."""
    given = read_lanes(train.data)
    if given is None:
        return None
    _, lane, sizes = np.unique(given[train.rows], return_inverse=True, return_counts=True)
    largest = np.argsort(-sizes, kind="stable")[:most]
    place = np.full(len(sizes), len(largest))
    place[largest] = np.arange(len(largest))
    # The last row is that of the smaller lanes.
    sums = torch.zeros(len(largest) + 1, train.data.dim)
    for start in range(0, len(train), _BLOCK):
        positions = np.arange(start, min(start + _BLOCK, len(train)))
        sums.index_add_(0, torch.from_numpy(place[lane[positions]]), _unit(train, positions))
    sums = sums[:-1]
    length: Tensor = torch.linalg.vector_norm(sums, dim=1)
    # Vectors that cancel out have no direction in common.
    directed = length > _SAME
    return sums[directed] / length[directed, None]


def cluster(train: SplitView) -> Tensor:
    """Centres (k, D) at unit length, float32, of up to `CLUSTERS` clusters of the training vectors, the
    largest first; from at most `CLUSTERED` of them, evenly spread.

    Raises:
        DataError: a vector is zero or not finite.
    """
    return spherical_kmeans(_sample(train), CLUSTERS)


def _sample(train: SplitView) -> Tensor:
    """At most `CLUSTERED` training vectors at unit length, evenly spread."""
    n = min(len(train), CLUSTERED)
    return _unit(train, np.linspace(0, len(train) - 1, n).astype(np.int64))


def spherical_kmeans(unit: Tensor, most: int, *, seed: int = _SEED) -> Tensor:
    """Clusters by cosine: I. S. Dhillon, D. S. Modha, "Concept decompositions for large sparse text data
    using clustering", Machine Learning 42, 2001; started by k-means++ (D. Arthur, S. Vassilvitskii, "The
    advantages of careful seeding", SODA 2007).

    Args:
        unit: (n, D) at unit length, float32 on the CPU.
        most: clusters; there are fewer where fewer vectors differ.
        seed: of the start.

    Returns:
        Centres (k, D) at unit length, the largest cluster first.
    """
    centres = _seeds(unit, most, np.random.default_rng(seed))
    nearest = None
    for _ in range(ITERATIONS):
        cosine, found = (unit @ centres.T).max(1)
        if nearest is not None and torch.equal(found, nearest):
            break
        nearest = found
        sums = torch.zeros_like(centres).index_add_(0, nearest, unit)
        length = torch.linalg.vector_norm(sums, dim=1, keepdim=True)
        centres = sums / length.clamp(min=_SAME)
        # A cluster that lost its vectors begins anew at what is served worst.
        empty = torch.nonzero(length[:, 0] <= _SAME)[:, 0]
        centres[empty] = unit[torch.argsort(cosine, stable=True)[: len(empty)]]
    sizes = torch.bincount((unit @ centres.T).argmax(1), minlength=len(centres))
    return centres[torch.argsort(-sizes, stable=True)]


def _seeds(unit: Tensor, most: int, random: np.random.Generator) -> Tensor:
    """Centres to start from: vectors, each drawn the likelier the further it is from those before it."""
    chosen = [int(random.integers(len(unit)))]
    distance = 1 - unit @ unit[chosen[0]]
    while len(chosen) < most:
        weight = torch.where(distance > _SAME, distance, 0).double().cumsum(0).numpy()
        if not weight[-1] > 0:
            break
        pick = int(np.searchsorted(weight, random.random() * weight[-1], side="right"))
        chosen.append(pick)
        distance = torch.minimum(distance, 1 - unit @ unit[pick])
    return unit[chosen].clone()


def _unit(split: SplitView, positions: Positions) -> Tensor:
    """The split's vectors at `positions`, at unit length."""
    rows = split.rows[positions]
    unit, wrong = unit_rows(torch.from_numpy(split.data.vectors[rows].astype(np.float32, copy=False)))
    if wrong is not None:
        raise DataError(
            f"vector {rows[wrong]} of {split.data.path} is zero or not finite",
            "`lvmtui data build` drops such vectors; others have to be removed by hand.",
        )
    return unit
