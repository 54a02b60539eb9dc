"""The legacy protocol `window-v0`, as the first project judged: kept to reproduce old figures.

Windows of a context and a target are laid over the whole stream, overlapping, across documents, and split at
random. The last vector of each validation window is asked for, and the candidates are these targets alone. So
targets and contexts stand in training windows, and the pool shrinks as the context grows. What that comes to
on the data at hand is measured and stands in the protocol's spec under `flaws`, in words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.data.split import SplitView, stretches
from engine.data.vectors import VectorSet
from engine.data.windows import ListedWindows
from engine.evaluate import Judge
from engine.protocol import NEAR_DUPLICATE, Positions, Queries
from engine.ranks import near_duplicates
from lvmtui.splits import SPLITS, Blocks, random_window_counts, window_stride

NAME = "window-v0"
VERSION = 1


@dataclass(frozen=True, eq=False)
class RandomWindows:
    """Overlapping windows over a whole stream, split at random: the task that `window-v0` sets."""

    data: VectorSet
    context: int
    stride: int
    seed: int
    starts: Mapping[str, Positions]
    """Split name -> the rows its windows start at, ascending. A window holds `context` + 1 vectors."""

    @classmethod
    def of(cls, data: VectorSet, *, context: int, stride: int, seed: int) -> "RandomWindows":
        """Lay the windows out and split them: a tenth is test, a tenth of the rest validation.

        Args:
            data: the vector set; its documents do not matter.
            context: vectors before a window's target.
            stride: vectors between the starts of two windows; 0: half the context.
            seed: of the split.

        Raises:
            DataError: there are too few windows to have a pool.
        """
        stride = window_stride(context, stride)
        counts = random_window_counts(data.path, len(data), context=context, stride=stride)
        train, test = counts["train"], counts["test"]
        shuffled = np.random.default_rng(seed).permutation(np.arange(0, len(data) - context, stride))
        parts = {"train": shuffled[:train], "validation": shuffled[train:-test], "test": shuffled[-test:]}
        return cls(data, context, stride, seed, {name: np.sort(parts[name]) for name in SPLITS})

    @cached_property
    def splits(self) -> dict[str, SplitView]:
        """`train`: the vectors that training windows cover. The others: the whole stream, which their
        contexts are taken from."""
        covered = np.flatnonzero(self._covered)
        return {
            name: _view(name, self.data, covered if name == "train" else np.arange(len(self.data)))
            for name in SPLITS
        }

    def windows(self, *, per_epoch: int | None, seed: int) -> ListedWindows:
        """The training windows.

        Args:
            per_epoch: windows drawn for an epoch; None: each once.
            seed: of draws and order.
        """
        stream = _view("train", self.data, np.arange(len(self.data)))
        return ListedWindows(
            stream, self.starts["train"], context=self.context, per_epoch=per_epoch, seed=seed
        )

    def judge(self, split_name: str, device: torch.device) -> Judge:
        """The judge of one split, and its own figures on what is wrong with it.

        Raises:
            DataError: vectors that are all alike.
            TrainingError: a self-check failed.
        """
        stream = self.splits[split_name]
        targets = self.starts[split_name] + self.context
        asked = _queries(targets, stream)
        # The queries and the candidates are the same vectors: nothing is left out of the pool.
        pool = _view(split_name, self.data, targets)
        place = np.arange(len(targets))
        placed = Queries(place, place, asked.groups, asked.documents)
        copied = np.bincount(near_duplicates(pool, placed, device).query, minlength=len(targets)) > 1
        return Judge.assemble(
            self._spec(split_name) | {"flaws": self._flaws(split_name, float(copied.mean()))},
            stream,
            asked,
            pool,
            placed,
            near=None,
            within_document=False,
            independent="windows taken as independent, as was done then",
            device=device,
            other=lambda name: self.judge(name, device),
            window=self.context,
        )

    @cached_property
    def _covered(self) -> NDArray[np.bool_]:
        """(N,) whether a row stands in a training window."""
        edges = np.zeros(len(self.data) + 1, np.int64)
        np.add.at(edges, self.starts["train"], 1)
        np.add.at(edges, self.starts["train"] + self.context + 1, -1)
        return np.cumsum(edges[:-1]) > 0

    def _spec(self, split_name: str) -> dict[str, Any]:
        return {
            "name": NAME,
            "version": VERSION,
            "data": self.data.fingerprint,
            "split": {
                "by": "overlapping windows, at random",
                "fractions": {"train": 0.81, "validation": 0.09, "test": 0.1},
                "seed": self.seed,
                "name": split_name,
            },
            "context": self.context,
            "stride": self.stride,
            "queries": "the last vector of each of the split's windows",
            "pool": "the targets of the split's windows alone",
            "ties": "against",
            "scoring": "cosine",
            "within_document": False,
        }

    def _flaws(self, split_name: str, copied: float) -> list[str]:
        """What is wrong, in sentences with measured figures."""
        starts = self.starts[split_name]
        seen = np.concatenate([[0], np.cumsum(self._covered)])
        contexts = (seen[starts + self.context] - seen[starts]).mean() / self.context
        targets = self._covered[starts + self.context].mean()
        n = len(starts)
        flaws = [
            f"Windows overlap and were split at random: {targets:.1%} of the {split_name} targets stand "
            f"inside training windows, and {contexts:.1%} of the vectors in {split_name} contexts do.",
            f"The pool is the {n} targets of the {split_name} windows alone: guessing gives Hit@5 = "
            f"{5 / n:.1%}, and it shrinks as the context grows, so that scores rise with the context by "
            "themselves.",
            f"{n} windows that overlap are taken as independent: intervals are too narrow.",
        ]
        if copied:
            flaws.append(
                f"{copied:.1%} of the targets have a near duplicate (cosine above {NEAR_DUPLICATE}) in the "
                "pool, which counts as wrong."
            )
        return flaws


def _view(name: str, data: VectorSet, rows: NDArray[np.int64]) -> SplitView:
    """Any rows, ascending, as a stream; documents begin where they do in the data, and after a gap."""
    if not data.has_documents:
        return SplitView(name, data, rows, *stretches(rows, Blocks.of(len(data)).stretch))
    document = data.documents[rows]
    begins = np.ones(len(rows), np.bool_)
    begins[1:] = (document[1:] != document[:-1]) | (np.diff(rows) != 1)
    return SplitView(name, data, rows, np.flatnonzero(begins)[np.cumsum(begins) - 1], document)


def _queries(positions: Positions, stream: SplitView) -> Queries:
    start = stream.document_start[positions]
    documents, groups = np.unique(start, return_inverse=True)
    return Queries(positions, start, groups.astype(np.int64), len(documents))
