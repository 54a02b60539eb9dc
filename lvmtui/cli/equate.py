"""The subcommand equate: scores put on another number of candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lvmtui.cli.session import JsonOption, StoreOption, line, names, note, reading, session_of, write
from lvmtui.errors import DataError, LvmtuiError, UsageError
from lvmtui.format import interval, percent, thousands

if TYPE_CHECKING:
    from lvmtui.leaderboard.equating import Judged
    from lvmtui.legacy import History
    from lvmtui.store.reader import Reader
    from lvmtui.store.records import Evaluation, Interval, Protocol, Run

KS = (1, 5, 10)
LARGEST_K = 10_000

STORED = "equated from ranks"
EXTRAPOLATED = "extrapolated"
ESTIMATED = "estimated from Hit@1/5/10"
AS_JUDGED = "as judged"


@dataclass(frozen=True, slots=True)
class Score:
    """Hit@k of one source on one pool; fractions."""

    k: int
    hit: float | None
    """None where it cannot be known."""
    interval: Interval | None = None
    possible: Interval | None = None
    """Bounds of what Hit@1/5/10 allow, where that is all that is known."""


@dataclass(frozen=True, slots=True)
class Line:
    """One source on one pool."""

    name: str
    n: int
    own_pool: int
    pool: int
    how: str
    method: str
    """How the intervals were made."""
    scores: tuple[Score, ...]
    ids: dict[str, Any]
    """Run, protocol, data, epoch: what the source has of these."""


def equate(
    context: typer.Context,
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN|FILE.json]…", help="Runs, or published histories.", show_default=False),
    ] = None,
    pool: Annotated[
        list[int] | None,
        typer.Option("--pool", "-p", metavar="N", min=2, help="Candidates; may be repeated."),
    ] = None,
    k: Annotated[
        list[int] | None,
        typer.Option("--k", "-k", metavar="K", min=1, max=LARGEST_K, help="Hit@K; otherwise 1, 5 and 10."),
    ] = None,
    baselines: Annotated[bool, typer.Option("--baselines", help="The runs' baselines too.")] = False,
    hits: Annotated[
        str, typer.Option(metavar="A,B,C", help="Instead: Hit@1, Hit@5 and Hit@10 in percent.")
    ] = "",
    n: Annotated[int | None, typer.Option("--n", metavar="N", min=1, help="With --hits: queries.")] = None,
    own_pool: Annotated[
        int | None, typer.Option("--from", metavar="N", min=2, help="With --hits: their pool; otherwise --n.")
    ] = None,
    as_json: JsonOption = False,
    store: StoreOption = None,
) -> None:
    """Put scores on a common number of candidates.

    Hit@K falls as candidates are added: only scores of equal pools compare. From a run's stored ranks they
    follow in closed form. A published history has no ranks: there are bounds, and an estimate.
    """
    pools = sorted(set(pool or ()), reverse=True)
    if not pools:
        raise UsageError("on which pool?", "Say it with --pool, as in `lvmtui equate last --pool 115`.")
    if bool(sources) == bool(hits):
        raise UsageError("name runs or files, or give --hits", "`lvmtui equate --help` shows how.")
    if not hits and (n is not None or own_pool is not None):
        raise UsageError("--n and --from belong to --hits", "Runs and files know their own.")
    ks = tuple(sorted(set(k or KS)))
    found: list[Line] = []
    remarks: list[str] = []
    if hits:
        found += _typed(hits, n, own_pool, pools, ks, remarks)
    runs = [text for text in sources or () if not text.endswith(".json")]
    files = [Path(text) for text in sources or () if text.endswith(".json")]
    if runs:
        with reading(session_of(context, store)) as reader:
            chosen = {run.id: run for run in map(reader.resolve, runs)}
            found += _of_runs(reader, list(chosen.values()), pools, ks, baselines, remarks)
    found += _of_files(files, pools, ks, remarks)
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json([record for item in found for record in _records(item)]))
    else:
        _print_lines(found, ks)
    for remark in remarks:
        note(remark)


def _of_runs(
    reader: Reader,
    runs: Sequence[Run],
    pools: Sequence[int],
    ks: Sequence[int],
    baselines: bool,
    remarks: list[str],
) -> Iterator[Line]:
    """Lines of each run's best evaluation, and once of the baselines of each protocol.

    Raises:
        LvmtuiError: a run has no evaluation, or its ranks or candidates are not known.
    """
    from lvmtui.leaderboard.equating import judged_of
    from lvmtui.leaderboard.verdicts import one_of_each

    protocols = {protocol.id: protocol for protocol in reader.protocols()}
    known: dict[str, Judged] = {}
    for run in runs:
        best = reader.best_evaluation(run)
        if best is None:
            raise LvmtuiError(f"{run.name} has not been evaluated yet", "`lvmtui ls` shows which runs have.")
        protocol = protocols.get(best.protocol_id)
        judged = known.get(best.protocol_id) or (judged_of(reader, protocol) if protocol else None)
        if judged is None or protocol is None:
            raise LvmtuiError(
                f"how many candidates the queries of {run.name} had is not known",
                "Judge it again with this version of lvmtui.",
            )
        yield from _from_ranks(run.name, best, judged, protocol, pools, ks)
        if baselines and best.protocol_id not in known:
            for baseline in reversed(one_of_each(reader.baselines(best.protocol_id))):
                yield from _from_ranks(baseline.baseline or "", baseline, judged, protocol, pools, ks)
        known[best.protocol_id] = judged
    if len(known) > 1:
        remarks.append("The runs were judged on different queries: equal pools do not make these alike.")


def _from_ranks(
    name: str,
    evaluation: Evaluation,
    judged: Judged,
    protocol: Protocol,
    pools: Sequence[int],
    ks: Sequence[int],
) -> Iterator[Line]:
    import numpy as np

    from lvmtui import stats

    ranks = stats.unpack_ranks(evaluation.ranks)
    fits = len(ranks) == len(judged.candidates)
    if not fits or (ranks < 1).any() or (ranks > judged.candidates).any():
        raise LvmtuiError(f"the ranks of {name} are not stored, or do not fit its queries", "Judge it again.")
    ids = {
        "run": evaluation.run_id,
        "epoch": evaluation.epoch if evaluation.run_id is not None else None,
        "protocol": protocol.id,
        "data": protocol.data_fingerprint,
    }
    resampled = len(np.unique(judged.groups)) > 1
    method = f"bootstrap over {'documents' if judged.documents else 'queries'}" if resampled else ""
    for pool in (None, *pools):
        if pool is None:
            values = np.column_stack([stats.hits(ranks, k) for k in ks]).astype(np.float64)
        else:
            own = judged.candidates
            values = np.column_stack([stats.equated_hits(ranks, own, pool, k) for k in ks])
        bounds: Sequence[Interval | None] = (None,) * len(ks)
        if resampled:
            bounds = stats.bootstrap_intervals(values, judged.groups)
        how = AS_JUDGED
        if pool is not None:
            how = EXTRAPOLATED if stats.is_extrapolated(judged.candidates, pool) else STORED
        scores = tuple(map(Score, ks, values.mean(axis=0).tolist(), bounds))
        put_on = evaluation.pool if pool is None else pool
        yield Line(name, len(ranks), evaluation.pool, put_on, how, method, scores, ids)


def _of_files(
    paths: Sequence[Path], pools: Sequence[int], ks: Sequence[int], remarks: list[str]
) -> Iterator[Line]:
    """Lines of published histories; what their files give away goes to the remarks.

    Raises:
        DataError: a file is none, or does not say how many queries it has.
    """
    from lvmtui.legacy import History, read_published

    published = [read_published(path) for path in paths]
    histories = [item for item in published if isinstance(item, History)]
    if paths and not histories:
        raise DataError("these files only describe data", "Name a training history.")
    for item in published:
        if isinstance(item, History):
            yield from _of_history(item, pools, ks, remarks)
        elif item.validation is not None:
            told = sorted({history.queries.n for history in histories if history.queries})
            remarks.append(
                f"{item.name}: {thousands(item.validation)} validation sequences; the scores are of "
                f"{names([thousands(count) for count in told])}"
            )
        remarks += [f"{item.name}: {text}" for text in item.notes]


def _of_history(
    history: History, pools: Sequence[int], ks: Sequence[int], remarks: list[str]
) -> Iterator[Line]:
    if history.queries is None:
        raise DataError(
            f"{history.name} does not give away its number of queries: its scores are no multiples of 1/n",
            "Give the scores with --hits, --n and --from.",
        )
    n, sure = history.queries
    sureness = "" if sure else "; as few could fit by accident, so this is not sure"
    remarks.append(
        f"{history.name}: best epoch {history.epoch} of {history.epochs}; n = pool = {thousands(n)}, since "
        f"all its scores are multiples of 1/{n}{sureness}"
    )
    ids = {"file": history.name, "epoch": history.epoch}
    yield from _from_scores(history.name.removesuffix(".json"), history.hits, n, n, pools, ks, ids)


def _typed(
    hits: str,
    n: int | None,
    own_pool: int | None,
    pools: Sequence[int],
    ks: Sequence[int],
    remarks: list[str],
) -> Iterator[Line]:
    from lvmtui.legacy import KS as PUBLISHED
    from lvmtui.legacy import whole_counts

    texts = hits.split(",")
    try:
        values = [float(text) / 100 for text in texts]
    except ValueError:
        values = []
    if (
        len(values) != len(PUBLISHED)
        or not all(0 <= value <= 1 for value in values)
        or values != sorted(values)
    ):
        raise UsageError(
            f"--hits {hits} is not Hit@1, Hit@5 and Hit@10 in percent, none below the one before",
            "As in `--hits 40.07,59.32,65.16`.",
        )
    if n is None:
        raise UsageError("of how many queries are these scores?", "Say it with --n.")
    scores = dict(zip(PUBLISHED, values, strict=True))
    digits = min(len(text.strip().partition(".")[2]) for text in texts) + 2
    if not whole_counts(scores, n, digits):
        remarks.append(f"{hits} % of {thousands(n)} queries are no whole numbers: a score or --n is wrong")
    yield from _from_scores(hits, scores, n, own_pool or n, pools, ks, {})


def _from_scores(
    name: str,
    hits: Mapping[int, float],
    n: int,
    own_pool: int,
    pools: Sequence[int],
    ks: Sequence[int],
    ids: dict[str, Any],
) -> Iterator[Line]:
    """Lines of scores without ranks.

    Raises:
        UsageError: their pool is too small for Hit@10 to say anything.
    """
    from lvmtui.legacy import KS as PUBLISHED
    from lvmtui.legacy import estimate_hit
    from lvmtui.stats import wilson_interval
    from lvmtui.store.records import Interval

    if own_pool < PUBLISHED[-1]:
        raise UsageError(
            f"in a pool of {own_pool} Hit@10 says nothing", f"It must be {PUBLISHED[-1]} or more."
        )
    method = "Wilson, queries taken as independent"
    for pool in (own_pool, *(size for size in pools if size != own_pool)):
        scores = []
        for k in ks:
            if pool > own_pool:
                scores.append(Score(k, None))
                continue
            value, low, high = estimate_hit(hits, own_pool, pool, k)
            known = high - low < 1e-9
            scores.append(
                Score(
                    k,
                    value,
                    wilson_interval(round(value * n), n),
                    None if known else Interval(low, high),
                )
            )
        how = AS_JUDGED if pool == own_pool else ESTIMATED
        if pool > own_pool:
            how = "needs ranks: its own pool is smaller"
        yield Line(name, n, own_pool, pool, how, method, tuple(scores), ids)


def _records(item: Line) -> Iterator[dict[str, Any]]:
    for score in item.scores:
        yield {
            "name": item.name,
            **item.ids,
            "n": item.n,
            "own_pool": item.own_pool,
            "pool": item.pool,
            "k": score.k,
            "hit": score.hit,
            "interval": _pair(score.interval),
            "interval_method": item.method if score.interval else "",
            "possible": _pair(score.possible),
            "how": item.how,
        }


def _pair(bounds: Interval | None) -> list[float] | None:
    return [bounds.low, bounds.high] if bounds else None


def _print_lines(lines: Sequence[Line], ks: Sequence[int]) -> None:
    from lvmtui.cli.tables import Column, print_table

    bounded = any(score.possible for item in lines for score in item.scores)
    columns = [Column("score", shrinks=True), Column("n", "right"), Column("pool", "right")]
    main = 5 if 5 in ks else ks[0]
    for k in ks:
        drop = 0 if k == main else 2
        columns.append(Column(f"Hit@{k}", "right", drop=drop))
        columns.append(Column("95 %", drop=drop and drop + 1))
        if bounded:
            columns.append(Column("possible", drop=drop + 1 if drop == 0 else 4))
    columns.append(Column("", drop=0))
    print_table(columns, [_cells(item, bounded) for item in lines])
    if bounded:
        line("possible: between the worst and the best ranks that Hit@1/5/10 allow; chance comes on top.")
        line("The estimate takes the share of targets found as straight over the logarithm of the rank.")


def _cells(item: Line, bounded: bool) -> list[str]:
    cells = [item.name, thousands(item.n), thousands(item.pool)]
    for score in item.scores:
        cells += [
            percent(score.hit),
            _bounds(score.interval),
            *([_bounds(score.possible)] if bounded else []),
        ]
    return [*cells, item.how]


def _bounds(found: Interval | None) -> str:
    return interval(found.low, found.high) if found else ""
