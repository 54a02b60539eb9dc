"""The line of the launch form that says when a run starts: here and now, or in its turn from the queue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Input, Static

from lvmtui.format import fit
from lvmtui.launcher import Start
from lvmtui.store.records import Run

MOST_SEEDS = 200
"""As many runs as one launch makes at most."""

HERE = "here"

LONGEST_HOST = 14
"""Cells of a host's name: the line must fit 80 columns."""

_HELP = {
    "where": "where: space changes it · here, or a watched host: data and devices are those there",
    "when": "when: space changes it · now: at once, whatever is in use · queue: when its device is free",
    "priority": "priority: a whole number; what has more goes first, of equals what was there first",
    "hold": "hold: space changes it · a held run waits until H lets it go",
    "after": "after: number of the run that has to complete before, or last; empty: none",
    "seeds": f"seeds: 1 to {MOST_SEEDS} · so many runs, from the recipe's seed on, as one group",
    "jobs": "jobs: how many of the group may be at work at once; 1: one after another",
}


class Switch(Static, can_focus=True):
    """One of a few words; space, left, right or a click takes the next."""

    BINDINGS = [
        Binding("space,right,l", "turn(1)", "next", show=False),
        Binding("left,h", "turn(-1)", "previous", show=False),
        Binding("enter", "screen.start", "launch", show=False),
    ]

    chosen: reactive[int] = reactive(0, layout=True)

    class Turned(Message):
        """Another word was chosen."""

    def __init__(self, choices: Sequence[str], *, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self._choices = tuple(choices)

    def render(self) -> Content:
        return Content(f"‹{self._choices[self.chosen]}›")

    def action_turn(self, direction: int) -> None:
        """Take the next word, or the one before."""
        self.chosen = (self.chosen + direction) % len(self._choices)
        self.post_message(self.Turned())

    def on_click(self, event: events.Click) -> None:
        """Take the next word."""
        event.stop()
        self.action_turn(1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the line says."""

    start: Start
    seeds: int
    jobs: int
    error: str = ""


class StartLine(Horizontal):
    """When, with what priority, and how often."""

    class Changed(Message):
        """Something else is to be launched."""

    def __init__(self, hosts: Sequence[str] = (), *, id: str) -> None:  # noqa: A002
        """
        Args:
            hosts: watched hosts that a run can be launched on.
        """
        super().__init__(id=id)
        self._hosts = tuple(hosts)

    def compose(self) -> ComposeResult:
        if self._hosts:
            yield Static("where", classes="label")
            yield Switch((HERE, *(fit(name, LONGEST_HOST) for name in self._hosts)), id="where")
        else:
            yield Static("start", classes="label")
        yield Switch(("now", "queue"), id="when")
        yield from _labelled("priority", "0", width=4, queued=True)
        yield Static("hold", classes="label -queued")
        hold = Switch(("no", "yes"), id="hold")
        hold.add_class("-queued")
        yield hold
        yield from _labelled("after", "", width=6, queued=True)
        yield from _labelled("seeds", "1", width=5)
        yield from _labelled("jobs", "1", width=4, several=True)

    def on_mount(self) -> None:
        self._show_what_counts()

    @property
    def host(self) -> str:
        """The host that is chosen; empty: this machine."""
        if not self._hosts:
            return ""
        chosen = self.query_one("#where", Switch).chosen
        return self._hosts[chosen - 1] if chosen else ""

    @property
    def queued(self) -> bool:
        """Whether the run goes into the queue."""
        return self.query_one("#when", Switch).chosen == 1

    def toggle(self) -> None:
        """Take the queue, or not."""
        self.query_one("#when", Switch).action_turn(1)

    def help_of(self, widget_id: str) -> str:
        """What a part of the line means."""
        return _HELP.get(widget_id, "")

    def plan(self, runs: Sequence[Run]) -> Plan:
        """What the line says.

        Args:
            runs: all runs of the store that it is launched into, of which one may be waited for.
        """
        typed = {name: self.query_one(f"#{name}", Input).value.strip() for name in _TYPED}
        seeds, jobs = _whole(typed["seeds"]), _whole(typed["jobs"])
        if seeds is None or not 1 <= seeds <= MOST_SEEDS:
            return Plan(Start(), 1, 1, f"seeds is a whole number from 1 to {MOST_SEEDS}")
        if jobs is None or jobs < 1:
            return Plan(Start(), 1, 1, "jobs is a whole number from 1 on")
        if not self.queued:
            return Plan(Start(), seeds, jobs)
        priority = _whole(typed["priority"] or "0")
        if priority is None:
            return Plan(Start(), 1, 1, "priority is a whole number")
        after = _run_of(typed["after"], runs)
        if typed["after"] and after is None:
            return Plan(Start(), 1, 1, f"after: there is no run {typed['after']}")
        held = self.query_one("#hold", Switch).chosen == 1
        return Plan(Start(queue=True, priority=priority, held=held, after=after), seeds, jobs)

    @on(Input.Changed)
    @on(Switch.Turned)
    def _changed(self, event: Message) -> None:
        event.stop()
        self._show_what_counts()
        self.post_message(self.Changed())

    def _show_what_counts(self) -> None:
        several = (_whole(self.query_one("#seeds", Input).value) or 1) > 1
        for part in self.query(".-queued"):
            part.display = self.queued
        for part in self.query(".-several"):
            part.display = several


_TYPED = ("priority", "after", "seeds", "jobs")


def _labelled(
    name: str, value: str, *, width: int, queued: bool = False, several: bool = False
) -> list[Static | Input]:
    kind = "-queued" if queued else "-several" if several else ""
    line = Input(value, id=name, compact=True, max_length=20, classes=kind)
    line.styles.width = width
    return [Static(name, classes=f"label {kind}"), line]


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text.strip()) else None


def _run_of(text: str, runs: Sequence[Run]) -> int | None:
    """Number of the run that is meant: `17`, `#17`, `#17@gpu1`, `phase-3 #17` or `last`."""
    if text == "last":
        return max((run.number for run in runs), default=None)
    phase, _, number = text.rpartition("#")
    number, _, host = number.partition("@")
    wanted = _whole(number)
    found = (run for run in runs if run.number == wanted and phase.strip() in {"", run.phase})
    return next((run.number for run in found if host in {"", run.origin}), None)
