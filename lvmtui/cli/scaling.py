"""The subcommand scaling: does a longer context pay?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lvmtui.cli.session import (
    JsonOption,
    Session,
    StoreOption,
    line,
    note,
    reading,
    session_of,
    terminal_width,
    write,
)
from lvmtui.errors import LvmtuiError, UsageError

if TYPE_CHECKING:
    from rich.text import Text

    from lvmtui.compare.contest import Measure
    from lvmtui.compare.scaling import Point, Scaling, Series
    from lvmtui.store.records import Run

CHART_WIDTH = 100
CHART_HEIGHT = 18
LEAST_WIDTH = 40

Metric = Literal["hit1", "hit5", "hit10"]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Which runs of the store are meant."""

    runs: Sequence[str]
    phases: Sequence[str]
    tag: str
    protocol: str

    def __bool__(self) -> bool:
        return bool(self.runs or self.phases or self.tag or self.protocol)


def scaling(
    context: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]…", help="Runs; otherwise all.", show_default=False),
    ] = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(
            "--phase", metavar="PHASE", help="Runs of this phase, or phase-1..phase-3; may be repeated."
        ),
    ] = None,
    tag: Annotated[
        str, typer.Option("--tag", metavar="GROUP", help="Runs with this tag, or of this group.")
    ] = "",
    pool: Annotated[
        int | None,
        typer.Option(
            "--pool",
            "-p",
            metavar="N",
            min=0,
            help="Put all scores on N candidates; 0: the fewest that a query had.",
        ),
    ] = None,
    metric: Annotated[Metric, typer.Option("--metric", "-m", help="What is judged by.")] = "hit5",
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="ID", help="Only this protocol: an id or a name.")
    ] = "",
    published: Annotated[
        bool,
        typer.Option("--published", help="What the phases' sources published, as judged and on one pool."),
    ] = False,
    history: Annotated[
        list[Path] | None,
        typer.Option("--history", metavar="FILE", help="A published training history; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Does a longer context pay? Hit@K by context length, seeds together, beside the best baseline.

    Without --pool, scores of unequal pools are shown and not joined: fewer candidates alone make Hit@K rise.
    """
    session = session_of(context, store)
    chosen = _Chosen(runs or (), _expanded(phase or ()), tag, protocol)
    found = _without_ranks(published, history or (), pool)
    if chosen or not found:
        found = [_of_store(session, chosen, pool), *found]
    measure = _measure(metric)
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json([record for item in found for record in _records(item, measure)]))
        return
    for number, item in enumerate(found):
        if number:
            line()
        _print_scaling(session, item, measure)


def _expanded(phases: Sequence[str]) -> list[str]:
    """Phases by name; `phase-1..phase-3` is all of them. A name alone may be of a phase that is gone."""
    if not any(".." in phase for phase in phases):
        return list(phases)
    from lvmtui.recipe import expand

    return [name for phase in phases for name in expand(phase)]


def _measure(metric: Metric) -> Measure:
    from lvmtui.compare.scaling import HITS

    return next(item for item in HITS if item.key == metric)


def _of_store(session: Session, chosen: _Chosen, pool: int | None) -> Scaling:
    """
    Raises:
        LvmtuiError: no run fits.
    """
    from lvmtui.compare.judged_scaling import read_scaling
    from lvmtui.store.records import Shelf

    with reading(session) as reader:
        named = {run.id: run for run in map(reader.resolve, chosen.runs)}
        listed = [run for run in reader.runs() if run.shelf is Shelf.RUNS]
        picked = list(named.values()) if chosen.runs else listed
        picked = [run for run in picked if _is_meant(run, chosen)]
        if not picked:
            raise _nobody(chosen)
        return read_scaling(reader, picked, pool=pool, protocol=chosen.protocol)


def _is_meant(run: Run, chosen: _Chosen) -> bool:
    from lvmtui.store.records import GROUP_PREFIX

    tags = {part.strip() for part in run.tags.split(",")}
    wanted = {chosen.tag, f"{GROUP_PREFIX}{chosen.tag}"}
    return (not chosen.phases or run.phase in chosen.phases) and (not chosen.tag or bool(wanted & tags))


def _nobody(chosen: _Chosen) -> LvmtuiError:
    wanted = [f"of phase {' or '.join(chosen.phases)}"] if chosen.phases else []
    wanted += [f"with the tag {chosen.tag}"] if chosen.tag else []
    said = f"no run {' '.join(wanted)} is in the store" if wanted else "the store has no runs yet"
    return LvmtuiError(
        said, "`lvmtui ls` shows the runs; `lvmtui scaling --published` shows what was published."
    )


def _without_ranks(published: bool, files: Sequence[Path], pool: int | None) -> list[Scaling]:
    """Published scores as judged, and on one pool: the one that is asked for, or the smallest.

    Raises:
        LvmtuiError: there are none.
    """
    from lvmtui.compare.scaling import SMALLEST

    if not published and not files:
        return []
    from lvmtui.compare import published_scaling as source

    items, notes = source.published_by_files(files)
    if files and not items:
        raise UsageError("these files only describe data", "Name a training history.")
    if published:
        items += source.published_by_phases()
    if not items:
        raise LvmtuiError(
            "no phase says what was published", "A recipe's [published] section has hit1, hit5, hit10, pool."
        )
    for text in notes:
        note(text)
    pools = (None, SMALLEST if pool is None else pool)
    return [source.published_scaling(items, "published", put_on) for put_on in pools]


def _print_scaling(session: Session, found: Scaling, measure: Measure) -> None:
    from lvmtui.compare import scaling_words as words

    if not found.series:
        _sentence("Nothing to show yet.")
    else:
        titles = [words.heading(series, measure, found.pool) for series in found.series]
        _sentence("; ".join(titles))
        _print_chart(session, found, measure)
        for series in found.series:
            line()
            if len(found.series) > 1:
                _sentence(series.name)
            _print_table(series, measure)
        line()
        for series in found.series:
            said = words.slope_said(series, measure)
            if said is not None:
                head = f"{series.name}: " if len(found.series) > 1 else ""
                _sentence(f"{said.glyph} {head}{said.words}")
    for text in words.sentences(found, measure):
        _sentence(text)


def _sentence(text: str) -> None:
    from lvmtui.format import plain, wrap

    for part in wrap(plain(text), max(LEAST_WIDTH, terminal_width() or 110), 20):
        line(part)


def _print_chart(session: Session, found: Scaling, measure: Measure) -> None:
    from lvmtui.charts.drawing import curve_chart
    from lvmtui.charts.figure import Look
    from lvmtui.cli.tables import make_console
    from lvmtui.compare.scaling_chart import axes_of, curves_of

    width = min(terminal_width() or CHART_WIDTH, CHART_WIDTH)
    look = Look(axis="", level="", ascii_only=session.ascii_only)
    drawn = curve_chart(
        curves_of(found, measure, look), width=width, height=CHART_HEIGHT, axes=axes_of(found), look=look
    )
    console = make_console(width)
    with console.capture() as capture:
        for text_line in drawn:
            console.print(text_line, end="\n")
    for text in capture.get().splitlines():
        write(f"{text.rstrip()}\n")


def _print_table(series: Series, measure: Measure) -> None:
    from lvmtui.cli.tables import Column, print_table
    from lvmtui.compare.scaling import HITS

    points = series.points
    others = [item for item in HITS if item != measure]
    columns = [
        Column("context", "right"),
        Column("runs", drop=9, shrinks=True),
        Column(measure.name, "right"),
        Column("[95 %]"),
        Column("± sd", "right", drop=4),
        *(
            column
            for place, item in enumerate(others)
            for column in (Column(item.name, "right", drop=3), Column("[95 %]", drop=6 + place))
        ),
        Column("best baseline", drop=2),
        Column("gain", "right", drop=1),
        Column("", drop=5),
        Column("pool", "right", drop=2),
        Column("judged", "right", drop=2),
    ]
    kept = [True] * len(columns)
    kept[4] = any(point.seeds > 1 for point in points)
    kept[9] = kept[10] = kept[11] = any(point.baseline for point in points)
    kept[13] = series.moved
    rows = [_cells(point, measure, others) for point in points]
    print_table(
        [column for column, keep in zip(columns, kept, strict=True) if keep],
        [[cell for cell, keep in zip(row, kept, strict=True) if keep] for row in rows],
    )


def _cells(point: Point, measure: Measure, others: Sequence[Measure]) -> list[str | Text]:
    from rich.text import Text

    from lvmtui.cli.comparison import STYLES
    from lvmtui.compare import scaling_words as words
    from lvmtui.format import percent, thousands

    score = point.scores[measure.key]
    gain = words.gain_said(point, measure)
    cells: list[str | Text] = [
        thousands(point.context),
        words.runs_words(point),
        percent(score.mean),
        words.interval_words(score, measure),
        words.spread(score, measure) or "one seed",
    ]
    for item in others:
        cells += [percent(point.scores[item.key].mean), words.interval_words(point.scores[item.key], item)]
    cells += [words.baseline_words(point, measure), words.gain_words(point, measure)]
    cells.append(Text(str(gain).strip(), STYLES[gain.tone]))
    return [*cells, thousands(point.own_pool), percent(point.judged[measure.key])]


def _records(found: Scaling, measure: Measure) -> Iterator[dict[str, Any]]:
    """Every point, with what its series says."""
    from lvmtui.compare import scaling_words as words

    for series in found.series:
        said = words.slope_said(series, measure)
        line_keys = {point.key for point in series.line}
        about = {
            "series": series.name,
            "data_fingerprint": series.data or None,
            "comparable": series.comparable,
            "verdict": said.words if said else None,
            "slope": _slope(series, measure),
            "horizon": series.reach,
            "words": list(words.sentences(found, measure)),
        }
        for point in series.points:
            yield _point(point, on_line=point.key in line_keys) | about


def _slope(series: Series, measure: Measure) -> dict[str, Any] | None:
    if series.slope is None:
        return None
    test = series.slope.tests[measure.key]
    return {
        "metric": measure.key,
        "shortest": series.slope.first.context,
        "longest": series.slope.last.context,
        "paired": series.slope.paired,
        "difference": _number(test.difference),
        "interval": _ends(test.interval),
        "p": test.p,
        "seeds": list(series.slope.seeds),
    }


def _point(point: Point, *, on_line: bool) -> dict[str, Any]:
    best = point.baseline
    return {
        "context": point.context,
        "name": point.name,
        "run_ids": list(point.run_ids),
        "repeated": list(point.repeated),
        "seeds": point.seeds,
        "on_line": on_line,
        "recipe_hash": point.recipe_hash or None,
        "protocol_id": point.protocol_id or None,
        "n": point.n,
        "own_pool": point.own_pool,
        "pool": point.pool,
        "how": point.how.value,
        "scores": {
            key: {
                "mean": _number(score.mean),
                "sd": score.sd,
                "interval": _ends(score.interval),
                "as_judged": point.judged[key],
                "possible": _ends(point.possible.get(key)),
            }
            for key, score in point.scores.items()
        },
        "baseline": best and best.name,
        "baseline_context": best and best.context,
        "baseline_scores": {key: score.value for key, score in best.scores.items()} if best else None,
        "gains": {
            key: {"difference": _number(test.difference), "interval": _ends(test.interval), "p": test.p}
            for key, test in point.gains.items()
        },
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if value == value else None


def _ends(bounds: Any) -> list[float] | None:
    return [bounds.low, bounds.high] if bounds else None
