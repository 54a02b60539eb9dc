"""The language of filters: what it means, where it says what is wrong, and that nothing makes it slow."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lvmtui import filters
from lvmtui.config import ViewOptions
from lvmtui.filters import Filter, FilterError, parse, patterns, suggest
from lvmtui.filters.language import EXAMPLES
from lvmtui.filters.tokens import as_word, quote
from lvmtui.run_fields import FIELDS, NAMES
from lvmtui.snapshot import RunView, State
from lvmtui.store.records import Progress
from tests.tui import snapshots as made

VIEWS = made.views()
DAY = 86_400.0


def view(**values: object) -> RunView:
    """The first run with other values of its row."""
    return replace(VIEWS[0], run=replace(VIEWS[0].run, **values))  # type: ignore[arg-type]


def ids(text: str, views: Sequence[RunView] = VIEWS, *, regex: bool = False) -> set[int]:
    return {item.run.id for item in parse(text, regex=regex).choose(views)}


def chosen_by(test: Callable[[RunView], object]) -> set[int]:
    return {item.run.id for item in VIEWS if test(item)}


def wrong(text: str, *, regex: bool = False) -> FilterError:
    with pytest.raises(FilterError) as caught:
        parse(text, regex=regex)
    return caught.value


def read(text: str, *, regex: bool) -> Filter | FilterError:
    try:
        return parse(text, regex=regex)
    except FilterError as error:
        return error


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("", lambda v: True),
        ("phase:3", lambda v: "3" in v.run.phase),
        ("phase=PHASE-3", lambda v: v.run.phase == "phase-3"),
        ("phase!=phase-3", lambda v: v.run.phase != "phase-3"),
        ("state:lost", lambda v: v.state is State.LOST),
        ("-state:lost", lambda v: v.state is not State.LOST),
        ("not status=lost", lambda v: v.state is not State.LOST),
        ("hit5>15", lambda v: v.best and v.best.hit5 > 0.15),
        ("-hit5>15", lambda v: not (v.best and v.best.hit5 > 0.15)),
        ("hit5:10..17", lambda v: v.best and 0.1 <= v.best.hit5 <= 0.17),
        ("hit@5≥15", lambda v: v.best and v.best.hit5 >= 0.15),
        ("hit5:none", lambda v: v.best is None),
        ("ctx>=500", lambda v: v.run.context >= 500),
        ("params>10M", lambda v: (v.run.parameters or 0) > 1e7),
        ("state:running or state:queued", lambda v: v.state in {State.RUNNING, State.QUEUED}),
        ("(phase:3 or phase:1) epoch>0", lambda v: v.run.phase[-1] in "13" and v.run.progress.epoch > 0),
        ("is:active", lambda v: v.state.is_active),
        ("is:champion", lambda v: "champion" in v.aliases),
        ('name~"^phase-[12]\\b"', lambda v: re.match(r"phase-[12]\b", v.run.name)),
        ("phase-3", lambda v: "phase-3" in v.run.name),
        ("name:*#1?", lambda v: re.fullmatch(r".*#1.", v.run.name)),
        ("name!~3", lambda v: "3" not in v.run.name),
    ],
)
def test_terms_choose(text: str, test: Callable[[RunView], object]) -> None:
    assert ids(text) == chosen_by(test)


def test_and_binds_before_or() -> None:
    assert ids("phase:1 or phase:3 epoch>900") == ids("phase:1")
    assert ids("(phase:1 or phase:3) epoch>900") == set()
    assert ids("phase:3 AND state:running") == ids("phase:3 state:running")


def test_one_of_several_tags() -> None:
    tagged = view(tags="sweep-2, warm")
    assert parse("tag=warm").fits(tagged)
    assert not parse("tag=sweep").fits(tagged)
    assert parse("tag:sweep").fits(tagged)
    assert parse("tag:*2").fits(tagged)
    assert parse('tags=""').fits(view(tags=""))


@pytest.mark.parametrize("text", ["hit5>1e999", "loss<1e-999", "params=1e999t", "hit5:1e400..1e999"])
def test_numbers_beyond_what_a_float_holds_are_refused_or_fit_no_run(text: str) -> None:
    assert isinstance(read(text, regex=False), FilterError) or ids(text) == set()


def test_numbers_are_equal_where_they_are_written_alike() -> None:
    lr = replace(VIEWS[0], run=replace(VIEWS[0].run, recipe='{"train": {"lr": 0.0003}}'))
    assert parse("lr=3e-4").fits(lr)
    assert parse("lr:0.0003").fits(lr)
    assert not parse("lr=0.0004").fits(lr)
    assert parse("params=11.3M").fits(view(parameters=11_285_672))
    assert not parse("params=11.3M").fits(view(parameters=11_385_672))
    assert parse("id:#17").fits(view(id=17))
    assert parse("priority:-1").fits(view(priority=-1))


def test_times_and_dates() -> None:
    now = time.time()
    assert parse("started<2d").fits(view(created=now - DAY))
    assert not parse("started<2d").fits(view(created=now - 3 * DAY))
    assert parse("started>2d").fits(view(created=now - 3 * DAY))
    assert parse("started:today").fits(view(created=now))
    assert parse("started<today").fits(view(created=now - 2 * DAY))
    assert parse("started>2024-02").fits(view(created=now))
    assert parse("started<=2024-12").fits(view(created=1_700_000_000.0))
    noon = time.mktime((2024, 2, 29, 12, 30, 0, 0, 0, -1))
    assert parse("started:2024-02-29").fits(view(created=noon))
    assert parse('started:"2024-02-29 12:30"').fits(view(created=noon))
    assert not parse("started:2024-02-29T12:31").fits(view(created=noon))
    assert parse("duration>=1h30m").fits(view(active_seconds=5400.0))
    assert not parse("duration>1h30m").fits(view(active_seconds=5400.0, heartbeat=None))


def test_nan_is_not_known() -> None:
    progress = Progress(vectors_per_second=float("nan"))
    assert parse("speed:none").fits(view(progress=progress))
    assert not parse("speed>0").fits(view(progress=progress))


@pytest.mark.parametrize(
    ("text", "words", "part"),
    [
        ("hti5>3", 'unknown field "hti5" at 1: did you mean hit5?', "hti5"),
        ("phase:3 hit5>abc", "hit5>abc at 9: not a number", "hit5>abc"),
        ("hit5>", "hit5> at 1: what? try hit5>15 (percent)", "hit5>"),
        ("hit5>1k", "not a number", "hit5>1k"),
        ("left<30", "not a span of time; 30s, 30m or 30h?", "left<30"),
        ("started<soon", "neither an age nor a date", "started<soon"),
        ("started:2024-13", "neither an age nor a date", "started:2024-13"),
        ("started:2d", "less than 2d ago is started<2d", "started:2d"),
        ("phase>3", "a text has no order", "phase>3"),
        ("ctx~5", "no text", "ctx~5"),
        ("ctx:..", "a range needs an end", "ctx:.."),
        ('note~"a(b"', "not a regular expression: missing )", '"a(b"'),
        ("(phase:3", "the ( at 1 is not closed", "("),
        ("phase:3)", "the ) at 8 closes nothing", ")"),
        ('note:"warm', "the quote at 6 is not closed", '"warm'),
        ("phase:3 or", "nothing follows or at 9", "or"),
        ("or phase:3", "has nothing before it", "or"),
        ("()", "has nothing before it", ")"),
        ("phase:3 not", "nothing follows not at 9", "not"),
        ("zzzzz:1", '"zzzzz:…" in quotes is a text', "zzzzz"),
        ("x" * 301, "longer than 300 characters", "x" * 301),
    ],
)
def test_what_is_wrong_is_said_and_pointed_at(text: str, words: str, part: str) -> None:
    error = wrong(text)
    assert words in error.message
    assert text[error.start : error.end] == part
    assert "\n" not in error.message


def test_regular_expressions_in_place_of_globs() -> None:
    assert ids("^phase-(1|2)", regex=True) == ids('name~"^phase-(1|2)"')
    assert ids("(?i)PHASE-3$|#17$", regex=True)
    assert ids("(phase|zz)-3", regex=True) == ids("name:phase-3")
    assert ids("(phase:phase-3$ or phase:phase-1$) -state:lost", regex=True)
    assert "not a regular expression" in wrong("*x", regex=True).message


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*a){20}", "(a*)*b", "(a?){40}a{40}", "(x+x+)+y"])
def test_hostile_expressions_take_no_time(pattern: str) -> None:
    fits = patterns.expression(pattern)
    for letter in "ax":
        fits(letter * 5000 + "!")  # with `re` this would outlast the universe


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<!a)b", "(?>a)", "a*+", "a{99999}", "(a{50}){50}"])
def test_what_cannot_be_done_in_time_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"not offered|too large"):
        patterns.expression(pattern)


_SMALL = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\w", r"\b", "^", "$", r"\d", "1", " ", "B"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(_SMALL, st.text("abAB1 _", max_size=8))
def test_expressions_mean_what_they_mean_to_python(pattern: str, text: str) -> None:
    assert patterns.expression(pattern)(text) == (re.search(pattern, text, re.IGNORECASE) is not None)


_WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [*NAMES, "or", "and", "not", "(", ")", "-", '"', "\\", ":", ">", "<=", "!=", "~", "..", "none"]
    ),
    st.sampled_from(
        ["15", "1e999", "10M", "30m", "2d", "today", "2024-02-31", "*", "[", "?", "(a+)+", "9" * 400]
    ),
)
_TEXTS = st.tuples(st.lists(_WORDS, max_size=8), st.sampled_from(["", " "])).map(lambda p: p[1].join(p[0]))


@settings(max_examples=600, deadline=None)
@given(_TEXTS, st.booleans())
def test_no_text_makes_anything_but_a_filter_or_its_error(text: str, regex: bool) -> None:
    found = read(text, regex=regex)
    if isinstance(found, FilterError):
        assert 0 <= found.start <= found.end <= len(text)
        assert found.message
        assert "\n" not in found.message
    else:
        assert {item.run.id for item in found.choose(VIEWS)} <= chosen_by(lambda _: True)


@settings(max_examples=200, deadline=None)
@given(_TEXTS, st.integers(0, 40))
def test_suggestions_go_on_from_what_was_typed(text: str, cursor: int) -> None:
    cursor = min(cursor, len(text))
    for way in suggest(text, cursor, VIEWS):
        assert way.startswith(text[:cursor])
        assert way.endswith(text[cursor:])


@given(st.text(max_size=40))
def test_any_text_can_be_quoted(text: str) -> None:
    assert parse(f"note={quote(text)}").fits(view(note=text))
    assert parse(f"note={as_word(text)}").fits(view(note=text))
    assert not parse(f"note={quote(text)}").fits(view(note=f"{text}x"))


_TERMS = st.sampled_from(["phase:3", "hit5>15", "state:lost", "ctx>=500", "epoch<10", "is:over", "warm"])


@given(_TERMS, _TERMS, _TERMS)
def test_terms_combine_as_sets(first: str, second: str, third: str) -> None:
    a, b, c = ids(first), ids(second), ids(third)
    everything = ids("")
    assert ids(f"{first} {second}") == a & b
    assert ids(f"{first} or {second}") == a | b
    assert ids(f"-{first}") == ids(f"not {first}") == everything - a
    assert ids(f"-({first} or {second}) {third}") == (everything - (a | b)) & c
    assert ids(f"{first} or {second} {third}") == a | (b & c)


@pytest.mark.parametrize("text", ["-" * 60 + "x", "(" * 60 + "x" + ")" * 60])
def test_depth_is_limited(text: str) -> None:
    assert "levels deep" in wrong(text).message


def test_suggestions_name_fields_then_values() -> None:
    assert suggest("hi", 2) == ["hit1>", "hit5>", "hit10>"]
    assert suggest("phase:3 -sta", 12)[0] == "phase:3 -state:"
    values = suggest("phase:", 6, VIEWS)
    assert set(values) == {f"phase:{item.run.phase}" for item in VIEWS}
    assert suggest("state:early", 11, VIEWS) == []
    assert 'state:"early stopped"' in suggest("state:", 6, VIEWS)
    assert suggest("hit5>", 5, VIEWS) == []
    assert suggest("ctx:5", 5, VIEWS) == ["ctx:500"]
    assert suggest("zzz", 3) == []
    assert suggest("hit5>3 phase", 4) == [], "not in the middle of a word"


def test_chosen_heeds_shelf_filter_and_attention() -> None:
    archived = view(id=1, archived=True)
    trashed = view(id=2, archived=True, trashed=1.0)
    everything = [*VIEWS, archived, trashed]

    def shown(**options: object) -> set[int]:
        return {item.run.id for item in filters.chosen(everything, ViewOptions(**options))[0]}  # type: ignore[arg-type]

    assert shown() == chosen_by(lambda _: True)
    assert shown(shelf="archived") == {1}
    assert shown(shelf="trash") == {2}
    assert shown(shelf="nonsense") == shown()
    assert shown(filter="state:lost") == chosen_by(lambda v: v.state is State.LOST)
    assert shown(attention=True) == chosen_by(filters.needs_attention)
    views, problem = filters.chosen(VIEWS, ViewOptions(filter="hit5>abc"))
    assert (list(views), problem) == (list(VIEWS), "hit5>abc at 1: not a number")


def test_every_field_can_be_filtered_by() -> None:
    for key, field in FIELDS.items():
        operator = ":x" if field.kind == "text" else ":none"
        parse(f"{key}{operator}").choose(VIEWS)


def test_fields_of_the_recipe_can_be_filtered_by() -> None:
    assert ids("train.lr=0.0005") == ids("lr=0.0005") != set()
    assert ids("changed:train.lr") == chosen_by(lambda v: "train.lr" in v.run.overrides)
    assert "did you mean train.lr?" in wrong("train.lrr>1").message
    assert suggest("train.wei", 9) == ["train.weight_decay:"]


def test_every_example_of_the_language_is_understood() -> None:
    for kind, examples in EXAMPLES:
        if kind == "a bare word":
            continue
        for example in [examples] if kind == "together" else examples.split("  "):
            parse(re.sub(r" \(.*? .*?\)$", "", example) if kind != "together" else example).choose(VIEWS)


def test_a_word_that_is_on_its_way_to_a_field_is_left_out_of_the_preview() -> None:
    assert filters.without_begun("phase:3 hi") == "phase:3 "
    assert filters.without_begun("phase:3 -") == "phase:3 "
    assert filters.without_begun("phase:3 hti5") == "phase:3 "
    assert filters.without_begun("phase:3 zzz") == "phase:3 zzz"
    assert filters.without_begun("phase:3") == "phase:3"
