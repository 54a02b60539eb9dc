"""A run on the terminal, with everything about it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui.cli.session import line, ref
from lvmtui.cli.tables import print_facts
from lvmtui.experts import expert_use
from lvmtui.findings import Finding
from lvmtui.format import (
    MISSING,
    count,
    duration,
    interval,
    metric_name,
    metric_value,
    p_value,
    percent,
    plain,
    plain_lines,
    signed,
    size,
    small,
    speed,
    stamp,
    thousands,
)
from lvmtui.latencies import milliseconds, place
from lvmtui.leaderboard.protocols import flaws_of, looks_words
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.leaderboard.verdicts import GLYPHS as VERDICT_GLYPHS
from lvmtui.leaderboard.verdicts import Verdict, Worth, badge, sentence, strongest, worth
from lvmtui.remaining import remaining_of
from lvmtui.snapshot import GLYPHS, RunView, Snapshot, State
from lvmtui.store.records import Checkpoint, Evaluation, Interval, Latency, Severity, Versus
from lvmtui.store.sources import copied_from
from lvmtui.versus import versus_of

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

SEVERITY_STYLES = {Severity.ERROR: "red", Severity.WARN: "yellow", Severity.INFO: ""}


def state_text(view: RunView) -> Text:
    """A run's state as glyph and word."""
    words = view.state.value
    if view.stop_requested and view.state is not State.STOPPING:
        words += ", stop asked"
    return Text(f"{GLYPHS[view.state]} {words}", STATE_STYLES.get(view.state, ""))


def badge_text(findings: Sequence[Finding]) -> Text:
    """How much the audits found, worst first: `✖1 !2`."""
    text = Text()
    for severity, words in badge(findings):
        text.append(" " if text else "").append(words, SEVERITY_STYLES[severity])
    return text


def worth_of(view: RunView, snapshot: Snapshot) -> Worth | None:
    """What a run's best evaluation is worth; None before the first."""
    if view.best is None:
        return None
    baselines = snapshot.baselines.get(view.best.protocol_id, ())
    return worth(view.best, strongest(baselines), view.run.targets)


def print_run(
    view: RunView, snapshot: Snapshot, checkpoints: Sequence[Checkpoint], latencies: Sequence[Latency] = ()
) -> None:
    """Everything about one run."""
    facts = [*_state_facts(view), *_finding_facts(view), *_score_facts(view, snapshot)]
    facts += _expert_facts(view)
    facts += [*_test_facts(view, snapshot), *_latency_facts(view)]
    print_facts([*facts, *_rest(view, checkpoints)])
    if latencies:
        from lvmtui.cli.latency_table import print_latencies

        print_latencies(latencies)
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
    if run.trashed is not None:
        facts.append(("kept", f"in the trash since {stamp(run.trashed)}; `lvmtui restore {ref(run)}`"))
    elif run.archived or run.pinned:
        facts.append(("kept", " and ".join(["pinned"] * run.pinned + ["archived"] * run.archived)))
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
    left = remaining_of(run) if view.state.is_active else None
    if left is not None:
        facts.append(
            ("left", f"at most {duration(left.worst)}; {duration(left.likely)} if no gain comes any more")
        )
    facts.append(("time", f"{duration(training_seconds(view))} in {run.attempt} attempt(s)"))
    return facts


def _finding_facts(view: RunView) -> list[tuple[str, str | Text]]:
    """What is wrong, worst first, with what to do about it."""
    return [
        (
            f"{finding.glyph} {plain(finding.check)}",
            Text.assemble(
                (plain(finding.message), SEVERITY_STYLES[finding.severity]),
                f" → {plain(finding.advice)}" if finding.advice else "",
            ),
        )
        for finding in view.findings
    ]


def _score_facts(view: RunView, snapshot: Snapshot) -> list[tuple[str, str | Text]]:
    best, run = view.best, view.run
    found = worth_of(view, snapshot)
    if best is None or found is None:
        return [("best", "no evaluation yet")]
    baselines = snapshot.baselines.get(best.protocol_id, ())
    facts: list[tuple[str, str | Text]] = [
        ("best", f"epoch {best.epoch}: {_scores(best)}"),
        (
            "verdict",
            Text(f"{VERDICT_GLYPHS[found.verdict]} {sentence(found)}", VERDICT_STYLES.get(found.verdict, "")),
        ),
    ]
    if found.skill is not None:
        words = f"{signed(found.skill)} % of what {plain(found.baseline_name)} leaves to gain in Hit@5"
        facts.append(("skill", words))
    if found.versus is not None and found.versus.detectable:
        words = f"{percent(found.versus.detectable)} points of Hit@5, with a power of 80 %"
        facts.append(("smallest gain seen", words))
    facts += [
        (f"against {plain(item.baseline)}", _versus_words(item))
        for item in versus_of(best)
        if item.baseline != found.baseline_name
    ]
    facts.append(("judged on", _judged_on(best, snapshot)))
    if best.copyness is not None:
        facts.append(
            (
                "copy-ness",
                f"{best.copyness:.3f} cosine to the last vector, {best.cosine or 0:.3f} to the target",
            )
        )
    several = len({baseline.context for baseline in baselines}) > 1
    for baseline in reversed(baselines):
        words = f"Hit@5 {percent(baseline.hit5)} ({signed(best.hit5 - baseline.hit5)})"
        if several:
            words += f", context {baseline.context}"
        facts.append((f"  {plain(baseline.baseline or '')}", words))
    for name, target in run.targets.items():
        reached = float(getattr(best, name))
        mark = "✔ reached" if reached >= target else f"{percent(reached / target if target else 1.0, 0)} %"
        facts.append((f"target {metric_name(name)}", f"{metric_value(name, target)} ({mark})"))
    return facts


def _versus_words(item: Versus) -> str:
    """A paired comparison in figures."""
    around = f"[{signed(item.interval.low)}, {signed(item.interval.high)}]"
    return f"{metric_name(item.metric)} {signed(item.difference)} {around}, {p_value(item.p)}"


def _expert_facts(view: RunView) -> list[tuple[str, str | Text]]:
    """Which experts the model asks, overall and lane by lane of the targets; nothing where it has none."""
    use = expert_use(view.best.details) if view.best is not None else None
    if use is None:
        return []
    facts: list[tuple[str, str | Text]] = [("experts", f"{use.everywhere.words}; lanes {use.source}")]
    return facts + [(f"  {lane.lane}", lane.words) for lane in use.lanes]


def _judged_on(evaluation: Evaluation, snapshot: Snapshot) -> str:
    """What a score must be read with."""
    protocol = snapshot.protocols.get(evaluation.protocol_id)
    words = (
        f"n {thousands(evaluation.n)}, pool {thousands(evaluation.pool)}, {evaluation.split}, "
        f"protocol {evaluation.protocol_id}"
    )
    if protocol is None:
        return words
    words += f" ({protocol.name}), data {protocol.data_fingerprint}"
    return words + "".join(f"; wrong with it: {flaw}" for flaw in flaws_of(protocol))


def _test_facts(view: RunView, snapshot: Snapshot) -> list[tuple[str, str | Text]]:
    """The score on the test split, and how often that was looked at; nothing before the first look."""
    test = view.test
    looks = snapshot.test_looks.get(view.run.data_fingerprint or "", 0)
    facts: list[tuple[str, str | Text]] = []
    if test is not None:
        baselines = snapshot.baselines.get(test.protocol_id, ())
        found = worth(test, strongest(baselines, split="test"), {})
        facts.append(("test split", f"epoch {test.epoch}: {_scores(test)}"))
        if found.baseline is not None:
            style = VERDICT_STYLES.get(found.verdict, "")
            facts.append(("test verdict", Text(f"{VERDICT_GLYPHS[found.verdict]} {sentence(found)}", style)))
        facts.append(("tested on", _judged_on(test, snapshot)))
    if looks:
        facts.append(("test looks", looks_words(looks)))
    return facts


def _latency_facts(view: RunView) -> list[tuple[str, str | Text]]:
    """How long the next vector takes, where that was measured."""
    item = view.latency
    if item is None:
        return []
    times = ", ".join(f"P{name[1:]} {milliseconds(getattr(item, name))}" for name in ("p50", "p95", "p99"))
    words = f"{times} ms streaming after {thousands(item.context)} vectors, {item.precision}, {place(item)}"
    return [("latency", words)]


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
    said = (("copied from", copied_from(run)), ("note", run.note), ("tags", run.tags))
    facts += [(label, text) for label, text in said if text]
    return facts


def _drift(view: RunView) -> dict[str, tuple[str, str]]:
    """How the run's recipe differs from its phase as it is now, apart from what was changed at launch."""
    from lvmtui import recipe as recipes
    from lvmtui.errors import RecipeError

    run = view.run
    if run.origin:
        return {}  # the phases of its machine are not known here
    try:
        ours, now = recipes.from_json(run.recipe), recipes.load(run.phase, dict(run.overrides))
    except RecipeError:
        return {}
    found = recipes.differences(ours, now)
    return {key: values for key, values in found.items() if key != "data.path"}
