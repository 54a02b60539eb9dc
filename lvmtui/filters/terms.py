"""What one term of a filter says of a run: a field with its operator and value, or a bare word."""

from __future__ import annotations

import difflib
import math
import time
from collections.abc import Callable
from functools import lru_cache

from lvmtui.filters import patterns, values
from lvmtui.filters.errors import FilterError
from lvmtui.filters.tokens import Token
from lvmtui.run_fields import NAMES, Kind, RunField, field_of, number_of, recipe_names
from lvmtui.snapshot import RunView

Fits = Callable[[RunView], bool]
Holds = Callable[[float], bool]

NOTHING = "none"
"""Stands for a value that is not known: `hit5:none`."""

RANGE = ".."

BARE = ("name", "state", "model", "tags", "note")
"""Fields in which a bare word is looked for."""

_ORDER: dict[str, Callable[[float, float], bool]] = {
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
}


def bare(token: Token, *, regex: bool) -> Fits:
    """A word or quoted text that stands alone.

    Raises:
        FilterError: it is no regular expression.
    """
    if not token.text:
        return lambda _: True
    test = _pattern(token, token.text, token.value_start, regex=regex)
    if not regex and not patterns.has_wildcards(token.text):
        # One look through all of them takes half the time, and they are looked through at every key.
        return lambda view: test(
            f"{view.run.name}\n{view.state}\n{view.run.model}\n{view.run.tags}\n{view.run.note}"
        )

    def fits(view: RunView) -> bool:
        run = view.run
        return (
            test(run.name)
            or test(view.state.value)
            or test(run.model)
            or (bool(run.tags) and test(run.tags))
            or (bool(run.note) and test(run.note))
        )

    return fits


def term(token: Token, *, regex: bool) -> Fits:
    """A field with its operator and value.

    Raises:
        FilterError: there is no such field, or its value cannot be understood.
    """
    field = field_of(token.field)
    if field is None:
        raise _unknown(token)
    if not token.text and not token.quoted:
        raise _wrong(token, f"what? {_example(field)}")
    if token.operator in {"!=", "!~"}:
        fits = _term(field, token, "=" if token.operator == "!=" else "~", regex=regex)
        return lambda view: not fits(view)
    return _term(field, token, token.operator, regex=regex)


def _term(field: RunField, token: Token, operator: str, *, regex: bool) -> Fits:
    if field.kind is Kind.TEXT:
        return _text(field, token, operator, regex=regex)
    if operator == "~":
        raise _wrong(token, f"no text; {_example(field)}")
    value = field.value
    if operator in ":=" and token.text.lower() == NOTHING:
        return lambda view: number_of(value(view)) is None
    holds = _range(field, token) if operator in ":=" and RANGE in token.text else None
    holds = holds or _comparison(field, token, operator, token.text)

    def fits(view: RunView) -> bool:
        found = number_of(value(view))
        return found is not None and holds(found)

    return fits


def _text(field: RunField, token: Token, operator: str, *, regex: bool) -> Fits:
    if operator in _ORDER:
        raise _wrong(token, f"a text has no order; {_example(field)}")
    if operator == "=":
        test = patterns.equals(token.text)
    else:
        is_regex = regex if operator == ":" else True
        test = _pattern(token, token.text, token.value_start, regex=is_regex)
    value = field.value
    if field.several and operator != "~":
        return lambda view: any(test(part.strip()) for part in str(value(view) or "").split(","))
    return lambda view: test(str(value(view) or ""))


def _pattern(token: Token, text: str, start: int, *, regex: bool) -> patterns.Test:
    try:
        return patterns.expression(text) if regex else patterns.glob(text)
    except ValueError as error:
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        raise FilterError(f"{shown} at {start + 1}: {error}", start, token.end) from error


def _range(field: RunField, token: Token) -> Holds:
    """`5..10`, `5..`, `..10`: both ends belong to it."""
    low, _, high = token.text.partition(RANGE)
    if not low and not high:
        raise _wrong(token, "a range needs an end, as 5..10")
    above = _comparison(field, token, ">=", low) if low else lambda _: True
    below = _comparison(field, token, "<=", high) if high else lambda _: True
    return lambda value: above(value) and below(value)


def _comparison(field: RunField, token: Token, operator: str, text: str) -> Holds:
    """How a known value compares with what was typed."""
    if field.kind is Kind.SECONDS:
        return _span(token, operator, text)
    if field.kind is Kind.MOMENT:
        return _moment(token, operator, text)
    typed = values.share(text) if field.kind is Kind.SHARE else values.number(text)
    if typed is None:
        raise _wrong(token, "not a number" if text else "a number is missing")
    if operator in _ORDER:
        compare, bound = _ORDER[operator], typed.value
        return lambda value: compare(value, bound)
    # Values that are written alike count as equal; a hair more, for what rounding did to the bounds.
    low, high = typed.value - typed.tolerance * 1.000001, typed.value + typed.tolerance * 1.000001
    return lambda value: low <= value <= high


def _span(token: Token, operator: str, text: str) -> Holds:
    bound = values.seconds(text)
    if bound is None:
        advice = f"{text}s, {text}m or {text}h?" if values.number(text) else "try 30m, 2h or 1d12h"
        raise _wrong(token, f"not a span of time; {advice}")
    if operator in _ORDER:
        compare = _ORDER[operator]
        return lambda value: compare(value, bound)
    return lambda value: math.isclose(value, bound, rel_tol=0.05, abs_tol=0.0005)


def _moment(token: Token, operator: str, text: str) -> Holds:
    """An age (`started<2d`: less than two days ago) or a date (`started>2026-11-20`: later)."""
    age = values.seconds(text)
    if age is not None:
        if operator not in _ORDER:
            raise _wrong(token, f"less than {text} ago is {token.field}<{text}")
        compare, bound = _ORDER[operator], age
        return lambda value: compare(time.time() - value, bound)
    if _date(text) is None:
        raise _wrong(token, "neither an age nor a date; try 2d, today or 2026-11-22")

    # `today` is another day tomorrow, and filters live long.
    def holds(value: float) -> bool:
        start, end = _date(text) or (math.inf, math.inf)
        if operator in {">", ">="}:
            return value >= (end if operator == ">" else start)
        if operator in {"<", "<="}:
            return value < (start if operator == "<" else end)
        return start <= value < end

    return holds


def _date(text: str) -> tuple[float, float] | None:
    return _date_in(text, int(time.time() // 60))


@lru_cache(maxsize=16)
def _date_in(text: str, minute: int) -> tuple[float, float] | None:
    return values.moment(text, 60.0 * minute)


_EXAMPLES = {
    Kind.TEXT: "{0}:text, {0}=text or {0}~regex",
    Kind.NUMBER: "{0}>10, {0}:5..20 or {0}:none",
    Kind.SHARE: "{0}>15 (percent), {0}:10..20 or {0}:none",
    Kind.SECONDS: "{0}<30m, {0}>2h or {0}:none",
    Kind.MOMENT: "{0}<2d (ago), {0}:today or {0}>2026-11-22",
}


def _example(field: RunField) -> str:
    return f"try {_EXAMPLES[field.kind].format(field.key)}"


def _wrong(token: Token, what: str) -> FilterError:
    """About a term's value, with the term as it was typed."""
    term = f"{token.field}{token.operator}{token.text}"
    shown = term if len(term) <= 40 else f"{term[:39]}…"
    return FilterError(f"{shown} at {token.start + 1}: {what}", token.start, token.end)


def _unknown(token: Token) -> FilterError:
    near = nearest(token.field)
    advice = f"did you mean {near}?" if near else f'"{token.field}{token.operator}…" in quotes is a text'
    message = f'unknown field "{token.field}" at {token.start + 1}: {advice}'
    return FilterError(message, token.start, token.start + len(token.field))


def nearest(name: str) -> str:
    """The field whose name is most like a text; empty where none is."""
    names = recipe_names() if "." in name else NAMES
    close = difflib.get_close_matches(name.lower()[:40], names, n=1, cutoff=0.6)
    if close:
        return close[0]
    begun = [known for known in names if len(name) > 1 and known.startswith(name.lower())]
    return begun[0] if begun else ""
