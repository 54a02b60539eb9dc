"""Whether validation and test come from where train comes from, by permutation of documents."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audit.duplicates import HELD_OUT
from engine.audit.scan import Scan
from engine.audit.words import number
from engine.data.split import SplitView
from lvmtui.findings import Finding
from lvmtui.store.records import Severity

PERMUTATIONS = 400
_AT_ONCE = 50
FAR = 1.25
"""A shift counts when it is this many times the largest of all permutations: chance alone gives one above
them all in 400 audits, and hardly ever one far above."""
LEAST_DOCUMENTS = 2
"""Held-out documents that a shift can be told with: a single one always differs from the rest."""
LEAST_NORM_SHIFT = 0.01
"""Relative change of the mean length that matters; lengths may be equal to the last bit otherwise."""

Floats64 = NDArray[np.float64]


def split_drift(scan: Scan, splits: Mapping[str, SplitView], norm_means: Floats64) -> Finding:
    """First and second moments, and lengths, of each held-out split against train.

    Which documents are held out is drawn anew many times; a clean split looks like one of these draws.

    Args:
        norm_means: (documents,) mean length of each document's vectors.
    """
    evidence: dict[str, Any] = {}
    drifted: list[str] = []
    for name in HELD_OUT:
        held, train = (scan.documents_of(splits[part].rows) for part in (name, "train"))
        if len(held) < LEAST_DOCUMENTS:
            evidence[name] = {"documents": len(held)}
            continue
        shifts = _shifts(scan, norm_means, held, train)
        evidence[name] = shifts | {"documents": len(held)}
        words = {"mean": "mean vector", "spread": "spread", "norm": "mean length"}
        far = [words[what] for what, (found, largest) in shifts.items() if found > FAR * largest]
        drifted += [f"{name} ({' and '.join(far)})"] if far else []
    if drifted:
        times = max(
            found / max(largest, 1e-12)
            for part in evidence.values()
            for found, largest in (part[what] for what in ("mean", "spread", "norm") if what in part)
        )
        return Finding(
            "split-drift",
            f"Held-out documents differ from train: {', '.join(drifted)}; the shift is {times:.1f} times "
            f"the largest of {number(PERMUTATIONS)} random splits by document.",
            Severity.WARN,
            "Scores then say how well a model carries over to other texts, not how well it learnt: check "
            "that all vectors come from one encoder with one preprocessing, and that the split is random.",
            evidence,
        )
    if all("mean" not in part for part in evidence.values()):
        return Finding("split-drift", "Too few held-out documents to tell drift.", evidence=evidence)
    return Finding(
        "split-drift",
        f"Held-out documents differ from train no more than in {number(PERMUTATIONS)} random splits.",
        evidence=evidence,
    )


def _shifts(
    scan: Scan, norm_means: Floats64, held: NDArray[np.int64], train: NDArray[np.int64]
) -> dict[str, list[float]]:
    """Statistic -> [found, largest of the permutations]."""
    both = np.concatenate([held, train])
    weights = scan.lengths[both].astype(np.float64)
    centre = np.average(scan.means[both], axis=0, weights=weights)
    # Squares about the common mean: a shift of the mean alone moves them little.
    squares = scan.squares[both] - 2 * centre * scan.means[both] + centre**2
    values = np.hstack([scan.means[both], squares, norm_means[both, None]]) * weights[:, None]
    random = np.random.default_rng(0)
    member = np.zeros((PERMUTATIONS + 1, len(both)), np.float64 if len(both) < 2000 else np.float32)
    member[0, : len(held)] = 1
    for row in member[1:]:
        row[random.permutation(len(both))[: len(held)]] = 1
    found = []
    for start in range(0, len(member), _AT_ONCE):
        ours = member[start : start + _AT_ONCE]
        inside, count = ours @ values, ours @ weights
        outside, rest = values.sum(axis=0) - inside, weights.sum() - count
        found.append(inside / count[:, None] - outside / rest[:, None])
    difference = np.vstack(found)
    k = scan.means.shape[1]
    parts = {"mean": difference[:, :k], "spread": difference[:, k : 2 * k], "norm": difference[:, 2 * k :]}
    sizes = {what: np.linalg.norm(part, axis=1) for what, part in parts.items()}
    least = LEAST_NORM_SHIFT * float(np.average(norm_means[both], weights=weights))
    floors = {"mean": 1e-3, "spread": 1e-4, "norm": least}
    return {what: [float(size[0]), max(float(size[1:].max()), floors[what])] for what, size in sizes.items()}
