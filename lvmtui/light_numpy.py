"""Loads numpy without the threads of its linear algebra, which no chart needs: they cost 40 ms and memory."""

from __future__ import annotations

import os
import sys

_THREADS = "OPENBLAS_NUM_THREADS"
"""Read by OpenBLAS when numpy loads it, and only then."""


def load() -> None:
    """Import numpy. Processes that are started afterwards find the environment as it was."""
    if "numpy" in sys.modules or _THREADS in os.environ:
        return
    os.environ[_THREADS] = "1"
    try:
        import numpy  # noqa: F401
    finally:
        del os.environ[_THREADS]
