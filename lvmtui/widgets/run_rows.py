"""What the list of runs shows of each run: which ones, in which order, and the words of each column."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from lvmtui import format as fmt
from lvmtui.config import ViewOptions
from lvmtui.figure import ASCII_MARKERS, MARKERS
from lvmtui.leaderboard.verdicts import Verdict, badge, judge, worth
from lvmtui.remaining import remaining_of
from lvmtui.snapshot import GLYPHS, RunView, State
from lvmtui.store.records import Severity
from lvmtui.widgets.look import Ink
from lvmtui.widgets.meters import patience_meter

LEAST_NAME = 14
"""Longer names are cut to this before other columns go."""

_STATE_ORDER = (
    State.RUNNING,
    State.STARTING,
    State.STOPPING,
    State.QUEUED,
    State.LOST,
    State.FAILED,
    State.STOPPED,
    State.EARLY_STOPPED,
    State.COMPLETED,
)


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title and how a run's cell is written."""

    key: str
    title: str
    write: Callable[[RunView, Ink], Text]
    right: bool = False


def chosen(views: Sequence[RunView], options: ViewOptions) -> tuple[list[RunView], str]:
    """The runs that filter and `!` let through, sorted; and what is wrong with the filter, if anything.

    A filter fits a run's name, state, model, tags or note. A glob without wildcards fits anywhere in them.
    """
    fits, problem = _matcher(options)
    shown = [view for view in views if fits(view) and (not options.attention or needs_attention(view))]
    return sorted(shown, key=_sort_key(options.sort)), problem


def needs_attention(view: RunView) -> bool:
    """Whether somebody should look: lost, failed, on its way to a stop, an audit found an error, or it is
    clearly below its baseline."""
    if any(finding.severity is Severity.ERROR for finding in view.findings):
        return True
    if view.state in {State.LOST, State.FAILED, State.STOPPING} or view.stop_requested:
        return True
    return view.best is not None and judge(view.best, view.baseline, view.run.targets) is Verdict.BELOW


def _matcher(options: ViewOptions) -> tuple[Callable[[RunView], bool], str]:
    wanted = options.filter.strip()
    if not wanted:
        return (lambda _: True), ""
    if options.filter_is_regex:
        try:
            pattern = re.compile(wanted, re.IGNORECASE)
        except re.error as error:
            return (lambda _: True), f"not a regular expression: {error}"
    else:
        glob = wanted if any(sign in wanted for sign in "*?[") else f"*{wanted}*"
        pattern = re.compile(fnmatch.translate(glob), re.IGNORECASE)

    def fits(view: RunView) -> bool:
        run = view.run
        texts = (run.name, view.state.value, run.model, run.tags, run.note)
        return any(pattern.search(text) for text in texts)

    return fits, ""


def _sort_key(sort: str) -> Callable[[RunView], tuple[object, ...]]:
    """Ascending keys; equal runs newest first."""
    return {
        "name": lambda view: (view.run.phase, -view.run.id),
        "state": lambda view: (_STATE_ORDER.index(view.state), -view.run.created, -view.run.id),
        "Hit@5": lambda view: (-view.best.hit5 if view.best else 1.0, -view.run.id),
        "epoch": lambda view: (-view.run.progress.epoch, -view.run.id),
    }.get(sort, lambda view: (-view.run.created, -view.run.id))


def glyph(view: RunView, colours: Ink) -> Text:
    """The state's sign."""
    return Text(GLYPHS[view.state], colours.of_state(view.state))


def mark_sign(position: int | None, palette: Sequence[str], ascii_only: bool) -> Text:
    """The sign and colour that a marked run has in the charts; a blank for others."""
    if position is None:
        return Text(" ")
    signs = ASCII_MARKERS if ascii_only else MARKERS
    return Text(signs[position % len(signs)], palette[position % len(palette)])


def name(view: RunView, colours: Ink) -> Text:
    """`phase-3 #17`."""
    return Text(fmt.plain(view.run.name), colours.text)


def epochs(view: RunView, colours: Ink) -> Text:
    """`19/50` while there are more to come, `23` after."""
    progress = view.run.progress
    if view.state is State.QUEUED and not progress.epoch:
        return Text("")
    if view.state.is_active or view.state is State.QUEUED:
        return Text(f"{progress.epoch}/{progress.epochs}", colours.text)
    return Text(str(progress.epoch), colours.text)


def hit5(view: RunView, colours: Ink) -> Text:
    """`17.9 ▲`: the best Hit@5; ▲ the newest evaluation is the best, ▼ it fell short; ♛ the champion."""
    return _hit5(view, colours, with_interval=False)


def hit5_interval(view: RunView, colours: Ink) -> Text:
    """`17.9 ±1.2 ▲`."""
    return _hit5(view, colours, with_interval=True)


def _hit5(view: RunView, colours: Ink, *, with_interval: bool) -> Text:
    best = view.best
    if best is None:
        return Text(fmt.MISSING if view.state is not State.QUEUED else "", colours.muted)
    text = Text().append(f"{fmt.percent(best.hit5):>4}", f"bold {colours.text}".strip())
    if with_interval and best.hit5_interval:
        text.append(f" {fmt.plus_minus(best.hit5_interval.low, best.hit5_interval.high)}", colours.muted)
    sign, colour = _trend(view, colours)
    if view.aliases:
        sign, colour = "♛", colours.accent
    return text.append(f" {sign}", colour)


def _trend(view: RunView, colours: Ink) -> tuple[str, str]:
    best, last = view.best, view.last
    if not view.state.is_active or best is None or last is None:
        return " ", ""
    return ("▲", colours.success) if last.epoch <= best.epoch else ("▼", colours.warning)


def status(view: RunView, colours: Ink) -> Text:
    """The patience meter of a run that trains; else its state in words with the key that helps."""
    return _status(view, colours, " · r resume")


def status_short(view: RunView, colours: Ink) -> Text:
    """`status` with the bare key."""
    return _status(view, colours, " · r")


def _status(view: RunView, colours: Ink, resume: str) -> Text:
    state, progress = view.state, view.run.progress
    if state is State.RUNNING and not view.stop_requested and progress.patience > 0:
        return patience_meter(progress.patience_used, progress.patience, colours)
    word = "stopping" if view.stop_requested and state.is_active else state.value
    words = {"completed": "done", "early stopped": "early stop"}.get(word, word)
    return Text(words + (resume if state.is_resumable else ""), colours.of_state(state))


def left(view: RunView, colours: Ink) -> Text:
    """Time left at most."""
    time = remaining_of(view.run) if view.state.is_active else None
    return Text(f"≤{fmt.duration(time.worst)}" if time else "", colours.muted)


def against(view: RunView, colours: Ink) -> Text:
    """Points of Hit@5 above or below the strongest baseline; its colour says whether that may be chance."""
    if view.best is None or view.baseline is None:
        return Text("")
    found = worth(view.best, view.baseline, view.run.targets)
    colour = {
        Verdict.BELOW: colours.error,
        Verdict.UNDER: colours.warning,
        Verdict.NOISE: colours.warning,
    }.get(found.verdict, colours.success)
    return Text(fmt.signed(found.gain), colour)


def findings(view: RunView, colours: Ink) -> Text:
    """`✖1`, `!2`: how much of the worst kind the audits found."""
    worst = badge(view.findings)[:1]
    return Text("").join(
        Text(words, colours.error if severity is Severity.ERROR else colours.warning)
        for severity, words in worst
    )


def mrr(view: RunView, colours: Ink) -> Text:
    """MRR of the best evaluation."""
    return Text(fmt.small(view.best.mrr) if view.best else "", colours.text)


def context(view: RunView, colours: Ink) -> Text:
    """Context length."""
    return Text(str(view.run.context), colours.muted)


NAME = Column("name", "name", name)
EPOCHS = Column("ep", "ep", epochs, right=True)
HIT5 = Column("hit5", "Hit@5", hit5)
HIT5_INTERVAL = Column("hit5i", "Hit@5", hit5_interval)
STATUS = Column("status", "patience", status)
STATUS_SHORT = Column("short", "patience", status_short)
LEFT = Column("left", "left", left, right=True)
AGAINST = Column("against", "vs base", against, right=True)
MRR = Column("mrr", "MRR", mrr, right=True)
CONTEXT = Column("context", "ctx", context, right=True)

FINDINGS = Column("found", "", findings)
"""Left out where no run that is shown has any."""

LAYOUTS: tuple[tuple[Column, ...], ...] = (
    (NAME, FINDINGS, CONTEXT, EPOCHS, HIT5_INTERVAL, AGAINST, MRR, STATUS, LEFT),
    (NAME, FINDINGS, EPOCHS, HIT5_INTERVAL, AGAINST, STATUS, LEFT),
    (NAME, FINDINGS, EPOCHS, HIT5_INTERVAL, AGAINST, STATUS),
    (NAME, FINDINGS, EPOCHS, HIT5_INTERVAL, STATUS),
    (NAME, FINDINGS, EPOCHS, HIT5_INTERVAL, STATUS_SHORT),
    (NAME, FINDINGS, EPOCHS, HIT5, STATUS_SHORT),
    (NAME, FINDINGS, HIT5, STATUS_SHORT),
    (NAME, FINDINGS, HIT5),
    (NAME, FINDINGS),
)
"""From the widest to the narrowest."""
