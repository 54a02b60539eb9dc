"""What the list of runs shows of each run: its columns, and what stands in them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from textual.content import Content

from lvmtui import format as fmt
from lvmtui import host_words
from lvmtui.config import ViewOptions
from lvmtui.host_words import is_doubtful
from lvmtui.leaderboard.verdicts import Verdict, badge, worth
from lvmtui.remaining import remaining_of
from lvmtui.run_fields import FIELDS, columns_of
from lvmtui.snapshot import GLYPHS, RunView, State
from lvmtui.store.records import Severity
from lvmtui.widgets.cells import INK, MUTED, from_text
from lvmtui.widgets.meters import patience_meter
from lvmtui.widgets.row_table import Column

LEAST_NAME = 17
"""Longer names are cut to this, signs included, before other columns go."""

MOST_TEXT = 400
"""Characters of outside text that are looked at: no line is longer."""

SIGNS = 3
"""Cells before a row: state, mark and pin."""

LEAST_HOST = 6
"""Longer names of hosts are cut to this before other columns go."""

LEAST_HOST_WIDE = 16
"""Where there is room, they are cut to this."""

BEFORE = " " * SIGNS
"""Before the label of the first column."""

PIN = "↑"
"""The sign of a pinned run: it stays on top."""

BESIDE_HOST = ("host", "name_bare")
"""Beside the column of hosts, names do not repeat them."""

AUTOMATIC = (
    Column("name", f"{BEFORE}name", shrinks=True, least=LEAST_NAME, sortable=True, beside=BESIDE_HOST),
    Column("host", "host", priority=3, sortable=True, shrinks=True, least=LEAST_HOST, keeps_end=True),
    Column(
        "host_wide",
        "host",
        priority=4,
        wider_than="host",
        sortable=True,
        shrinks=True,
        least=LEAST_HOST_WIDE,
        keeps_end=True,
    ),
    Column("found", "", priority=5),
    Column("ctx", "ctx", right=True, priority=10, sortable=True),
    Column("epoch", "ep", right=True, priority=3, sortable=True),
    Column("hit5", "Hit@5", priority=1, sortable=True),
    Column("hit5_wide", "Hit@5", priority=4, wider_than="hit5", sortable=True),
    Column("vs", "vs base", right=True, priority=7, sortable=True),
    Column("mrr", "MRR", right=True, priority=9, sortable=True),
    Column("state", "state", priority=2, sortable=True, shrinks=True, least=12),
    Column("state_wide", "state", priority=6, wider_than="state", sortable=True, shrinks=True, least=24),
    Column("left", "left", right=True, priority=8, sortable=True),
)
"""Where the user has chosen none: what fits of these. `found` is there where something was found, `left`
where a run trains, `host` where hosts are watched."""

DETAILED = {"hit5": "hit5_wide", "state": "state_wide"}
"""Fields of which there is more to show where there is room."""

BARE = {"name": "name_bare"}
"""Fields that leave something out beside another column."""

SHRINKING = {"name", "phase", "state", "tags", "note", "model", "error", "data", "is", "device", "host"}
"""Chosen columns that may be cut, the others are numbers or short."""


def columns_for(
    options: ViewOptions, views: Sequence[RunView], *, watches: bool = False
) -> tuple[Column, ...]:
    """The columns of the list, from the left.

    Args:
        options: what the user has chosen.
        views: the runs that are listed.
        watches: there are runs of other hosts, or may be.
    """
    chosen = columns_of(options.columns)
    if not chosen:
        idle = set()
        if not any(view.findings and badge(view.findings) for view in views):
            idle.add("found")
        if not any(view.state.is_active for view in views):
            idle.add("left")
        if not watches:
            idle |= {"host", "host_wide"}
        return tuple(column for column in AUTOMATIC if column.key not in idle)
    columns = []
    for place, field in enumerate(chosen):
        column = Column(
            field.key,
            field.title if place else f"{BEFORE}{field.title}",
            right=field.right and place > 0 and field.key not in DETAILED,
            priority=place,
            shrinks=field.key in SHRINKING,
            least=LEAST_NAME if place == 0 else 8,
            sortable=True,
            beside=BESIDE_HOST if field.key == "name" else ("", ""),
            keeps_end=field.key == "host",
        )
        columns.append(column)
        if field.key in DETAILED:
            wide = DETAILED[field.key]
            columns.append(replace(column, key=wide, wider_than=field.key, priority=len(chosen) + place))
    return tuple(columns)


class RunCells(Mapping[str, Content]):
    """The cells of one run, each written when it is first asked for."""

    __slots__ = ("_first", "_known", "_mark", "_reason", "_view")

    def __init__(self, view: RunView, first: str, mark: Content | None = None, reason: str = "") -> None:
        """
        Args:
            view: the run.
            first: key of the first column: state, mark and pin stand before it.
            mark: sign and colour that it has in the charts, where it is marked.
            reason: why it waits, where it does.
        """
        self._view, self._first, self._mark, self._reason = view, first, mark, reason
        self._known: dict[str, Content] = {}

    def __getitem__(self, key: str) -> Content:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._written(key)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter((*WRITERS, *FIELDS))

    def __len__(self) -> int:
        return len(WRITERS.keys() | FIELDS.keys())

    def _written(self, key: str) -> Content:
        if key in {"state", "state_wide"}:
            cell = status(self._view, self._reason, wide=key == "state_wide")
        elif key in WRITERS:
            cell = WRITERS[key](self._view)
        else:
            cell = Content(FIELDS[key].written(self._view)[:MOST_TEXT])
        own = key in {self._first, DETAILED.get(self._first), BARE.get(self._first)}
        return signs(self._view, self._mark) + cell if own else cell


def signs(view: RunView, mark: Content | None = None) -> Content:
    """State, mark and pin, a cell each."""
    colour = MUTED if is_doubtful(view) else INK.of_state(view.state)
    state = Content.styled(GLYPHS[view.state], colour)
    pin = Content.styled(PIN, INK.accent) if view.run.pinned else Content(" ")
    return state + (mark or Content(" ")) + pin


def name(view: RunView) -> Content:
    """`phase-3 #17`, or `phase-3 #17@gpu1` on a watched host."""
    phase = fmt.plain(view.run.phase[:MOST_TEXT])
    return Content(f"{phase} {view.run.label}")


def name_bare(view: RunView) -> Content:
    """`phase-3 #17`, wherever it is."""
    phase = fmt.plain(view.run.phase[:MOST_TEXT])
    return Content(f"{phase} #{view.run.number}")


def host(view: RunView) -> Content:
    """The watched host, else the machine."""
    return Content.styled(FIELDS["host"].written(view), "" if view.run.origin else MUTED)


def epochs(view: RunView) -> Content:
    """`19/50` while there are more to come, `23` after."""
    if view.state is State.QUEUED and not view.run.progress.epoch:
        return Content("")
    return Content(FIELDS["epoch"].written(view))


def hit5(view: RunView) -> Content:
    """`17.9 ▲`: the best Hit@5; ▲ the newest evaluation is the best, ▼ it fell short; ♛ the champion."""
    return _hit5(view, with_interval=False)


def hit5_wide(view: RunView) -> Content:
    """`17.9 ±1.2 ▲`."""
    return _hit5(view, with_interval=True)


def _hit5(view: RunView, *, with_interval: bool) -> Content:
    best = view.best
    if best is None:
        return Content.styled(fmt.MISSING if view.state is not State.QUEUED else "", MUTED)
    parts = [(f"{fmt.percent(best.hit5):>4}", "bold")]
    if with_interval and best.hit5_interval:
        parts.append((f" {fmt.plus_minus(best.hit5_interval.low, best.hit5_interval.high)}", MUTED))
    sign, colour = ("♛", INK.accent) if view.aliases else _trend(view)
    return Content.assemble(*parts, (f" {sign}", colour))


def _trend(view: RunView) -> tuple[str, str]:
    best, last = view.best, view.last
    if not view.state.is_active or best is None or last is None:
        return " ", ""
    return ("▲", INK.success) if last.epoch <= best.epoch else ("▼", INK.warning)


def status(view: RunView, reason: str = "", *, wide: bool = True) -> Content:
    """The patience meter of a run that trains, why a queued one waits, else the state in words with the key
    that helps. Of a run whose host has fallen silent, how it was and when; what was asked of it and not
    answered.

    Args:
        view: the run.
        reason: why it waits; or when it was last heard of.
        wide: there is room for all that there is to say.
    """
    if is_doubtful(view):
        return _doubtful(view, reason, wide=wide)
    if view.pending:
        said = host_words.pending(view) if wide else f"{fmt.plain(view.pending[0])} waits"
        return Content.styled(said, INK.accent)
    state, progress = view.state, view.run.progress
    if state is State.RUNNING and not view.stop_requested and progress.patience > 0:
        return patience(view)
    if state is State.QUEUED and reason:
        words = fmt.plain(reason[:MOST_TEXT])
        if not wide:
            words = words.partition(":")[0].replace("waits for ", "waits: ", 1)
        elif not words.startswith(("held", "blocked", "waits")):
            words = f"queued: {words}"
        return Content.styled(words, MUTED)
    word = "stopping" if view.stop_requested and state.is_active else state.value
    word = {"completed": "done", "early stopped": "early stop"}.get(word, word)
    if state in {State.LOST, State.FAILED} and wide and progress.epoch:
        word += f" at ep {progress.epoch}"
    key = (" · r resume" if wide else " · r") if state.is_resumable else ""
    return Content.styled(word + key, INK.of_state(state))


def _doubtful(view: RunView, reason: str, *, wide: bool) -> Content:
    """`running at 14:02?`, shorter `▶ 14:02?`; what was asked of it before that, or in its place."""
    word = view.state.value if wide else GLYPHS[view.state]
    at = "at " if wide and view.state is not State.QUEUED else ""
    said = Content.styled(f"{word} {at}{reason or fmt.clock(view.silent)[:5]}?", MUTED)
    if not view.pending:
        return said
    asked = Content.styled(f"{fmt.plain(view.pending[0])} waits", INK.accent)
    # The sign of the state stands before the name anyway.
    return Content.assemble(asked, (" · ", MUTED), said) if wide else asked


def patience(view: RunView) -> Content:
    """`●●○ 1/3`: one dot an evaluation that may still pass without a gain."""
    return from_text(patience_meter(view.run.progress.patience_used, view.run.progress.patience, INK))


def left(view: RunView) -> Content:
    """Time left at most."""
    time = remaining_of(view.run) if view.state.is_active and not is_doubtful(view) else None
    return Content.styled(f"≤{fmt.duration(time.worst)}" if time else "", MUTED)


def against(view: RunView) -> Content:
    """Points of Hit@5 above or below the strongest baseline; its colour says whether that may be chance."""
    if view.best is None or view.baseline is None:
        return Content("")
    found = worth(view.best, view.baseline, view.run.targets)
    colour = {
        Verdict.BELOW: INK.error,
        Verdict.UNDER: INK.warning,
        Verdict.NOISE: INK.warning,
    }.get(found.verdict, INK.success)
    return Content.styled(fmt.signed(found.gain), colour)


def findings(view: RunView) -> Content:
    """`✖1`, `!2`: how much of the worst kind the audits found."""
    return Content("").join(
        Content.styled(words, INK.error if severity is Severity.ERROR else INK.warning)
        for severity, words in badge(view.findings)[:1]
    )


def _mrr(view: RunView) -> Content:
    return Content(fmt.small(view.best.mrr) if view.best else "")


def _context(view: RunView) -> Content:
    return Content.styled(FIELDS["ctx"].written(view), MUTED)


WRITERS: Mapping[str, Callable[[RunView], Content]] = {
    "name": name,
    "name_bare": name_bare,
    "host": host,
    "host_wide": host,
    "found": findings,
    "ctx": _context,
    "epoch": epochs,
    "hit5": hit5,
    "hit5_wide": hit5_wide,
    "vs": against,
    "mrr": _mrr,
    "patience": patience,
    "state": status,
    "state_wide": status,
    "left": left,
}
"""Column -> how its cell is written, where that is more than the plain value."""
