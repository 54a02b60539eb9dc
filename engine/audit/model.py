"""Measuring a model from inside: gradients, what its parts change, how far its predictions spread, what the
terms of its loss carry. Nothing here draws a random number or keeps a gradient."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.losses import Objective
from engine.models import NextVectorModel


def trained_parameters(*modules: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of some modules that training changes, by name."""
    named = (item for module in modules for item in module.named_parameters())
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def without_gradient(parameters: Mapping[str, nn.Parameter]) -> dict[str, nn.Parameter]:
    """Those that the last backward pass gave no gradient, or one of zeros only."""
    graded = [parameter.grad for parameter in parameters.values() if parameter.grad is not None]
    largest = [torch.linalg.vector_norm(gradient, torch.inf) for gradient in graded]
    # One wait for the device.
    zero = iter((torch.stack(largest) == 0).tolist() if largest else [])
    return {name: parameter for name, parameter in parameters.items() if parameter.grad is None or next(zero)}


def changes_without(model: NextVectorModel, x: Tensor) -> dict[str, float]:
    """How much the predictions for x (B, T, D) change when a part of the model is taken out.

    A part (a direct child with parameters, the head aside, whose output is the prediction) is taken out by
    handing its input on where that fits, as in a residual block, and zeros where it does not.

    Returns:
        Name of each part -> mean distance between the unit predictions with and without it, 0 to 2.
    """
    parts = {
        name: child
        for name, child in _direct_parts(model)
        if child is not model.head and any(True for _ in child.parameters())
    }
    whole = _unit(model(x)[0])
    changes = {}
    for name, child in parts.items():
        with _taken_out(child):
            changes[name] = float((_unit(model(x)[0]) - whole).norm(dim=-1).mean())
    return changes


def _direct_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The direct children; of a list of modules, which is never called itself, its members."""
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((f"{name}.{index}", member) for index, member in enumerate(child))
        else:
            yield name, child


def _unit(predictions: Tensor) -> Tensor:
    return functional.normalize(predictions.float(), dim=-1)


@contextmanager
def _taken_out(module: nn.Module) -> Iterator[None]:
    def replace(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, Tensor):
            return _stand_in(inputs, output)
        first, *rest = output
        return (_stand_in(inputs, first), *rest)

    handle = module.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def _stand_in(inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    if inputs and isinstance(inputs[0], Tensor) and inputs[0].shape == output.shape:
        return inputs[0]
    return torch.zeros_like(output)


class Spread(NamedTuple):
    """How far a set of vectors spreads over directions."""

    effective_rank: float
    cosine: float
    """Mean of all pairs."""


def spread_of(vectors: Tensor) -> Spread:
    """The spread of vectors (n, D), n >= 2, of any norm but zero.

    The effective rank is the exponential of the entropy of the singular values' shares (Roy and Vetterli, The
    Effective Rank, EUSIPCO 2007): n for orthogonal vectors, 1 for equal ones.
    """
    unit = functional.normalize(vectors.double(), dim=-1)
    gram = unit @ unit.T
    singular = torch.linalg.eigvalsh(gram).clamp(min=0).sqrt()
    entropy = torch.special.entr(singular / singular.sum()).sum()
    n = len(unit)
    return Spread(float(entropy.exp()), float((gram.sum() - n) / (n * (n - 1))))


def shares_of_terms(
    objective: Objective, predictions: Tensor, targets: Tensor, bank: Tensor | None
) -> dict[str, float]:
    """What each term of the loss adds to its gradient: the norm of the term's gradient with respect to the
    predictions (B, T, D), as a share of the sum of norms. Empty where there is no gradient at all."""
    with torch.enable_grad():
        leaf = predictions.detach().requires_grad_()
        weighted = objective.parts(leaf, targets, bank).weighted
        gradients = [torch.autograd.grad(term, leaf, retain_graph=True)[0] for term in weighted.values()]
    norms = torch.stack([gradient.norm() for gradient in gradients]).tolist()
    total = sum(norms)
    if not total > 0:
        return {}
    return {name: norm / total for name, norm in zip(weighted, norms, strict=True)}
