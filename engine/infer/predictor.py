"""A trained model that predicts: from a whole context, or one vector after the other."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.infer.checked import all_usable, checked_vectors
from engine.infer.pool import Hits, Pool
from engine.models import NextVectorModel, State, restore_state, state_tensors
from lvmtui.errors import CheckpointError, DataError, TrainingError
from lvmtui.latencies import Precision
from lvmtui.recipe import Recipe

PIECE = 512
"""Vectors of a context that are computed together."""
_STATE = "state."
_LAST = "prediction"
_COUNT = "count"
_SEEN = "seen"


class Predictor:
    """A trained model, ready to predict. `engine.infer.load` makes one."""

    def __init__(
        self,
        model: NextVectorModel,
        recipe: Recipe,
        *,
        dim: int,
        device: torch.device,
        precision: Precision = "fp32",
        notes: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        """The model as it predicts: it keeps the contract of every model, whatever the precision."""
        self.recipe = recipe
        self.dim = dim
        """Numbers in a vector."""
        self.device = device
        self.precision = precision
        self.notes = notes
        """What a user should know about how it was loaded."""

    @property
    def context(self) -> int:
        """Vectors before a prediction in training."""
        return self.recipe.data.context

    def predict(self, context: Any) -> Tensor:
        """Predict the vector after a context.

        All of the context counts, oldest vector first, as if it was pushed into a `Session`. One longer than
        `self.context` is allowed and is computed in pieces of bounded memory; the model then stands where it
        never stood in training, and a model with a window (the composer, a transformer) sees the end alone.

        Args:
            context: (T, D) or (B, T, D), T >= 1, numpy array or tensor.

        Returns:
            (D,) or (B, D), float32 at unit length, on the CPU.

        Raises:
            DataError: the context is of another shape, empty, or has a vector that is zero or not finite.
        """
        x = checked_vectors(context, self.dim, "the context", shapes=(2, 3))
        last = torch.empty(0)
        for part in self._pieces(x if x.ndim == 3 else x.unsqueeze(0)):
            last = part[:, -1]
        unit = _unit(last).cpu()
        return unit if x.ndim == 3 else unit[0]

    def predictions(self, context: Any) -> Tensor:
        """Predict after every vector of a context: (T, D) or (B, T, D), otherwise as `predict`."""
        x = checked_vectors(context, self.dim, "the context", shapes=(2, 3))
        parts = [_unit(part).cpu() for part in self._pieces(x if x.ndim == 3 else x.unsqueeze(0))]
        every = torch.cat(parts, dim=1)
        return every if x.ndim == 3 else every[0]

    def session(self, pool: Pool | None = None, *, exclude_seen: bool = False) -> "Session":
        """A stream that begins here.

        Args:
            pool: what `Session.top` searches.
            exclude_seen: see `Session`.
        """
        return Session(self, pool, exclude_seen=exclude_seen)

    @torch.inference_mode()
    def _pieces(self, x: Tensor) -> Any:
        state: State | None = None
        for begin in range(0, x.shape[1], PIECE):
            output, state = self.model(x[:, begin : begin + PIECE].to(self.device), state)
            yield output


class Session:
    """A stream of vectors: each push takes the same time and memory, however long the stream is.

    Args:
        predictor: whose model predicts.
        pool: what `top` searches; of the same dimension.
        exclude_seen: as in the protocol `doc-v1`, vectors that were pushed since the document began are no
            candidates. Give their rows to `push`, or they are looked up: every row of the pool that is equal
            to what was pushed (a search more for each push).

    Raises:
        DataError: the pool's vectors have another dimension.
    """

    def __init__(self, predictor: Predictor, pool: Pool | None = None, *, exclude_seen: bool = False) -> None:
        if pool is not None and pool.dim != predictor.dim:
            raise DataError(
                f"the pool's vectors have {pool.dim} numbers, the model's have {predictor.dim}",
                "Take a pool of the encoder that the training vectors come from.",
            )
        self._predictor = predictor
        self._pool = pool
        self._seen = torch.zeros(len(pool), dtype=torch.bool) if pool is not None and exclude_seen else None
        self._state: State | None = None
        self._prediction: Tensor | None = None
        self.count = 0
        """Vectors pushed."""

    @torch.inference_mode()
    def push(self, vector: Any, row: int | None = None) -> Tensor:
        """Take one more vector of the stream, and predict the next.

        Args:
            vector: (D,), numpy array or tensor, any norm above zero.
            row: where it stands in the pool, if it does; of use with `exclude_seen` only.

        Returns:
            The prediction (D,), float32 at unit length, on the CPU.

        Raises:
            DataError: another shape, zero, or not finite.
        """
        x = checked_vectors(vector, self._predictor.dim, "the vector", shapes=(1,))
        output, self._state = self._predictor.model.step(x[None].to(self._predictor.device), self._state)
        self._prediction = _unit(output)[0].cpu()
        self.count += 1
        if self._seen is not None and self._pool is not None:
            self._seen[self._pool.find(x) if row is None else row] = True
        return self._prediction

    def top(self, k: int = 10) -> Hits:
        """The vectors of the pool nearest to the prediction after the last push: scores and rows, both (k,),
        best first.

        Raises:
            DataError: there is no pool, or nothing was pushed.
        """
        if self._pool is None:
            raise DataError("this session has no pool to search", "Make it with `predictor.session(pool)`.")
        if self._prediction is None:
            raise DataError("nothing was pushed into this session", "Push at least one vector.")
        return self._pool.search(self._prediction, k, exclude=self._seen)

    def begin_document(self) -> None:
        """A document begins: what was pushed before may be predicted again. The context goes on, as it does
        in training."""
        if self._seen is not None:
            self._seen.zero_()

    def save(self) -> dict[str, Tensor]:
        """Where the stream stands, as tensors that safetensors can keep."""
        saved = {_COUNT: torch.tensor(self.count)}
        if self._state is not None and self._prediction is not None:
            saved |= {f"{_STATE}{name}": value.cpu() for name, value in state_tensors(self._state).items()}
            saved[_LAST] = self._prediction.clone()
        if self._seen is not None:
            saved[_SEEN] = self._seen.clone()
        return saved

    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Go on where `save` stood, with the same model and, where vectors seen are excluded, the same pool.

        Raises:
            CheckpointError: it is of another model or pool; the session is as it was.
        """
        state: State | None = None
        try:
            count = int(saved[_COUNT])
            prediction = saved[_LAST] if count else None
            if count:
                tensors = {
                    name.removeprefix(_STATE): value
                    for name, value in saved.items()
                    if name.startswith(_STATE)
                }
                state = restore_state(self._predictor.model, tensors)
            seen = None if self._seen is None else saved[_SEEN].to(torch.bool).clone()
        except (KeyError, ValueError) as error:
            raise _unfitting(str(error)) from error
        if prediction is not None and prediction.shape != (self._predictor.dim,):
            raise _unfitting(f"its prediction has the shape {tuple(prediction.shape)}")
        if seen is not None and self._seen is not None and seen.shape != self._seen.shape:
            raise _unfitting(f"its pool has {len(seen)} vectors")
        self.count, self._state, self._seen = count, state, seen
        self._prediction = None if prediction is None else prediction.clone()


def _unit(output: Tensor) -> Tensor:
    """Predictions at unit length.

    Raises:
        TrainingError: one is zero or not finite.
    """
    output = output.float()
    norms: Tensor = torch.linalg.vector_norm(output, dim=-1, keepdim=True)
    if not all_usable(norms):
        raise TrainingError(
            "the model's prediction is zero or not finite",
            "Take an earlier checkpoint: training may have diverged.",
        )
    return output / norms


def _unfitting(why: str) -> CheckpointError:
    return CheckpointError(
        f"this saved session is of another model or pool: {why}", "Restore it into one made the same way."
    )
