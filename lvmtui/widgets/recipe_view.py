"""The resolved recipe of a run by section: what was overridden, and what it was before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from textual import work
from textual.content import Content
from textual.message import Message

from lvmtui.errors import RecipeError
from lvmtui.format import MISSING, plain, stamp
from lvmtui.snapshot import RunDetail, RunView, Snapshot
from lvmtui.store.records import Run
from lvmtui.store.sources import copied_from
from lvmtui.widgets.cells import FAINT, MUTED
from lvmtui.widgets.row_table import Column, Line, RowTable

COLUMNS = (
    Column("field", "field"),
    Column("value", "value", shrinks=True),
    Column("was", ""),
    Column("help", "", priority=1, shrinks=True),
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What the phase says now, and what its fields are."""

    values: Mapping[str, str]
    """Dotted field -> its value in the phase's file, as text."""
    descriptions: Mapping[str, str]
    problem: str = ""
    """Why there are no values."""


def flat(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Dotted field -> value as TOML would have it."""
    return {
        f"{section}.{name}": toml(value)
        for section, fields in recipe.items()
        if isinstance(fields, Mapping)
        for name, value in fields.items()
    }


def toml(value: Any) -> str:
    """A value as TOML writes it; an unset one as a dash."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def read_reference(phase: str) -> Reference:
    """Read the phase's file. Imports pydantic: not for the UI thread."""
    from lvmtui import recipe

    descriptions = {name: recipe.field_info(name).description or "" for name in recipe.field_names()}
    try:
        return Reference(flat(recipe.load(phase).model_dump(mode="json")), descriptions)
    except RecipeError as error:
        return Reference({}, descriptions, error.message)


class RecipeView(RowTable):
    """The recipe of one run."""

    @dataclass
    class ReferenceRead(Message):
        """The phase's file was read."""

        phase: str
        reference: Reference

    def __init__(self) -> None:
        super().__init__(COLUMNS, id="recipe-view")
        self._run: Run | None = None
        self._reference: Reference | None = None
        self._asked = ""

    def show_run(self, view: RunView, detail: RunDetail, snapshot: Snapshot) -> None:  # noqa: ARG002
        """Show the recipe of this run."""
        if self._asked != view.run.phase:
            self._asked, self._reference = view.run.phase, None
            self._read(view.run.phase)
        self._run = view.run
        self.show(recipe_lines(view.run, self._reference))

    @work(thread=True, exclusive=True, group="recipe-reference", description="reading the phase's file")
    def _read(self, phase: str) -> None:
        self.post_message(self.ReferenceRead(phase, read_reference(phase)))

    def on_recipe_view_reference_read(self, message: ReferenceRead) -> None:
        """Show what was overridden and what it was."""
        if self._run is not None and message.phase == self._asked:
            self._reference = message.reference
            self.show(recipe_lines(self._run, self._reference))


def recipe_lines(run: Run, reference: Reference | None) -> list[Line]:
    """The recipe section by section, then what was found out about the run's surroundings."""
    try:
        recipe = json.loads(run.recipe)
    except ValueError:
        recipe = None
    if not isinstance(recipe, dict):
        return [Line("broken", heading=Content.styled("The stored recipe is not readable.", "$error"))]
    lines = [*_title(run, recipe, reference)]
    for section, fields in _in_order(recipe, reference):
        lines.append(Line(f"gap:{section}", heading=Content("")))
        lines.append(Line(f"section:{section}", heading=Content.styled(f"[{section}]", "bold $primary")))
        lines += [
            Line(f"{section}.{name}", _cells(f"{section}.{name}", toml(value), run, reference))
            for name, value in fields.items()
        ]
    return [*lines, *_surroundings(run)]


def _in_order(
    recipe: Mapping[str, Any], reference: Reference | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sections and their fields in the order of a recipe file; unknown ones at the end."""
    order = {name: place for place, name in enumerate(reference.descriptions)} if reference else {}
    sections = {name: value for name, value in recipe.items() if isinstance(value, Mapping)}
    first = {name.partition(".")[0]: place for name, place in reversed(order.items())}
    for section in sorted(sections, key=lambda name: first.get(name, len(order))):
        names = sorted(sections[section], key=lambda name: order.get(f"{section}.{name}", len(order)))
        yield section, {name: sections[section][name] for name in names}


def _title(run: Run, recipe: Mapping[str, Any], reference: Reference | None) -> Iterator[Line]:
    description = plain(str(recipe.get("description") or ""))
    changed = f"{len(run.overrides)} overridden" if run.overrides else "nothing overridden"
    words = f"{plain(run.phase)} · recipe {run.recipe_hash} · seed {run.seed} · {changed}"
    yield Line("title", heading=Content.styled(words, "bold"))
    if description:
        yield Line("description", heading=Content.styled(description, MUTED))
    if reference is not None and reference.problem and not run.origin:
        note = f"What the phase says now is not known: {plain(reference.problem)}"
        yield Line("problem", heading=Content.styled(note, "$warning"))


def _cells(dotted: str, value: str, run: Run, reference: Reference | None) -> dict[str, Content]:
    before = reference.values.get(dotted) if reference else None
    help_text = reference.descriptions.get(dotted, "") if reference else ""
    overridden = dotted in run.overrides
    was = Content("")
    if overridden:
        # The phase's file is read here; another machine may have another one.
        known = before is not None and not run.origin
        words = f"overridden, was {plain(before or '')}" if known else "overridden"
        was = Content.styled(f"◆ {words}", "$warning")
    elif before is not None and before != value and dotted != "train.seed":
        was = Content.styled(f"the phase {'here' if run.origin else 'now'} says {plain(before)}", MUTED)
    return {
        "field": Content.styled(f"  {plain(dotted.partition('.')[2])}", "$warning" if overridden else ""),
        "value": Content.styled(plain(value), "bold $warning" if overridden else ""),
        "was": was,
        "help": Content.styled(f"# {plain(help_text)}" if help_text else "", FAINT),
    }


def _surroundings(run: Run) -> Iterator[Line]:
    facts = {
        "data": run.data,
        "data fingerprint": run.data_fingerprint,
        "protocol": run.protocol_id,
        "device": run.device,
        "host": run.host,
        **({"watched as": run.origin} if run.origin else {}),
        **({"copied from": copied_from(run)} if run.source else {}),
        "git commit": run.git_commit,
        "launched": stamp(run.created),
        "attempts": str(run.attempt),
        "folder": run.folder,
        **run.versions,
    }
    yield Line("gap:run", heading=Content(""))
    yield Line("section:run", heading=Content.styled("recorded with the run", "bold $primary"))
    for name, value in facts.items():
        yield Line(
            f"run:{name}",
            {"field": Content(f"  {plain(name)}"), "value": Content(plain(str(value)) if value else MISSING)},
        )
