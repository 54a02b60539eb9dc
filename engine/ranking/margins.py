"""Margins: by how much a candidate's cosine with a query exceeds the query's cutoff, in fast arithmetic with
a proven bound on its error.

One matrix product gives the margins themselves: the cutoff, less the bound, is a further column of it. So a
candidate with a margin below 0 is below the cutoff, one with more than twice the bound (the ceiling) is above
it, and only what lies between has to be computed in float64.

On processors with a matrix unit for bfloat16 (AMX) each float32 is split in two bfloat16, x = h + l, and
x y = l h' + h l' + h h' is taken as one product three times as long, accumulated in float32: G. Henry,
P. T. P. Tang, A. Heinecke, "Leveraging the bfloat16 artificial intelligence datatype for higher-precision
computations", ARITH 2019. The result is rounded to bfloat16, which moves no margin across 0 or the ceiling.
The last third of that product alone, h h', tells at a third of the cost which queries a tile can matter to:
what it is off by is at most |l| + |l'|, which is added.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.protocol import Positions

HIDDEN = -8.0
"""Margin of what is no candidate: below every margin of two cosines."""
_COLUMNS = 32
"""Columns for the cutoff; most stay empty, so that rows begin where the processor likes it."""
_UNIT = 2.0**-24
"""Relative error of rounding to float32."""
_LEAST_DIM = 32
"""Shorter vectors gain nothing from bfloat16."""


@dataclass(frozen=True)
class Arithmetic:
    """How margins of vectors of one dimension are computed."""

    dim: int
    split: bool
    """Whether in halves of bfloat16."""

    @classmethod
    def best(cls, dim: int, device: torch.device) -> "Arithmetic":
        """The fastest on a device."""
        return cls(dim, device.type == "cpu" and dim >= _LEAST_DIM and has_matrix_unit())

    @property
    def dtype(self) -> torch.dtype:
        """Type of operands and margins."""
        return torch.bfloat16 if self.split else torch.float32

    @property
    def integers(self) -> torch.dtype:
        """Integers of the same size: those of numbers above 0 are in the numbers' order."""
        return torch.int16 if self.split else torch.int32

    @property
    def whole(self) -> slice:
        """The operands' columns that make margins."""
        return slice(self._cutoff + _COLUMNS)

    @property
    def coarse(self) -> slice | None:
        """The columns that make numbers no smaller than the margins above 0, at less cost; None: none do."""
        return slice(2 * self.dim, self.width) if self.split else None

    @property
    def width(self) -> int:
        """Columns of the operands."""
        return self._cutoff + (2 if self.split else 1) * _COLUMNS

    @property
    def _cutoff(self) -> int:
        """First column of the cutoff."""
        return (3 if self.split else 1) * self.dim

    @property
    def _slack(self) -> int:
        """First column of what the coarse margins add."""
        return self._cutoff + _COLUMNS

    @property
    def bound(self) -> float:
        """No margin of unit vectors is off by as much.

        Bringing rows to unit length costs 4 roundings. Each sum costs a rounding of what is summed up so far
        (N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 4.2): at most
        |x| |y| = 1 for the products, taken from the first column on; the halves l are at most 2^-8 of their
        numbers, so the 2 D products with them, which come first, cost little. What the split drops is 2^-16
        three times: l l', and what l leaves over in x and in y.
        """
        sums = self.dim + 48
        if not self.split:
            return sums * _UNIT
        return (sums + 2 * self.dim * 2.0**-6) * _UNIT * 1.02 + 3.1 * 2.0**-16

    @property
    def ceiling(self) -> int:
        """Bits of the least margin that is surely above the cutoff."""
        twice = torch.tensor([2 * self.bound], dtype=self.dtype)
        return int(twice.view(self.integers)) + 2

    def queries(self, unit: Tensor, cutoff: Tensor) -> Tensor:
        """Operand (n, width) of queries (n, D) at unit length, float32, with cutoffs (n,), float64."""
        operand = torch.zeros(len(unit), self.width, dtype=self.dtype, device=unit.device)
        edge = (self.bound - cutoff).to(unit)
        if not self.split:
            operand[:, : self.dim] = unit
            operand[:, self.dim] = edge
            return operand
        high, low = _halves(unit)
        for place, part in enumerate((high, low, high)):
            operand[:, place * self.dim : (place + 1) * self.dim] = part
        for column in range(self._cutoff, self._cutoff + 3):
            operand[:, column] = edge
            edge = edge - operand[:, column].float()
        operand[:, self._slack] = _length(low)
        operand[:, self._slack + 1] = 1
        return operand

    def candidates(self, unit: Tensor, operand: Tensor) -> None:
        """Fill an operand (n, width) with candidates (n, D) at unit length, float32."""
        operand[:, self._cutoff :] = 0
        operand[:, self._cutoff : self._cutoff + (3 if self.split else 1)] = 1
        if not self.split:
            operand[:, : self.dim] = unit
            return
        high, low = _halves(unit)
        operand[:, self._slack] = 1
        operand[:, self._slack + 1] = _length(low)
        for place, part in enumerate((low, high, high)):
            operand[:, place * self.dim : (place + 1) * self.dim] = part


def _halves(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Float32 as a bfloat16 and what that leaves over."""
    high = numbers.bfloat16()
    return high, numbers - high


def _length(low: Tensor) -> Tensor:
    """A little more than the lengths (n,) of what the high halves leave over of unit vectors."""
    lengths: Tensor = torch.linalg.vector_norm(low, dim=1)
    return 1.02 * lengths + 2.0**-16


def has_matrix_unit() -> bool:
    """Whether this processor multiplies matrices of bfloat16 several times as fast as of float32."""
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    if amx is None or not amx() or not torch._C._get_mkldnn_enabled():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def reaching(coarse: Tensor) -> NDArray[np.bool_]:
    """Rows (n,) of coarse margins (n, t) with any that is not below 0."""
    largest = coarse.view(torch.int16).amax(1)
    reach: NDArray[np.bool_] = (largest >= 0).cpu().numpy()
    return reach


def classify(margins: Tensor, scratch: Tensor, ceiling: int) -> tuple[Positions, Positions, Positions]:
    """Sort a block of margins into below, above and undecided.

    Works on the numbers' bits, several in a 64-bit word: the sign of a number and that of its distance from
    the ceiling tell where it belongs.

    Args:
        margins: (n, t), t a multiple of 8, in one piece; overwritten.
        scratch: the same size and type; overwritten.
        ceiling: bits of the least margin that counts as above.

    Returns:
        How many are above (n,); row (m,) and column (m,) of the undecided, by row.
    """
    n, t = margins.shape
    size = margins.element_size()
    lanes = 8 // size
    bits = margins.view(torch.int16 if size == 2 else torch.int32)
    one = sum(1 << (8 * size * lane) for lane in range(lanes))
    signs = (one << (8 * size - 1)) - (1 << 64)
    below_ceiling = scratch.view(n, t).view(bits.dtype)
    torch.sub(bits, ceiling, out=below_ceiling)
    not_above = below_ceiling.view(torch.int64).bitwise_or_(margins.view(torch.int64))
    undecided = margins.view(torch.int64).bitwise_xor_(not_above).bitwise_and_(signs)
    at = torch.nonzero(undecided)
    not_above.bitwise_right_shift_(8 * size - 1).bitwise_and_(one)
    # A lane holds up to t / lanes ones, so none overflows into the next.
    counts = not_above.sum(1).view(bits.dtype).view(n, lanes).sum(1, dtype=torch.int64)
    found = undecided[at[:, 0], at[:, 1]].view(bits.dtype).view(-1, lanes)
    word, lane = torch.nonzero(found < 0).unbind(1)
    place = at[word]
    column = place[:, 1] * lanes + lane
    return (t - counts).cpu().numpy(), place[:, 0].cpu().numpy(), np.asarray(column.cpu())
