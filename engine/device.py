"""Devices: which one to train on. Imports torch only to choose."""

from typing import TYPE_CHECKING

from lvmtui.errors import TrainingError

if TYPE_CHECKING:
    import torch


def choose_device(wanted: str) -> "torch.device":
    """The device to train on.

    Args:
        wanted: `auto` (cuda, else mps, else cpu), or one of these; `cuda:1` is a certain GPU.

    Raises:
        TrainingError: the wanted one is not here.
    """
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, here in available.items() if here)
    kind, _, index = wanted.partition(":")
    if not available[kind] or (index and int(index) >= torch.cuda.device_count()):
        here = ", ".join(name for name, found in available.items() if found)
        raise TrainingError(
            f"train.device is {wanted}, but this machine has none that torch {torch.__version__} can use",
            f"Here: {here}. Set train.device to auto, or install a torch built for {wanted}.",
        )
    if kind != "cuda":
        return torch.device(kind)
    if index:
        torch.cuda.set_device(int(index))
    return torch.device("cuda", torch.cuda.current_device())


def device_name(device: "torch.device") -> str:
    """What people call the device: `cpu`, `mps`, `cuda:0 NVIDIA H200`."""
    import torch

    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)
