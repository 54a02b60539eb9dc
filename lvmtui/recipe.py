"""The phase recipe: what a run trains on, what it trains, how, and when it stops.

A recipe is a TOML file with the sections below. `load` finds it by name, applies `key=value` overrides and
refuses what is wrong with the field, the allowed range and the nearest right name.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from lvmtui.errors import RecipeError

Metric = Literal["hit1", "hit5", "hit10", "mrr"]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class DataSection(Section):
    """What the model sees."""

    path: str = Field("demo", min_length=1, description="folder of a vector set, or `demo`")
    context: int = Field(100, ge=1, le=100_000, description="vectors before the predicted one")
    stride: int = Field(0, ge=0, le=100_000, description="vectors between two windows; 0: half the context")
    within_document: bool = Field(False, description="contexts never cross into an earlier document")


class ModelSection(Section):
    """What is trained."""

    name: Literal["gru", "memory_gru"] = Field("memory_gru", description="architecture")
    hidden: int = Field(512, ge=8, le=8192, description="width of the recurrent layers")
    layers: int = Field(4, ge=1, le=64, description="recurrent layers")
    slots: int = Field(16, ge=1, le=1024, description="memory slots (memory_gru)")
    chunk: int = Field(50, ge=1, le=10_000, description="vectors between two memory writes (memory_gru)")
    dropout: float = Field(0.0, ge=0.0, lt=1.0, description="dropout between layers")
    head: Literal["composer", "residual", "delta"] = Field(
        "composer", description="output: composer, plain residual, published unit-norm delta"
    )
    start: Literal["tuned", "copy-last"] = Field(
        "tuned", description="composer's start: at the tuned baseline, or at copying the last vector"
    )


class LossSection(Section):
    """What training minimises."""

    name: Literal["nce", "published"] = Field(
        "nce", description="nce: against a bank of training vectors; published: cosine + alpha x InfoNCE"
    )
    bank: int = Field(2048, ge=1, le=1_000_000, description="negatives drawn from the bank (nce)")
    temperature: float = Field(0.07, gt=0.0, le=10.0, description="softmax temperature (start, if learnt)")
    learn_temperature: bool = Field(True, description="learn the temperature (nce)")
    alpha: float = Field(0.03, ge=0.0, le=100.0, description="weight of in-batch InfoNCE (published)")
    cosine: float = Field(0.0, ge=0.0, le=1.0, description="weight of the cosine term (nce)")


class TrainSection(Section):
    """How it is trained."""

    epochs: int = Field(50, ge=1, le=100_000, description="epochs at most")
    batch: int = Field(8, ge=1, le=65_536, description="windows in one forward pass")
    accumulation: int = Field(32, ge=1, le=65_536, description="forward passes in one optimiser step")
    steps_per_epoch: int = Field(
        0, ge=0, le=1_000_000, description="optimiser steps between evaluations; 0: one pass over the data"
    )
    positions: Literal["all", "last"] = Field("all", description="positions of a window that are supervised")
    lr: float = Field(1e-4, gt=0.0, le=10.0, description="peak learning rate")
    weight_decay: float = Field(1e-4, ge=0.0, le=10.0, description="AdamW weight decay")
    warmup: float = Field(0.05, ge=0.0, lt=1.0, description="share of all steps spent warming up")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="learning rate after the warm-up")
    clip: float = Field(1.0, ge=0.0, le=1e6, description="gradient norm at most; 0: no clipping")
    ema: float = Field(0.0, ge=0.0, lt=1.0, description="decay of the averaged weights; 0: none")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of weights, order and sampling")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads; 0: torch decides")
    device: Literal["auto", "cuda", "mps", "cpu"] = Field("auto", description="where to train")


class EvaluateSection(Section):
    """How it is judged."""

    protocol: Literal["doc-v1", "window-v0"] = Field(
        "doc-v1", description="evaluation protocol; window-v0: legacy, leaks, not comparable"
    )
    every: int = Field(1, ge=1, le=1000, description="epochs between evaluations")
    split_seed: int = Field(0, ge=0, le=2**31 - 1, description="seed of the document split")


class StopSection(Section):
    """When training ends before its last epoch."""

    metric: Metric = Field("hit5", description="metric on validation that must improve")
    patience: int = Field(3, ge=1, le=10_000, description="evaluations without a gain before stopping")
    min_delta: float = Field(0.0, ge=0.0, le=1.0, description="least gain that counts, as a fraction")
    min_steps: int = Field(0, ge=0, le=100_000_000, description="optimiser steps before patience counts")


Share = Annotated[float, Field(ge=0.0, le=1.0)]


class TargetsSection(Section):
    """The scores that the phase wants to reach; fractions."""

    hit1: Share | None = Field(None, description="target Hit@1")
    hit5: Share | None = Field(None, description="target Hit@5")
    hit10: Share | None = Field(None, description="target Hit@10")


class Recipe(Section):
    """One phase."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="name of the phase")
    description: str = Field("", max_length=2000, description="what the phase is for")
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    loss: LossSection = LossSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    stop: StopSection = StopSection()
    targets: TargetsSection = TargetsSection()

    @model_validator(mode="after")
    def _check_combinations(self) -> "Recipe":
        if self.loss.name == "published" and self.loss.alpha > 0 and self.train.batch < 2:
            raise ValueError("loss.name = published with alpha > 0 needs train.batch of at least 2")
        if self.evaluate.protocol == "window-v0" and self.data.within_document:
            raise ValueError("evaluate.protocol = window-v0 needs data.within_document = false")
        return self

    def to_json(self) -> str:
        """The whole resolved recipe, keys sorted."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @property
    def hash(self) -> str:
        """12 hexadecimal digits over everything that decides the result, the seed aside: runs with the same
        hash are seeds of one recipe."""
        values = self.model_dump(mode="json")
        del values["description"], values["train"]["seed"], values["targets"]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]

    def target_scores(self) -> dict[str, float]:
        """The targets that are set."""
        return {name: value for name, value in self.targets.model_dump().items() if value is not None}


SECTIONS: dict[str, type[Section]] = {
    name: info.annotation
    for name, info in Recipe.model_fields.items()
    if isinstance(info.annotation, type) and issubclass(info.annotation, Section)
}
"""Section name -> its model, in the order of the file."""


def field_names() -> list[str]:
    """Dotted names of everything that can be overridden: `train.lr`, …"""
    return [f"{section}.{name}" for section, model in SECTIONS.items() for name in model.model_fields]


def field_info(dotted: str) -> FieldInfo:
    """The declaration of a field by its dotted name."""
    section, _, name = dotted.partition(".")
    return SECTIONS[section].model_fields[name]


def allowed(dotted: str) -> str:
    """The values a field takes, in words: `0 < value <= 10`, `gru | memory_gru`, …"""
    info = field_info(dotted)
    annotation = info.annotation
    options = list(_literals(annotation))
    if options:
        return " | ".join(options)
    if annotation is bool:
        return "true | false"
    bounds = {type(item).__name__: item for item in _constraints(info)}
    low = next((f"{v} {s} " for k, s, v in _low(bounds) if k in bounds), "")
    high = next((f" {s} {v}" for k, s, v in _high(bounds) if k in bounds), "")
    kind = {int: "integer", float: "number", str: "text"}.get(_plain(annotation), "value")
    return f"{low}{kind}{high}"


def _low(bounds: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        ("Ge", "<=", getattr(bounds.get("Ge"), "ge", None)),
        ("Gt", "<", getattr(bounds.get("Gt"), "gt", None)),
    ]


def _high(bounds: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    return [
        ("Le", "<=", getattr(bounds.get("Le"), "le", None)),
        ("Lt", "<", getattr(bounds.get("Lt"), "lt", None)),
    ]


def _constraints(info: FieldInfo) -> Iterator[Any]:
    yield from info.metadata
    for part in (info.annotation, *get_args(info.annotation)):
        for item in getattr(part, "__metadata__", ()):
            yield from getattr(item, "metadata", (item,))


def _plain(annotation: Any) -> Any:
    """The simple type behind `X | None` and `Annotated`."""
    if get_origin(annotation) in {Union, UnionType}:
        return _plain(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    return annotation


def _literals(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))


def full_name(key: str) -> str:
    """The dotted name for what a user typed: `lr` is `train.lr` when only one section has it.

    Raises:
        RecipeError: unknown or ambiguous; the hint names the nearest right ones.
    """
    names = field_names()
    if key == "data":
        return "data.path"
    if key in names:
        return key
    matches = [name for name in names if name.partition(".")[2] == key]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise RecipeError(f"{key!r} is in several sections", f"Write {' or '.join(matches)}.")
    raise RecipeError(f"there is no field {key!r} in a recipe", _nearest(key, names))


_OTHER_NAMES = {
    "learning_rate": "train.lr",
    "batch_size": "train.batch",
    "weight_decay": "train.weight_decay",
    "accumulation_steps": "train.accumulation",
    "max_epochs": "train.epochs",
    "context_length": "data.context",
    "hidden_size": "model.hidden",
    "num_layers": "model.layers",
    "warmup_ratio": "train.warmup",
    "grad_clip": "train.clip",
}
"""What other tools call our fields."""


def _nearest(key: str, names: Iterable[str]) -> str:
    candidates = list(names)
    other = _OTHER_NAMES.get(key.rpartition(".")[2])
    if other:
        return f"Did you mean {other}?"
    by_leaf = {name.rpartition(".")[2]: name for name in candidates}
    close = difflib.get_close_matches(key, [*candidates, *by_leaf], n=1, cutoff=0.5)
    if close:
        return f"Did you mean {by_leaf.get(close[0], close[0])}?"
    return f"Known: {', '.join(candidates)}."


def parse_overrides(items: Iterable[str]) -> dict[str, str]:
    """`key=value` texts as dotted name -> value text.

    Raises:
        RecipeError: no `=`, or an unknown key.
    """
    overrides: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals or not key.strip():
            raise RecipeError(f"{item!r} is not of the form key=value", "For example: -o train.lr=0.0005")
        overrides[full_name(key.strip())] = value.strip()
    return overrides


def _value(dotted: str, text: str) -> Any:
    """The typed value behind an override's text; what cannot be read is left for validation to refuse."""
    kind = _plain(field_info(dotted).annotation)
    if text.lower() in {"none", ""} and field_info(dotted).default is None:
        return None
    if kind is bool:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            text.lower(), text
        )
    if kind is str or _literals_of(dotted):
        return text
    try:
        return int(text.replace("_", "")) if kind is int else float(text)
    except ValueError:
        return text


def _literals_of(dotted: str) -> list[str]:
    return list(_literals(field_info(dotted).annotation))


def build(values: Mapping[str, Any], overrides: Mapping[str, str] | None = None, source: str = "") -> Recipe:
    """Validate a recipe's values with overrides on top.

    Args:
        values: the TOML document.
        overrides: dotted name -> value text.
        source: where the values come from, for messages.

    Raises:
        RecipeError: the first wrong field, what it allows, and the nearest right name.
    """
    merged: dict[str, Any] = {
        key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()
    }
    for dotted, text in (overrides or {}).items():
        section, _, name = dotted.partition(".")
        target = merged.setdefault(section, {})
        if isinstance(target, dict):
            target[name] = _value(dotted, text)
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise _explain(error, source) from error


def _explain(error: ValidationError, source: str) -> RecipeError:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    dotted = ".".join(path)
    place = f" in {source}" if source else ""
    if first["type"] == "extra_forbidden":
        known = field_names() + list(Recipe.model_fields)
        return RecipeError(f"unknown field {dotted!r}{place}", _nearest(dotted, known))
    if not path:
        return RecipeError(f"{first['msg'].removeprefix('Value error, ')}{place}")
    if first["type"] == "missing":
        return RecipeError(f"{dotted!r} is missing{place}", f"Add `{path[-1]} = …` to it.")
    hint = f"{dotted} is: {allowed(dotted)}" if dotted in field_names() else first["msg"]
    if dotted in field_names():
        hint += f" ({field_info(dotted).description})."
        close = difflib.get_close_matches(str(first["input"]), _literals_of(dotted), n=1)
        if close:
            hint += f" Did you mean {close[0]}?"
    return RecipeError(f"{dotted} = {first['input']!r} is not allowed{place}", hint)


def shipped_dir() -> Path:
    """Where the shipped recipes are: beside this package. Asking the import system could find a folder named
    `engine` of the user's."""
    return Path(__file__).resolve().parents[1] / "engine" / "phases"


def user_dir() -> Path:
    """Where a project's own recipes are."""
    return Path.cwd() / "phases"


def recipe_files() -> dict[str, Path]:
    """Phase name -> file: the shipped ones, and those in `./phases`, which win."""
    files: dict[str, Path] = {}
    for folder in (shipped_dir(), user_dir()):
        if folder.is_dir():
            files |= {path.stem: path for path in sorted(folder.glob("*.toml"))}
    return files


def load(phase: str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """The recipe of a phase by name, or of a `.toml` file by path, with overrides.

    Raises:
        RecipeError: unknown phase, unreadable file, wrong field.
    """
    if phase.endswith(".toml"):
        return load_file(Path(phase), overrides)
    files = recipe_files()
    if phase not in files:
        close = difflib.get_close_matches(phase, files, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise RecipeError(f"there is no phase {phase!r}", f"{hint}Known: {', '.join(files)}.")
    return load_file(files[phase], overrides)


def load_file(path: Path, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Read one recipe file; its name defaults to the file's.

    Raises:
        RecipeError: unreadable, no TOML, wrong field.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    values.setdefault("name", path.stem)
    return build(values, overrides, source=str(path))


def from_json(text: str) -> Recipe:
    """A recipe as the store keeps it.

    Raises:
        RecipeError: it does not fit this version's recipe.
    """
    try:
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        raise _explain(error, "the stored recipe") from error


def differences(first: Recipe, second: Recipe) -> dict[str, tuple[str, str]]:
    """Dotted field -> its two values, for the fields that differ."""
    result: dict[str, tuple[str, str]] = {}
    for dotted in field_names():
        section, _, name = dotted.partition(".")
        values = [getattr(getattr(recipe, section), name) for recipe in (first, second)]
        if values[0] != values[1]:
            result[dotted] = (str(values[0]), str(values[1]))
    return result
