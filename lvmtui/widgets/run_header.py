"""Two lines that stand over every tab of a run's screen: how it stands, and what its best is worth; a third
where its host is silent or was asked something."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from lvmtui import format as fmt
from lvmtui.host_words import is_doubtful
from lvmtui.leaderboard.ranking import training_seconds
from lvmtui.snapshot import GLYPHS, RunView, State
from lvmtui.waiting import waiting_reason
from lvmtui.widgets.look import Ink, ink
from lvmtui.widgets.meters import patience_meter
from lvmtui.widgets.panel import Panel
from lvmtui.widgets.run_summary import afar_lines, first_line, verdicts


class RunHeader(Panel):
    """The run in two or three lines."""

    DEFAULT_CSS = """
    RunHeader { border: none; height: 2; padding: 0 1; background: $background; }
    RunHeader.-ascii { border: none; }
    """

    def draw(self, width: int, height: int) -> Sequence[Text]:  # noqa: ARG002
        view, colours = self.view, ink(self)
        if view is None:
            return [Text("reading the store…" if self.snapshot is None else "no such run", colours.muted)]
        lines = [_standing(view, width, colours), _worth(view, width, colours, self._reason(view))]
        return [*lines, *self._afar(width)]

    def _afar(self, width: int) -> list[Text]:
        """The line that only some runs of watched hosts have."""
        view, now = self.view, self.snapshot.taken if self.snapshot else 0.0
        if view is None or width <= 0:
            return []
        line = Text(" · ").join(afar_lines(view, width, now, ink(self), lines=1))
        return [line] if line else []

    def _make_room(self) -> None:
        lines = 2 + len(self._afar(self.content_size.width))
        if self.styles.height is None or self.styles.height.value != lines:
            self.styles.height = lines

    def watch_snapshot(self) -> None:
        """Make room for the third line, or take it away again."""
        self._make_room()
        super().watch_snapshot()

    def watch_focused(self) -> None:
        """Another run may have a third line."""
        self._make_room()
        super().watch_focused()

    def on_resize(self) -> None:
        self._make_room()
        super().on_resize()

    def _reason(self, view: RunView) -> str:
        """Why it waits, where it does."""
        if view.state is not State.QUEUED or self.snapshot is None:
            return ""
        return waiting_reason(view.run, [other.run for other in self.snapshot.runs], self.snapshot.taken)


def _standing(view: RunView, width: int, colours: Ink) -> Text:
    run, progress = view.run, view.run.progress
    doubtful = is_doubtful(view)
    state = "stop asked for" if view.stop_requested else f"{view.state.value}{'?' if doubtful else ''}"
    line = Text.assemble(
        (f"{GLYPHS[view.state]} {state}", colours.muted if doubtful else colours.of_state(view.state)),
        "  ",
        (fmt.plain(run.name), f"bold {colours.text}".strip()),
    )
    for alias in view.aliases:
        line.append(f"  ♛ {fmt.plain(alias)}", colours.warning)
    if progress.epochs:
        line.append(f"  ep {progress.epoch}/{progress.epochs}", colours.text)
    if progress.patience and view.state.is_active:
        line.append("  ").append_text(patience_meter(progress.patience_used, progress.patience, colours))
    active = view.state is State.RUNNING and not doubtful
    facts = [
        f"{fmt.plain(run.model)} {fmt.count(run.parameters)}" if run.parameters else fmt.plain(run.model),
        f"ctx {run.context}",
        fmt.speed(progress.vectors_per_second) if active and progress.vectors_per_second else "",
        fmt.duration(training_seconds(view)) if run.started else "",
        f"seed {run.seed}",
        fmt.plain(run.device or ""),
    ]
    room = width - line.cell_len - 2
    if room > 8:
        line.append("  ").append(fmt.joined(facts, room), colours.muted)
    return line


def _worth(view: RunView, width: int, colours: Ink, reason: str = "") -> Text:
    run, best = view.run, view.best
    if view.state is State.LOST:
        return Text(
            fmt.fit(f"lost: {fmt.plain(view.lost_reason) or 'its process is gone'} · r resume", width),
            colours.error,
        )
    if view.state is State.FAILED:
        said = first_line(run.error) or "no message"
        return Text(fmt.fit(f"failed: {said} · r resume", width), colours.error)
    if best is None:
        said = reason or ("queued" if view.state is State.QUEUED else "no evaluation yet")
        return Text(fmt.fit(fmt.plain(said), width), colours.muted)
    value = getattr(best, run.watch, None)
    bounds = getattr(best, f"{run.watch}_interval", None)
    spread = f" {fmt.plus_minus(bounds.low, bounds.high)}" if bounds else ""
    line = Text(
        f"best {fmt.metric_name(run.watch)} {fmt.metric_value(run.watch, value)}{spread} at ep {best.epoch}"
    )
    if view.state.is_active and run.progress.value_to_beat is not None:
        line.append(f" · needs >{fmt.metric_value(run.watch, run.progress.value_to_beat)}")
    for worth in verdicts(view, max(0, width - line.cell_len - 3), colours)[:1]:
        if worth.cell_len > 8:
            line.append("   ").append_text(worth)
    return line
