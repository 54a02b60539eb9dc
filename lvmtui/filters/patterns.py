"""Texts, globs and regular expressions as tests of a text, in time that grows with the text alone.

`re` backtracks: `(a+)+$` takes for ever on thirty letters. Regular expressions are therefore run as an
automaton that is in all its states at once (Thompson, Regular Expression Search Algorithm, 1968), its sets
of states kept once met. What such an automaton cannot do (backreferences, looking around) is refused.
"""

from __future__ import annotations

import fnmatch
import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

MOST_PATTERN = 300
"""Characters of a pattern."""

MOST_TEXT = 1000
"""Characters of a text that are looked at."""

MOST_STATES = 1500
"""States of an automaton: `(a{30}){30}` has 900."""

MOST_KEPT = 500
"""Sets of states that are kept of one automaton."""

Test = Callable[[str], bool]

# The module that `re` parses with: there is no public way to a pattern's tree.
_parser: Any = importlib.import_module("re._parser")


def contains(text: str) -> Test:
    """Whether a text has this one in it, in capitals or not."""
    wanted = text.casefold()
    return lambda other: wanted in other.casefold()


def equals(text: str) -> Test:
    """Whether a text is this one, in capitals or not."""
    wanted = text.casefold()
    return lambda other: wanted == other.casefold()


def has_wildcards(text: str) -> bool:
    """Whether a glob is more than a text."""
    return any(sign in text for sign in "*?[")


def glob(text: str) -> Test:
    """Whether a text fits the glob, in capitals or not; without wildcards, anywhere in it.

    Raises:
        ValueError: it is too long; the message says so.
    """
    _check_length(text)
    if not has_wildcards(text):
        return contains(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `[[a]` is a FutureWarning of `re`
        try:
            fits = re.compile(fnmatch.translate(text.casefold())).match
        except re.error as error:
            raise ValueError(f"not a glob: {error}") from error
    return lambda other: fits(other[:MOST_TEXT].casefold()) is not None


@lru_cache(maxsize=64)
def expression(pattern: str) -> Test:
    """Whether a regular expression fits somewhere in a text, in capitals or not.

    Raises:
        ValueError: it is none, or too large, or asks for what is not offered; the message says which.
    """
    _check_length(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = _parser.parse(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return _Automaton(tree).fits


def _check_length(pattern: str) -> None:
    if len(pattern) > MOST_PATTERN:
        raise ValueError(f"longer than {MOST_PATTERN} characters")


_EDGE, _WORD, _OTHER = "edge", "word", "other"


def _kind(character: str) -> str:
    return _WORD if character.isalnum() or character == "_" else _OTHER


_CATEGORIES: dict[str, Test] = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_SPACE": str.isspace,
    "CATEGORY_WORD": lambda character: _kind(character) is _WORD,
}

_ASSERTIONS: dict[str, Callable[[str, str], bool]] = {
    "AT_BEGINNING": lambda before, _: before is _EDGE,
    "AT_BEGINNING_STRING": lambda before, _: before is _EDGE,
    "AT_END": lambda _, after: after is _EDGE,
    "AT_END_STRING": lambda _, after: after is _EDGE,
    "AT_BOUNDARY": lambda before, after: (before is _WORD) != (after is _WORD),
    "AT_NON_BOUNDARY": lambda before, after: (before is _WORD) == (after is _WORD),
}


_REFUSED = {
    "GROUPREF": "backreferences",
    "GROUPREF_EXISTS": "conditions",
    "ASSERT": "lookahead and lookbehind",
    "ASSERT_NOT": "lookahead and lookbehind",
    "POSSESSIVE_REPEAT": "possessive repeats",
    "ATOMIC_GROUP": "atomic groups",
}


class _Set:
    """A set of the automaton's states at one place in a text, with where each character leads."""

    __slots__ = ("before", "fits_at_end", "states", "ways")

    def __init__(self, states: frozenset[int], before: str) -> None:
        self.states, self.before = states, before
        self.ways: dict[str, _Set | None] = {}
        """Character -> the next set; None: the pattern has fitted."""
        self.fits_at_end: bool | None = None


class _Automaton:
    def __init__(self, tree: Any) -> None:
        self._tests: list[Test | None] = []
        """State -> what its character must be; None where it takes none."""
        self._next: list[list[int]] = []
        self._asserts: list[Callable[[str, str], bool] | None] = []
        self._end = self._state()
        self._start = self._sequence(tree, self._end)
        self._sets: dict[tuple[frozenset[int], str], _Set] = {}

    def fits(self, text: str) -> bool:
        """Whether the pattern fits somewhere in the text."""
        at = self._set(frozenset({self._start}), _EDGE)
        for character in text[:MOST_TEXT]:
            try:
                following = at.ways[character]
            except KeyError:
                following = self._step(at, character)
            if following is None:
                return True
            at = following
        if at.fits_at_end is None:
            at.fits_at_end = self._end in self._closure(at, _EDGE)
        return at.fits_at_end

    def _step(self, at: _Set, character: str) -> _Set | None:
        kind = _kind(character)
        reached = self._closure(at, kind)
        following: _Set | None = None
        if self._end not in reached:
            states = {self._start}  # The pattern may begin at any place.
            for state in reached:
                test = self._tests[state]
                if test is not None and test(character):
                    states.update(self._next[state])
            following = self._set(frozenset(states), kind)
        if len(at.ways) < MOST_KEPT:
            at.ways[character] = following
        return following

    def _set(self, states: frozenset[int], before: str) -> _Set:
        key = (states, before)
        if key not in self._sets:
            if len(self._sets) >= MOST_KEPT:
                for kept in self._sets.values():
                    kept.ways.clear()
                self._sets.clear()
            self._sets[key] = _Set(states, before)
        return self._sets[key]

    def _closure(self, at: _Set, after: str) -> set[int]:
        """Every state that is reached without taking a character."""
        found, open_states = set(at.states), list(at.states)
        while open_states:
            state = open_states.pop()
            if self._tests[state] is not None:
                continue
            holds = self._asserts[state]
            if holds is not None and not holds(at.before, after):
                continue
            for following in self._next[state]:
                if following not in found:
                    found.add(following)
                    open_states.append(following)
        return found

    def _state(
        self,
        *following: int,
        test: Test | None = None,
        holds: Callable[[str, str], bool] | None = None,
    ) -> int:
        if len(self._tests) >= MOST_STATES:
            raise ValueError("too large: use smaller repeats")
        self._tests.append(test)
        self._asserts.append(holds)
        self._next.append(list(following))
        return len(self._tests) - 1

    def _sequence(self, items: Sequence[Any], after: int) -> int:
        """The first state of some parts in a row, the last of which leads to `after`."""
        for item in reversed(list(items)):
            after = self._part(str(item[0]), item[1], after)
        return after

    def _part(self, name: str, value: Any, after: int) -> int:
        if name == "SUBPATTERN":
            return self._sequence(value[3], after)
        if name == "BRANCH":
            return self._state(*[self._sequence(branch, after) for branch in value[1]])
        if name in {"MAX_REPEAT", "MIN_REPEAT"}:
            least, most, body = value
            return self._repeat(least, most, body, after)
        if name == "AT":
            return self._state(after, holds=_ASSERTIONS[str(value)])
        if name in _REFUSED:
            raise ValueError(f"{_REFUSED[name]} are not offered")
        return self._state(after, test=_character_test(name, value))

    def _repeat(self, least: int, most: Any, body: Any, after: int) -> int:
        if str(most) == "MAXREPEAT":
            loop = self._state(after)
            self._next[loop].append(self._sequence(body, loop))
            after = loop
        else:
            if int(most) > MOST_STATES:
                raise ValueError("too large: use smaller repeats")
            end = after
            for _ in range(int(most) - least):
                after = self._state(end, self._sequence(body, after))
        if least > MOST_STATES:
            raise ValueError("too large: use smaller repeats")
        for _ in range(least):
            after = self._sequence(body, after)
        return after


def _character_test(name: str, value: Any) -> Test:
    """What one character must be."""
    if name == "ANY":
        return lambda _: True
    if name == "IN":
        items = [(str(kind), item) for kind, item in value]
        negated = items[0][0] == "NEGATE"
        tests = list(_tests(items[1:] if negated else items))
        return lambda character: any(test(character) for test in tests) != negated
    if name == "NOT_LITERAL":
        excluded = next(_tests([("LITERAL", value)]))
        return lambda character: not excluded(character)
    return next(_tests([(name, value)]))


def _tests(items: Sequence[tuple[str, Any]]) -> Iterator[Test]:
    for kind, item in items:
        if kind == "LITERAL":
            yield _one_of(chr(item))
        elif kind == "RANGE":
            yield _between(*item)
        elif kind == "CATEGORY":
            name = str(item)
            inside = _CATEGORIES[name.replace("_NOT_", "_")]
            yield _negated(inside) if "_NOT_" in name else inside
        else:
            raise ValueError(f"{kind.lower()} is not offered")


def _one_of(letter: str) -> Test:
    forms = {letter, letter.lower(), letter.upper()}
    return lambda character: character in forms or character.lower() in forms


def _between(low: int, high: int) -> Test:
    return lambda character: any(
        len(form) == 1 and low <= ord(form) <= high
        for form in (character, character.lower(), character.upper())
    )


def _negated(test: Test) -> Test:
    return lambda character: not test(character)
