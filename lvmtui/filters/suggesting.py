"""How the last word of a half-typed filter may go on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from lvmtui.filters.terms import nearest
from lvmtui.filters.tokens import KEYWORDS, as_word
from lvmtui.run_fields import FIELDS, NAMES, Kind, RunField, field_of, number_of, recipe_names
from lvmtui.snapshot import RunView

MOST = 20
"""Suggestions at once."""

_LAST = re.compile(r"(?:^|(?<=[\s(]))(-?)([^\s()\"]*)$")
_TERM = re.compile(r"([^\W\d_][\w@.-]*)(!=|[:=])(.*)$")


def suggest(text: str, cursor: int, views: Sequence[RunView] = ()) -> list[str]:
    """How the word before the cursor may go on, the likeliest first.

    Args:
        text: the filter so far.
        cursor: where the cursor is in it.
        views: the runs, for the values of their fields.

    Returns:
        Whole texts: each begins with what stands before the cursor. After a field's name its values, else
        names of fields.
    """
    before, after = text[:cursor], text[cursor:]
    if after[:1].strip():
        return []
    found = _LAST.search(before)
    if found is None or not found[2]:
        return []
    word = found[2]
    term = _TERM.match(word)
    field = field_of(term[1]) if term else None
    if term and field:
        endings = _values(field, term[3], views)
    elif term:
        return []
    else:
        endings = _names(word)
    # What was typed stays as it is, so that a suggestion can be shown behind it.
    return [before + ending + after for ending in endings[:MOST]]


def without_begun(text: str) -> str:
    """The filter without its last word, where that may become a field or an operator, or is nearly one's
    name; else the whole.

    `hit5>15 sta` is on its way to `state:`: as a bare word it would choose nothing meanwhile.
    """
    found = _LAST.search(text)
    if found is None or not (found[1] or found[2]):
        return text
    word = found[2].lower()
    if any(sign in word for sign in ":=<>~!"):
        return text
    known = recipe_names() if "." in word else (*NAMES, *KEYWORDS)
    begun = any(name.startswith(word) for name in known)
    return text[: found.start()] if begun or nearest(word) else text


def _names(begun: str) -> list[str]:
    """The rest of each field that begins so, with the operator that mostly follows."""
    low = begun.lower()
    names: list[str] = []
    for field in FIELDS.values():
        name = next((name for name in (field.key, *field.aliases) if name.startswith(low)), None)
        if name is not None:
            names.append(name[len(low) :] + (":" if field.kind is Kind.TEXT else ">"))
    if "." in low:
        names += [f"{name[len(low) :]}:" for name in recipe_names() if name.startswith(low)]
    words = [word[len(low) :] + " " for word in KEYWORDS if word.startswith(low) and word != low]
    return names + words


def _values(field: RunField, begun: str, views: Sequence[RunView]) -> list[str]:
    """The rest of each value that begins so, the commonest first."""
    if field.kind not in {Kind.TEXT, Kind.NUMBER}:
        return []
    low = begun.lower()
    counted: Counter[str] = Counter()
    for view in views:
        value = field.value(view)
        if field.kind is Kind.NUMBER:
            known = number_of(value)
            counted.update([] if known is None else [f"{known:.10g}"])
            continue
        text = str(value or "")
        parts = [part.strip() for part in text.split(",")] if field.several else [text]
        counted.update(part for part in parts if part)
    fitting = [value for value, _ in counted.most_common() if value.lower().startswith(low)]
    plain = [value for value in fitting if as_word(value) == value and value.lower() != low]
    quoted = [as_word(value) for value in fitting if as_word(value) != value] if not begun else []
    return [value[len(low) :] for value in plain] + quoted
