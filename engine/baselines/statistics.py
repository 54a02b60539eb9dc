"""What the baselines know of the training vectors: their mean and their covariance."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from engine.data.split import SplitView
from engine.evaluate import spread
from engine.ranks import gather
from lvmtui.errors import DataError

FLOOR = 1e-3
"""Eigenvalues count as at least this share of the largest."""
COVARIANCE_ROWS = 50_000
"""Training vectors that the covariance is taken from, at most."""
ROWS = 4096
"""Vectors held at once."""


@dataclass(frozen=True)
class Choice:
    """One weighted mean: `C^-g (weighted mean - centre * train mean)`."""

    rate: float
    """Of the exponentially weighted mean; 0 is the plain mean."""
    centre: float = 0.0
    g: float = 0.0


@dataclass
class TrainStatistics:
    """Mean and covariance of the training vectors, computed when first asked for."""

    train: SplitView
    _mean: Tensor | None = None
    _eigen: tuple[Tensor, Tensor] | None = None
    _maps: dict[float, Tensor] = field(default_factory=dict)

    @property
    def mean(self) -> Tensor:
        """(D,) mean of all training vectors, float32."""
        if self._mean is None:
            total = np.zeros(self.train.data.vectors.shape[1])
            for start in range(0, len(self.train), ROWS):
                total += self.train.take(start, min(start + ROWS, len(self.train))).sum(0, dtype=np.float64)
            self._mean = torch.from_numpy(total / len(self.train)).float()
        return self._mean

    def whitening(self, g: float) -> Tensor | None:
        """(D, D) the map C^-g, float32, C scaled to a mean variance of 1 (scores are blind to the scale);
        None for g = 0.

        Raises:
            DataError: all training vectors are equal.
        """
        if g == 0.0:
            return None
        if g not in self._maps:
            values, vectors = self._spectrum()
            self._maps[g] = ((vectors * values**-g) @ vectors.T).float()
        return self._maps[g]

    def apply(self, means: Tensor, choice: Choice) -> Tensor:
        """Predictions (n, D) from weighted means (n, D), on their device."""
        predictions = means - choice.centre * self.mean.to(means)
        whitening = self.whitening(choice.g)
        return predictions if whitening is None else predictions @ whitening.to(means)

    def refuse_equal(self) -> DataError:
        """The error for training vectors without a spread."""
        return DataError(
            f"all training vectors of {self.train.data.path} are equal",
            "Look at the vectors with `lvmtui data info`.",
        )

    def _spectrum(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (D,), floored, and eigenvectors (D, D) of the covariance about the mean, float64."""
        if self._eigen is None:
            chosen = spread(len(self.train), COVARIANCE_ROWS)
            mean = self.mean.double()
            covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
            for start in range(0, len(chosen), ROWS):
                part = torch.from_numpy(gather(self.train, chosen[start : start + ROWS])) - mean
                covariance += part.T @ part
            values, vectors = torch.linalg.eigh(covariance)
            if not values[-1] > 0:
                raise self.refuse_equal()
            values = values.clamp(min=FLOOR * values[-1].item())
            self._eigen = values / values.mean(), vectors
        return self._eigen
