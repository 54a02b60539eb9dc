"""What a bench is to measure, and whether that can be done on these data."""

from dataclasses import dataclass

from lvmtui.errors import UsageError
from lvmtui.latencies import PRECISIONS

CONTEXTS = (100, 500, 1000, 2000)
"""Vectors before a query, where nothing else is asked for."""

TOP = 10
"""Vectors that a query returns."""

MOST_LOST = 0.005
"""A precision that loses more of Hit@5 than this, against fp32, is refused."""


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    contexts: tuple[int, ...] | None = None
    """Ascending; None: those of `CONTEXTS` that the data are long enough for."""
    precisions: tuple[str, ...] | None = None
    """None: fp32, bf16 and, on a processor, int8."""
    queries: int = 200
    """At most, for each configuration."""
    pool: int | None = None
    """Vectors to search; None: those of the validation split."""
    device: str = "auto"
    threads: int | None = None
    """Of torch; None: its own choice."""
    most_lost: float = MOST_LOST
    """Loss of Hit@5 from which on a precision is refused, as a fraction."""

    def lengths(self, rows: int) -> tuple[int, ...]:
        """The context lengths to measure on a stream of this many vectors.

        Raises:
            UsageError: one that was asked for is longer than the data.
        """
        if self.contexts is None:
            fitting = tuple(length for length in CONTEXTS if length <= rows)
            return fitting or (rows,)
        if self.contexts[-1] > rows:
            raise UsageError(
                f"a context of {self.contexts[-1]} cannot be measured: the run's data have {rows} vectors",
                f"Ask for {rows} at most.",
            )
        return self.contexts

    def chosen(self, device: str) -> tuple[str, ...]:
        """The precisions to measure on a kind of device.

        Raises:
            UsageError: fp16 was asked for on a processor.
        """
        if self.precisions is None:
            return ("fp32", "bf16", "int8") if device == "cpu" else ("fp32", "bf16")
        if device == "cpu" and "fp16" in self.precisions:
            raise UsageError(
                "fp16 is not measured on a processor, which has no arithmetic for it",
                "Ask for bf16, or choose a GPU with --device cuda.",
            )
        if device != "cpu" and "int8" in self.precisions:
            raise UsageError(
                f"int8 is not measured on {device}: torch quantizes dynamically on processors only",
                "Ask for bf16 or fp16, or choose --device cpu.",
            )
        return self.precisions


def parse_contexts(text: str) -> tuple[int, ...]:
    """`100,500` as ascending lengths.

    Raises:
        ValueError: one is no whole number above 0.
    """
    parts = {part.strip() for part in text.split(",")}
    wrong = sorted(part for part in parts if not (part.isascii() and part.isdecimal()) or int(part) < 1)
    if wrong:
        raise ValueError(f"a context is a whole number above 0, not {wrong[0]!r}")
    return tuple(sorted(int(part) for part in parts))


def parse_precisions(text: str) -> tuple[str, ...]:
    """`fp32,int8` in the order of `PRECISIONS`.

    Raises:
        ValueError: one is not known.
    """
    wanted = {part.strip() for part in text.split(",")}
    if unknown := sorted(wanted - set(PRECISIONS)):
        raise ValueError(f"unknown precision {', '.join(unknown)}; there are {', '.join(PRECISIONS)}")
    return tuple(name for name in PRECISIONS if name in wanted)
