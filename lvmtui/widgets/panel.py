"""Base of the widgets that draw lines of text from the snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.content import Content
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from lvmtui.charts.figure import same_text, segments_of
from lvmtui.config import ViewOptions
from lvmtui.format import ascii_text, fit
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.widgets.look import ascii_only


class Panel(Widget):
    """Draws `draw(width, height)` inside a border titled `heading()`; repaints only when one of them differs.

    The reactives have the names that screens bind with `data_bind`.
    """

    DEFAULT_CSS = """
    Panel {
        width: 1fr;
        height: 1fr;
        border: round $border-blurred;
        border-title-color: $foreground;
        background: $background;
        padding: 0 1;
    }
    Panel:focus { border: round $border; }
    Panel.-ascii { border: ascii $border-blurred; }
    """

    snapshot: reactive[Snapshot | None] = reactive[Snapshot | None](None, repaint=False)
    """None until the first reading."""
    focused: reactive[int | None] = reactive[int | None](None, repaint=False)
    """Id of the run that the cursor is on."""
    marked: reactive[tuple[int, ...]] = reactive[tuple[int, ...]]((), repaint=False)
    """Ids of the runs that are overlaid."""
    options: reactive[ViewOptions] = reactive(ViewOptions(), repaint=False)
    """How curves are drawn."""

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._lines: tuple[Text, ...] = ()
        self._heading = ""
        self._due = False

    def draw(self, width: int, height: int) -> Sequence[Text]:
        """The lines to show; what is beyond `width` or `height` is cut."""
        raise NotImplementedError

    def heading(self) -> str:
        """The border's title, as plain text."""
        return ""

    @property
    def view(self) -> RunView | None:
        """The run that the cursor is on."""
        return self.snapshot.view(self.focused) if self.snapshot else None

    @property
    def detail(self) -> RunDetail | None:
        """What was read of that run, if it is read already."""
        if self.snapshot is None or self.focused is None:
            return None
        return self.snapshot.details.get(self.focused)

    @property
    def lines(self) -> tuple[Text, ...]:
        """What is shown now."""
        return self._lines

    def on_mount(self) -> None:
        self.set_class(ascii_only(self), "-ascii")
        self.app.theme_changed_signal.subscribe(self, lambda _: self.redraw())
        self.redraw()

    def on_resize(self) -> None:
        self._redraw()

    def watch_snapshot(self) -> None:
        self.redraw()

    def watch_focused(self) -> None:
        self.redraw()

    def watch_marked(self) -> None:
        self.redraw()

    def watch_options(self) -> None:
        self.redraw()

    def redraw(self) -> None:
        """Draw soon, once for all changes of this moment."""
        if self.is_attached and not self._due:
            self._due = True
            self.call_next(self._redraw)

    def _redraw(self) -> None:
        self._due = False
        width, height = self.content_size
        if width <= 0 or height <= 0:
            return
        lines = tuple(_cut(line, width) for line in self.draw(width, height)[:height])
        heading = fit(self.heading(), max(0, self.size.width - 4))
        if ascii_only(self):
            heading = ascii_text(heading)
            lines = tuple(_in_ascii(line) for line in lines)
        if heading != self._heading:
            self._heading = heading
            self.border_title = Content(heading) if heading else None
        before, self._lines = self._lines, lines
        if len(lines) != len(before):
            self.refresh()
            return
        pairs = enumerate(zip(before, lines, strict=True))
        changed = [Region(0, y, width, 1) for y, (old, new) in pairs if not same_text(old, new)]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """One line of the content."""
        width, style = self.content_size.width, self.visual_style.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        line = self._lines[y]
        # Rich leaves a line's own style out where it has no spans.
        own = self.app.console.get_style(line.style)
        strip = Strip(segments_of(line, self.app.console)).apply_style(style + own)
        return strip.adjust_cell_length(width, style)


def _cut(line: Text, width: int) -> Text:
    """The line in at most `width` cells."""
    if line.cell_len > width:
        line = line.copy()
        line.truncate(width, overflow="ellipsis")
    return line


def _in_ascii(line: Text) -> Text:
    """The line in ASCII, its colours kept."""
    line = line.copy()
    line.plain = ascii_text(line.plain)
    return line
