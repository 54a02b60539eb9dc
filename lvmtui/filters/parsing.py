"""Makes a test of runs out of the text of a filter.

any    := all ("or" all)*
all    := one (["and"] one)*
one    := ("-" | "not") one | "(" any ")" | term | word
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lvmtui.filters import terms
from lvmtui.filters.errors import FilterError
from lvmtui.filters.terms import Fits
from lvmtui.filters.tokens import Sign, Token, tokens
from lvmtui.snapshot import RunView

MOST_TEXT = 2000
"""Characters of a filter."""

MOST_DEPTH = 50
"""Parentheses and negations inside each other."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that was understood."""

    text: str
    regex: bool
    fits: Fits = field(compare=False, repr=False)
    """Whether it lets a run through."""

    def choose(self, views: Iterable[RunView]) -> list[RunView]:
        """The runs that it lets through, in their order."""
        fits = self.fits
        return [view for view in views if fits(view)]


def parse(text: str, *, regex: bool = False) -> Filter:
    """The filter that a text means; an empty one lets all through.

    Args:
        text: the filter, as a user types it.
        regex: bare words and `field:text` are regular expressions, not globs.

    Raises:
        FilterError: it cannot be understood; says where and what to do.
    """
    if len(text) > MOST_TEXT:
        raise FilterError(f"the filter is longer than {MOST_TEXT} characters", MOST_TEXT, len(text))
    return Filter(text, regex, _Parser(text, regex=regex).whole())


class _Parser:
    def __init__(self, text: str, *, regex: bool) -> None:
        self._regex = regex
        self._tokens = list(tokens(text, regex=regex))
        self._at = 0
        self._length = len(text)
        self._depth = 0

    def whole(self) -> Fits:
        if not self._tokens:
            return lambda _: True
        fits = self._any()
        left = self._peek()
        if left is not None:
            raise FilterError(f"the ) at {left.start + 1} closes nothing", left.start, left.end)
        return fits

    def _peek(self) -> Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> Token | None:
        token = self._peek()
        self._at += token is not None
        return token

    def _any(self) -> Fits:
        parts = [self._all()]
        while (token := self._peek()) is not None and token.sign is Sign.OR:
            self._at += 1
            parts.append(self._all())
        if len(parts) == 1:
            return parts[0]

        def either(view: RunView) -> bool:
            for fits in parts:  # noqa: SIM110 - half the time of `any` with a generator
                if fits(view):
                    return True
            return False

        return either

    def _all(self) -> Fits:
        parts = [self._one()]
        while (token := self._peek()) is not None and token.sign not in {Sign.OR, Sign.CLOSE}:
            self._at += token.sign is Sign.AND
            parts.append(self._one())
        if len(parts) == 1:
            return parts[0]

        def both(view: RunView) -> bool:
            for fits in parts:  # noqa: SIM110 - half the time of `all` with a generator
                if not fits(view):
                    return False
            return True

        return both

    def _one(self) -> Fits:
        token = self._take()
        if token is None:
            raise self._nothing_follows()
        if token.sign is Sign.TERM:
            return terms.term(token, regex=self._regex)
        if token.sign is Sign.TEXT:
            return terms.bare(token, regex=self._regex)
        if token.sign in {Sign.MINUS, Sign.NOT, Sign.OPEN}:
            return self._inside(token)
        what = ")" if token.sign is Sign.CLOSE else token.text
        advice = "leave it out" if token.sign is Sign.CLOSE else f'"{what}" in quotes is a text'
        raise FilterError(
            f"{what} at {token.start + 1} has nothing before it: {advice}", token.start, token.end
        )

    def _inside(self, token: Token) -> Fits:
        """What a negation or an opened parenthesis holds."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise FilterError(f"more than {MOST_DEPTH} levels deep", token.start, token.end)
        if token.sign is Sign.OPEN:
            fits = self._any()
            closing = self._take()
            if closing is None:
                raise FilterError(f"the ( at {token.start + 1} is not closed", token.start, token.end)
        else:
            inner = self._one()

            def fits(view: RunView) -> bool:
                return not inner(view)

        self._depth -= 1
        return fits

    def _nothing_follows(self) -> FilterError:
        last = self._tokens[-1]
        what = {Sign.MINUS: "-", Sign.OPEN: "("}.get(last.sign, last.text)
        return FilterError(f"nothing follows {what} at {last.start + 1}", last.start, self._length)
