"""Which runs a list shows: those on its shelf that the filter and `!` let through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from lvmtui.config import ViewOptions
from lvmtui.filters.errors import FilterError
from lvmtui.filters.parsing import Filter, parse
from lvmtui.leaderboard.verdicts import Verdict, judge
from lvmtui.snapshot import RunView, State
from lvmtui.store.records import Severity, Shelf


def on_shelf(views: Iterable[RunView], *shelves: Shelf) -> list[RunView]:
    """The runs on some shelves, in their order; those that are listed where none is named."""
    wanted = shelves or (Shelf.RUNS,)
    return [view for view in views if view.run.shelf in wanted]


def needs_attention(view: RunView) -> bool:
    """Whether somebody should look: lost, failed, on its way to a stop, an audit found an error, or it is
    clearly below its baseline."""
    if any(finding.severity is Severity.ERROR for finding in view.findings):
        return True
    if view.state in {State.LOST, State.FAILED, State.STOPPING} or view.stop_requested:
        return True
    return view.best is not None and judge(view.best, view.baseline, view.run.targets) is Verdict.BELOW


def chosen(views: Sequence[RunView], options: ViewOptions) -> tuple[list[RunView], str]:
    """The runs that shelf, filter and `!` let through, in their order; and what is wrong with the filter,
    which then lets all through. Sort them with `lvmtui.run_fields.sorted_by`.

    The last answer is kept: the list and the line in which the filter is typed ask one after the other.
    """
    global _last
    wanted = (options.shelf, options.filter, options.filter_is_regex, options.attention)
    last = _last
    if last is None or last[0] is not views or last[1] != wanted:
        last = (views, wanted, *_chosen(views, options))
        _last = last if isinstance(views, tuple) else None
    return list(last[2]), last[3]


_last: tuple[Sequence[RunView], tuple[object, ...], list[RunView], str] | None = None


def _chosen(views: Sequence[RunView], options: ViewOptions) -> tuple[list[RunView], str]:
    shelf = Shelf(options.shelf) if options.shelf in list(Shelf) else Shelf.RUNS
    shown, problem = on_shelf(views, shelf), ""
    try:
        shown = filtered(shown, options)
    except FilterError as error:
        problem = error.message
    if options.attention:
        shown = [view for view in shown if needs_attention(view)]
    return shown, problem


def filtered(views: Iterable[RunView], options: ViewOptions) -> list[RunView]:
    """The runs that the filter lets through, in their order.

    Raises:
        FilterError: it cannot be understood.
    """
    return kept(options.filter, regex=options.filter_is_regex).choose(views)


@lru_cache(maxsize=32)
def kept(text: str, *, regex: bool = False) -> Filter:
    """`parse`, remembered: lists ask for the same filter at every reading."""
    return parse(text, regex=regex)
