"""Findings from inside a model, from what was measured there."""

from collections.abc import Mapping

from engine.audit.model import Spread
from lvmtui.findings import Finding
from lvmtui.format import counted, number, percent, thousands
from lvmtui.store.records import Severity

FIRST_STEPS = 10
"""Steps in which every parameter must have had a gradient. Two are enough as a rule: what starts at zero
passes none on in the first."""
IDLE = 1e-4
"""Mean change of unit predictions below which a module does nothing."""
COLLAPSED = 8.0
"""Predictions that spread this many times less than their targets are collapsed."""
LEAST_SHARE = 0.01
"""A term of the loss with less than this share of the gradient carries nothing."""
_NAMED = 6
"""Parameters that a message names at most."""


def dead_parameters(dead: Mapping[str, int], everything: int) -> Finding:
    """From the sizes of the dead ones by name."""
    names = list(dead)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    lost = sum(dead.values())
    return Finding(
        "dead-parameters",
        f"{counted(len(names), 'parameter')} got no gradient in the first {FIRST_STEPS} steps: "
        f"{', '.join(names[:_NAMED])}{more} ({thousands(lost)} of {thousands(everything)} numbers, "
        f"{percent(lost / everything)} %)",
        Severity.WARN,
        "They stay as they were drawn. Look for outputs that nothing uses, detached tensors, or parts that a "
        "window is too short to reach (a memory_gru reads what it wrote only after model.chunk vectors).",
        {"parameters": names[:100], "numbers": lost, "of": everything},
    )


def idle_modules(changes: Mapping[str, float]) -> list[Finding]:
    idle = {name: change for name, change in changes.items() if change < IDLE}
    if not idle:
        return []
    names = ", ".join(idle)
    return [
        Finding(
            "dead-module",
            f"taking out {names} changes the predictions by {number(max(idle.values()), 2)}: nothing to "
            "speak of",
            Severity.WARN,
            "The model does not use it. Look whether its output reaches the prediction; train longer or with "
            "a higher train.lr if it has only just begun to learn; or leave it out.",
            {"changes": dict(changes)},
        )
    ]


def idle_terms(shares: Mapping[str, float]) -> list[Finding]:
    idle = {name: share for name, share in shares.items() if share < LEAST_SHARE}
    if not idle:
        return []
    words = ", ".join(f"{name} {percent(share, 2)} %" for name, share in idle.items())
    return [
        Finding(
            "idle-loss-term",
            f"less than {percent(LEAST_SHARE, 0)} % of the gradient comes from: {words}",
            Severity.WARN,
            "It changes nothing. Raise its weight (loss.alpha, loss.cosine) or set it to 0.",
            {"shares": dict(shares)},
        )
    ]


def collapse(predictions: Spread, targets: Spread, epoch: int) -> list[Finding]:
    narrow = predictions.effective_rank * COLLAPSED < targets.effective_rank
    alike = (1 - predictions.cosine) * COLLAPSED < 1 - targets.cosine
    if not (narrow or alike):
        return []
    return [
        Finding(
            "collapse",
            f"at epoch {epoch} the predictions are nearly alike: effective rank "
            f"{number(predictions.effective_rank, 3)} against {number(targets.effective_rank, 3)} of the "
            f"targets, mean cosine between two of them {number(predictions.cosine, 3)} against "
            f"{number(targets.cosine, 3)}",
            Severity.ERROR,
            "The model says the same whatever it sees. Train against negatives (loss.name = rank), subtract "
            "the train mean (model.head = composer), lower train.lr, and look for constant inputs.",
            {
                "epoch": epoch,
                "effective_rank": predictions.effective_rank,
                "cosine": predictions.cosine,
                "targets_effective_rank": targets.effective_rank,
                "targets_cosine": targets.cosine,
            },
        )
    ]
