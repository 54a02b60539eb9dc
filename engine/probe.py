"""The probe: what a model predicts on a few fixed windows, kept with its checkpoint.

Weights can be whole, fit the recipe, and still not make the model that was judged: a layer's code has
changed, averaged weights were left out, a buffer is not saved. Whoever builds a model from a checkpoint runs
the windows once more and compares.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from engine.data.windows import Windows
from engine.learner import Learner
from engine.models import NextVectorModel
from lvmtui.errors import CheckpointError

WINDOWS = 8
LONG = 64
"""Vectors in the first window at most: beyond the chunks in which most models with a memory write to it."""
SHORT = 16
"""Vectors in each of the others at most: saving a checkpoint should not wait for them."""
TOLERANCE = 1e-4
"""Largest absolute difference between entries of two predictions of unit length, both float32 on a CPU."""
TOLERANCE_ELSEWHERE = 5e-3
"""The same where one of the two was computed on another device, whose float32 may have fewer digits."""


def take_probe(learner: Learner, windows: Windows) -> dict[str, Any]:
    """The probe of a learner's model as it is judged. Training goes on as if nothing had been computed."""
    with learner.evaluating():
        return make_probe(learner.model, probe_windows(windows))


def check_learner(learner: Learner, probe: Mapping[str, Any] | None, source: object) -> float | None:
    """`check_probe` of a learner's model as it is judged."""
    with learner.evaluating():
        return check_probe(learner.model, probe, source)


def probe_windows(windows: Windows) -> list[Tensor]:
    """Up to 8 windows of training vectors, the same at every call: one (1, T, D) of up to 64 vectors and
    the others (n, T, D) of up to 16, float32."""
    starts = np.sort(windows.order(0)[:WINDOWS])
    batch = torch.from_numpy(windows.batch(starts)[:, :-1])
    parts = [batch[:1, :LONG], batch[1:, :SHORT]]
    return [part.clone() for part in parts if len(part)]


def make_probe(model: NextVectorModel, windows: Sequence[Tensor]) -> dict[str, Any]:
    """A probe: windows (n, T, D), the model's predictions after each (all windows, D), at unit length, and
    where they were computed. The model is in evaluation mode."""
    return {
        "windows": [part.float().cpu() for part in windows],
        "predictions": _predictions(model, windows),
        "device": _device(model).type,
    }


def check_probe(model: NextVectorModel, probe: Mapping[str, Any] | None, source: object) -> float | None:
    """Compare a model, in evaluation mode, with the probe of its checkpoint.

    Args:
        model: as it is judged, in float32.
        probe: as `make_probe` gave it; None for a checkpoint that was written without.
        source: the checkpoint, for messages.

    Returns:
        The largest absolute difference; None where there is no probe, or its predictions were not finite.

    Raises:
        CheckpointError: it differs by more than `TOLERANCE` (`TOLERANCE_ELSEWHERE` between devices), or the
            probe is damaged.
    """
    if probe is None:
        return None
    windows, expected = _parts(probe, source)
    if not expected.isfinite().all():
        return None
    found = _predictions(model, windows)
    if found.shape != expected.shape:
        raise _damaged(source)
    off = torch.nan_to_num((found - expected).abs().amax(dim=1), nan=torch.inf)
    worst, allowed = float(off.max()), _allowed(model, probe)
    if worst > allowed:
        raise CheckpointError(
            f"{source} does not make the model that was saved: on {int((off > allowed).sum())} of {len(off)} "
            f"probe windows its predictions are not those in the file (window {int(off.argmax()) + 1} is off "
            f"by {worst:.2g}, {allowed:g} is allowed)",
            "Weights and model do not belong together: use the version of lvmtui that wrote the file, or "
            "train again.",
        )
    return worst


@torch.no_grad()
def _predictions(model: NextVectorModel, windows: Sequence[Tensor]) -> Tensor:
    device = _device(model)
    with torch.autocast(device.type, enabled=False):
        last = [model(part.to(device, torch.float32))[0][:, -1].float() for part in windows]
    return functional.normalize(torch.cat(last), dim=-1).cpu()


def _parts(probe: Mapping[str, Any], source: object) -> tuple[list[Tensor], Tensor]:
    try:
        windows, expected = probe["windows"], probe["predictions"]
        dims = {part.shape[2] for part in windows if 0 not in part.shape and bool(part.isfinite().all())}
        whole = expected.shape == (sum(len(part) for part in windows), *dims) and len(dims) == 1
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(source) from error
    if not whole:
        raise _damaged(source)
    return windows, expected


def _allowed(model: NextVectorModel, probe: Mapping[str, Any]) -> float:
    same = _device(model).type == "cpu" == probe.get("device")
    return TOLERANCE if same else TOLERANCE_ELSEWHERE


def _device(model: NextVectorModel) -> torch.device:
    return next(model.parameters()).device


def _damaged(source: object) -> CheckpointError:
    return CheckpointError(
        f"the probe in {source} is damaged", "Restore the file from a copy, or train again."
    )
