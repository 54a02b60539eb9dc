"""Cuts the text of a filter into words, quoted texts, signs and parentheses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from lvmtui.filters.errors import FilterError

_FIELD = re.compile(r"([^\W\d_][\w@.-]*)(!=|!~|>=|<=|≥|≤|≠|[:=<>~])")
_SAME = {"≥": ">=", "≤": "<=", "≠": "!="}

_GROUP = re.compile(r"\(\?|\([^\s()]*\)[^\s)]")
"""A parenthesis that belongs to a regular expression: `(?i)`, `(a|b)+`, `(a|b)c`."""

KEYWORDS = ("and", "or", "not")


class Sign(Enum):
    """What a token is."""

    OPEN = auto()
    CLOSE = auto()
    MINUS = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    TEXT = auto()
    """A bare word or a quoted text."""
    TERM = auto()
    """Field, operator and value."""


@dataclass(frozen=True, slots=True)
class Token:
    """One part of a filter."""

    sign: Sign
    start: int
    end: int
    text: str = ""
    """The bare text, or the value of a term."""
    field: str = ""
    operator: str = ""
    value_start: int = 0
    quoted: bool = False
    """The text or value stood in quotes."""


def tokens(text: str, *, regex: bool = False) -> Iterator[Token]:
    """The tokens of a filter, from the left.

    Args:
        text: the filter.
        regex: bare words are regular expressions, which may begin with a parenthesis.

    Raises:
        FilterError: a quote is not closed.
    """
    at = 0
    while at < len(text):
        character = text[at]
        if character.isspace():
            at += 1
            continue
        if character == "(" and not (regex and _GROUP.match(text, at)):
            token = Token(Sign.OPEN, at, at + 1)
        elif character == ")":
            token = Token(Sign.CLOSE, at, at + 1)
        elif character == "-" and at + 1 < len(text) and not text[at + 1].isspace():
            token = Token(Sign.MINUS, at, at + 1)
        else:
            token = _word(text, at)
        yield token
        at = token.end


def _word(text: str, at: int) -> Token:
    found = _FIELD.match(text, at)
    begin = found.end() if found else at
    quoted = text.startswith('"', begin)
    value, end = _quoted(text, begin) if quoted else _bare(text, begin)
    if found:
        operator = _SAME.get(found[2], found[2])
        return Token(Sign.TERM, at, end, value, found[1], operator, begin, quoted)
    keyword = value.lower()
    if not quoted and keyword in KEYWORDS:
        return Token(Sign[keyword.upper()], at, end, value)
    return Token(Sign.TEXT, at, end, value, value_start=at, quoted=quoted)


def _bare(text: str, at: int) -> tuple[str, int]:
    """Up to a space, or a parenthesis that was not opened in the word itself."""
    depth, end = 0, at
    while end < len(text) and not text[end].isspace():
        if text[end] == "(":
            depth += 1
        elif text[end] == ")":
            if not depth:
                break
            depth -= 1
        end += 1
    return text[at:end], end


def _quoted(text: str, at: int) -> tuple[str, int]:
    """A text in double quotes; a backslash before a quote or a backslash takes its meaning away."""
    parts: list[str] = []
    end = at + 1
    while end < len(text):
        character = text[end]
        if character == '"':
            return "".join(parts), end + 1
        if character == "\\" and text[end + 1 : end + 2] in {'"', "\\"}:
            end += 1
            character = text[end]
        parts.append(character)
        end += 1
    raise FilterError(f"the quote at {at + 1} is not closed", at, len(text))


def quote(text: str) -> str:
    """The text as one quoted word."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def as_word(text: str) -> str:
    """The text as a value: in quotes where it needs them."""
    simple = text and not re.search(r'[\s()"\\]', text)
    return text if simple else quote(text)
