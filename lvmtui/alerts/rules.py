"""What of one run is an alert, and what was told of it already. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lvmtui.alerts.kinds import Kind
from lvmtui.alerts.pace import Pace
from lvmtui.findings import KIND, finding_of
from lvmtui.format import counted, duration, interval, metric_name, metric_value, plain, plain_lines
from lvmtui.leaderboard.verdicts import sentence, worth
from lvmtui.snapshot import RunView, State
from lvmtui.store.lifecycle import Status
from lvmtui.store.records import Evaluation, Event, Interval

DIVERGED = frozenset({"not-finite", "divergence"})
"""Checks of the live audit whose findings are alerts."""

ENDS = frozenset({State.COMPLETED, State.EARLY_STOPPED, State.FAILED})
"""Ends of a run that are alerts; its loss is one too."""

AFTER_END_SECONDS = 60.0
"""A finding that comes later than this after the end of a run is not its live audit's."""

NO_ANSWER_SECONDS = 30.0
"""A run that goes on this long after it was asked to stop has not answered."""

RECOVERED_SECONDS = 60.0
"""A run that was silent and has lived this long since can be lost again."""

Said = tuple[Kind, str]
"""The cause of an alert and its message."""


@dataclass(slots=True)
class Tracked:
    """What is known of one run, so that nothing is told twice."""

    created: float
    """With the id, this tells a run from one of another store in the same place."""
    best: float | None = None
    """The highest value that was told, or that is the past."""
    ends: set[tuple[int, State]] = field(default_factory=set)
    """Attempts and how they ended."""
    targets: set[str] = field(default_factory=set)
    """Metrics whose target is reached."""
    findings: set[tuple[int, str]] = field(default_factory=set)
    """Attempts and checks whose finding was told."""
    has_loss: bool = False
    """The last evaluation had a loss that is a number."""
    lost: tuple[int, int | None] | None = None
    """Attempt and process whose loss was told."""
    alive: float = 0.0
    """Seconds that the run was watched alive since it was lost."""
    asked: float = 0.0
    """Seconds that were watched since it was asked to stop."""
    told_asked: bool = False
    pace: Pace = field(default_factory=Pace)

    def remember(self, view: RunView) -> None:
        """Take what is so now as the past."""
        run = view.run
        self.ends = {(run.attempt, view.state)}
        self.best = run.progress.best_value
        self.targets = {name for name, _, _ in _reached(view)}
        self.has_loss = view.last is not None and view.last.loss is not None
        if run.status is Status.DONE and view.state is State.LOST:
            self.lost = (run.attempt, run.pid)

    def told(self, view: RunView, events: Sequence[Event], passed: float, factor: float) -> list[Said]:
        """What has become worth telling, and take note of it.

        Args:
            view: the run as it is now.
            events: those of the run that are new, oldest first.
            passed: seconds that were watched since the look before.
            factor: how many times the usual time without a step is a stall.
        """
        found = [
            _new_best(self, view),
            *_targets(self, view),
            *_divergence(self, view, events),
            _end(self, view),
            _loss(self, view, events, passed),
            _no_answer(self, view, passed),
            _stall(self, view, passed, factor),
        ]
        return [item for item in found if item is not None]


def _new_best(tracked: Tracked, view: RunView) -> Said | None:
    best, value = view.best, view.run.progress.best_value
    if best is None or value is None or (tracked.best is not None and not value > tracked.best):
        return None
    tracked.best = value
    against = sentence(worth(best, view.baseline, view.run.targets))
    return Kind.NEW_BEST, f"new best {_score(best, view.run.watch)} at epoch {best.epoch}; {against}"


def _score(evaluation: Evaluation, metric: str) -> str:
    """`Hit@5 17.9 [16.8, 19.1]`."""
    metric = metric.removeprefix("val/")
    value = getattr(evaluation, metric, None)
    bounds = getattr(evaluation, f"{metric}_interval", None)
    around = f" {interval(bounds.low, bounds.high)}" if isinstance(bounds, Interval) else ""
    return f"{metric_name(metric)} {metric_value(metric, value)}{around}"


def _reached(view: RunView) -> Iterator[tuple[str, float, Evaluation]]:
    """Each metric of the best evaluation that is at its target or above, and the target."""
    if view.best is None:
        return
    for name, target in view.run.targets.items():
        metric = name.removeprefix("val/")
        value = getattr(view.best, metric, None)
        if isinstance(value, float) and value >= target:
            yield metric, target, view.best


def _targets(tracked: Tracked, view: RunView) -> Iterator[Said]:
    for metric, target, best in _reached(view):
        if metric not in tracked.targets:
            tracked.targets.add(metric)
            wanted = metric_value(metric, target)
            yield (
                Kind.TARGET,
                f"target reached: {_score(best, metric)} at epoch {best.epoch}, wanted {wanted}",
            )


def _divergence(tracked: Tracked, view: RunView, events: Sequence[Event]) -> Iterator[Said]:
    run = view.run
    for event in events:
        # What somebody has a run audited for after its end is no news of its training.
        if event.kind != KIND or event.time > (run.ended or event.time) + AFTER_END_SECONDS:
            continue
        finding = finding_of(event)
        if finding.check in DIVERGED and (run.attempt, finding.check) not in tracked.findings:
            tracked.findings.add((run.attempt, finding.check))
            yield Kind.DIVERGENCE, finding.text.rstrip(".")
    if view.last is not None:
        if view.last.loss is None and tracked.has_loss:
            yield Kind.DIVERGENCE, f"the validation loss of epoch {view.last.epoch} is not a number"
        tracked.has_loss = view.last.loss is not None


def _end(tracked: Tracked, view: RunView) -> Said | None:
    """Completed, stopped early or failed, when the run was not so before."""
    run, best = view.run, view.best
    if view.state not in ENDS or (run.attempt, view.state) in tracked.ends:
        return None
    tracked.ends.add((run.attempt, view.state))
    score = f"; best {_score(best, run.watch)} at epoch {best.epoch}" if best else ""
    if view.state is State.COMPLETED:
        return Kind.COMPLETED, f"completed {counted(run.progress.epoch, 'epoch')}{score}"
    if view.state is State.EARLY_STOPPED:
        vain = counted(run.progress.patience_used, "evaluation")
        return Kind.EARLY_STOP, f"stopped early at epoch {run.progress.epoch}, {vain} without a gain{score}"
    lines = (text.strip() for text in plain_lines(run.error or ""))
    return Kind.FAILED, f"failed: {next(filter(None, lines), 'no reason was given')}"


def _loss(tracked: Tracked, view: RunView, events: Sequence[Event], passed: float) -> Said | None:
    run = view.run
    if view.state is not State.LOST:
        tracked.alive = tracked.alive + passed if view.state.is_active else 0.0
        if tracked.alive >= RECOVERED_SECONDS:
            tracked.lost = None
        return None
    tracked.alive = 0.0
    if tracked.lost == (run.attempt, run.pid):
        return None
    tracked.lost = (run.attempt, run.pid)
    said = (event.message for event in reversed(events) if event.kind == "lost")
    reason = plain(view.lost_reason) or plain(next(said, "")).removeprefix("lost: ")
    return Kind.LOST, f"lost at epoch {run.progress.epoch}: {reason or 'its process is gone'}"


def _no_answer(tracked: Tracked, view: RunView, passed: float) -> Said | None:
    stopping = view.state is State.STOPPING
    if not (stopping or (view.stop_requested and view.state.is_active)):
        tracked.asked, tracked.told_asked = 0.0, False
        return None
    tracked.asked += passed
    if tracked.told_asked or tracked.asked < NO_ANSWER_SECONDS:
        return None
    tracked.told_asked = True
    heard = "it has heard that and goes on" if stopping else "there is no answer"
    return Kind.NO_ANSWER, f"asked to stop {duration(tracked.asked)} ago, {heard}; perhaps in a long batch"


def _stall(tracked: Tracked, view: RunView, passed: float, factor: float) -> Said | None:
    if view.state is not State.RUNNING:
        tracked.pace.pause()
        return None
    words = tracked.pace.stalled(view.run.progress, view.run.attempt, passed, factor)
    return (Kind.STALL, words) if words else None
