"""The subcommand that shows the phases: phases."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lvmtui.cli.session import JsonOption, line, note, terminal_width, write
from lvmtui.errors import RecipeError

if TYPE_CHECKING:
    from lvmtui.phases import Phase
    from lvmtui.recipe import Recipe

WRONG_WITH_LEGACY = (
    "overlapping windows split at random (validation targets stand in training windows), candidates are the "
    "validation targets alone (the pool shrinks as the context grows), windows taken as independent"
)
"""What is wrong with `window-v0`, in short; the engine measures it on the data at hand."""


def phases(
    name: Annotated[
        str | None, typer.Argument(metavar="[PHASE]", help="Only this one, with its whole recipe.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the phases that can be launched, or show one with its whole recipe."""
    from lvmtui.phases import all_phases

    if name is not None:
        _show(name, as_json=as_json)
        return
    found = all_phases()
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json([_record(phase) for phase in found]))
    elif found:
        _print(found)
    else:
        note("There are no phases: neither shipped ones nor ./phases/*.toml.")


def _record(phase: Phase) -> dict[str, Any]:
    """A phase as JSON."""
    record: dict[str, Any] = {
        "phase": phase.name,
        "description": "",
        "context": None,
        "model": "",
        "data": "",
        "file": str(phase.path),
    }
    recipe = phase.recipe
    if recipe is None:
        return record | {"error": phase.trouble}
    from lvmtui.phases import parameters

    return record | {
        "description": recipe.description,
        "context": recipe.data.context,
        "model": recipe.model.name,
        "parameters": parameters(recipe),
        "data": recipe.data.path,
        "protocol": recipe.evaluate.protocol,
        "seed": recipe.train.seed,
        "targets": recipe.target_scores(),
        "published": _published(recipe),
    }


def _published(recipe: Recipe) -> dict[str, Any] | None:
    """What the source of a phase reported, with intervals; None where it reported nothing."""
    source = recipe.published
    scores = {name: getattr(source, name) for name in ("hit1", "hit5", "hit10")}
    if not any(score is not None for score in scores.values()):
        return None
    return {
        **scores,
        "pool": source.pool,
        "windows": source.windows,
        "intervals": {
            name: list(_interval(score, source.pool))
            for name, score in scores.items()
            if score is not None and source.pool
        },
        "interval_method": "Wilson; queries taken as independent, which overlapping windows are not",
    }


def _interval(score: float, queries: int) -> tuple[float, float]:
    from lvmtui.stats import wilson_interval

    bounds = wilson_interval(round(score * queries), queries)
    return bounds.low, bounds.high


def _print(found: list[Phase]) -> None:
    from lvmtui import format as fmt
    from lvmtui.cli.tables import Column, print_table

    columns = [
        Column("phase"),
        Column("ctx", "right", drop=2),
        Column("model", drop=4),
        Column("params", "right", drop=5),
        Column("protocol", drop=3),
        Column("published Hit@5", drop=6),
        Column("description", shrinks=True),
        Column("file", drop=7),
    ]
    rows = []
    for phase in found:
        record = _record(phase)
        source = record.get("published")
        rows.append(
            [
                phase.name,
                str(record["context"] or "-"),
                record["model"],
                fmt.count(record["parameters"]) if record.get("parameters") else "-",
                record.get("protocol", ""),
                f"{fmt.percent(source['hit5'], 2)} in a pool of {fmt.thousands(source['pool'])}"
                if source
                else "",
                f"✖ {record['error']}" if "error" in record else record["description"].partition(". ")[0],
                record["file"],
            ]
        )
    print_table(columns, rows)


def _show(name: str, *, as_json: bool) -> None:
    """One phase with everything that is known of it.

    Raises:
        RecipeError: there is none of this name, or it is broken.
    """
    from lvmtui import recipe as recipes
    from lvmtui.phases import Phase, heeded

    recipe = recipes.load(name)
    path = recipes.recipe_files().get(name)
    phase = Phase(recipe.name, path, recipe) if path is not None else None
    if phase is None:
        raise RecipeError(f"{name!r} is no name of a phase", "`lvmtui phases` lists them.")
    if as_json:
        from lvmtui.export.text import to_json

        write(to_json(_record(phase) | {"recipe": recipe.model_dump(mode="json")}))
        return
    from lvmtui.cli.tables import print_facts

    print_facts([("phase", recipe.name), ("file", str(phase.path)), *_facts(recipe)])
    line()
    for text in textwrap.wrap(" ".join(recipe.description.split()), min(terminal_width() or 100, 100)):
        line(text)
    for section in recipes.SECTIONS:
        values = [
            dotted
            for dotted in recipes.field_names()
            if dotted.startswith(f"{section}.") and heeded(recipe, dotted)
        ]
        shown = [(dotted.partition(".")[2], phase.value(dotted)) for dotted in values if phase.value(dotted)]
        if shown:
            line()
            line(f"[{section}]")
            print_facts([(f"  {field}", value) for field, value in shown])


def _facts(recipe: Recipe) -> list[tuple[str, str]]:
    from lvmtui import format as fmt
    from lvmtui.phases import parameters

    size = parameters(recipe)
    legacy = recipe.evaluate.protocol == "window-v0"
    facts = [
        ("model", f"{recipe.model.name}, {fmt.thousands(size)} parameters" if size else recipe.model.name),
        ("protocol", f"{recipe.evaluate.protocol}{' (legacy, not comparable)' if legacy else ''}"),
    ]
    if legacy:
        facts.append(("wrong with it", WRONG_WITH_LEGACY))
    source = _published(recipe)
    if source is None:
        facts.append(("published", "nothing"))
        return facts
    for name, score in ((key, source[key]) for key in ("hit1", "hit5", "hit10")):
        if score is not None:
            bounds = source["intervals"].get(name, (None, None))
            words = f"{fmt.percent(score, 2)} {fmt.interval(*bounds)}".rstrip()
            facts.append((f"published Hit@{name.removeprefix('hit')}", words))
    facts.append(
        (
            "judged on",
            f"{fmt.thousands(source['pool'])} queries, which were the candidates as well, after "
            f"{fmt.thousands(source['windows'])} training windows, under window-v0; intervals by "
            f"{source['interval_method']}",
        )
    )
    return facts
