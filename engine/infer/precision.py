"""The arithmetic of a loaded model: float32, 16-bit floats or 8-bit integers in its large matrix products.

Only products with weights change; states, normalisations, attention, gates and sums stay in float32, so that
what a stream remembers does not drift.

- `fp32`: as trained and judged.
- `bf16`: weights and what they are multiplied with are rounded to bfloat16. Pays for whole contexts on
  processors and cards with matrix units for it, little for single vectors.
- `fp16` (GPU): the same with float16, which rounds eight times as finely and has the smaller range: products
  above 65504 are infinite, and a prediction that is not finite is refused.
- `int8` (CPU): weights are rounded to 8 bits with a scale for each output, what they are multiplied with to 8
  bits with a scale for each vector, chosen as it comes (dynamic quantisation); products are summed exactly in
  32 bits, so a vector gives the same numbers alone and in a batch. torch's own dynamic quantisation is
  deprecated and warns; this one needs no more than `torch._int_mm`.

Weights of fewer than `LEAST` numbers are left alone: rounding what goes into them costs as much as it saves.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from engine.infer.frozen import freeze
from engine.models import NextVectorModel
from lvmtui.errors import TrainingError
from lvmtui.latencies import PRECISIONS, Precision

LEAST = 1 << 18
"""Numbers that a weight must have to be rounded."""
FEW = 8
"""Vectors up to which a product of 8-bit integers is computed with the weight on the left."""


def prepare(model: NextVectorModel, precision: Precision) -> NextVectorModel:
    """The model, in place, ready to predict in a precision.

    Args:
        model: in evaluation mode, on its device.

    Raises:
        TrainingError: there is no such precision, or not on this device.
    """
    freeze(model)
    if precision == "fp32":
        return model
    if precision not in PRECISIONS:
        raise TrainingError(f"there is no precision {precision!r}", f"Known: {', '.join(PRECISIONS)}.")
    device = next(model.parameters()).device
    if precision == "int8" and device.type != "cpu":
        raise TrainingError(f"int8 is for the CPU, not for {device}", "Load with precision='bf16' there.")
    if precision == "fp16" and device.type == "cpu":
        raise TrainingError(
            "fp16 is for GPUs: torch's products of float16 are slow on processors",
            "Load with precision='bf16' or 'int8'.",
        )
    products: dict[str, Product] = {"bf16": Bf16Linear, "fp16": Fp16Linear, "int8": Int8Linear}
    _round_parts(model, products[precision])
    return model


class RoundedLinear(nn.Module):
    """What `nn.Linear` does, with a rounded weight: float32 in and out."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.bias = None if bias is None else nn.Parameter(bias.detach().float(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The weight that is multiplied with (out, in), float32."""
        raise NotImplementedError


class HalfLinear(RoundedLinear):
    """A product of 16-bit floats."""

    kind: torch.dtype

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        self.register_buffer("rounded", weight.detach().to(self.kind))
        self.rounded: Tensor

    @property
    def weight(self) -> Tensor:
        """See `RoundedLinear`."""
        return self.rounded.float()

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        values = x.to(self.kind)
        if values.numel() == self.in_features and values.device.type == "cpu":
            # One vector: a fifth faster than as a matrix.
            product = torch.mv(self.rounded, values.flatten()).float().view(*x.shape[:-1], -1)
        else:
            product = functional.linear(values, self.rounded).float()
        return product if self.bias is None else product.add_(self.bias)


class Bf16Linear(HalfLinear):
    """A product in bfloat16."""

    kind = torch.bfloat16


class Fp16Linear(HalfLinear):
    """A product in float16."""

    kind = torch.float16


class Int8Linear(RoundedLinear):
    """A product of 8-bit integers, symmetric, without zero points."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight, bias)
        rounded, scale = _to_int8(weight.detach())
        self.register_buffer("rounded", rounded)
        self.register_buffer("scale", scale.squeeze(1))
        self.rounded: Tensor
        self.scale: Tensor

    @property
    def weight(self) -> Tensor:
        """See `RoundedLinear`."""
        return self.rounded * self.scale[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        rows, scale = _to_int8(x.reshape(-1, self.in_features))
        # With few vectors the larger factor is faster on the left.
        if len(rows) <= FEW:
            product = torch._int_mm(self.rounded, rows.t()).t()
        else:
            product = torch._int_mm(rows, self.rounded.t())
        product = product.float().mul_(scale).mul_(self.scale)
        product = product.reshape(*x.shape[:-1], self.out_features)
        return product if self.bias is None else product.add_(self.bias)


def _to_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (n, m) as integers from -127 to 127, and what each row's are worth (n, 1)."""
    scale = rows.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / 127
    return (rows / scale).round_().to(torch.int8), scale


Product = Callable[[Tensor, Tensor | None], RoundedLinear]


class RoundedRnn(nn.Module):
    """The layers of a GRU or an LSTM with rounded weights, position by position (`batch_first`, one way).

    Args:
        layers: as trained.
        product: makes the products.
    """

    def __init__(self, layers: nn.GRU | nn.LSTM, product: Product) -> None:
        super().__init__()
        self.num_layers, self.hidden_size = layers.num_layers, layers.hidden_size
        weights = [[getattr(layers, f"{name}_l{index}") for name in _RNN] for index in range(self.num_layers)]
        self.of_input = nn.ModuleList(product(item[0], item[2]) for item in weights)
        self.of_state = nn.ModuleList(product(item[1], item[3]) for item in weights)

    def _layers(self, *states: Tensor) -> Iterator[Any]:
        """Each layer's two products, and its part of the states (layers, B, H)."""
        return zip(self.of_input, self.of_state, *(state.unbind(0) for state in states), strict=True)


_RNN = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class RoundedGru(RoundedRnn):
    """See `RoundedRnn`."""

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, T, D) and the state (layers, B, H) -> outputs (B, T, H) and the state after them."""
        after = []
        for of_input, of_state, state in self._layers(hidden):
            outputs = []
            for gates in of_input(x).unbind(1):
                reset, update, new = gates.chunk(3, dim=-1)
                of_reset, of_update, inner = of_state(state).chunk(3, dim=-1)
                new = torch.addcmul(new, (reset + of_reset).sigmoid_(), inner).tanh_()
                state = torch.lerp(new, state, (update + of_update).sigmoid_())
                outputs.append(state)
            x = torch.stack(outputs, dim=1)
            after.append(state)
        return x, torch.stack(after)


class RoundedLstm(RoundedRnn):
    """See `RoundedRnn`."""

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Vectors (B, T, D) and hidden and cell state (layers, B, H) -> outputs (B, T, H) and both after."""
        after = []
        for of_input, of_state, state, cell in self._layers(*past):
            outputs = []
            for gates in of_input(x).unbind(1):
                take, keep, new, show = (gates + of_state(state)).chunk(4, dim=-1)
                cell = keep.sigmoid() * cell + take.sigmoid() * new.tanh()
                state = show.sigmoid() * cell.tanh()
                outputs.append(state)
            x = torch.stack(outputs, dim=1)
            after.append((state, cell))
        hidden, cells = zip(*after, strict=True)
        return x, (torch.stack(hidden), torch.stack(cells))


def _round_parts(module: nn.Module, product: Product) -> None:
    for name, part in list(module.named_children()):
        if type(part) is nn.Linear and part.weight.numel() >= LEAST:
            setattr(module, name, product(part.weight, part.bias))
        elif type(part) is nn.GRU and 3 * part.hidden_size**2 >= LEAST:
            setattr(module, name, RoundedGru(part, product))
        elif type(part) is nn.LSTM and 4 * part.hidden_size**2 >= LEAST:
            setattr(module, name, RoundedLstm(part, product))
        else:
            _round_parts(part, product)
