"""Runs and leaderboards as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui.cli.session import line
from lvmtui.cli.tables import Column, print_facts, print_table
from lvmtui.format import (
    MISSING,
    count,
    duration,
    interval,
    metric_name,
    metric_value,
    percent,
    plain,
    plain_lines,
    plus_minus,
    signed,
    size,
    small,
    speed,
    stamp,
    thousands,
)
from lvmtui.ranking import Group, PhaseSummary, Row, Verdict, by_phase, judge, strongest, training_seconds
from lvmtui.snapshot import GLYPHS, RunView, Snapshot, State
from lvmtui.store.records import Checkpoint, Evaluation, Interval

STATE_STYLES = {
    State.RUNNING: "cyan",
    State.STARTING: "cyan",
    State.STOPPING: "yellow",
    State.STOPPED: "yellow",
    State.FAILED: "red",
    State.LOST: "red",
    State.COMPLETED: "green",
    State.EARLY_STOPPED: "green",
}

VERDICT_STYLES = {
    Verdict.EXCEEDS: "green",
    Verdict.MEETS: "green",
    Verdict.BELOW: "red",
    Verdict.NOISE: "yellow",
    Verdict.UNDER: "yellow",
}


def state_text(view: RunView) -> Text:
    """A run's state as glyph and word."""
    words = view.state.value
    if view.stop_requested and view.state is not State.STOPPING:
        words += ", stop asked"
    return Text(f"{GLYPHS[view.state]} {words}", STATE_STYLES.get(view.state, ""))


def print_runs(views: Sequence[RunView], now: float) -> None:
    """The list of runs."""
    columns = [
        Column("run"),
        Column("state"),
        Column("epoch", "right"),
        Column("Hit@5", "right"),
        Column("", drop=6),
        Column("vs baseline", "right", drop=5),
        Column("patience", "right", drop=4),
        Column("time", "right", drop=3),
        Column("started", drop=7),
        Column("note", drop=8, shrinks=True),
    ]
    print_table(columns, [_run_cells(view, now) for view in views])


def _run_cells(view: RunView, now: float) -> list[str | Text]:
    run, best = view.run, view.best
    progress = run.progress
    bounds = best.hit5_interval if best else None
    gain = best.hit5 - view.baseline.hit5 if best and view.baseline else None
    name = f"{run.name} ♛" if "champion" in view.aliases else run.name
    return [
        name,
        state_text(view),
        f"{progress.epoch}/{progress.epochs}",
        percent(best.hit5) if best else MISSING,
        plus_minus(bounds.low, bounds.high) if bounds else "",
        signed(gain),
        f"{progress.patience_used}/{progress.patience}",
        duration(training_seconds(view)),
        f"{duration(max(0.0, now - run.created))} ago",
        view.lost_reason
        or (plain_lines(run.error or "")[0] if view.state is State.FAILED else "")
        or run.note,
    ]


def print_run(view: RunView, snapshot: Snapshot, checkpoints: Sequence[Checkpoint]) -> None:
    """Everything about one run."""
    print_facts([*_state_facts(view), *_score_facts(view, snapshot), *_rest(view, checkpoints)])
    if view.run.error:
        line()
        for text in plain_lines(view.run.error.rstrip("\n")):
            line(text)


def _state_facts(view: RunView) -> list[tuple[str, str | Text]]:
    run, progress = view.run, view.run.progress
    facts: list[tuple[str, str | Text]] = [
        ("run", Text(plain(run.name), "bold")),
        ("state", state_text(view)),
    ]
    if view.lost_reason:
        facts.append(("lost because", view.lost_reason))
    if view.aliases:
        facts.append(("promoted to", ", ".join(view.aliases)))
    facts += [
        (
            "progress",
            f"epoch {progress.epoch} of {progress.epochs}, step {thousands(progress.step)} of "
            f"{thousands(progress.steps)}",
        ),
        (
            "patience",
            f"{progress.patience_used} of {progress.patience} used, watching {metric_name(run.watch)}",
        ),
    ]
    if progress.value_to_beat is not None and view.state.is_active:
        facts.append(("to beat", metric_value(run.watch, progress.value_to_beat)))
    if progress.vectors_per_second is not None:
        facts.append(
            ("speed", f"{speed(progress.vectors_per_second)}, epoch {duration(progress.epoch_seconds)}")
        )
    facts.append(("time", f"{duration(training_seconds(view))} in {run.attempt} attempt(s)"))
    return facts


def _score_facts(view: RunView, snapshot: Snapshot) -> list[tuple[str, str | Text]]:
    best, run = view.best, view.run
    if best is None:
        return [("best", "no evaluation yet")]
    baselines = snapshot.baselines.get(best.protocol_id, ())
    verdict = judge(best, strongest(baselines), run.targets)
    facts: list[tuple[str, str | Text]] = [
        ("best", f"epoch {best.epoch}: {_scores(best)}"),
        ("verdict", Text(verdict.value, VERDICT_STYLES.get(verdict, ""))),
        (
            "judged on",
            f"n {thousands(best.n)}, pool {thousands(best.pool)}, {best.split}, protocol {best.protocol_id}",
        ),
    ]
    if best.copyness is not None:
        facts.append(
            (
                "copy-ness",
                f"{best.copyness:.3f} cosine to the last vector, {best.cosine or 0:.3f} to the target",
            )
        )
    for baseline in reversed(baselines):
        difference = signed(best.hit5 - baseline.hit5)
        facts.append(
            (f"  {plain(baseline.baseline or '')}", f"Hit@5 {percent(baseline.hit5)} ({difference})")
        )
    for name, target in run.targets.items():
        reached = float(getattr(best, name))
        mark = "✔ reached" if reached >= target else f"{percent(reached / target if target else 1.0, 0)} %"
        facts.append((f"target {metric_name(name)}", f"{metric_value(name, target)} ({mark})"))
    return facts


def _scores(evaluation: Evaluation) -> str:
    hits = [f"{metric_name(name)} {_hit(evaluation, name)}" for name in ("hit1", "hit5", "hit10")]
    return f"{', '.join(hits)}, MRR {small(evaluation.mrr)}"


def _hit(evaluation: Evaluation, name: str) -> str:
    bounds: Interval | None = getattr(evaluation, f"{name}_interval")
    spread = f" {interval(bounds.low, bounds.high)}" if bounds else ""
    return f"{percent(getattr(evaluation, name))}{spread}"


def _rest(view: RunView, checkpoints: Sequence[Checkpoint]) -> list[tuple[str, str | Text]]:
    run = view.run
    facts: list[tuple[str, str | Text]] = [
        ("model", f"{run.model}, {count(run.parameters)} parameters, context {thousands(run.context)}"),
        ("data", f"{run.data} ({run.data_fingerprint or 'not opened yet'})"),
        ("seed", str(run.seed)),
    ]
    changed = ", ".join(f"{key}={value}" for key, value in run.overrides.items())
    facts.append(("changed", changed or "nothing"))
    facts += [
        (f"differs: {key}", f"{ours} (phase now: {theirs})") for key, (ours, theirs) in _drift(view).items()
    ]
    for item in checkpoints:
        kind = " and ".join(word for word, is_it in (("best", item.is_best), ("last", item.is_last)) if is_it)
        words = f"{item.path}, epoch {item.epoch}, {size(item.size)}, sha256 {item.sha256[:12]}…"
        facts.append((f"{kind or 'kept'} checkpoint", words))
    where = f"{run.device or MISSING} on {run.host or MISSING}"
    facts.append(("device", f"{where}, pid {run.pid}" if run.pid is not None else where))
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    facts += [("versions", versions or MISSING), ("git commit", run.git_commit or MISSING)]
    facts += [("created", stamp(run.created)), ("started", stamp(run.started)), ("ended", stamp(run.ended))]
    facts += [(label, text) for label, text in (("note", run.note), ("tags", run.tags)) if text]
    return facts


def _drift(view: RunView) -> dict[str, tuple[str, str]]:
    """How the run's recipe differs from its phase as it is now, apart from what was changed at launch."""
    from lvmtui import recipe as recipes
    from lvmtui.errors import RecipeError

    run = view.run
    try:
        ours, now = recipes.from_json(run.recipe), recipes.load(run.phase, dict(run.overrides))
    except RecipeError:
        return {}
    found = recipes.differences(ours, now)
    return {key: values for key, values in found.items() if key != "data.path"}


def print_group(group: Group, *, by_phase: bool = False) -> None:
    """One protocol's part of the leaderboard."""
    line(group.heading)
    if group.difference:
        line(group.difference)
    if by_phase:
        _print_phases(group)
        return
    columns = [
        Column("#", "right"),
        Column("run"),
        Column("ctx", "right", drop=5),
        Column("Hit@1", "right", drop=2),
        Column("", drop=10),
        Column("Hit@5", "right"),
        Column("", drop=1),
        Column("Hit@10", "right", drop=3),
        Column("", drop=11),
        Column("MRR", "right", drop=4),
        Column("vs baseline", "right", drop=6),
        Column("params", "right", drop=8),
        Column("epochs", "right", drop=9),
        Column("cost", "right", drop=7),
        Column("verdict", shrinks=True),
    ]
    print_table(columns, [_row_cells(row) for row in group.rows])
    if any(row.tied for row in group.rows):
        line("= : its interval overlaps that of #1; the order between them may be chance")


def _row_cells(row: Row) -> list[str | Text]:
    scores = row.evaluation
    cells: list[str | Text] = [_rank(row), row.name, str(row.context) if row.context else "-"]
    for name in ("hit1", "hit5", "hit10"):
        bounds: Interval | None = getattr(scores, f"{name}_interval")
        cells += [percent(getattr(scores, name)), interval(bounds.low, bounds.high) if bounds else ""]
    cells.append(small(scores.mrr))
    if row.is_baseline:
        return [*cells, "", "", "", "", Text("baseline", "dim")]
    style = VERDICT_STYLES.get(Verdict(row.verdict), "")
    gain = f"{signed(row.baseline_gain)}" if row.baseline_gain is not None else MISSING
    cells += [gain, count(row.parameters), f"{row.best_epoch}/{row.epochs}", duration(row.seconds)]
    return [*cells, Text(f"{row.glyph} {row.verdict}", style)]


def _rank(row: Row) -> str:
    if row.rank is None:
        return "-"
    return f"{row.rank}{'♛' if row.champion else ''}{'=' if row.tied else ''}"


def _print_phases(group: Group) -> None:
    columns = [
        Column("phase"),
        Column("recipe", drop=2),
        Column("seeds", "right"),
        Column("Hit@5", "right"),
        Column("± sd", "right"),
        Column("best run", drop=1),
        Column("its Hit@5", "right", drop=3),
    ]
    print_table(columns, [_phase_cells(item) for item in by_phase(group)])


def _phase_cells(item: PhaseSummary) -> list[str]:
    spread = f"±{percent(item.sd)}" if item.sd is not None else "one seed"
    best = percent(item.best.evaluation.hit5)
    return [item.phase, item.recipe_hash, str(item.seeds), percent(item.mean), spread, item.best.name, best]
