"""`lvmtui compare`: who beats whom, and could it be chance?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lvmtui.cli.session import (
    RUN_HELP,
    HostsOption,
    JsonOption,
    StoreOption,
    fetch_ranks,
    find_run,
    names,
    reading,
    session_at,
    write,
)
from lvmtui.errors import LvmtuiError, UsageError

if TYPE_CHECKING:
    from lvmtui.compare.contest import Measure
    from lvmtui.compare.side_by_side import SideBySide
    from lvmtui.store.records import Run

MOST_K = 100_000

Metric = Literal["hit1", "hit5", "hit10", "mrr"]


def compare(
    context: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help=f"Two runs or more: {RUN_HELP}"),
    ],
    k: Annotated[int | None, typer.Option("--k", min=1, max=MOST_K, help="Compare by Hit@K.")] = None,
    metric: Annotated[
        Metric | None, typer.Option("--metric", help="Compare by this; otherwise by hit5.")
    ] = None,
    equate: Annotated[
        int | None,
        typer.Option("--equate", metavar="POOL", min=2, help="Also put all scores on a pool of this size."),
    ] = None,
    hosts: HostsOption = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Compare runs: who beats whom, with p-values, and what the queries are too few to show."""
    from lvmtui.compare.side_by_side import read_side_by_side

    measure = _measure(k, metric)
    session = session_at(context, store, hosts, *runs)
    found = {run.id: run for run in (find_run(session, text) for text in runs)}
    if len(found) < 2:
        only = next(iter(found.values()))
        raise UsageError(f"only one run was named: {only.name}", "Name two or more; `lvmtui ls` shows them.")
    fetch_ranks(session, list(found.values()))
    with reading(session) as reader:
        compared = read_side_by_side(reader, list(found.values()), measure=measure, pool=equate)
    _refuse_unjudged(compared)
    if as_json:
        from lvmtui.export.comparison import comparison_record
        from lvmtui.export.text import to_json

        write(to_json(comparison_record(compared)))
        return
    from lvmtui.cli.comparison import print_comparison

    print_comparison(compared)


def _measure(k: int | None, metric: Metric | None) -> Measure:
    """
    Raises:
        UsageError: both were given.
    """
    from lvmtui.compare.contest import MEASURES, Measure

    if k is not None and metric is not None:
        raise UsageError("--k and --metric both say what to compare by", "Leave one of them out.")
    if k is not None:
        return Measure(k)
    return next(item for item in MEASURES if item.key == (metric or "hit5"))


def _refuse_unjudged(compared: SideBySide) -> None:
    """
    Raises:
        LvmtuiError: some of the runs have nothing to compare.
    """
    if not compared.left_out:
        return
    reasons: dict[str, list[Run]] = {}
    for item in compared.left_out:
        reasons.setdefault(item.reason, []).append(item.run)
    said = "; ".join(f"{_names(members)}: {reason}" for reason, members in reasons.items())
    raise LvmtuiError(f"cannot compare {said}", "Leave them out, or wait for their first evaluation.")


def _names(runs: Sequence[Run]) -> str:
    return names([run.name for run in runs])
