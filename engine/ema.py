"""The exponential moving average of a model's weights: smoother to evaluate than the last step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lvmtui.errors import CheckpointError

_UPDATES = "updates"
_WEIGHT = "weight."


class Ema:
    """Averaged copies of a model's parameters.

    The decay starts low and grows with the updates, `min(decay, (1 + n) / (10 + n))`, so that the average is
    not held back by the first weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._average = {name: value.detach().clone() for name, value in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take the model's weights into the average, after an optimiser step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        values = dict(model.named_parameters())
        averages = list(self._average.values())
        torch._foreach_lerp_(averages, [values[name] for name in self._average], 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model with the averaged weights inside the block, and with its own again after it, whatever
        happens there."""
        own = {name: value.detach().clone() for name, value in model.named_parameters()}
        try:
            _copy(self._average, model)
            yield
        finally:
            _copy(own, model)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that going on exactly needs, as tensors that share no memory with the average."""
        weights = {f"{_WEIGHT}{name}": value.clone() for name, value in self._average.items()}
        return {_UPDATES: torch.tensor(self.updates), **weights}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state_dict`.

        Raises:
            CheckpointError: it belongs to another model.
        """
        expected = {f"{_WEIGHT}{name}": value.shape for name, value in self._average.items()}
        found = {name: value.shape for name, value in state.items() if name != _UPDATES}
        if found != expected or _UPDATES not in state:
            wrong = sorted({name for name, _ in found.items() ^ expected.items()}) or [_UPDATES]
            raise CheckpointError(
                "the averaged weights belong to another model", f"Not fitting: {', '.join(wrong[:3])}."
            )
        self.updates = int(state[_UPDATES])
        for name, value in self._average.items():
            value.copy_(state[f"{_WEIGHT}{name}"])


@torch.no_grad()
def _copy(weights: Mapping[str, Tensor], model: nn.Module) -> None:
    for name, value in model.named_parameters():
        value.copy_(weights[name])
