"""What must be there before a run can be made: packages, and data that the recipe fits.

numpy is loaded only where there is a vector set to look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lvmtui import format as fmt
from lvmtui.errors import DataError, MissingDependency, RecipeError
from lvmtui.splits import (
    Blocks,
    check_stream,
    deal_documents,
    document_starts,
    no_documents,
    random_window_counts,
    too_short,
    window_stride,
    windows_of_a_pass,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lvmtui.recipe import Recipe

TRAIN_PACKAGES = {"torch": "torch", "safetensors": "safetensors", "sklearn": "scikit-learn"}
"""What the extra `train` brings: import name -> name of the distribution."""

INSTALL_TRAIN = "Install it with: pip install 'lvmtui[train]'"

DEMO = "demo"
"""What a recipe calls the built-in data, which the engine makes on first use."""

DEMO_DIM = 768
"""Numbers in its vectors."""

_BUILD = "Build one with `lvmtui data build TEXTFILES… --out DIR`, or use the built-in set: -o data=demo"


def missing_train_packages() -> list[str]:
    """What of the extra `train` is not installed."""
    return [name for module, name in TRAIN_PACKAGES.items() if find_spec(module) is None]


def require_train() -> None:
    """Refuse to go on without the extra `train`.

    Raises:
        MissingDependency: with the line that installs it.
    """
    missing = missing_train_packages()
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingDependency(
            f"training needs {' and '.join(missing)}, which {verb} not installed", INSTALL_TRAIN
        )


@dataclass(frozen=True, eq=False)
class SetFacts:
    """What the headers and document ids of a vector set say, without reading a vector."""

    path: Path
    vectors: int
    dim: int
    documents: NDArray[np.int64] | None
    """(N,) document of each vector; None where there are none."""
    has_lanes: bool


def set_facts(path: str) -> SetFacts | None:
    """Look at a vector set from outside; None for demo data that are not there yet.

    Raises:
        DataError: it is missing, or its files are no arrays of the right shapes.
    """
    folder = _demo_folder() if path == DEMO else _folder(path)
    if folder is None:
        return None
    vectors = _array(folder / "vectors.npy")
    if vectors.ndim != 2 or vectors.dtype.kind != "f":
        raise DataError(
            f"{folder / 'vectors.npy'} holds {vectors.dtype} of the shape {vectors.shape} where (vectors, "
            "numbers in a vector) of float16 or float32 is needed",
            "One row a vector.",
        )
    documents = None
    if (folder / "documents.npy").is_file():
        documents = _array(folder / "documents.npy")
        if documents.shape != vectors.shape[:1] or documents.dtype.kind not in "iu":
            raise DataError(
                f"{folder / 'documents.npy'} holds {documents.dtype} of the shape {documents.shape} for "
                f"{len(vectors)} vectors",
                "It must hold one document id, a whole number, for each vector.",
            )
    has_lanes = (folder / "lanes.npy").is_file()
    return SetFacts(folder, len(vectors), int(vectors.shape[1]), documents, has_lanes)


def _folder(path: str) -> Path:
    folder = Path(path).expanduser()
    if not folder.is_dir():
        what = "is a file, not the folder of a vector set" if folder.exists() else "does not exist"
        raise DataError(f"the vector set {folder} {what}", _BUILD)
    if not (folder / "vectors.npy").is_file():
        raise DataError(f"the vector set {folder} has no vectors.npy", _BUILD)
    return folder


def _demo_folder() -> Path | None:
    """Where the engine keeps the demo data of this Python; None while they are not there."""
    import platform

    import platformdirs

    cache = Path(platformdirs.user_cache_dir("lvmtui"))
    found = [path.parent for path in cache.glob(f"demo-{platform.python_version()}-*/vectors.npy")]
    # Of several, from other versions of lvmtui, it cannot be told which is ours: the engine looks itself.
    return found[0] if len(found) == 1 else None


def _array(path: Path) -> NDArray[np.int64]:
    """An array in a file, mapped: nothing but its header is read."""
    import numpy as np

    try:
        array: NDArray[np.int64] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, SyntaxError, TypeError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} cannot be read as an array: {reason}", "Copy or build it again.") from error
    return array


def check_recipe(recipe: Recipe) -> SetFacts | None:
    """See that a recipe's data are there and fit it, before a process is started; the engine looks inside.

    Returns:
        The facts of its vector set; None for demo data that are not there yet.

    Raises:
        DataError: the set is missing or no vector set; the context is longer than the data, the batch larger
            than the windows there are, or the lanes that are asked for are missing.
        RecipeError: the model is larger than the memory.
    """
    facts = set_facts(recipe.data.path)
    if recipe.data.lanes == "given" and facts is not None and not facts.has_lanes:
        raise DataError(
            f"data.lanes = given, but {facts.path} has no lanes.npy",
            "Add it, with a number from 0 for each vector, or set data.lanes = auto: then 16 clusters of the "
            "training vectors are used.",
        )
    if facts is not None:
        _check_batch(recipe, _windows(recipe, facts))
    _check_memory(recipe, DEMO_DIM if facts is None else facts.dim)
    return facts


_BYTES_A_PARAMETER = 16
"""Of a parameter in training: itself, its gradient and two moments of AdamW, in fp32."""


def _check_memory(recipe: Recipe, dim: int) -> None:
    """Refuse a model whose parameters alone fill the memory; activations come on top and are not counted.

    With a device other than the processor the memory that counts is not known here.
    """
    if recipe.train.device in {"cuda", "mps"}:
        return
    import psutil

    from lvmtui.architectures import parameters

    count = parameters(recipe.model, dim=dim, context=recipe.data.context)
    needed, there = count * _BYTES_A_PARAMETER, psutil.virtual_memory().total
    if needed > there:
        raise RecipeError(
            f"a {recipe.model.name} of {fmt.count(count)} parameters takes {fmt.size(needed)} to train, "
            f"activations aside; this machine has {fmt.size(there)} of memory",
            "Lower model.hidden or model.layers; `lvmtui models NAME -o …` counts the parameters beforehand.",
        )


def _windows(recipe: Recipe, facts: SetFacts) -> int:
    """How many different windows an epoch can have.

    Raises:
        DataError: none.
    """
    data = recipe.data
    stride = window_stride(data.context, data.stride)
    if recipe.evaluate.protocol == "window-v0":
        counts = random_window_counts(facts.path, facts.vectors, context=data.context, stride=stride)
        return counts["train"]
    import numpy as np

    lengths = _train_lengths(recipe, facts)
    choices = (lengths if data.within_document else lengths.sum(keepdims=True)) - data.context
    if choices.max() < 1:
        largest = int(choices.max()) + data.context - 1
        raise too_short("train", data.context, largest, within_document=data.within_document)
    if recipe.train.steps_per_epoch:
        return int(np.maximum(choices, 0).sum())
    return int(windows_of_a_pass(choices[choices > 0], stride).sum())


def _train_lengths(recipe: Recipe, facts: SetFacts) -> NDArray[np.int64]:
    """Vectors in each training document, or in the one training block."""
    import numpy as np

    if facts.documents is None:
        check_stream(facts.path, facts.vectors)
        if recipe.data.within_document:
            raise no_documents(facts.path)
        blocks = Blocks.of(facts.vectors)
        blocks.check_context(facts.path, recipe.data.context)
        return np.array([blocks.train], np.int64)
    stored = facts.documents
    starts = document_starts(stored)
    ids = stored[starts].tolist()
    train = set(deal_documents(facts.path, ids, recipe.evaluate.split_seed)["train"])
    lengths = np.diff(starts, append=len(stored))
    return lengths[[document in train for document in ids]]


def _check_batch(recipe: Recipe, windows: int) -> None:
    if recipe.train.batch <= windows:
        return
    have = "1 window" if windows == 1 else f"{windows} windows"
    hint = f"Set train.batch to {windows} at most, or shorten data.context"
    if recipe.evaluate.protocol == "window-v0" or not recipe.train.steps_per_epoch:
        hint += " or data.stride, which gives more windows"
    raise DataError(
        f"train.batch = {recipe.train.batch} is larger than the {have} of {recipe.data.context} + 1 vectors "
        "that there are to train on",
        f"{hint}.",
    )
