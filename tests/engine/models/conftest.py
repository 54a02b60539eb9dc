"""Small models on small vectors."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from engine.models import ComposerStart, NextVectorModel, build_model
from lvmtui.recipe import ModelSection

DIM = 12


def unit_vectors(*shape: int, seed: int = 0) -> Tensor:
    """Random unit vectors (*shape, 12), from a generator of their own."""
    vectors = torch.randn(*shape, DIM, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=-1)


def tuned_start(rate: float = 0.4) -> ComposerStart:
    """A start with everything in it: a mean, a rate, a symmetric whitening."""
    vectors = unit_vectors(200, seed=9) + 0.2
    values, axes = torch.linalg.eigh(torch.cov(vectors.T))
    whitening = (axes * values**-0.35) @ axes.T
    return ComposerStart(mean=vectors.mean(dim=0), centre=0.8, rate=rate, whitening=whitening)


def small_model(
    name: str = "memory_gru",
    *,
    context: int = 40,
    seed: int = 0,
    start: ComposerStart | None = None,
    **fields: object,
) -> NextVectorModel:
    """A model of two layers of 16, in evaluation mode; a memory of 4 slots, written every 7 vectors; 2 heads
    of attention; 5 experts, 2 of them active."""
    small = {"hidden": 16, "layers": 2, "slots": 4, "chunk": 7, "heads": 2, "experts": 5, "rank": 3}
    values = {"name": name, **small, **fields}
    torch.manual_seed(seed)
    section = ModelSection.model_validate(values)
    return build_model(section, dim=DIM, context=context, start=start or tuned_start()).eval()


def disturb(model: nn.Module) -> None:
    """Move every parameter, so that nothing is at its zero start any more."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)


@pytest.fixture(scope="session")
def vectors() -> Callable[..., Tensor]:
    return unit_vectors


@pytest.fixture(scope="session")
def start() -> Callable[..., ComposerStart]:
    return tuned_start


@pytest.fixture(scope="session")
def make() -> Callable[..., NextVectorModel]:
    return small_model


@pytest.fixture(scope="session")
def disturbed() -> Callable[..., NextVectorModel]:
    """Like `make`, with every parameter away from its start."""

    def build(*args: str, **fields: object) -> NextVectorModel:
        model = small_model(*args, **fields)  # type: ignore[arg-type]
        disturb(model)
        return model

    return build
