"""Text to chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.chunking import MIN_TOKENS, TARGET_TOKENS, chunk, clean, count_tokens, sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One is here. Two is there! Is three?", ["One is here.", "Two is there!", "Is three?"]),
        ("See e.g. Knuth and cf. Dijkstra.", ["See e.g. Knuth and cf. Dijkstra."]),
        ("Dr. Watson met J. R. R. Tolkien.", ["Dr. Watson met J. R. R. Tolkien."]),
        ("It costs 3.5 dollars. Version 2.0 is out.", ["It costs 3.5 dollars.", "Version 2.0 is out."]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("So it was... and then no more.", ["So it was... and then no more."]),
        ("今日は晴れ。明日は雨。", ["今日は晴れ。", "明日は雨。"]),
        ("line one\nline   two", ["line one line two"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


def test_packs_sentences_to_about_the_target() -> None:
    text = " ".join(f"Sentence number {number} has exactly seven words." for number in range(30))
    chunks = chunk(text).texts
    assert all(item.endswith(".") for item in chunks)
    assert {count_tokens(item) for item in chunks} <= {14, 21}
    assert " ".join(chunks) == text


def test_a_heading_opens_the_next_chunk() -> None:
    body = "The first paragraph is long enough to stand alone as a chunk here."
    chunks = chunk(f"A Heading\n\n{body}\n\nAnother Heading\n\n{body}").texts
    assert chunks == [f"A Heading {body}", f"Another Heading {body}"]


def test_long_sentences_are_cut_in_equal_parts() -> None:
    words = [f"word{number}" for number in range(90)]
    chunks = chunk(" ".join(words)).texts
    assert [count_tokens(item) for item in chunks] == [18] * 5
    assert " ".join(chunks).split() == words


def test_too_short_pieces_are_counted() -> None:
    found = chunk("Only three words")
    assert found.texts == []
    assert found.too_short == 1
    assert chunk(" \n\n\f \n").too_short == 0


def test_text_without_spaces_is_cut() -> None:
    assert max(map(len, chunk("x" * 100_000).texts)) <= 2 * TARGET_TOKENS * 40
    assert max(map(len, chunk("東京" * 5_000).texts)) <= 2 * TARGET_TOKENS


def test_clean_keeps_text_and_drops_what_steers_a_terminal() -> None:
    assert clean("a\r\nb\tc\x1b[2J\x9bé\u202e\u200b\ufeff\ud800 Ω") == "a\nb\tc[2Jé Ω"


@given(st.text(alphabet=st.characters(), max_size=400) | st.text("aA.!? \n\"')(\f。字", max_size=400))
def test_any_text_gives_chunks_within_limits_and_loses_little(text: str) -> None:
    found = chunk(text)
    again = chunk(text)
    assert found == again
    for item in found.texts:
        assert MIN_TOKENS <= count_tokens(item) <= 3 * TARGET_TOKENS
        assert item == clean(item)
        assert "\n" not in item
    kept = "".join("".join(found.texts).split())
    everything = "".join(clean(text).split())
    assert found.too_short <= 1
    assert len(everything) - len(kept) <= MIN_TOKENS * 40


def test_hostile_punctuation_takes_no_time() -> None:
    for text in ("." * 100_000, "!)" * 50_000, "a." * 50_000, '."' * 50_000 + " ", "A. " * 30_000):
        chunk(text)
