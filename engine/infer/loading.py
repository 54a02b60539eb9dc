"""From a checkpoint file, or a run of a store, to a predictor."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import ValidationError
from torch import Tensor

from engine import checkpoint
from engine.device import choose_device
from engine.infer.precision import prepare
from engine.infer.predictor import Predictor
from engine.judged import checkpoint_of
from engine.models import ComposerStart, NextVectorModel, build_model
from engine.probe import check_probe
from lvmtui.errors import CheckpointError, RecipeError
from lvmtui.latencies import Precision
from lvmtui.recipe import Recipe
from lvmtui.store.database import Database
from lvmtui.store.reader import Reader
from lvmtui.store.records import Checkpoint, Run

Which = Literal["best", "last", "champion"] | int
"""A checkpoint of a run: best, last, promoted as champion, or by its id."""

_NEEDED = ("identity", "probe", "learner/model", "learner/ema")
_AVERAGE = "weight."
"""What stands before a parameter's name in the averaged weights."""


def load(
    path: str | Path,
    *,
    sha256: str | None = None,
    device: str = "cpu",
    precision: Precision = "fp32",
    threads: int | None = None,
) -> Predictor:
    """The model of a checkpoint file, as it was judged: with averaged weights where training kept them.

    Nothing but the file is needed: the recipe is in it. Before it is moved or converted the model is built in
    float32 on the CPU and has to give the predictions that the file carries (`engine.probe`); a file without
    them gets a note.

    Args:
        path: a `.safetensors` file that a run wrote.
        sha256: what its hash has to be.
        device: `cpu`, `cuda`, `mps`, or `auto`.
        precision: of the arithmetic, see `engine.infer.precision`; int8 on the CPU only.
        threads: CPU threads, for the whole process; None leaves them as they are.

    Raises:
        CheckpointError: missing, damaged, written by another program, or its model cannot be built here.
        TrainingError: there is no such device.
    """
    path = Path(path)
    if threads is not None:
        torch.set_num_threads(threads)
    place = choose_device(device)
    state = checkpoint.load(path, sha256, only=_NEEDED)
    recipe = recipe_of(state, path)
    model = build_from(state, recipe, path)
    deviation = check_probe(model, state.get("probe"), path)
    unprobed = f"{path.name} carries no probe: what it predicts was not checked"
    return Predictor(
        prepare(model.to(place), precision),
        recipe,
        dim=_dim(state, path),
        device=place,
        precision=precision,
        notes=() if deviation is not None else (unprobed,),
    )


def load_run(
    store: str | Path,
    run_id: int,
    which: Which = "best",
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    threads: int | None = None,
) -> Predictor:
    """The model of a run's checkpoint; the other arguments are those of `load`.

    Args:
        store: path or URL of the run store.
        run_id: number of the run.
        which: `best`, `last`, `champion` (what of this run was promoted last), or a checkpoint's id.

    Raises:
        StoreError: the store cannot be read.
        RunNotFound: there is no such run.
        IllegalTransition: it has not begun to train.
        CheckpointError: there is no such checkpoint, or as for `load`.
    """
    database = Database.open(str(store), create=False, read_only=True)
    try:
        reader = Reader(database)
        row = find_checkpoint(reader, reader.run(run_id), which)
        path = database.location.root / row.path
    finally:
        database.close()
    return load(path, sha256=row.sha256, device=device, precision=precision, threads=threads)


def find_checkpoint(reader: Reader, run: Run, which: Which) -> Checkpoint:
    """The row of a run's checkpoint.

    Raises:
        IllegalTransition: the run has not begun to train.
        CheckpointError: there is no such checkpoint.
    """
    if which != "champion":
        return checkpoint_of(reader, run, which)
    promoted = [item.checkpoint_id for item in reader.promotions() if item.run_id == run.id]
    if not promoted:
        raise CheckpointError(f"{run.name} was never promoted", "Take its best checkpoint, or promote it.")
    return checkpoint_of(reader, run, promoted[-1])


def recipe_of(state: Mapping[str, Any], source: object) -> Recipe:
    """The recipe in a checkpoint's state.

    Raises:
        CheckpointError: there is none, or this version does not know what it asks for.
    """
    try:
        return Recipe.model_validate(state["identity"]["recipe"])
    except (KeyError, TypeError) as error:
        raise _foreign(source, "it has no recipe") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _foreign(source, f"its recipe does not fit: {field}: {first['msg']}") from error


def build_from(state: Mapping[str, Any], recipe: Recipe, source: object) -> NextVectorModel:
    """The model in a checkpoint's state, on the CPU, in evaluation mode, with averaged weights if there are
    any. Torch's generator stays where it is.

    Raises:
        CheckpointError: the weights are not those of the recipe's model.
    """
    weights = _weights(state, source)
    dim = _dim(state, source)
    _refuse_shapes(_skeleton(recipe, dim, source), weights, source)
    with torch.random.fork_rng(devices=[]):
        model = _build(recipe, dim, source)
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _weights(state: Mapping[str, Any], source: object) -> dict[str, Tensor]:
    try:
        weights = dict(state["learner"]["model"])
        average = state["learner"].get("ema") or {}
        weights |= {
            name.removeprefix(_AVERAGE): value for name, value in average.items() if name.startswith(_AVERAGE)
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise _foreign(source, "it has no weights") from error
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise _foreign(source, "it has no weights")
    wrong = [
        name for name, value in weights.items() if value.is_floating_point() and not value.isfinite().all()
    ]
    if wrong:
        raise CheckpointError(
            f"{source} holds weights that are not finite: {', '.join(sorted(wrong)[:3])}",
            "Training had diverged when it was written: take an earlier checkpoint.",
        )
    return weights


def _dim(state: Mapping[str, Any], source: object) -> int:
    """Numbers in a vector: of the probe's predictions, or, without a probe, of what the head adds to them."""
    probe = state.get("probe")
    known = probe.get("predictions") if isinstance(probe, Mapping) else None
    if isinstance(known, Tensor) and known.ndim == 2:
        return int(known.shape[1])
    weights = state["learner"]["model"]
    for name in ("head.correction.weight", "head.delta.weight", "head.output_shift", "head.centre"):
        if name in weights and weights[name].ndim > 0:
            return int(weights[name].shape[0])
    raise _foreign(source, "nothing in it tells how long its vectors are")


def _skeleton(recipe: Recipe, dim: int, source: object) -> NextVectorModel | None:
    """The recipe's model without memory behind its weights, so that a file of a few bytes cannot ask for
    gigabytes; None for a model that cannot be made so."""
    try:
        with torch.device("meta"):
            return _build(recipe, dim, source)
    except (NotImplementedError, RuntimeError):
        return None


def _build(recipe: Recipe, dim: int, source: object) -> NextVectorModel:
    # Whatever a composer starts at is in the checkpoint, too.
    start = ComposerStart.copy_last(torch.zeros(dim))
    try:
        return build_model(recipe.model, dim=dim, context=recipe.data.context, start=start)
    except RecipeError as error:
        raise _foreign(source, error.message) from error


def _refuse_shapes(model: NextVectorModel | None, weights: Mapping[str, Tensor], source: object) -> None:
    if model is None:
        return
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if expected == found:
        return
    wrong = sorted({name for name, _ in expected.items() ^ found.items()})
    words = "; ".join(
        f"{name} is {found.get(name, 'not there')}, the recipe's {expected.get(name, 'has none')}"
        for name in wrong[:3]
    )
    raise _foreign(source, f"{len(wrong)} of its weights are not those of its recipe's model: {words}")


def _foreign(source: object, why: str) -> CheckpointError:
    return CheckpointError(
        f"no model can be made of {source}: {why}",
        "Use the version of lvmtui that wrote the file, or give a checkpoint of a run: see `lvmtui show`.",
    )
