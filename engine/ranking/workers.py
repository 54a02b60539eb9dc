"""Independent jobs on several threads, each with one core of its own.

Torch shares each operation among its threads, which then wait for each other: where another process has
one of the cores, every small operation waits with it. Whole jobs do not.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Job = TypeVar("Job")
Result = TypeVar("Result")


def each(work: Callable[[Job], Result], jobs: Iterable[Job], threads: int) -> Iterator[Result]:
    """The results of all jobs, in their order; an error ends the jobs not begun.

    Args:
        work: done with torch limited to one thread, where there are several.
        threads: how many at once; 1 works in the caller's thread, with all that torch uses.
    """
    if threads < 2:
        yield from map(work, jobs)
        return
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, "rank", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield from pool.map(work, jobs)
    finally:
        torch.set_num_threads(before)
