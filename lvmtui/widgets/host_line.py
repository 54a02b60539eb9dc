"""The line on the watched hosts: which answer, how fast, and why the others do not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from lvmtui import host_words
from lvmtui.host_words import GLYPHS, Standing
from lvmtui.snapshot import HostView
from lvmtui.widgets.look import Ink

GAP = "   "
"""Between two hosts."""


def colour_of(how: Standing, colours: Ink) -> str:
    """The colour of how a host is; a sign and mostly a word stand beside it."""
    by: Mapping[Standing, str] = {
        Standing.OFFLINE: colours.error,
        Standing.TROUBLE: colours.warning,
        Standing.CONNECTING: colours.muted,
        Standing.READING: colours.muted,
        Standing.READONLY: colours.text,
        Standing.LIVE: colours.success,
    }
    return by[how]


def host_line(hosts: Sequence[HostView], now: float, width: int, colours: Ink) -> Text:
    """One line of at most `width` cells: every host by name where they fit, the worst ones first and with the
    most words; else how many more there are."""
    ordered = host_words.worst_first(hosts)
    choices = [_choices(host, now) for host in ordered]
    shown = len(ordered)
    while shown > 1 and _width([ways[-1] for ways in choices[:shown]]) + len(_more(choices, shown)) > width:
        shown -= 1
    more = _more(choices, shown)
    words = _widened(choices[:shown], width - len(more))
    line = Text()
    for host, said in zip(ordered, words, strict=False):
        how = host_words.standing(host)
        line.append(GAP if line else "")
        line.append(f"{GLYPHS[how]} {host.name}", colour_of(how, colours))
        line.append(said.removeprefix(host.name), colours.muted)
    line.append(more, colours.muted)
    line.truncate(width, overflow="ellipsis")
    return line


def _widened(choices: Sequence[Sequence[str]], width: int) -> list[str]:
    """One way to say each host: all of them in few words before any of them in more."""
    steps = [len(ways) - 1 for ways in choices]
    words = [ways[-1] for ways in choices]
    growing = True
    while growing:
        growing = False
        for place, ways in enumerate(choices):
            if not steps[place]:
                continue
            longer = [*words[:place], ways[steps[place] - 1], *words[place + 1 :]]
            if _width(longer) <= width:
                words, growing = longer, True
                steps[place] -= 1
    return words


def _choices(host: HostView, now: float) -> list[str]:
    """The host with what is said of it, from the fullest way to its bare name."""
    waits = host_words.waits(host)
    said = host_words.said(host, now)
    ways = [f" {said[0]} · {waits}", *(f" {words}" for words in said)] if waits else [f" {w}" for w in said]
    return [f"{host.name}{way}" for way in ways] + [host.name]


def _width(words: Sequence[str]) -> int:
    return sum(2 + cell_len(said) for said in words) + len(GAP) * (len(words) - 1)


def _more(choices: Sequence[object], shown: int) -> str:
    """`   +2 more`."""
    return f"{GAP}+{len(choices) - shown} more" if shown < len(choices) else ""
