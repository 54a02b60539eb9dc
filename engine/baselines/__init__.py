"""Baselines: what can be predicted without a model. A model that does no better has learnt nothing.

- `random`: a random training vector for each query.
- `copy-last`: the last vector.
- `mean`: the mean of the context.
- `ewm`: the exponentially weighted mean of the context, weights `(1 - rate)^j` from the newest vector on.
- `ewm-centred`: the same minus the mean of the training vectors.
- `ewm-whitened`: that times C^-g, C the covariance of the training vectors, its eigenvalues floored.
- `ridge`: ridge regression of the next vector on the last one and the weighted mean.
- `nearest-successor`: what came next where training stood nearest to the last vector.

`kept.kept_baselines` gives them from a store, or computes what it lacks.
"""

from engine.baselines.compute import (
    NAMES,
    check_copy_last,
    compute_baselines,
    start_from_details,
    tuned_start,
)
from engine.baselines.means import POWERS, RATES, weighted_means
from engine.baselines.statistics import Choice, TrainStatistics

__all__ = [
    "NAMES",
    "POWERS",
    "RATES",
    "Choice",
    "TrainStatistics",
    "check_copy_last",
    "compute_baselines",
    "start_from_details",
    "tuned_start",
    "weighted_means",
]
