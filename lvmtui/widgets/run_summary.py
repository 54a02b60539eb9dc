"""What the focused run is, how it does, and what that is worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from rich.text import Text

from lvmtui import format as fmt
from lvmtui import host_words
from lvmtui.findings import counted_by_severity
from lvmtui.leaderboard.verdicts import Verdict, worth
from lvmtui.remaining import remaining_of
from lvmtui.snapshot import GLYPHS, RunView, State
from lvmtui.store.records import Evaluation, Interval, Run, Severity, Versus
from lvmtui.versus import versus_of
from lvmtui.waiting import waiting_reason
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.meters import patience_meter, target_bars
from lvmtui.widgets.panel import Panel

_RESUME = " · r resume"


class RunSummary(Panel):
    """The focused run in words and bars, most important first."""

    def heading(self) -> str:
        view = self.view
        if view is None:
            return "run"
        aliases = "".join(f" ♛ {alias}" for alias in view.aliases)
        return f"{fmt.plain(view.run.name)}{aliases}"

    def draw(self, width: int, height: int) -> Sequence[Text]:
        colours = ink(self)
        if self.snapshot is None:
            return [Text("reading the store…", colours.muted)]
        view = self.view
        if view is None:
            said = (
                "Choose a run with the arrow keys." if self.snapshot.runs else "No run yet: n launches one."
            )
            return [Text(line, colours.muted) for line in fmt.wrap(said, width, height)]
        runs = [other.run for other in self.snapshot.runs] if view.state is State.QUEUED else []
        reason = waiting_reason(view.run, runs, self.snapshot.taken)
        afar = afar_lines(view, width, self.snapshot.taken, colours)
        return [*afar, *summary_lines(view, width, height - len(afar), colours, reason=reason)]


def afar_lines(view: RunView, width: int, now: float, colours: Ink, lines: int = 2) -> list[Text]:
    """What the connection to a run's host leaves open: since when it is silent, what it was asked; nothing of
    a run in this store.

    Args:
        lines: at most so many for each of them.
    """
    silence, asked = host_words.silence(view, now), host_words.pending(view)
    colour = colours.warning if host_words.is_doubtful(view) else colours.muted
    said = [Text(words, colour) for words in fmt.wrap(silence, width, lines)]
    return [*said, *(Text(words, colours.accent) for words in fmt.wrap(asked, width, lines))]


def summary_lines(view: RunView, width: int, height: int, colours: Ink, *, reason: str = "") -> list[Text]:
    """The summary as lines of at most `width` cells. When there are too many, facts give way to results.

    Args:
        reason: why a queued run waits.
    """
    run = view.run
    facts = Text(fmt.joined(_facts(run), width), colours.muted)
    lines = [*_state_lines(view, width, max(1, height - 2), colours)]
    lines += [Text(words, colours.muted) for words in fmt.wrap(fmt.plain(reason), width, 2) if words]
    lines += [line for line in (_best(view, width), _pace(view, width, colours)) if line]
    lines += verdicts(view, width, colours)
    lines += [line for line in (audit_badge(view, width, colours), _test(view, width)) if line]
    lines += target_bars(
        {key: (_score(view.best, key), goal) for key, goal in run.targets.items()}, width, colours
    )
    extra = [Text(line, colours.muted) for line in _more(run, width)]
    if len(lines) < height:
        lines.insert(0, facts)
    return (lines + extra)[:height]


def _facts(run: Run) -> list[str]:
    train = _train_section(run.recipe)
    batch, accumulation = train.get("batch"), train.get("accumulation")
    return [
        f"{fmt.plain(run.model)} {fmt.count(run.parameters)}" if run.parameters else fmt.plain(run.model),
        f"ctx {run.context}",
        f"batch {batch}×{accumulation}" if batch and accumulation else "",
        f"lr {train['lr']:g}" if isinstance(train.get("lr"), float) else "",
        fmt.plain(run.device or ""),
        f"seed {run.seed}",
    ]


@lru_cache(maxsize=64)
def _train_section(recipe: str) -> dict[str, Any]:
    try:
        section = json.loads(recipe).get("train", {})
    except (ValueError, AttributeError):
        return {}
    return section if isinstance(section, dict) else {}


def _state_lines(view: RunView, width: int, height: int, colours: Ink) -> list[Text]:
    """The state in words, with what is wrong and the key that helps."""
    run, state = view.run, view.state
    words = f"{GLYPHS[state]} {state.value}"
    colour = colours.muted if host_words.is_doubtful(view) else colours.of_state(state)
    if state is State.FAILED:
        lines = fmt.wrap(
            f"{words}: {first_line(run.error) or 'no message'}", width, max(1, min(3, height - 1))
        )
        return [
            *(Text(line, colour) for line in lines),
            Text("r resume · enter, Log: the traceback", colours.muted),
        ]
    if state is State.LOST:
        reason = fmt.plain(view.lost_reason) or "its process is gone"
        lines = fmt.wrap(f"{words}: {reason}", width, max(1, min(2, height - 1)))
        if len(lines[-1]) + len(_RESUME) <= width:
            lines[-1] += _RESUME
        else:
            lines.append(_RESUME.strip(" ·"))
        return [Text(line, colour) for line in lines]
    if state is State.STOPPED:
        words += f" at epoch {run.progress.epoch} · r resume"
    elif state is State.QUEUED:
        words += f" since {fmt.clock(run.created)}"
    elif view.stop_requested:
        words += " · stop asked for"
    elif state is State.EARLY_STOPPED:
        words += f" at epoch {run.progress.epoch} after {run.progress.patience_used} without a gain"
    line = Text(fmt.fit(words, width), colour)
    meter = patience_meter(run.progress.patience_used, run.progress.patience, colours)
    if state.is_active and len(words) + len(meter) + 13 <= width:
        line.append(" · patience ", colours.muted)
        line.append_text(meter)
    return [line]


def first_line(text: str | None) -> str:
    """The first line that says something."""
    return next((line.strip() for line in fmt.plain_lines(text or "") if line.strip()), "")


def _best(view: RunView, width: int) -> Text | None:
    """`best Hit@5 17.9 ±1.2 at ep 16 · needs >17.9`."""
    best, run = view.best, view.run
    if best is None:
        return Text(fmt.fit("no evaluation yet", width)) if view.state.is_active else None
    watch = run.watch.removeprefix("val/")
    name = fmt.metric_name(watch)
    spread = _interval(best, watch)
    score = fmt.metric_value(watch, _score(best, watch))
    around = f" {fmt.plus_minus(spread.low, spread.high)}" if spread else ""
    parts = [
        f"best {name} {score}{around} at ep {best.epoch}",
        f"needs >{fmt.metric_value(watch, run.progress.value_to_beat)}"
        if view.state.is_active and run.progress.value_to_beat is not None
        else "",
        f"MRR {fmt.small(best.mrr)}" if watch != "mrr" else f"Hit@5 {fmt.percent(best.hit5)}",
    ]
    return Text(fmt.joined(parts, width))


def _pace(view: RunView, width: int, colours: Ink) -> Text | None:
    """Speed and what is left: at most, and if no gain comes any more."""
    progress, left = view.run.progress, remaining_of(view.run)
    if not view.state.is_active or left is None or host_words.is_doubtful(view):
        return None
    parts = [
        fmt.speed(progress.vectors_per_second) if progress.vectors_per_second else "",
        f"epoch {fmt.duration(progress.epoch_seconds)}",
        f"left ≤ {fmt.duration(left.worst)}",
        f"early stop in {fmt.duration(left.likely)} without a gain" if left.likely < left.worst else "",
    ]
    if len(" · ".join(filter(None, parts[:3]))) > width:
        del parts[0]  # how long it will take matters more than how fast it is
    return Text(fmt.joined(parts, width), colours.text)


_SAID: Mapping[Verdict, tuple[str, str, str]] = {
    Verdict.BELOW: ("✖", "below its baseline", "below"),
    Verdict.UNDER: ("▽", "below its baseline, within noise,", "below"),
    Verdict.NOISE: ("≈", "within noise of its baseline", "within noise of"),
}
"""Verdict -> sign, words, fewer words; every other one is above."""


def verdicts(view: RunView, width: int, colours: Ink) -> list[Text]:
    """What the best score is worth against the strongest baseline and copy-last, plainly; nothing before an
    evaluation."""
    best, baseline = view.best, view.baseline
    if best is None:
        return []
    found = worth(best, baseline, view.run.targets)
    if found.baseline is None:
        return [Text(fmt.fit("? no baseline to compare with", width), colours.muted)]
    verdict = found.verdict
    sign, *words = _SAID.get(verdict, ("✔", "above its baseline", "above"))
    colour = colours.success
    if verdict in _SAID:
        colour = colours.error if verdict is Verdict.BELOW else colours.warning
    name = fmt.plain(found.baseline_name)
    gained = _gained(found.versus) if found.versus else fmt.signed(found.gain)
    skill = f" · skill {fmt.signed(found.skill)} %" if found.skill is not None else ""
    reached = f" · {verdict.value}" if verdict in (Verdict.EXCEEDS, Verdict.MEETS) else ""
    said = [f"{sign} {each} {name} ({gained})" for each in words]
    wanted = [said[0] + skill + reached, said[1] + skill + reached, said[1] + skill, said[1]]
    fitting = next((line for line in wanted if len(line) <= width), said[1])
    others = [item for item in versus_of(best) if item.baseline != found.baseline_name]
    return [Text(fmt.fit(fitting, width), colour), *(_beside(item, width, colours) for item in others[:1])]


def audit_badge(view: RunView, width: int, colours: Ink) -> Text | None:
    """What the audits found, in a line: the worst by name. None before there was anything to audit."""
    found = view.findings
    if not found:
        return Text(fmt.fit("✔ audit: nothing wrong", width), colours.success) if view.best else None
    names = fmt.joined([fmt.plain(finding.check) for finding in found], max(0, width - 4), ", ")
    worst = found[0].severity
    said = f"{found[0].glyph} audit: {', '.join(counted_by_severity(found))}: {names}"
    return Text(fmt.fit(said, width), colours.error if worst is Severity.ERROR else colours.warning)


def _test(view: RunView, width: int) -> Text | None:
    """The score on the test split, once it was read."""
    test = view.test
    if test is None:
        return None
    bounds = test.hit5_interval
    around = f" {fmt.plus_minus(bounds.low, bounds.high)}" if bounds else ""
    return Text(fmt.fit(f"test split: Hit@5 {fmt.percent(test.hit5)}{around} at ep {test.epoch}", width))


def _gained(versus: Versus) -> str:
    return f"{fmt.signed(versus.difference)}, {fmt.p_value(versus.p)}"


def _beside(versus: Versus, width: int, colours: Ink) -> Text:
    """One line on another baseline than the strongest."""
    if versus.p >= 0.05:
        words, colour = "≈ no different from", colours.warning
        if len(f"{words} {versus.baseline} ({_gained(versus)})") > width:
            words = "≈ like"
    elif versus.difference > 0:
        words, colour = "✔ beats", colours.success
    else:
        words, colour = "✖ below", colours.error
    return Text(fmt.fit(f"{words} {fmt.plain(versus.baseline)} ({_gained(versus)})", width), colour)


def _score(evaluation: Evaluation | None, metric: str) -> float | None:
    value = getattr(evaluation, metric.removeprefix("val/"), None)
    return value if isinstance(value, float) else None


def _interval(evaluation: Evaluation, metric: str) -> Interval | None:
    value = getattr(evaluation, f"{metric}_interval", None)
    return value if isinstance(value, Interval) else None


def _more(run: Run, width: int) -> list[str]:
    """Lesser facts, for when there is room."""
    changed = ", ".join(f"{key}={value}" for key, value in run.overrides.items())
    lines = [
        f"changed: {fmt.plain(changed)}" if changed else "",
        f"note: {fmt.plain(run.note)}" if run.note else "",
        f"tags: {fmt.plain(run.tags)}" if run.tags else "",
        f"{fmt.plain(run.data)} · {'started' if run.started else 'made'} "
        f"{fmt.stamp(run.started or run.created)}",
    ]
    return [fmt.fit(line, width) for line in lines if line]
