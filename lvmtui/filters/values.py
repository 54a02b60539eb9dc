"""Numbers, shares, spans of time and moments as they are typed into a filter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

_NUMBER = re.compile(
    r"#?([+-]?(?:\d[\d_]{0,30}(?:\.\d{0,30})?|\.\d{1,30})(?:e[+-]?\d{1,3})?)([kmgbt]?)(%?)", re.I
)
_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_SPAN = re.compile(r"(\d{1,12}(?:\.\d{0,9})?|\.\d{1,9})(ms|[smhdw])", re.I)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2})(?:[T ](\d{1,2}):(\d{2}))?)?)?")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")


@dataclass(frozen=True, slots=True)
class Number:
    """A typed number."""

    value: float
    tolerance: float
    """Half a unit of its last digit: values that are written alike count as equal."""


def number(text: str) -> Number | None:
    """`15`, `11.3M`, `1e-4`, `#17`; None where it is none."""
    found = _NUMBER.fullmatch(text.replace("−", "-"))
    if found is None or found[3]:
        return None
    return _number(found)


def share(text: str) -> Number | None:
    """`15`, `15%`, `-1.5`: percent, as a fraction; None where it is none."""
    found = _NUMBER.fullmatch(text.replace("−", "-"))
    if found is None or found[2] or text.startswith("#"):
        return None
    typed = _number(found)
    return Number(typed.value / 100, typed.tolerance / 100)


def _number(found: re.Match[str]) -> Number:
    digits, suffix = found[1].replace("_", ""), found[2].lower()
    mantissa, _, exponent = digits.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = float(f"1e{int(exponent or 0) - decimals}") * _SCALES[suffix]
    return Number(float(digits) * _SCALES[suffix], unit / 2)


def seconds(text: str) -> float | None:
    """`30m`, `1h30m`, `2d`, `1.5h`, `5ms`; None where it is no span of time."""
    total, at = 0.0, 0
    while at < len(text):
        found = _SPAN.match(text, at)
        if found is None:
            return None
        total += float(found[1]) * _UNITS[found[2].lower()]
        at = found.end()
    return total if text else None


def moment(text: str, now: float) -> tuple[float, float] | None:
    """The span that a date means: `2026`, `2026-11`, `2026-11-22`, `2026-11-22T14:02`, `14:02` (today),
    `today`, `yesterday`; first second and one past the last, None where it is none. Local time."""
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    day = timedelta(days=1)
    word = text.lower()
    try:
        if word in {"today", "yesterday"}:
            start = today if word == "today" else today - day
            return _stamps(start, start + day)
        if clock := _CLOCK.fullmatch(text):
            start = today.replace(hour=int(clock[1]), minute=int(clock[2]))
            return _stamps(start, start + timedelta(minutes=1))
        found = _DATE.fullmatch(text)
        if found is None:
            return None
        year, month, day_of_month, hour, minute = (int(part) if part else None for part in found.groups())
        if year is None:
            return None
        if month is None:
            return _stamps(datetime(year, 1, 1), datetime(year + 1, 1, 1))
        if day_of_month is None:
            later = datetime(year + month // 12, month % 12 + 1, 1)
            return _stamps(datetime(year, month, 1), later)
        start = datetime(year, month, day_of_month, hour or 0, minute or 0)
        return _stamps(start, start + (day if hour is None else timedelta(minutes=1)))
    except (ValueError, OverflowError, OSError):
        return None


def _stamps(start: datetime, end: datetime) -> tuple[float, float]:
    return start.timestamp(), end.timestamp()
