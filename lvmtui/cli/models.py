"""The subcommand that shows the architectures: models."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lvmtui.cli.session import JsonOption, line, write
from lvmtui.cli.starting import Overrides
from lvmtui.errors import RecipeError, UsageError

if TYPE_CHECKING:
    from lvmtui.architectures import ArchitectureFacts
    from lvmtui.recipe import ModelSection


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Only this one, with its options.")
    ] = None,
    dim: Annotated[int, typer.Option(min=1, max=65_536, help="Numbers in a vector.")] = 768,
    context: Annotated[
        int, typer.Option("--context", min=1, max=100_000, help="Vectors before a prediction.")
    ] = 1000,
    overrides: Overrides = None,
    as_json: JsonOption = False,
) -> None:
    """List the models that a recipe can name, with their numbers of parameters.

    Sizes are those of a recipe's defaults; `-o hidden=256 -o layers=2` shows others.
    """
    from lvmtui.architectures import ARCHITECTURES

    if name is not None and name not in ARCHITECTURES:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise UsageError(f"there is no model {name!r}", f"{hint}Known: {', '.join(ARCHITECTURES)}.")
    changes = _changes(overrides or [])
    if name is not None:
        facts, section = ARCHITECTURES[name], _section(name, context, changes)
        record = _record(facts, section, dim, context)
        if as_json:
            _print_json(record)
        else:
            _print_one(facts, record)
        return
    records = _records(list(ARCHITECTURES.values()), dim, context, changes)
    if as_json:
        _print_json(records)
    else:
        _print_all(records, dim, context)


def _records(
    every: list[ArchitectureFacts], dim: int, context: int, changes: dict[str, str]
) -> list[dict[str, Any]]:
    """All models as JSON; what one of them cannot be, others can.

    Raises:
        RecipeError: none of them can be like that.
    """
    records, refusals = [], []
    for facts in every:
        try:
            section = _section(facts.name, context, changes)
        except RecipeError as error:
            refusals.append(error)
            records.append({**_plain(facts), "parameters": None, "error": error.message})
        else:
            records.append(_record(facts, section, dim, context))
    if len(refusals) == len(every):
        raise refusals[0]
    return records


def _changes(overrides: list[str]) -> dict[str, str]:
    """The model's fields to change, by dotted name.

    Raises:
        UsageError: other fields.
        RecipeError: no such field, or no value.
    """
    from lvmtui import recipe as recipes

    changes = recipes.parse_overrides(overrides)
    for dotted in changes:
        if not dotted.startswith("model.") or dotted == "model.name":
            raise UsageError(
                f"{dotted} does not change the size of a model",
                "Give the model's name as the argument, and fields of a recipe's model section with -o.",
            )
    return changes


def _section(name: str, context: int, changes: dict[str, str]) -> ModelSection:
    """The model section of a recipe with the defaults, but for the changes.

    Raises:
        RecipeError: no recipe can be like that.
    """
    from lvmtui import recipe as recipes

    values = {"name": "models", "data": {"context": context}, "model": {"name": name}}
    return recipes.build(values, changes).model


def _plain(facts: ArchitectureFacts) -> dict[str, Any]:
    return {"name": facts.name, "summary": facts.summary, "source": facts.source}


def _record(facts: ArchitectureFacts, section: ModelSection, dim: int, context: int) -> dict[str, Any]:
    """One model as JSON."""
    from lvmtui import recipe as recipes
    from lvmtui.architectures import parameters

    options = {
        option: {
            "value": getattr(section, option),
            "allowed": recipes.allowed(f"model.{option}"),
            "meaning": recipes.field_info(f"model.{option}").description or "",
        }
        for option in facts.options
    }
    total = parameters(section, dim=dim, context=context)
    return {
        **_plain(facts),
        "parameters": total,
        "head_parameters": total - facts.backbone(section, dim),
        "dim": dim,
        "context": context,
        "options": options,
    }


def _print_json(value: Any) -> None:
    from lvmtui.export.text import to_json

    write(to_json(value))


def _print_all(records: list[dict[str, Any]], dim: int, context: int) -> None:
    from lvmtui.cli.tables import Column, print_table
    from lvmtui.format import MISSING, thousands

    columns = [
        Column("model"),
        Column("parameters", "right"),
        Column("what", shrinks=True),
        Column("options", drop=2),
        Column("source", drop=3),
    ]
    rows = [
        [
            record["name"],
            thousands(record["parameters"]) if record["parameters"] is not None else MISSING,
            f"✖ {record['error']}" if "error" in record else record["summary"],
            " ".join(record.get("options", ())),
            record["source"],
        ]
        for record in records
    ]
    print_table(columns, rows)
    line()
    line(f"Vectors of {thousands(dim)} numbers, context {thousands(context)}; the output head is counted.")


def _print_one(facts: ArchitectureFacts, record: dict[str, Any]) -> None:
    from lvmtui.cli.tables import Column, print_facts, print_table
    from lvmtui.format import thousands

    sizes = f"{thousands(record['parameters'])}, {thousands(record['head_parameters'])} of them in the head"
    print_facts(
        [
            ("model", facts.name),
            ("what", facts.summary),
            ("source", facts.source),
            ("parameters", sizes),
            ("counted for", f"vectors of {thousands(record['dim'])} numbers, context {record['context']}"),
        ]
    )
    line()
    columns = [Column("option"), Column("value"), Column("allowed", drop=2), Column("meaning", shrinks=True)]
    rows = [
        [f"model.{name}", str(option["value"]), option["allowed"], option["meaning"]]
        for name, option in record["options"].items()
    ]
    print_table(columns, rows)
