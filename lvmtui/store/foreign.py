"""Texts and JSON columns of another store, made harmless before they are kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from lvmtui.escapes import harmless

MOST_CHARACTERS = 1 << 16
"""Of a JSON text; of a longer one nothing is kept."""

LONGEST_TEXT = 10_000
"""Of a text within JSON."""

DEEPEST = 12
"""What is nested deeper becomes null."""

LARGEST_WHOLE = 1 << 63
LARGEST = 1e300
"""Greater numbers become null: what is worked out of them must stay finite."""

_SCORES = ("hit1", "hit5", "hit10", "mrr", "loss", "cosine", "copyness")
"""What a phase can have a target for."""


def clean_text(text: str, longest: int) -> str:
    """A text cut to a length, without what a terminal would obey, and with no half of a surrogate pair in it:
    no file takes one. Whoever shows it makes it `plain`; this holds where that was forgotten."""
    text = harmless(text[:longest])
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def clean_object(found: Mapping[str, Any], column: str) -> dict[str, Any]:
    """What may be kept of a JSON object; see `clean_json`."""
    return _SHAPES.get(column, dict)(_harmless(found, DEEPEST))


def clean_value(value: Any) -> Any:
    """A value of JSON with harmless texts and finite numbers, none of it nested too deep."""
    return _harmless(value, DEEPEST)


def clean_json(value: Any, column: str) -> str:
    """The text of a JSON object, safe to read later; `{}` where something else stands in its place.

    Args:
        value: what came in.
        column: its name: overrides, targets, versions, details, evidence, … hold only what belongs there.
    """
    return _cleaned(value, column) if isinstance(value, str) and len(value) <= MOST_CHARACTERS else "{}"


@lru_cache(maxsize=256)
def _cleaned(text: str, column: str) -> str:
    # Thousands of runs share a few recipes, versions and targets.
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return "{}"
    if not isinstance(found, dict):
        return "{}"
    cleaned = json.dumps(clean_object(found, column), separators=(",", ":"))
    return cleaned if len(cleaned) <= 2 * MOST_CHARACTERS else "{}"


def _harmless(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean_text(value, LONGEST_TEXT)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST_WHOLE else None
    if isinstance(value, float):
        return value if math.isfinite(value) and abs(value) <= LARGEST else None
    if depth == 0:
        return None
    if isinstance(value, dict):
        return {clean_text(key, 200): _harmless(item, depth - 1) for key, item in value.items()}
    return [_harmless(item, depth - 1) for item in value]


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in found.items()}


def _targets(found: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(item) for key, item in found.items() if key in _SCORES and _is_number(item)}


def _details(found: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(found)
    bounds: Any = kept.get("mrr_interval")
    if not (_is_numbers(bounds) and len(bounds) == 2):
        kept.pop("mrr_interval", None)
    return kept


def _evidence(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in found.items() if key != "lags" or _is_numbers(item)}


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_number, value))


_SHAPES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "overrides": _texts,
    "versions": _texts,
    "targets": _targets,
    "details": _details,
    "evidence": _evidence,
}
