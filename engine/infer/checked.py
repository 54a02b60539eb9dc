"""Vectors from outside, checked before they reach a model or a pool."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lvmtui.errors import DataError


def checked_vectors(vectors: Any, dim: int, what: str, *, shapes: tuple[int, ...]) -> Tensor:
    """Vectors as a float32 tensor (…, D) on their device.

    Args:
        vectors: numpy array or tensor of floating-point numbers.
        dim: numbers in a vector.
        what: what they are, for messages.
        shapes: numbers of dimensions that are allowed.

    Raises:
        DataError: another type or shape, none at all, or a vector that is zero or not finite.
    """
    if isinstance(vectors, np.ndarray):
        if vectors.dtype.kind != "f":
            raise DataError(f"{what} holds {vectors.dtype} where floating-point numbers are needed", _CONVERT)
        with np.errstate(over="ignore"):  # infinity is refused in words below
            tensor = torch.from_numpy(np.array(vectors, np.float32))
    elif isinstance(vectors, Tensor):
        if not vectors.is_floating_point():
            raise DataError(f"{what} holds {vectors.dtype} where floating-point numbers are needed", _CONVERT)
        tensor = vectors.detach().float()
    else:
        raise DataError(f"{what} is a {type(vectors).__name__}, not a numpy array or a tensor", _CONVERT)
    shape = tuple(tensor.shape)
    if len(shape) not in shapes:
        raise DataError(f"{what} has the shape {shape} where {_forms(shapes, dim)} is needed")
    if shape[-1] != dim:
        raise DataError(
            f"{what} has vectors of {shape[-1]} numbers, the model's have {dim}",
            "Encode the text with the encoder that the training vectors come from.",
        )
    if tensor.numel() == 0:
        raise DataError(f"{what} is empty", "Give at least one vector.")
    _refuse_unusable(tensor, what)
    return tensor


def all_usable(norms: Tensor) -> bool:
    """Whether all of some norms, at least one, are finite and above zero."""
    least, most = norms.aminmax()  # either is NaN if one of them is
    return float(least) > 0 and float(most) < math.inf


def _refuse_unusable(tensor: Tensor, what: str) -> None:
    norms = torch.linalg.vector_norm(tensor, dim=-1)
    if all_usable(norms):
        return
    good = (norms > 0) & norms.isfinite()
    place = tuple(torch.nonzero(~good)[0].tolist())
    where = f"vector {place[0] if len(place) == 1 else place} of " if place else ""
    raise DataError(
        f"{where}{what} is zero or not finite",
        "Leave out what could not be encoded, such as empty text: there is nothing to predict from it.",
    )


def _forms(shapes: tuple[int, ...], dim: int) -> str:
    names = {1: f"({dim},)", 2: f"(T, {dim})", 3: f"(B, T, {dim})"}
    return " or ".join(names[count] for count in shapes)


_CONVERT = "Give numpy.asarray(vectors, numpy.float32)."
