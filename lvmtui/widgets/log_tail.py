"""The last lines of the focused run's log."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.text import Text

from lvmtui import format as fmt
from lvmtui.host_words import asking, awaited
from lvmtui.snapshot import RunDetail, State
from lvmtui.store.records import Event, Severity
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.panel import Panel

_TIME = re.compile(r"^\d\d:\d\d:\d\d ")
_WRONG = re.compile(r"\b(error|traceback|exception|failed|nan)\b", re.IGNORECASE)


class LogTail(Panel):
    """Follows the log; the newest line is the lowest. Without a log: the run's events."""

    def heading(self) -> str:
        return "log"

    def draw(self, width: int, height: int) -> Sequence[Text]:
        colours = ink(self)
        view, detail = self.view, self.detail
        if self.snapshot is None:
            return [Text("reading the store…", colours.muted)]
        if view is None:
            return [Text(fmt.fit("the log of the chosen run stands here", width), colours.muted)]
        if detail is None:
            said = asking(view, self.snapshot) or "reading…"
            return [Text(line, colours.muted) for line in fmt.wrap(said, width, height)]
        awaits = awaited(view, detail, self.snapshot)
        lines = log_lines(detail, width, height, colours) if not awaits else []
        if lines:
            return lines
        if awaits:
            return [Text(line, colours.muted) for line in fmt.wrap(awaits, width, height)]
        said = "starts when the run does" if view.state is State.QUEUED else "nothing logged yet"
        return [Text(said, colours.muted)]


def log_lines(detail: RunDetail, width: int, height: int, colours: Ink) -> list[Text]:
    """The last lines that fit; a long line is cut, not wrapped."""
    if detail.log:
        tail = [line for line in detail.log[-3 * height :] if line.strip()][-height:]
        return [_log_line(fmt.fit(fmt.plain(line), width), colours) for line in tail]
    return [event_line(event, width, colours) for event in detail.events[-height:]]


def _log_line(line: str, colours: Ink) -> Text:
    text = Text(line, colours.error if _WRONG.search(line) else colours.text)
    if stamped := _TIME.match(line):
        text.stylize(colours.muted, 0, stamped.end())
    return text


def event_line(event: Event, width: int, colours: Ink) -> Text:
    """`14:02:09 best: Hit@5 17.92 at epoch 16`, the severity as word and colour."""
    word = {Severity.WARN: "warning: ", Severity.ERROR: "error: "}.get(event.severity, "")
    colour = {Severity.WARN: colours.warning, Severity.ERROR: colours.error}.get(event.severity, colours.text)
    text = Text(fmt.fit(f"{fmt.clock(event.time)} {word}{fmt.plain(event.message)}", width), colour)
    text.stylize(colours.muted, 0, min(8, len(text)))
    return text
