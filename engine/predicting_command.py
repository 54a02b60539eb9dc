"""`lvmtui predict`: what comes after some vectors, as a trained run sees it."""

import argparse
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.data.command import guarded, write_json, write_lines
from engine.data.locate import resolve_data
from engine.data.npy import ArrayFile
from engine.data.progress import Progress, terminal_progress
from engine.data.vectors import VectorSet, open_vectors
from engine.judging_command import needing_torch
from lvmtui.errors import DataError, UsageError
from lvmtui.latencies import PRECISIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.infer import Hits, Predictor
    from lvmtui.store.records import Checkpoint, Run

_TEXT = 100
"""Characters of a text that are shown in a line."""


def main(argv: list[str]) -> int:
    """Run `predict`.

    Args:
        argv: what stands after it.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    asked = _parser().parse_args(argv)
    return guarded(lambda: _predict(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -P -m engine predict", description="Predict the vector after a context."
    )
    parser.add_argument("run_id", type=int, metavar="RUN_ID", help="number of a run")
    parser.add_argument("--store", required=True, metavar="URL", help="path or URL of the run store")
    parser.add_argument("--context", required=True, metavar="FILE", help=".npy file (T, D), or a vector set")
    parser.add_argument("--last", type=int, metavar="N", help="of the context, its last N vectors")
    parser.add_argument("--pool", metavar="DIR|FILE", help="what to search; default: the run's vector set")
    parser.add_argument("--top", type=int, default=10, metavar="K", help="nearest vectors (default: 10)")
    parser.add_argument(
        "--include-context", action="store_true", help="vectors of the context are candidates, too"
    )
    parser.add_argument(
        "--checkpoint", choices=("best", "last", "champion"), default="best", help="default: best"
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="cpu", help="default: cpu"
    )
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="default: fp32")
    parser.add_argument("--json", action="store_true", help="print JSON, the predicted vector included")
    return parser


@dataclass(frozen=True, eq=False)
class _Predicted:
    """What came of it."""

    run: "Run"
    checkpoint: "Checkpoint"
    predictor: "Predictor"
    context: int
    """Vectors that were predicted from."""
    prediction: list[float]
    hits: "Hits"
    pool: VectorSet | None
    """The vector set that was searched; None for a bare file."""

    def rows(self) -> list[dict[str, Any]]:
        """The nearest vectors, best first."""
        found = []
        for rank, (score, row) in enumerate(zip(*(part.tolist() for part in self.hits), strict=True), 1):
            known = self.pool is not None and self.pool.has_documents
            found.append(
                {
                    "rank": rank,
                    "score": score,
                    "row": row,
                    "document": int(self.pool.documents[row]) if self.pool is not None and known else None,
                    "text": self.pool.texts(row) if self.pool is not None else None,
                }
            )
        return found


def _predict(arguments: argparse.Namespace) -> None:
    if arguments.top < 1 or (arguments.last is not None and arguments.last < 1):
        raise UsageError("--top and --last must be at least 1")
    with terminal_progress() as progress, needing_torch("predicting"):
        predicted = _predicted(arguments, progress)
    if arguments.json:
        write_json(_record(predicted))
    else:
        write_lines(_lines(predicted))


def _predicted(arguments: argparse.Namespace, progress: Progress) -> _Predicted:
    import torch

    from engine.infer import Pool, find_checkpoint, load
    from lvmtui.store.database import Database
    from lvmtui.store.reader import Reader

    with closing(Database.open(arguments.store, create=False, read_only=True)) as database:
        reader = Reader(database)
        run = reader.run(arguments.run_id)
        row = find_checkpoint(reader, run, arguments.checkpoint)
        path = database.location.root / row.path
    predictor = load(path, sha256=row.sha256, device=arguments.device, precision=arguments.precision)
    context = _sequence(arguments.context, arguments.last, progress)
    progress("predicting", 0, 0)
    prediction = predictor.predict(context)
    data, vectors = _vectors(arguments.pool or predictor.recipe.data.path, progress)
    pool = Pool(vectors)
    if pool.dim != context.shape[1]:
        raise DataError(
            f"the pool has vectors of {pool.dim} numbers, the prediction has {context.shape[1]}",
            "Search vectors of the encoder that the training vectors come from.",
        )
    progress("searching", 0, 0)
    seen = None
    if not arguments.include_context:
        seen = torch.zeros(len(pool), dtype=torch.bool)
        seen[pool.find(context)] = True
        if seen.all():
            raise DataError(
                f"all {len(pool)} vectors of the pool stand in the context: none is left to find",
                "Give --last N for a shorter context, a larger --pool, or --include-context.",
            )
    hits = pool.search(prediction, arguments.top, exclude=seen)
    return _Predicted(run, row, predictor, len(context), prediction.tolist(), hits, data)


def _sequence(place: str, last: int | None, progress: Progress) -> "NDArray[np.generic]":
    """A context, (T, D); a file with one vector is a context of one.

    Raises:
        DataError: there is none.
    """
    _, context = _vectors(place, progress)
    if context.ndim not in (1, 2):
        raise DataError(
            f"{place} has the shape {context.shape} where (vectors, numbers in a vector) is needed",
            "Predict one sequence at a time.",
        )
    context = context.reshape(1, -1) if context.ndim == 1 else context
    return context[-last:] if last else context


def _vectors(place: str, progress: Progress) -> tuple[VectorSet | None, "NDArray[np.generic]"]:
    """The vectors of a vector set, or of a `.npy` file: mapped, nothing in it is unpickled.

    Raises:
        DataError: there are none.
    """
    if place.endswith(".npy"):
        return None, ArrayFile.open(Path(place).expanduser()).map()
    data = resolve_data(place, progress) if place == "demo" else open_vectors(Path(place), progress)
    return data, data.vectors


def _lines(predicted: _Predicted) -> list[str]:
    run, recipe = predicted.run, predicted.predictor.recipe
    searched = "the file" if predicted.pool is None else str(predicted.pool.path)
    lines = [
        f"{run.name}, checkpoint of epoch {predicted.checkpoint.epoch}: what comes after "
        f"{predicted.context} vectors, nearest in {searched}",
        *(f"! {note}" for note in predicted.predictor.notes),
    ]
    if predicted.context > recipe.data.context:
        lines.append(
            f"! trained on contexts of {recipe.data.context}: what a longer one adds was never judged"
        )
    rows = predicted.rows()
    width = max(len(str(row["row"])) for row in rows)
    for row in rows:
        document = "" if row["document"] is None else f"  document {row['document']}"
        text = "" if row["text"] is None else f"  {_short(row['text'])}"
        lines.append(f"{row['rank']:>4}  {row['score']:.4f}  row {row['row']:>{width}}{document}{text}")
    return lines


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _TEXT else f"{flat[: _TEXT - 1]}…"


def _record(predicted: _Predicted) -> dict[str, Any]:
    predictor = predicted.predictor
    return {
        "run": predicted.run.name,
        "run_id": predicted.run.id,
        "checkpoint": predicted.checkpoint.path,
        "epoch": predicted.checkpoint.epoch,
        "context": predicted.context,
        "trained_context": predictor.context,
        "device": predictor.device.type,
        "precision": predictor.precision,
        "notes": list(predictor.notes),
        "pool": None if predicted.pool is None else str(predicted.pool.path),
        "top": predicted.rows(),
        "prediction": predicted.prediction,
    }
