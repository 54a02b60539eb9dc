"""`.npy` files from anywhere: the header is read and compared with the file before anything is mapped."""

import math
import mmap
import os
import stat
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from lvmtui.errors import DataError

_BLOCK_BYTES = 8 << 20
_SMALL = 256 << 20
"""Bytes of a mapped file that may as well stay in the resident set."""
_MAPPED = 2 << 20
"""Bytes that Linux maps around a row at most."""
_JUMPS = 32
"""Places of a file that are mapped at the same time."""
_WHAT_A_SET_IS = "A vector set is a folder with vectors.npy and, where there are documents, documents.npy."
_BROKEN_HEADER = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError)
"""What numpy raises for headers that are none."""


@dataclass(frozen=True)
class ArrayFile:
    """One array in a file, not yet read."""

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran_order: bool
    offset: int
    """Bytes before the first number."""
    size: int
    """Bytes of the whole file."""
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def open(cls, path: Path) -> "ArrayFile":
        """Read the header of a `.npy` file.

        Raises:
            DataError: missing, unreadable, no array, Python objects, or another size than the header says.
        """
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise DataError(f"{path} is no file", _WHAT_A_SET_IS)
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                try:
                    with warnings.catch_warnings():
                        # About headers of Python 2, which are read all the same.
                        warnings.simplefilter("ignore")
                        shape, fortran_order, dtype = _read_header(file)
                except _BROKEN_HEADER as error:
                    raise DataError(
                        f"{path} is no .npy file", f"{_first_line(error)} Save it with numpy.save()."
                    ) from error
                offset = file.tell()
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing", _WHAT_A_SET_IS) from error
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        opened = cls(
            path, shape, dtype, fortran_order, offset, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )
        opened._check_size()
        return opened

    def _check_size(self) -> None:
        if self.dtype.hasobject:
            raise DataError(
                f"{self.path} holds Python objects",
                "They could run code when read and are refused: save plain numbers.",
            )
        if any(length < 0 for length in self.shape):
            raise DataError(f"{self.path} is damaged: its header gives the shape {self.shape}")
        needed = self.offset + math.prod(self.shape) * self.dtype.itemsize
        if needed != self.size:
            what = "truncated" if self.size < needed else "damaged"
            raise DataError(
                f"{self.path} is {what}: {self.size} bytes where its header needs {needed}",
                "Copy or build it again.",
            )

    def blocks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """The rows in order, a few megabytes at a time: (number of the first row, rows).

        Reading, unlike mapping, turns a failing disk into an error. A block is overwritten by the next.

        Raises:
            DataError: it cannot be read, or has become shorter.
        """
        rows, *rest = self.shape
        row_bytes = math.prod(rest) * self.dtype.itemsize
        step = max(1, _BLOCK_BYTES // max(1, row_bytes))
        buffer = bytearray(min(step, rows) * row_bytes)
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                for start in range(0, rows, step):
                    count = min(step, rows - start)
                    part = memoryview(buffer)[: count * row_bytes]
                    if file.readinto(part) != len(part):
                        raise DataError(f"{self.path} became shorter while it was read", "Open it again.")
                    yield start, np.frombuffer(part, self.dtype).reshape(count, *rest)
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror}") from error

    def map(self) -> NDArray[np.generic]:
        """The array, memory-mapped and read-only.

        Raises:
            DataError: it cannot be mapped.
        """
        if 0 in self.shape:
            return np.empty(self.shape, self.dtype)
        try:
            order = "F" if self.fortran_order else "C"
            return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, order)  # type: ignore[call-overload,no-any-return]
        except (OSError, ValueError) as error:
            raise DataError(f"cannot map {self.path}: {error}") from error


def take(array: NDArray[np.generic], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Rows (…) of an array (N, D), as float32 (…, D): a copy of just those.

    Of a large mapped file little is in the resident set at any time, and nothing is left in it: Linux maps up
    to 2 MB around each row that is read, which makes all of a file of a few thousand rows drawn from it.
    """
    wanted = rows.ravel()
    if array.nbytes <= _SMALL or getattr(array, "_mmap", None) is None:
        return array[rows].astype(np.float32, copy=False)
    found = np.empty((len(wanted), array.shape[1]), np.float32)
    place = wanted * (array.nbytes // len(array)) // _MAPPED
    jumps = np.cumsum(place[1:] != place[:-1])
    begin = 0
    # Behind each row at which enough has been mapped, and behind the last.
    for end in [*np.flatnonzero(np.diff(jumps // _JUMPS, prepend=0)) + 1, len(wanted)]:
        found[begin:end] = array[wanted[begin:end]]
        let_go(array)
        begin = end
    return found.reshape(*rows.shape, array.shape[1])


def let_go(array: NDArray[np.generic]) -> None:
    """Take the pages of a mapped array out of the process's resident set; they stay in the system's cache,
    and come back when they are read. Nothing for an array that is not mapped."""
    mapped = getattr(array, "_mmap", None)
    # Not on Windows.
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def header(rows: int, dim: int, dtype: str) -> bytes:
    """The header of an array (rows, dim) that is written piece by piece; padded by numpy, so that the number
    of rows can be changed in place."""
    buffer = BytesIO()
    descr = np.dtype(dtype).newbyteorder("<").str
    npy_format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": (rows, dim)})
    return buffer.getvalue()


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    if version == (2, 0):
        return npy_format.read_array_header_2_0(file)
    raise ValueError(f"Its format version {version} is for structured arrays.")


def _first_line(error: BaseException) -> str:
    text = (str(error).splitlines() or [""])[0].rstrip(".")
    return f"{text[:200]}." if text else ""
