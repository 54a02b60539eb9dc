"""Whole numbers, one a query, as compact bytes."""

import zlib
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvmtui.errors import StoreCorrupt

_WIDTHS: dict[int, np.dtype[np.unsignedinteger[Any]]] = {width: np.dtype(f"<u{width}") for width in (1, 2, 4)}


def pack_ranks(values: ArrayLike) -> bytes:
    """Non-negative integers (n,) below 2^32 as bytes: one that tells the width (1, 2 or 4 bytes a number),
    then zlib over the little-endian numbers.

    Raises:
        ValueError: not one-dimensional, not whole numbers, or out of range.
    """
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"ranks are whole numbers in one dimension, not {array.dtype} {array.shape}")
    largest = int(array.max(initial=0))
    if int(array.min(initial=0)) < 0 or largest >= 1 << 32:
        raise ValueError("ranks are from 0 to 2^32 - 1")
    width = next(width for width in _WIDTHS if largest < 1 << (8 * width))
    return bytes([width]) + zlib.compress(array.astype(_WIDTHS[width]).tobytes())


def unpack_ranks(blob: bytes) -> NDArray[np.uint32]:
    """What `pack_ranks` packed, as (n,); empty for an empty blob.

    Raises:
        StoreCorrupt: the bytes are not from `pack_ranks`.
    """
    if not blob:
        return np.empty(0, np.uint32)
    try:
        numbers = np.frombuffer(zlib.decompress(blob[1:]), _WIDTHS[blob[0]])
    except (zlib.error, KeyError, ValueError) as error:
        raise StoreCorrupt("stored ranks are damaged", "Check the disk, or evaluate again.") from error
    return numbers.astype(np.uint32)
