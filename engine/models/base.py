"""The contract of every model: the next vector at every position, strictly causal, streaming like batch."""

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

State: TypeAlias = tuple["Tensor | State", ...]
"""What streams remember: named tuples of tensors, nested; the first tensor is (B, …). All streams of a batch
advance together."""


class Head(nn.Module):
    """Turns a backbone's hidden states into predictions of the next vector."""

    def initial_state(self, batch: int) -> State:  # noqa: ARG002
        """The state at the start of `batch` streams; empty for a head that remembers nothing."""
        return ()

    def forward(self, hidden: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict from hidden states (B, T, H) and the vectors themselves (B, T, D): (B, T, D)."""
        raise NotImplementedError

    def diagnostics(self) -> dict[str, float]:
        """What the head does now, by metric key."""
        return {}


class NextVectorModel(nn.Module):
    """A model of vector sequences.

    `forward` gives the prediction of the *next* vector at every position, from that position and those before
    it alone. Predictions are not normalised: scoring does that.
    """

    head: Head

    def initial_state(self, batch: int) -> State:
        """The state at the start of `batch` streams, on the model's device."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict at every position.

        Args:
            x: vectors (B, T, D), T >= 1.
            state: where the streams stand; None at their start. One call over T vectors equals several calls
                over its parts that hand the state on.

        Returns:
            Predictions (B, T, D), and the state after the last position.
        """
        raise NotImplementedError

    def step(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Predict after one more vector (B, D) of each stream: (B, D). Time and memory do not grow with the
        length of the stream; the numbers are those of `forward`."""
        prediction, state = self(x.unsqueeze(1), state)
        return prediction.squeeze(1), state

    def auxiliary(self) -> Tensor | None:
        """What training minimises besides the loss of the predictions, from the last forward: a scalar with
        gradients, its weight not yet in it. None for a model without."""
        return None

    def recompute_layers(self) -> bool:
        """From now on compute each layer's activations again in the backward pass instead of keeping them.

        Returns:
            False for a model that cannot: less memory then takes sequences in segments.
        """
        return False

    def routes(self) -> Tensor | None:
        """How much each expert had to say at every position of the last forward: (B, T, experts), each
        position's sum 1. None for a model without experts."""
        return None

    def diagnostics(self) -> dict[str, float]:
        """What the model's parts do now, by metric key (`composer/mean_lag`, …), seen in the last forward."""
        return self.head.diagnostics()


def unit_scale(x: Tensor) -> Tensor:
    """Vectors (…, D) brought to the norm sqrt(D), so that entries are around 1 as layers expect. A zero
    vector stays zero."""
    return functional.normalize(x, dim=-1) * math.sqrt(x.shape[-1])


def count_parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def state_tensors(state: State) -> dict[str, Tensor]:
    """A state as flat, contiguous tensors by dotted position (`0`, `1.0`, …), as safetensors keeps them."""
    return dict(_flatten(state, ""))


def _flatten(state: State, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for index, part in enumerate(state):
        if isinstance(part, Tensor):
            yield f"{prefix}{index}", part.detach().clone(memory_format=torch.contiguous_format)
        else:
            yield from _flatten(part, f"{prefix}{index}.")


def restore_state(model: NextVectorModel, tensors: Mapping[str, Tensor]) -> State:
    """The state that `state_tensors` took apart, on the model's device.

    Raises:
        KeyError: a tensor is missing.
        ValueError: a tensor's shape does not fit the model.
    """
    # Of names like `0.0.1` the least is that of the first tensor.
    return _unflatten(model.initial_state(tensors[min(tensors)].shape[0]), tensors, "")


def _unflatten(template: State, tensors: Mapping[str, Tensor], prefix: str) -> State:
    parts: list[Tensor | State] = []
    for index, part in enumerate(template):
        name = f"{prefix}{index}"
        if not isinstance(part, Tensor):
            parts.append(_unflatten(part, tensors, f"{name}."))
            continue
        tensor = tensors[name]
        if tensor.shape != part.shape:
            raise ValueError(f"state tensor {name} is {tuple(tensor.shape)}, the model's {tuple(part.shape)}")
        parts.append(tensor.to(part))
    make = getattr(type(template), "_make", tuple)
    return cast(State, make(parts))
