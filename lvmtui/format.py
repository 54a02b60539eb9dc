"""How numbers, times, sizes and outside text are written everywhere in lvmtui. Nothing heavy is imported.

Scores come in as fractions from 0 to 1 and are written in percent without the sign: 0.179 -> `17.9`.
"""

import math
import re
import time as clock_time
import unicodedata
from collections.abc import Sequence
from typing import TypeGuard

from lvmtui.escapes import ESCAPES

MISSING = "–"
"""Stands where there is no value."""

METRIC_NAMES = {"hit1": "Hit@1", "hit5": "Hit@5", "hit10": "Hit@10", "mrr": "MRR"}

_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U0001f3fb-\U0001f3ff\U000e0000-\U000e01ef]"
)


def plain(text: str) -> str:
    """Outside text made harmless: no escape sequences, control or direction characters, on one line; none of
    the marks that change how a sign looks and that terminals disagree on the width of.

    Tabs become four spaces, line breaks a space.
    """
    if text.isascii() and text.isprintable():
        return text
    text = ESCAPES.sub("", text).replace("\t", "    ")
    return _CONTROLS.sub("", re.sub(r"\r\n|\r|\n", " ", text))


def plain_lines(text: str) -> list[str]:
    """`plain` line by line."""
    return [plain(line) for line in re.split(r"\r\n|\n", text)]


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """`text` cut to at most `width` terminal cells, with an ellipsis where something was cut."""
    from rich.cells import cell_len, set_cell_size

    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - cell_len(ellipsis)).rstrip() + ellipsis


def wrap(text: str, width: int, lines: int) -> list[str]:
    """`text` in at most `lines` lines of at most `width` cells, broken at spaces where possible."""
    import textwrap

    if width <= 0 or lines <= 0:
        return []
    parts = textwrap.wrap(text, width, drop_whitespace=True)
    if len(parts) > lines:
        parts = [*parts[: lines - 1], fit(" ".join(parts[lines - 1 :]), width)]
    return [fit(part, width) for part in parts]


def metric_name(key: str) -> str:
    """The usual name of a metric: `val/hit5` or `hit5` -> `Hit@5`; other keys as they are."""
    return METRIC_NAMES.get(key.removeprefix("val/"), plain(key))


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def percent(score: float | None, digits: int = 1) -> str:
    """A fraction in percent, without the sign: 0.1792 -> `17.9`."""
    return f"{100 * score:.{digits}f}" if _known(score) else MISSING


def signed(difference: float | None, digits: int = 1) -> str:
    """A difference of two fractions in points, with its sign: 0.098 -> `+9.8`."""
    if not _known(difference):
        return MISSING
    text = f"{100 * difference:+.{digits}f}"
    return text.replace("-", "−") if text.strip("+-0.") else text.replace("-", "+")


def plus_minus(low: float | None, high: float | None, digits: int = 1) -> str:
    """Half the width of an interval of fractions, in points: `±1.2`; empty where there is none."""
    if not (_known(low) and _known(high)):
        return ""
    return f"±{50 * (high - low):.{digits}f}"


def interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """An interval of fractions in percent: `[16.8, 19.1]`; empty where there is none."""
    if not (_known(low) and _known(high)):
        return ""
    return f"[{percent(low, digits)}, {percent(high, digits)}]"


def small(value: float | None, digits: int = 3) -> str:
    """A number under one without its leading zero, as MRR is written: 0.121 -> `.121`."""
    if not _known(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def p_value(value: float | None) -> str:
    """A p-value with its relation: `p<.001`, `p=.21`."""
    if not _known(value):
        return MISSING
    return "p<.001" if value < 0.001 else f"p={small(value, 3 if value < 0.01 else 2)}"


def is_percent(key: str) -> bool:
    """Whether a metric is a fraction that is written in percent: Hit@K."""
    return key.removeprefix("val/").startswith("hit")


def metric_value(key: str, value: float | None) -> str:
    """A metric's value the way that metric is written: percent for Hit@K, `.121` for MRR, else a number."""
    if is_percent(key):
        return percent(value)
    return small(value) if key.removeprefix("val/") == "mrr" else number(value)


def number(value: float | None, digits: int = 4) -> str:
    """A number in about `digits` significant digits: `4.127`, `0.0001`, `3.2e-07`, `12 345`."""
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size and (size < 10 ** (-digits) or size >= 1e9):
        return f"{value:.{max(digits - 2, 0)}e}".replace("-", "−", 1 if value < 0 else 0)
    if size >= 10**digits:
        return thousands(round(value))
    decimals = max(0, digits - 1 - math.floor(math.log10(size))) if size else 0
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text and (decimals > digits or not size) else text
    return text.replace("-", "−")


def thousands(value: float | None) -> str:
    """A whole number in groups of three: `4 109`."""
    return f"{value:,.0f}".replace(",", " ").replace("-", "−") if _known(value) else MISSING


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 error`, `2 errors`."""
    return f"{thousands(number)} {noun}{'' if number == 1 else 's'}"


def count(value: float | None) -> str:
    """A large number, shortened: `11.3M`, `870k`, `512`."""
    if not _known(value):
        return MISSING
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.99995:
            return f"{_three(value / size)}{unit}"
    return f"{value:.0f}"


def _three(value: float) -> str:
    """About three significant digits, without trailing zeros behind the point."""
    text = f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.1f}"
    return text.removesuffix(".0")


def size(value: float | None) -> str:
    """Bytes, in binary units: `2.1 GiB`, `870 MiB`, `12 B`."""
    if not _known(value):
        return MISSING
    amount, unit = _scaled(value)
    return f"{_three(amount)} {unit}"


def memory(used: float | None, total: float | None) -> str:
    """Used and total bytes in the unit of the total: `38.1/139 GiB`."""
    if not _known(total):
        return size(used)
    if not _known(used):
        return size(total)
    amount, unit = _scaled(total)
    return f"{_three(used / (total / amount) if amount else 0.0)}/{_three(amount)} {unit}"


def _scaled(value: float) -> tuple[float, str]:
    for unit, step in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= step * 0.9995:
            return value / step, unit
    return value, "B"


def duration(seconds: float | None) -> str:
    """A span of time in its two largest units: `0.4s`, `12s`, `1m58s`, `58m`, `1h03m`, `2d04h`.

    Above ten minutes seconds are dropped.
    """
    if not _known(seconds) or seconds < 0:
        return MISSING
    if seconds < 9.95:
        return f"{seconds:.1f}s".replace(".0s", "s")
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if not minutes:
        return f"{rest}s"
    if minutes < 10:
        return f"{minutes}m{rest:02d}s"
    if not hours:
        return f"{round(whole / 60)}m" if whole < 3570 else "1h00m"
    if hours < 24:
        return f"{hours}h{minutes_left:02d}m"
    days, hours_left = divmod(hours, 24)
    return f"{days}d{hours_left:02d}h"


def clock(when: float | None) -> str:
    """Local time of day of an epoch time: `14:02:11`."""
    return clock_time.strftime("%H:%M:%S", clock_time.localtime(when)) if _known(when) else MISSING


def stamp(when: float | None) -> str:
    """Local date and time of an epoch time: `2026-11-22 14:02`."""
    return clock_time.strftime("%Y-%m-%d %H:%M", clock_time.localtime(when)) if _known(when) else MISSING


def speed(vectors_per_second: float | None) -> str:
    """Training speed: `9 412 vec/s`."""
    if not _known(vectors_per_second):
        return MISSING
    number = thousands(vectors_per_second) if vectors_per_second >= 10 else f"{vectors_per_second:.1f}"
    return f"{number} vec/s"


def joined(parts: Sequence[str], width: int, separator: str = " · ") -> str:
    """As many of `parts` as fit into `width` cells; leading ones first, empty ones left out."""
    from rich.cells import cell_len

    text = ""
    for part in parts:
        if not part:
            continue
        longer = f"{text}{separator}{part}" if text else part
        if text and cell_len(longer) > width:
            break
        text = longer
    return fit(text, width)


_ASCII = str.maketrans(
    {
        "–": "-", "−": "-", "…": ".", "·": "-", "±": "~", "≥": ">", "≤": "<", "≈": "~", "×": "x", "→": ">",
        "▶": ">", "◷": "q", "◼": "#", "■": "#", "✔": "+", "✖": "x", "●": "*", "○": ".", "♛": "@",
        "★": "*", "▲": "^", "▼": "v", "▽": "v", "▇": "#", "▁": ".", "°": " ", "│": "|", "─": "-", "╌": "-",
        "↑": "^", "∞": "8", "⚠": "!", "♪": "*", "⠿": "#", "◌": "o", "↻": "r", "•": "*", "╎": "|", "━": "=",
        "▸": ">", "←": "<", "▾": "v", "▴": "^", "↓": "v", "‹": "<", "›": ">", "◆": "*", "▌": "|",
    }
)  # fmt: skip


def ascii_text(text: str) -> str:
    """`text` in ASCII, character for character: signs have stand-ins, accents go, the rest is `?`."""
    text = text.translate(_ASCII)
    return text if text.isascii() else "".join(map(_ascii_character, text))


def _ascii_character(character: str) -> str:
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base.isascii() else "?"
