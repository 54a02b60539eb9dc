"""Text to chunks: pieces of about 20 tokens that end at sentence boundaries where they can."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

TARGET_TOKENS = 20
"""Tokens that a chunk aims at."""
MIN_TOKENS = 4
"""Shorter pieces are no sentence: page numbers, stray headings."""

_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_TOKEN = re.compile(rf"[{_IDEOGRAPH}]|[^\s{_IDEOGRAPH}]{{1,40}}")
"""A word, an ideograph, or 40 characters of something without spaces."""
_SENTENCE_END = re.compile("[.!?…][\"'”’)\\]]*(?=\\s)|[。！？]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:[A-Za-z]|e\.g|i\.e|cf|vs|etc|al|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|Eq|Sec|Vol|pp|approx)\.$"
)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_PARAGRAPH = re.compile(r"\n[ \t]*\n|\f")


@dataclass(frozen=True)
class Chunks:
    """The chunks of one text, in order, and what was left out."""

    texts: list[str]
    too_short: int
    """Pieces dropped because they have fewer than `MIN_TOKENS` tokens."""


def clean(text: str) -> str:
    """Text without control, bidirectional-override and zero-width characters; newlines and tabs stay."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def count_tokens(text: str) -> int:
    """Words; an ideograph counts as one, and so do 40 characters without a space."""
    return sum(1 for _ in _TOKEN.finditer(text))


def sentences(paragraph: str) -> Iterator[str]:
    """The sentences of one paragraph, white space collapsed."""
    text = " ".join(paragraph.split())
    start = 0
    for end in _SENTENCE_END.finditer(text):
        following = text[end.end() : end.end() + 2].lstrip()
        if following[:1].islower() or _ABBREVIATION.search(
            text, max(start, end.start() - 8), end.start() + 1
        ):
            continue
        yield text[start : end.end()]
        start = end.end() + (text[end.end() : end.end() + 1] == " ")
    if start < len(text):
        yield text[start:]


def _pieces(sentence: str, target: int) -> Iterator[tuple[str, int]]:
    """A sentence whole, or in equal parts when it is longer than twice the target; with their tokens."""
    tokens = list(_TOKEN.finditer(sentence))
    parts = -(-len(tokens) // target) if len(tokens) > 2 * target else 1
    if parts == 1:
        yield sentence, len(tokens)
        return
    cuts = [len(tokens) * part // parts for part in range(parts + 1)]
    for first, last in pairwise(cuts):
        yield sentence[tokens[first].start() : tokens[last - 1].end()], last - first


def chunk(text: str, target: int = TARGET_TOKENS) -> Chunks:
    """Cut a document into chunks of about `target` tokens.

    Whole sentences are packed as long as that brings a chunk nearer to the target; a chunk ends with its
    paragraph unless it is shorter than half the target, as a heading is: then it opens the next chunk.
    Sentences longer than twice the target are cut into equal parts between tokens.

    Args:
        text: one document.
        target: tokens that a chunk aims at.
    """
    texts: list[str] = []
    too_short = 0
    held: list[str] = []
    size = 0

    def flush() -> None:
        nonlocal size, too_short
        if size >= MIN_TOKENS:
            texts.append(" ".join(held))
        elif size:
            too_short += 1
        held.clear()
        size = 0

    for paragraph in _PARAGRAPH.split(clean(text)):
        for sentence in sentences(paragraph):
            for piece, tokens in _pieces(sentence, target):
                if size and abs(size + tokens - target) > abs(size - target):
                    flush()
                held.append(piece)
                size += tokens
        if size >= target / 2:
            flush()
    flush()
    return Chunks(texts, too_short)
