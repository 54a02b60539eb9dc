"""A sequence on a grid of chunks that begins somewhere inside one."""

import torch
from torch import Tensor
from torch.nn import functional


def by_chunk(values: Tensor, offset: int, chunk: int) -> Tensor:
    """Values (B, T, H) as chunks (B, n, chunk, H), the first value at `offset` of the first chunk, zeros
    around."""
    batch, length, width = values.shape
    count = -(-(offset + length) // chunk)
    after = count * chunk - offset - length
    return functional.pad(values, (0, 0, offset, after)).view(batch, count, chunk, width)


def chunk_totals(values: Tensor, carried: Tensor, offset: int, chunk: int) -> Tensor:
    """Sums (B, n, H) over each chunk of values (B, T, H), what the first chunk carried (B, H) included."""
    totals = by_chunk(values, offset, chunk).sum(dim=2, dtype=carried.dtype)
    return torch.cat([totals[:, :1] + carried.unsqueeze(1), totals[:, 1:]], dim=1)
