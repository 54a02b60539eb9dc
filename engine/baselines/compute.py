"""All baselines of one split, judged. What they choose they choose on validation, whatever is judged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.baselines.learnt import SEED, Ridge, nearest_successors, random_vectors, successors
from engine.baselines.means import RATES, Tuner, weighted_means
from engine.baselines.statistics import Choice, TrainStatistics
from engine.data.split import SplitView
from engine.evaluate import Judge
from engine.models.composer import ComposerStart
from engine.protocol import NAME, Queries
from lvmtui import stats
from lvmtui.errors import TrainingError
from lvmtui.store.records import Evaluation

NAMES = (
    "random",
    "copy-last",
    "mean",
    "ewm",
    "ewm-centred",
    "ewm-whitened",
    "ridge",
    "nearest-successor",
)


def compute_baselines(
    splits: Mapping[str, SplitView],
    judge: Judge,
    *,
    context: int,
    device: torch.device,
    names: Iterable[str] = NAMES,
    tuned: Sequence[Evaluation] = (),
) -> list[Evaluation]:
    """Baselines judged, in the order of `NAMES`; what was chosen is in the details. Weighted means: rate (0
    for the plain mean), centre (weight of the train mean) and g; ridge: lambda, `ewm_rate`, inputs, pairs.

    Left out are ridge and nearest-successor where no training vector has a predecessor in its document.

    Args:
        context: vectors that a prediction may look at.
        device: where predictions are computed.
        names: some of `NAMES`.
        tuned: baselines of the validation split at this context that have been computed before: what they
            chose stands.

    Raises:
        DataError: the validation split cannot be judged on, or all training vectors are equal.
    """
    wanted = set(names)
    maker = _Maker(splits, judge, context, device, {item.baseline or "": item.details for item in tuned})
    evaluations = []
    for name in NAMES:
        made = maker.make(name) if name in wanted else None
        if made is not None:
            evaluations.append(
                judge.evaluation(
                    made.predictions, epoch=0, step=0, baseline=name, context=context, details=made.details
                )
            )
    return evaluations


class _Made(NamedTuple):
    predictions: Tensor
    """(n, D) for the judge's queries."""
    details: dict[str, Any]


class _Maker:
    """Makes the predictions of each baseline; what several need is computed once, when it is needed."""

    def __init__(
        self,
        splits: Mapping[str, SplitView],
        judge: Judge,
        context: int,
        device: torch.device,
        known: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self._train = splits["train"]
        self._judge = judge
        self._context = context
        self._device = device
        self._known = known
        self._statistics = TrainStatistics(self._train)
        self._choices: dict[str, Choice] = {}

    def make(self, name: str) -> _Made | None:
        """The predictions of one baseline; None where it cannot be had."""
        others: dict[str, Callable[[], _Made | None]] = {
            "random": self._random,
            "ridge": self._ridge,
            "nearest-successor": self._nearest,
        }
        return others[name]() if name in others else self._weighted(self._choice(name))

    @cached_property
    def _tuner(self) -> Tuner:
        on_validation = self._judge.protocol.split == "validation"
        judge = self._judge if on_validation else self._judge.other("validation")
        return Tuner(judge, self._statistics, self._context, self._device)

    @cached_property
    def _pairs(self) -> Queries:
        """What training has to show for ridge and nearest-successor."""
        return successors(self._train, across=self._judge.protocol.name != NAME)

    def _choice(self, name: str) -> Choice:
        """Rate, centre and g of a weighted mean."""
        if name not in self._choices:
            self._choices[name] = self._recalled(name) or self._tuned(name)
        return self._choices[name]

    def _recalled(self, name: str) -> Choice | None:
        details = self._known.get(name)
        return None if details is None else choice_from_details(details)

    def _tuned(self, name: str) -> Choice:
        fixed = {"copy-last": Choice(rate=1.0), "mean": Choice(rate=0.0)}
        if name in fixed:
            return fixed[name]
        if name == "ewm-whitened":
            return self._tuner.best_whitened()
        centre = {"ewm": 0.0, "ewm-centred": 1.0}[name]
        return self._tuner.best(Choice(rate, centre) for rate in RATES)

    def _weighted(self, choice: Choice) -> _Made:
        means = weighted_means(self._judge, self._judge.asked, rate=choice.rate, context=self._context)
        details = {"rate": choice.rate, "centre": choice.centre, "g": choice.g}
        return _Made(self._statistics.apply(means.to(self._device), choice), details)

    def _random(self) -> _Made:
        return _Made(random_vectors(self._train, len(self._judge.asked)), {"seed": SEED})

    def _ridge(self) -> _Made | None:
        if not len(self._pairs):
            return None
        ridge = Ridge(
            self._statistics,
            self._pairs,
            rate=self._choice("ewm-centred").rate,
            context=self._context,
            within_document=self._judge.within_document,
            device=self._device,
        )
        known = self._known.get("ridge")
        penalty = ridge.tune(self._tuner) if known is None else float(known["lambda"])
        details = {
            "lambda": penalty,
            "inputs": ["last vector", "weighted mean"],
            "ewm_rate": ridge.rate,
            "pairs": ridge.pairs,
        }
        return _Made(ridge.predict(self._judge, penalty), details)

    def _nearest(self) -> _Made | None:
        if not len(self._pairs):
            return None
        return _Made(nearest_successors(self._train, self._pairs, self._judge, self._device), {})


def tuned_start(splits: Mapping[str, SplitView], baselines: Iterable[Evaluation]) -> ComposerStart:
    """The composer's start at the strongest (by MRR) of these baselines that it can express: the weighted
    means but for the plain one.

    Raises:
        TrainingError: there is none.
    """
    expressible = [baseline for baseline in baselines if baseline.details.get("rate", 0.0) > 0.0]
    if not expressible:
        raise TrainingError("there is no baseline that the composer could start at")
    return start_from_details(splits, max(expressible, key=lambda baseline: baseline.mrr).details)


def start_from_details(splits: Mapping[str, SplitView], details: Mapping[str, Any]) -> ComposerStart:
    """The composer's start that equals a baseline, from what the store keeps of it; nothing is ranked."""
    choice = choice_from_details(details)
    statistics = TrainStatistics(splits["train"])
    return ComposerStart(
        mean=statistics.mean, centre=choice.centre, rate=choice.rate, whitening=statistics.whitening(choice.g)
    )


def choice_from_details(details: Mapping[str, Any]) -> Choice:
    """What a weighted mean chose, from its evaluation's details."""
    return Choice(float(details["rate"]), float(details["centre"]), float(details["g"]))


def check_copy_last(judge: Judge, stored: Evaluation) -> None:
    """Copying the last vector must give the ranks that it gave when the baselines were computed.

    Raises:
        TrainingError: it does not.
    """
    means = weighted_means(judge, judge.asked, rate=1.0, context=1)
    if not np.array_equal(judge.rank(means), stats.unpack_ranks(stored.ranks)):
        raise TrainingError(
            "self-check failed: copying the last vector no longer gives the ranks that the store has of it",
            "The data may have changed since, or this is a bug in lvmtui: please report it.",
        )
