"""Training windows: start positions into a split, drawn anew each epoch; vectors are read batch by batch."""

import numpy as np
from numpy.typing import NDArray

from engine.data.npy import take
from engine.data.split import SplitView
from lvmtui.splits import document_starts, too_short, window_stride, windows_of_a_pass


class Windows:
    """Windows of context + 1 vectors over one split.

    Without `per_epoch` an epoch is one pass: every `stride`-th position from a random offset on. With it an
    epoch is that many uniformly random crops.
    """

    def __init__(
        self,
        split: SplitView,
        *,
        context: int,
        stride: int,
        per_epoch: int | None,
        seed: int,
        within_document: bool,
    ) -> None:
        """Lay the windows out.

        Args:
            split: where they are taken from.
            context: vectors before the last target.
            stride: vectors between two windows of a pass; 0: half the context.
            per_epoch: random crops an epoch; None: one pass.
            seed: of offsets, crops and order.
            within_document: no window crosses into another document; documents of `context` vectors or
                fewer are left out.

        Raises:
            DataError: the split, or each of its documents, is shorter than one window.
        """
        self._split = split
        self._context = context
        self._stride = window_stride(context, stride)
        self._per_epoch = per_epoch
        self._seed = seed
        starts = document_starts(split.document) if within_document else np.zeros(1, np.int64)
        choices = np.diff(starts, append=len(split)) - context
        if choices.max() < 1:
            largest = int(choices.max()) + context - 1
            raise too_short(split.name, context, largest, within_document=within_document)
        fits = choices > 0
        self._starts: NDArray[np.int64] = starts[fits]
        """Where each stretch that windows may not leave begins."""
        self._choices: NDArray[np.int64] = choices[fits]
        """How many positions of the stretch a window can start at."""

    def __len__(self) -> int:
        """Windows an epoch."""
        if self._per_epoch is not None:
            return self._per_epoch
        return int(self._windows_of_a_pass().sum())

    def order(self, epoch: int) -> NDArray[np.int64]:
        """(len,) start positions of an epoch, shuffled: a pure function of seed and epoch.

        Resuming an epoch at its n-th batch needs nothing but these numbers.
        """
        random = np.random.default_rng([self._seed, epoch])
        if self._per_epoch is not None:
            return self._crops(random, self._per_epoch)
        # The first of a stretch's windows starts anywhere in its first stride: all passes have equally many
        # windows, and over the epochs every position is the start of one.
        offsets = random.integers(0, np.minimum(self._stride, self._choices))
        counts = self._windows_of_a_pass()
        first = np.repeat(np.cumsum(counts) - counts, counts)
        steps = (np.arange(len(first)) - first) * self._stride
        starts = np.repeat(self._starts + offsets, counts) + steps
        random.shuffle(starts)
        return starts

    def _windows_of_a_pass(self) -> NDArray[np.int64]:
        return windows_of_a_pass(self._choices, self._stride)

    def _crops(self, random: np.random.Generator, count: int) -> NDArray[np.int64]:
        ends = np.cumsum(self._choices)
        picks = random.integers(0, ends[-1], count)
        stretch = np.searchsorted(ends, picks, side="right")
        return self._starts[stretch] + picks - (ends - self._choices)[stretch]

    def batch(self, starts: NDArray[np.int64]) -> NDArray[np.float32]:
        """The windows at B starts as float32 (B, context + 1, D): inputs `[:, :-1]`, targets `[:, 1:]`."""
        return self.read(self.rows(starts))

    def rows(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows (B, context + 1) of the data that the windows at B starts hold."""
        rows: NDArray[np.int64] = self._split.rows[starts[:, None] + np.arange(self._context + 1)]
        return rows

    def documents(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The document (B, context + 1) of each vector of the windows at B starts."""
        found: NDArray[np.int64] = self._split.document[starts[:, None] + np.arange(self._context + 1)]
        return found

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some rows of the data as float32 (…, D): a copy of just those."""
        return take(self._split.data.vectors, rows)


class ListedWindows(Windows):
    """Windows that start at given positions and nowhere else.

    Without `per_epoch` an epoch has each of them once; with it, that many, drawn with replacement.
    """

    def __init__(
        self, split: SplitView, starts: NDArray[np.int64], *, context: int, per_epoch: int | None, seed: int
    ) -> None:
        """Take the windows as they are.

        Args:
            split: where they are taken from.
            starts: (w,) start positions, ascending; context + 1 vectors follow each.
            context: vectors before the last target.
            per_epoch: windows drawn for an epoch; None: each once.
            seed: of draws and order.
        """
        self._split = split
        self._context = context
        self._stride = 1
        self._per_epoch = per_epoch
        self._seed = seed
        self._starts = starts
        self._choices = np.ones(len(starts), np.int64)
