"""Bars and dots: patience, shares, targets."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.text import Text

from lvmtui import format as fmt
from lvmtui.widgets.look import Ink

MOST_DOTS = 6
"""Patience beyond this is written as a bar of this length."""


def patience_meter(used: int, allowed: int, ink: Ink) -> Text:
    """One dot an evaluation that may still pass without a gain, then used/allowed: `●●○ 1/3`.

    Full after each new best. Empty where there is no early stopping.
    """
    if allowed <= 0:
        return Text("")
    left = max(0, allowed - used)
    dots = allowed if allowed <= MOST_DOTS else MOST_DOTS
    full = left if allowed <= MOST_DOTS else -(-left * dots // allowed)
    colour = ink.error if left == 0 else ink.warning if left == 1 and allowed > 1 else ink.success
    on, off = ("*", ".") if ink.ascii_only else ("●", "○")
    return Text.assemble(
        (on * full, colour), (off * (dots - full), ink.muted), (f" {used}/{allowed}", colour if used else "")
    )


def bar(share: float | None, width: int, *, ascii_only: bool = False) -> tuple[str, str]:
    """A bar of `width` cells as its full and its empty part; nothing full where the share is not known."""
    full = 0 if share is None else round(min(1.0, max(0.0, share)) * width)
    if share and share > 0 and not full and width:
        full = 1
    return ("#" if ascii_only else "▇") * full, ("." if ascii_only else "▁") * (width - full)


def bar_text(share: float | None, width: int, colour: str, ink: Ink) -> Text:
    """`bar`, coloured."""
    full, empty = bar(share, width, ascii_only=ink.ascii_only)
    return Text.assemble((full, colour), (empty, ink.muted))


def target_bars(targets: Mapping[str, tuple[float | None, float]], width: int, ink: Ink) -> list[Text]:
    """How near scores are to their targets, a line each: `target Hit@5 ≥ 20.0  ▇▇▇▇▁ 89%`.

    `targets` maps a metric to its present value (None: not known yet) and its target, both fractions.
    """
    names = [
        f"target {fmt.metric_name(metric)} ≥ {fmt.metric_value(metric, target)}"
        for metric, (_, target) in targets.items()
    ]
    longest = max(map(len, names), default=0)
    return [
        _target_bar(name.ljust(longest), value, target, width, ink)
        for name, (value, target) in zip(names, targets.values(), strict=True)
    ]


def _target_bar(name: str, value: float | None, target: float, width: int, ink: Ink) -> Text:
    share = None if value is None else value / target if target > 0 else 1.0
    reached = share is not None and share >= 1.0
    tail = "✔ reached" if reached else fmt.MISSING if share is None else f"{math.floor(100 * share)}%"
    colour = ink.success if reached else ink.primary
    room = min(20, width - len(name) - 12)
    line = Text(f"{name}  ")
    if room >= 4:
        line.append_text(bar_text(share, room, colour, ink)).append(" ")
    line.append(tail, colour)
    line.truncate(width)
    return line
