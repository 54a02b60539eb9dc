"""The launch form: pick a phase, change fields, see what it takes, start."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from lvmtui.errors import LvmtuiError, RecipeError
from lvmtui.format import plain, wrap
from lvmtui.launcher import NOW, Start
from lvmtui.snapshot import Contact
from lvmtui.widgets.start_line import Plan, StartLine

if TYPE_CHECKING:
    from lvmtui.phases import Phase
    from lvmtui.recipe import Recipe
    from lvmtui.snapshot import Snapshot
    from lvmtui.store.records import Run

SHORT_LINES = 2
"""Lines of a phase's description in a low terminal."""


@dataclass(frozen=True, slots=True)
class LaunchChoice:
    """What to launch."""

    phase: str
    overrides: Mapping[str, str] = field(default_factory=dict)
    """Dotted field name -> value text, of the changed fields only."""
    note: str = ""
    start: Start = NOW
    seeds: int = 1
    jobs: int = 1
    """Of several seeds, how many at once."""
    host: str = ""
    """A watched host; empty: this machine."""
    path: Path | None = None
    """The recipe's file, where it is sent to a host."""

    def arguments(self) -> dict[str, Any]:
        """What the operation `launch` is given. To a host the recipe's text is sent: it may know the phase
        otherwise, or not at all.

        Raises:
            RecipeError: the file cannot be read.
        """
        what: dict[str, Any] = {"phases": [self.phase]}
        if self.host and self.path is not None:
            try:
                what = {"recipe": self.path.read_text(encoding="utf-8"), "name": self.phase}
            except (OSError, UnicodeDecodeError) as error:
                raise RecipeError(f"cannot read {self.path}: {error}") from error
        return {
            **what,
            "overrides": dict(self.overrides),
            "note": self.note,
            "seeds": self.seeds,
            "jobs": self.jobs,
            "queue": self.start.queue,
            "priority": self.start.priority,
            "held": self.start.held,
            "after": self.start.after,
        }


class Field(Horizontal):
    """One field of the recipe: name, value, what is allowed; what is wrong with it stands below."""

    BINDINGS = [
        Binding("down", "app.focus_next", "next", show=False),
        Binding("up", "app.focus_previous", "previous", show=False),
    ]

    def __init__(self, dotted: str, about: str, options: Sequence[str]) -> None:
        """
        Args:
            dotted: the field's name.
            about: what it allows and what it is.
            options: the values that it can have, where they can be listed.
        """
        super().__init__(classes="field")
        self.dotted = dotted
        self.about = about
        self.error = ""
        """What is said to be wrong."""
        self._input = Input(
            compact=True, select_on_focus=False, suggester=SuggestFromList(options) if options else None
        )
        self._below: Static | None = None

    def compose(self) -> ComposeResult:
        yield Static(Content(self.dotted.partition(".")[2]), classes="name")
        yield self._input
        yield Static(Content(self.about), classes="about")

    @property
    def value(self) -> str:
        """What is typed now."""
        return self._input.value.strip()

    def show(self, value: str) -> None:
        """Begin with a recipe's own value."""
        with self._input.prevent(Input.Changed):
            self._input.value = value
        self.judge(changed=False, error="")

    @property
    def changed(self) -> bool:
        """Whether something else than the recipe's own value is typed."""
        return self.has_class("-changed")

    def judge(self, *, changed: bool, error: str) -> None:
        """Mark it as changed, and say under it what is wrong."""
        self.set_class(changed, "-changed")
        self.set_class(bool(error), "-wrong")
        if error == self.error:
            return
        self.error = error
        if self._below is not None:
            self._below.remove()
            self._below = None
        if error and isinstance(self.parent, Widget):
            self._below = Static(Content(f"✖ {error}"), classes="error")
            self.parent.mount(self._below, after=self)


class LaunchScreen(ModalScreen[LaunchChoice | None]):
    """Everything before a run is started. Closes with what to launch, or None."""

    CSS_PATH = "launch.tcss"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]
    BINDINGS = [
        Binding("escape", "cancel", "cancel"),
        Binding("ctrl+enter,ctrl+l", "start", "launch", priority=True),
        Binding("ctrl+o", "queue", "now or queue", priority=True),
    ]

    def __init__(
        self,
        snapshot: Snapshot | None,
        phase: str | None = None,
        ask: Callable[[LaunchChoice, LaunchScreen], object] | None = None,
    ) -> None:
        """
        Args:
            snapshot: for the last runs of each phase, and for the hosts.
            phase: the phase to begin with; None: the first.
            ask: has a host launch what was chosen, and then calls `close` or `refuse`; None: no hosts are
                offered.
        """
        super().__init__()
        self._ask = ask
        self._asking = ""
        """The host that is being asked."""
        self._refused: LvmtuiError | None = None
        """What it said to what is typed now."""
        self._snapshot = snapshot
        self._wanted = phase
        self._phases: list[Phase] = []
        self._trouble: dict[str, str] = {}
        """Dotted field name -> what is wrong with what is typed there."""
        self._fields: tuple[Field, ...] = ()

    @property
    def phase(self) -> Phase | None:
        """The phase that is picked."""
        index = self.query_one(OptionList).highlighted
        return self._phases[index] if index is not None and index < len(self._phases) else None

    def compose(self) -> ComposeResult:
        from lvmtui.phases import all_phases

        try:
            self._phases = all_phases()
            trouble = ""
        except LvmtuiError as error:
            trouble = str(error)
        with Vertical(id="form") as form:
            form.border_title = "Launch a run"
            form.border_subtitle = "enter launch · ^o now/queue · tab next · esc cancel"
            yield StartLine(self._hosts, id="start-line")
            with Horizontal(id="columns"):
                names = [Option(_name(phase)) for phase in self._phases]
                yield OptionList(*names, id="phases", markup=False, compact=True)
                with VerticalScroll(id="right", can_focus=False):
                    yield Static(Content(trouble), id="about")
                    with Vertical(id="fields"):
                        yield from _fields()
            yield Static(id="field-help")
            yield Static(id="takes")
            with Horizontal(id="bottom"):
                yield Static(id="verdict")
                yield Button("Launch", id="start", compact=True, variant="success")

    @property
    def _hosts(self) -> tuple[str, ...]:
        """The watched hosts on which something can be changed."""
        hosts = self._snapshot.hosts if self._snapshot is not None and self._ask is not None else ()
        return tuple(host.name for host in hosts if not host.readonly)

    def on_mount(self) -> None:
        self._fields = tuple(self.query(Field))
        phases = self.query_one(OptionList)
        names = [phase.name for phase in self._phases]
        if names:
            phases.highlighted = names.index(self._wanted) if self._wanted in names else 0
        phases.focus()

    @on(OptionList.OptionHighlighted, "#phases")
    def show_phase(self) -> None:
        """Show the fields of the phase under the cursor."""
        phase = self.phase
        if phase is None:
            return
        self._refused = None
        self._trouble.clear()
        self._describe()
        self.query_one("#fields").display = phase.recipe is not None
        if phase.recipe is not None:
            for place in self._fields:
                place.show(phase.value(place.dotted))
        self.query_one("#right").scroll_home(animate=False)
        self._judge()

    def on_resize(self) -> None:
        """The description may need another width."""
        self.call_after_refresh(self._describe)

    def _describe(self) -> None:
        """What the phase is; shortened where its fields would be out of sight below it."""
        phase = self.phase
        if phase is None:
            return
        about = plain(phase.recipe.description if phase.recipe else phase.trouble)
        width = self.query_one("#right").scrollable_content_region.width - 1
        if phase.recipe and self.has_class("-short") and width > 0:
            about = "\n".join(wrap(about, width, SHORT_LINES))
        self.query_one("#about", Static).update(Content(about))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Say all about the field that is typed in: beside it there may be no room."""
        words = ""
        for node in event.widget.ancestors:
            if isinstance(node, Field):
                words = f"{node.dotted}: {node.about}"
            elif isinstance(node, StartLine):
                words = node.help_of(event.widget.id or "")
        self.query_one("#field-help", Static).update(Content(words), layout=False)

    @on(StartLine.Changed)
    def check_start(self) -> None:
        """Say at once what comes of another start."""
        self._refused = None
        self._judge()

    @on(Input.Changed, ".field Input")
    def check_field(self, event: Input.Changed) -> None:
        """Say at once whether the typed value is allowed."""
        place = event.input.query_ancestor(Field)
        phase = self.phase
        if phase is None or phase.recipe is None:
            return
        self._refused = None
        changed = place.value != phase.value(place.dotted)
        error = phase.error(place.dotted, place.value) if changed else ""
        place.judge(changed=changed, error=error)
        self._trouble.pop(place.dotted, None)
        if error:
            self._trouble[place.dotted] = error
        self._judge()

    def _overrides(self, phase: Phase) -> dict[str, str]:
        return phase.changed({place.dotted: place.value for place in self._fields})

    @property
    def host(self) -> str:
        """The host that is chosen; empty: this machine."""
        return self.query_one(StartLine).host

    def _runs(self) -> list[Run]:
        """The runs that are where it is launched."""
        views = self._snapshot.runs if self._snapshot else ()
        return [view.run for view in views if view.run.origin == self.host]

    def _plan(self) -> Plan:
        return self.query_one(StartLine).plan(self._runs())

    def _outlook(self, recipe: Recipe, plan: Plan) -> str:
        """What becomes of it when it is launched."""
        from lvmtui.waiting import outlook

        if self.host:
            words = self._outlook_there(plan)
        else:
            words = outlook(plan.start, recipe.train.device, self._runs(), time.time())
        if plan.seeds > 1:
            pace = "one after another" if plan.jobs == 1 else f"{min(plan.jobs, plan.seeds)} at once"
            words = f"{plan.seeds} runs, {pace}; the first {words}"
        return words

    def _outlook_there(self, plan: Plan) -> str:
        """What becomes of it on a host, as far as that can be told from here."""
        view = self._snapshot.host(self.host) if self._snapshot else None
        if view is not None and view.contact is not Contact.LIVE:
            return f"starts once {self.host} is back, which does not answer now"
        return f"goes into the queue of {self.host}" if plan.start.waits else f"starts on {self.host} at once"

    def _judge(self) -> None:
        """Show what it takes and whether it can be started."""
        from lvmtui.phases import last_run, obstacle, what_it_takes

        phase = self.phase
        if phase is None:
            return
        overrides = self._overrides(phase) if phase.recipe else {}
        problem, takes, plan, outlook = phase.trouble, [], self._plan(), ""
        try:
            recipe = phase.build(overrides)
            self._leave_out(recipe)
            takes = what_it_takes(recipe, last_run(self._snapshot, phase.name))
            if not self.host and (error := obstacle(recipe)):
                problem, takes = error.message, [takes[0], error.hint]
            problem = problem or plan.error
            if self._refused is not None and not problem:
                problem, takes = self._refused.message, [takes[0], plain(self._refused.hint)]
            outlook = self._outlook(recipe, plan)
        except LvmtuiError as error:
            problem = "; ".join(self._trouble) + " is not allowed" if self._trouble else str(error)
        # The heights are fixed: laying out so many fields again at every key would be felt.
        if overrides and takes:
            words = ", ".join(f"{name} = {text or 'none'}" for name, text in overrides.items())
            takes.append(f"changed: {plain(words)}")
        self.query_one("#takes", Static).update(Content("\n".join(takes)), layout=False)
        self._say(problem, plain(outlook))

    def _say(self, problem: str, outlook: str) -> None:
        """Say what comes of it, or what is wrong. What a host has refused may be tried again."""
        verdict = self.query_one("#verdict", Static)
        verdict.set_class(bool(problem), "-wrong")
        words = f"✖ {plain(problem)}" if problem else outlook
        verdict.update(Content(f"asking {self._asking} …" if self._asking else words), layout=False)
        bad = bool(problem) and (self._refused is None or problem != self._refused.message)
        self.query_one("#start", Button).disabled = bad or bool(self._asking)

    def _leave_out(self, recipe: Recipe) -> None:
        """Hide the fields that make no difference to this recipe, unless something was typed there."""
        from lvmtui.phases import heeded

        for place in self._fields:
            shown = heeded(recipe, place.dotted) or place.changed
            if place.display != shown:  # even the same value would lay out the whole form again
                place.display = shown

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    @on(Button.Pressed, "#start")
    def action_start(self) -> None:
        """Close with what to launch, if nothing is wrong with it."""
        phase = self.phase
        if phase is None or self.query_one("#start", Button).disabled:
            self.app.bell()
            return
        plan = self._plan()
        overrides = self._overrides(phase)
        choice = LaunchChoice(
            phase.name,
            overrides,
            start=plan.start,
            seeds=plan.seeds,
            jobs=plan.jobs,
            host=self.host,
            path=phase.path if self.host else None,
        )
        if not choice.host or self._ask is None:
            self.dismiss(choice)
            return
        self._asking, self._refused = choice.host, None
        self._judge()
        self._ask(choice, self)

    def close(self) -> None:
        """A host has launched it, or will when it is back."""
        if self.is_attached and self._asking:
            self._asking = ""
            self.dismiss(None)

    def refuse(self, why: LvmtuiError) -> None:
        """A host does not launch it: say why, and keep what was typed."""
        self._asking, self._refused = "", why
        self._judge()

    def action_queue(self) -> None:
        """Launch into the queue, or now."""
        self.query_one(StartLine).toggle()

    def action_cancel(self) -> None:
        """Close without launching."""
        self.dismiss(None)


def _name(phase: Phase) -> Text:
    return Text(plain(phase.name)) if phase.recipe else Text.assemble(("✖ ", "red"), plain(phase.name))


def _fields() -> Iterator[Static | Field]:
    """The fields of a recipe with a heading over each section."""
    from lvmtui import recipe as recipes

    shown = ""
    for dotted in recipes.field_names():
        section = dotted.partition(".")[0]
        if section != shown:
            shown = section
            about = (recipes.SECTIONS[section].__doc__ or "").strip()
            heading = Content.assemble((section, "bold $text-primary"), f"  {about}")
            yield Static(heading, classes="section")
        allowed = recipes.allowed(dotted)
        options = allowed.split(" | ") if " | " in allowed else []
        yield Field(dotted, f"{_short(allowed)} · {recipes.field_info(dotted).description}", options)


def _short(allowed: str) -> str:
    """`1 <= integer <= 64` as `1 to 64`, `0.0 < number <= 10.0` as `above 0.0 to 10.0`."""
    found = re.fullmatch(r"(\S+) (<=?) (?:integer|number) (<=?) (\S+)", allowed)
    if found is None:
        return allowed
    low, above, below, high = found.groups()
    return f"{'above ' if above == '<' else ''}{low} to {'below ' if below == '<' else ''}{high}"
