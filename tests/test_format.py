"""How numbers, times, sizes and outside text are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lvmtui import format as fmt


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("phase-3 #17", "phase-3 #17"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1bPpayload\x1b\\after", "after"),
        ("\x9b2Jcleared", "cleared"),
        ("a\x00b\x07c\x7fd", "abcd"),
        ("one\r\ntwo\nthree\rfour", "one two three four"),
        ("tab\there", "tab    here"),
        ("\u202eevil\u2066", "evil"),
        ("[bold]markup[/]", "[bold]markup[/]"),
        ("\x1b", ""),
        ("end \x1b[", "end "),
    ],
)
def test_outside_text_is_made_harmless(text: str, shown: str) -> None:
    assert fmt.plain(text) == shown


@given(st.text())
def test_no_control_character_survives(text: str) -> None:
    shown = fmt.plain(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown)
    shown.encode("utf-8")


@given(st.text(max_size=40), st.integers(0, 30))
def test_fit_never_exceeds_its_width(text: str, width: int) -> None:
    assert cell_len(fmt.fit(fmt.plain(text), width)) <= width


@given(st.text(max_size=60), st.integers(1, 30), st.integers(1, 4))
def test_wrap_keeps_to_its_box(text: str, width: int, lines: int) -> None:
    parts = fmt.wrap(fmt.plain(text), width, lines)
    assert len(parts) <= lines
    assert all(cell_len(part) <= width for part in parts)


@given(st.text(max_size=40))
def test_ascii_text_is_ascii_and_as_long(text: str) -> None:
    shown = fmt.ascii_text(text)
    assert shown.isascii()
    assert len(shown) == len(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (-1, "–"),
        (0, "0s"),
        (0.42, "0.4s"),
        (9.97, "10s"),
        (12, "12s"),
        (59.6, "1m00s"),
        (118.2, "1m58s"),
        (599.7, "10m"),
        (3480, "58m"),
        (3599, "1h00m"),
        (3780, "1h03m"),
        (86_399.7, "1d00h"),
        (187_200, "2d04h"),
    ],
)
def test_duration(seconds: float | None, shown: str) -> None:
    assert fmt.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (512, "512"),
        (870_000, "870k"),
        (11_285_672, "11.3M"),
        (999_960, "1M"),
        (2e9, "2B"),
    ],
)
def test_count(value: float | None, shown: str) -> None:
    assert fmt.count(value) == shown


def test_bytes() -> None:
    gib = 2**30
    assert fmt.memory(38.1 * gib, 139 * gib) == "38.1/139 GiB"
    assert fmt.memory(None, 139 * gib) == "139 GiB"
    assert fmt.memory(2.1 * gib, None) == "2.1 GiB"
    assert fmt.size(12) == "12 B"
    assert fmt.size(None) == "–"


def test_scores() -> None:
    assert fmt.percent(0.1792) == "17.9"
    assert fmt.percent(0.1792, 2) == "17.92"
    assert fmt.percent(float("nan")) == "–"
    assert fmt.signed(0.098) == "+9.8"
    assert fmt.signed(-0.021) == "−2.1"
    assert fmt.signed(-0.0001) == "+0.0"
    assert fmt.plus_minus(0.168, 0.192) == "±1.2"
    assert fmt.interval(0.168, 0.191) == "[16.8, 19.1]"
    assert fmt.interval(None, 0.1) == ""
    assert fmt.small(0.121) == ".121"
    assert fmt.p_value(0.0002) == "p<.001"
    assert fmt.p_value(0.21) == "p=.21"
    assert fmt.metric_value("val/hit5", 0.179) == "17.9"
    assert fmt.metric_value("val/mrr", 0.121) == ".121"
    assert fmt.metric_name("val/hit10") == "Hit@10"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (0.0, "0"),
        (4.12345, "4.123"),
        (-0.5, "−0.5000"),
        (123.456, "123.5"),
        (12_345.6, "12 346"),
        (3.2e-7, "3.20e-07"),
        (1e-4, "0.0001"),
    ],
)
def test_number(value: float | None, shown: str) -> None:
    assert fmt.number(value) == shown


@given(st.floats())
def test_every_number_can_be_written(value: float) -> None:
    for write in (
        fmt.number,
        fmt.count,
        fmt.duration,
        fmt.size,
        fmt.percent,
        fmt.thousands,
        fmt.small,
        fmt.speed,
    ):
        assert write(value)


def test_joined_drops_what_does_not_fit() -> None:
    assert fmt.joined(["ctx 1000", "", "lr 1e-4"], 40) == "ctx 1000 · lr 1e-4"
    assert fmt.joined(["ctx 1000", "lr 1e-4"], 12) == "ctx 1000"
    assert fmt.joined(["ctx 1000"], 5) == "ctx…"
