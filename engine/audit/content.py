"""The vectors themselves: their lengths, and whether they fill their space."""

import numpy as np

from engine.audit.scan import Scan
from engine.audit.words import cosine, counted, number, rows, share
from lvmtui.findings import Finding
from lvmtui.store.records import Severity

NORM_TOLERANCE = 0.01
"""Lengths that differ by less are equal: float16 moves the length of a unit vector by under 0.001."""
VARYING_SHARE = 0.05
"""From this share of deviating lengths on, the set is not normalised; below, single rows went wrong."""
FAR_NORM = 8.0
"""Deviations (robust, of the logarithm) from which a length is an outlier in a set of varying lengths: hardly
any encoder's lengths spread so wide."""
CONE = 0.6
"""Mean cosine of random pairs from which everything is alike: all-mpnet-base-v2 has 0.07 to 0.12 on texts."""
COLLAPSED = 0.95
"""Mean cosine from which most pairs are as near as near duplicates (0.98) are."""
LEAST_RANK = 3.0
LEAST_RANK_SHARE = 0.02
"""Effective rank, in directions and as a share of the dimensions, under which there is little to predict."""


def readable(vectors: int) -> list[Finding]:
    """What the opening of a set has made sure of already."""
    return [
        Finding("not-finite", f"All {number(vectors)} vectors are finite.", evidence={"rows": 0}),
        Finding("zero-vectors", "No vector is zero.", evidence={"rows": 0}),
    ]


def norms(scan: Scan) -> Finding:
    """Whether all vectors have one length."""
    lengths = scan.norms.astype(np.float64)
    middle = float(np.median(lengths))
    off = float((np.abs(lengths / middle - 1) > NORM_TOLERANCE).mean())
    low, high = float(lengths.min()), float(lengths.max())
    evidence = {"min": low, "median": middle, "max": high, "deviating": off}
    if off >= VARYING_SHARE:
        return Finding(
            "norms",
            f"The vectors are not normalised: lengths go from {low:.3g} to {high:.3g}, {share(off)} differ "
            "from the median by more than 1%.",
            Severity.WARN,
            "Scores are cosines and ignore lengths, but models see them: divide each vector by its length, "
            "unless the length is meant to say something.",
            evidence,
        )
    if abs(middle - 1) > NORM_TOLERANCE:
        return Finding("norms", f"Nearly all vectors are {middle:.4g} long, not 1.", evidence=evidence)
    return Finding("norms", "Nearly all vectors have length 1.", evidence=evidence)


def outlier_norms(scan: Scan) -> Finding:
    """Whether single vectors are far longer or shorter than the rest."""
    logs = np.log(scan.norms.astype(np.float64))
    away = np.abs(logs - np.median(logs))
    # 1.4826 x the median deviation estimates the standard deviation of a normal distribution.
    limit = max(np.log1p(NORM_TOLERANCE), FAR_NORM * 1.4826 * float(np.median(away)))
    found = np.flatnonzero(away > limit)
    evidence = {"count": len(found), "rows": found[:20].tolist()}
    if not len(found) or len(found) >= VARYING_SHARE * len(logs):
        return Finding("outlier-norms", "No length stands out.", evidence=evidence)
    worst = found[int(away[found].argmax())]
    return Finding(
        "outlier-norms",
        f"{counted(len(found), 'vector')} of {number(len(logs))} ({share(len(found) / len(logs))}) "
        f"{'is' if len(found) == 1 else 'are'} far longer or shorter than the rest ({rows(found.tolist())}; "
        f"row {worst} has length {scan.norms[worst]:.3g}).",
        Severity.WARN,
        "Look at what stands there: empty texts, errors of the encoder, rows that were not normalised.",
        evidence,
    )


def collapsed(scan: Scan, dim: int) -> Finding:
    """Whether the vectors point in different directions at all."""
    spread = scan.spread
    evidence = {
        "mean_cosine": spread.mean_cosine,
        "effective_rank": spread.effective_rank,
        "vectors": spread.vectors,
    }
    figures = (
        f"random pairs have a mean cosine of {cosine(spread.mean_cosine)}, the effective rank is "
        f"{spread.effective_rank:.0f} of {dim}"
    )
    few = spread.effective_rank < min(LEAST_RANK, dim / 2)
    if spread.mean_cosine > COLLAPSED or few:
        alike = "hardly differ" if spread.mean_cosine > COLLAPSED else "differ in hardly any direction"
        return Finding(
            "collapsed-vectors",
            f"The vectors {alike}: {figures}.",
            Severity.ERROR,
            "The encoder failed, or one vector was written again and again: encode the text anew. "
            "Nothing can be ranked among vectors that are all alike.",
            evidence,
        )
    if spread.mean_cosine > CONE or spread.effective_rank < LEAST_RANK_SHARE * dim:
        return Finding(
            "collapsed-vectors",
            f"The vectors lie in a narrow cone: {figures}.",
            Severity.WARN,
            "Cosines hardly tell vectors apart, and near duplicates (cosine over 0.98) are counted by "
            "mistake: subtract the mean of the training vectors before you build the set.",
            evidence,
        )
    return Finding("collapsed-vectors", f"The vectors fill their space: {figures}.", evidence=evidence)
