"""What audits and slices would say of the snapshots' runs."""

from lvmtui.findings import Finding
from lvmtui.snapshot import Slice, Slicing
from lvmtui.store.records import Interval, Severity

LAGS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def lag_curve(data: str) -> Finding:
    cosine = [0.12 + 0.31 * lag**-0.55 for lag in LAGS]
    evidence = {
        "lags": list(LAGS),
        "cosine": cosine,
        "null_low": [0.118] * len(LAGS),
        "null_high": [0.135] * len(LAGS),
        "random": 0.12,
        "horizon": 100,
        "vectors": 38_000,
    }
    return Finding(
        "lag-curve",
        "neighbours 0.430, random pairs 0.120; nothing beyond lag 100",
        evidence=evidence,
        data=data,
    )


def data_audit(data: str) -> tuple[Finding, ...]:
    """Every outcome of an audit, worst first."""
    return (
        Finding(
            "near-duplicates-across-splits",
            "3.1 % of the validation vectors have a twin (cosine above 0.98) among the training vectors",
            Severity.WARN,
            "Remove the duplicated documents, or keep all versions of a text in one split.",
            data=data,
        ),
        Finding(
            "context-horizon",
            "beyond lag 100 nothing is left; a context of 1000 cannot help",
            Severity.WARN,
            "Train with a context of about 100 first, and compare.",
            data=data,
        ),
        lag_curve(data),
        Finding("norms", "all vectors have length 1.000", data=data),
        Finding("scrambled-order", "neighbours stand out of shuffled documents by 41 sd", data=data),
    )


RUN_FINDING = Finding(
    "few-steps",
    "93 optimiser steps in all; the warm-up took 5 of them [bold]not markup[/bold]",
    Severity.WARN,
    "Lower train.accumulation, or raise train.steps_per_epoch.",
)


def slicings() -> tuple[Slicing, ...]:
    bounds = Interval(0.15, 0.21)
    lanes = tuple(
        Slice(f"lane {i}", 1000 - 60 * i, 0.06, 0.18 - 0.01 * i, 0.24, 0.12, bounds if i < 9 else None, 0.12)
        for i in range(10)
    )
    positions = tuple(
        Slice(label, 400, 0.05, 0.16, 0.22, 0.11, bounds, 0.17) for label in ("1", "2–3", "4–7", "8–15")
    )
    return (
        Slicing("lane", "16 k-means clusters of the training vectors", lanes),
        Slicing("position", "vectors before the target in its document", positions),
    )
