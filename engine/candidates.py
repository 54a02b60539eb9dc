"""What a prediction is told apart from: vectors that could have come next in place of its target."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

SAME_VECTOR = 0.98
"""A negative with a higher cosine to the target is the target as far as anyone can tell: left out."""
EPSILON = 1e-6
"""Norms below count as this much: a zero prediction has cosine 0 with everything, never NaN."""


class Window(NamedTuple):
    """Where the targets stand: what in their windows is a candidate beside them, as the evaluation has it."""

    vectors: Tensor
    """(B, L, D) all targets of the windows, T of which are supervised here."""
    documents: Tensor
    """(B, L) document of each."""
    asked: Tensor
    """(B, L) whether it has a predecessor in its document: where not, it is no query."""
    bank_documents: Tensor | None = None
    """(K,) document of each vector of the bank."""
    begin: int = 0
    """Which of the L the first of the T is."""


def one_document(targets: Tensor) -> Window:
    """Targets (B, L, D) as windows into one document."""
    shape = targets.shape[:2]
    documents = torch.zeros(shape, dtype=torch.int64, device=targets.device)
    return Window(targets, documents, torch.ones(shape, dtype=torch.bool, device=targets.device))


class Candidates(NamedTuple):
    """What unit predictions (B, T, D) are told apart from."""

    cosines: Tensor
    """(B, T, n) of the predictions with the candidates."""
    none: Tensor
    """(B, T, n) where there is none, or where it is the target as far as anyone can tell."""


def candidates(
    predictions: Tensor,
    targets: Tensor,
    bank: Tensor,
    hard: Tensor | None,
    window: Window | None,
    *,
    products: torch.dtype = torch.float32,
) -> Iterator[Candidates]:
    """The bank, then hard negatives and what follows in the window, where there are any.

    Args:
        products: what vectors are multiplied with the bank's in, by far the largest of a loss's products: in
            bfloat16 a cosine is off by up to 0.002.
    """
    products = torch.promote_types(predictions.dtype, torch.float32) if products.itemsize > 2 else products
    negatives = unit(bank.detach()).to(products)
    with torch.no_grad():
        none = targets.to(products) @ negatives.T > SAME_VECTOR
        if window is not None and window.bank_documents is not None:
            own = window.documents[:, window.begin : window.begin + targets.shape[1], None]
            none |= own == window.bank_documents
    yield Candidates((predictions.to(products) @ negatives.T).to(predictions.dtype), none)
    if hard is not None:
        yield of_hard(predictions, targets, hard)
    if window is not None and window.vectors.shape[1] > 1:
        yield _following(predictions, targets, window)


def of_hard(predictions: Tensor, targets: Tensor, hard: Tensor) -> Candidates:
    """The hard negatives (B, T, k, D) of each position."""
    with torch.no_grad():
        length = hard.norm(dim=-1)
        scale = length.clamp_min(EPSILON)
        like = torch.einsum("btd,btkd->btk", targets, hard) / scale
        none = (length < EPSILON) | (like > SAME_VECTOR)
    return Candidates(torch.einsum("btd,btkd->btk", predictions, hard) / scale, none)


def _following(predictions: Tensor, targets: Tensor, window: Window) -> Candidates:
    """The vectors of the window that follow the target in its document."""
    vectors = window.vectors.mT
    place = torch.arange(window.vectors.shape[1], device=targets.device)
    own = place[window.begin : window.begin + targets.shape[1], None]
    with torch.no_grad():
        none = targets @ vectors > SAME_VECTOR
        none |= (place <= own) | (window.documents[:, own] != window.documents[:, None])
    return Candidates(predictions @ vectors, none)


def unit(vectors: Tensor) -> Tensor:
    """Vectors (…, D) brought to length 1, in float32 or better."""
    full = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    return functional.normalize(full, dim=-1, eps=EPSILON)
