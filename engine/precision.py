"""The arithmetic of a model in training: full precision, or bfloat16 where the device is good at it.

Only the model's forward and backward pass (autocast) and the loss's products with a bank of negatives run in
bfloat16. Weights, normalisation, what the loss makes of the cosines, optimiser and averaged weights stay in
float32, and so does every evaluation: scores do not depend on where a model was trained. Half precision
(fp16) is never used: its range would need loss scaling.
"""

from typing import Literal, TypeAlias

import torch

from lvmtui.errors import TrainingError

Precision: TypeAlias = Literal["fp32", "bf16"]


def choose_precision(wanted: str, device: torch.device) -> Precision:
    """The precision to train in: a question of what the device can do, never of a measurement, so that the
    same recipe on the same machine is always computed alike.

    Args:
        wanted: `auto`, `fp32` or `bf16`.

    Raises:
        TrainingError: the device cannot compute in bfloat16.
    """
    if wanted == "fp32":
        return "fp32"
    if wanted == "bf16" and not _computes_bf16(device):
        raise TrainingError(
            f"train.precision is bf16, but {device} does not compute in bfloat16",
            "Set train.precision to auto or fp32.",
        )
    return "bf16" if wanted == "bf16" or _is_good_at_bf16(device) else "fp32"


def _computes_bf16(device: torch.device) -> bool:
    """Any processor does, without instructions for it slowly."""
    return device.type == "cpu" or (device.type == "cuda" and _is_good_at_bf16(device))


def _is_good_at_bf16(device: torch.device) -> bool:
    """Whether it has units for products of bfloat16 matrices: on a CPU AMX, which makes an optimiser step of
    every architecture 1.3 to 1.45 times as fast (benchmarks/precision.py)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context that a model's forward pass runs in."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
