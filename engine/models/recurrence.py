"""GRU layers, run by whatever is fastest on the device.

On a CPU torch multiplies with a transposed weight at every position and adds up the weight's gradient
position by position. Here the recurrent weight is laid out once, and its gradient is one product over all
positions: about twice as fast. The numbers are those of `nn.GRU` up to rounding. Elsewhere `nn.GRU` runs
itself (cuDNN).
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCK = 32
"""Positions whose slopes the backward pass works out together: few enough to stay in the cache."""


def run_gru(layers: nn.GRU, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """What `layers(x, hidden)` gives, for layers with `batch_first`, biases and one direction.

    Args:
        x: (B, T, D).
        hidden: (layers, B, H) before the first position.

    Returns:
        Outputs (B, T, H) of the last layer and the state (layers, B, H) after the last position. Under
        autocast the products over all positions are in its precision, the recurrence in the weights'.
    """
    # A module in its place (quantised, say) runs itself; so does one step, which is all overhead. A compiler
    # would unroll the loop.
    plain = type(layers) is nn.GRU and x.device.type == "cpu"
    if plain and x.shape[1] > 1 and not torch.compiler.is_compiling():
        return _run_on_cpu(layers, x, hidden)
    return cast(tuple[Tensor, Tensor], layers(x, hidden))


def _run_on_cpu(layers: nn.GRU, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    values = x.transpose(0, 1).contiguous()
    after = []
    for layer, start in enumerate(hidden.unbind(0)):
        if layer:
            values = functional.dropout(values, layers.dropout, layers.training)
        of_input, of_state = (getattr(layers, f"weight_{kind}_l{layer}") for kind in ("ih", "hh"))
        input_bias, state_bias = (getattr(layers, f"bias_{kind}_l{layer}") for kind in ("ih", "hh"))
        kind = of_state.dtype
        gates = functional.linear(values, of_input, input_bias).to(kind)
        states = _Recurrence.apply(gates, start.to(kind), of_state, state_bias)  # type: ignore[no-untyped-call]
        values = cast(Tensor, states)
        after.append(values[-1])
    return values.transpose(0, 1), torch.stack(after)


class _Recurrence(torch.autograd.Function):
    """One layer (Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014; the reset gate
    after the product, as in cuDNN): `h' = (1 - z) n + z h`, `n = tanh(i_n + r (W_n h + b_n))`."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, start: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The input's part of the gates (T, B, 3H), state (B, H), weight (3H, H) and bias -> (T, B, H)."""
        length, batch, _ = gates.shape
        size = start.shape[1]
        weight_t = weight.t().contiguous()
        states = gates.new_empty(length + 1, batch, size)
        states[0] = start
        both, candidates, recurrent = (gates.new_empty(length, batch, n * size) for n in (2, 1, 1))
        product = gates.new_empty(batch, 3 * size)
        product_both, product_new = product[:, : 2 * size], product[:, 2 * size :]
        gates_both, gates_new = gates[..., : 2 * size].unbind(0), gates[..., 2 * size :].unbind(0)
        reset, update = both[..., :size].unbind(0), both[..., size:].unbind(0)
        steps = states.unbind(0)
        for t, (rz, new, inner) in enumerate(
            zip(both.unbind(0), candidates.unbind(0), recurrent.unbind(0), strict=True)
        ):
            torch.addmm(bias, steps[t], weight_t, out=product)
            torch.add(gates_both[t], product_both, out=rz).sigmoid_()
            inner.copy_(product_new)
            torch.addcmul(gates_new[t], reset[t], inner, out=new).tanh_()
            torch.lerp(new, steps[t], update[t], out=steps[t + 1])
        ctx.save_for_backward(weight, states, both, candidates, recurrent)
        return states[1:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        weight, states, both, candidates, recurrent = ctx.saved_tensors
        length, batch, size = gradient.shape
        products = gradient.new_empty(length, batch, 3, size)
        of_candidates = torch.empty_like(candidates)
        carried = gradient.new_zeros(batch, size)
        for end in range(length, 0, -BLOCK):
            block = slice(max(0, end - BLOCK), end)
            reset, update = both[block].chunk(2, dim=-1)
            to_new, slopes = _slopes(reset, update, candidates[block], recurrent[block], states[block])
            totals = of_candidates[block]
            steps = zip(
                gradient[block].unbind(0),
                totals.unbind(0),
                totals.unsqueeze(2).unbind(0),
                slopes.unbind(0),
                products[block].unbind(0),
                products[block].flatten(2).unbind(0),
                update.unbind(0),
                strict=True,
            )
            for given, total, total_wide, slope, product, flat, kept in reversed(list(steps)):
                torch.add(given, carried, out=total)
                torch.mul(total_wide, slope, out=product)
                torch.addmm(total * kept, flat, weight, out=carried)
            totals.mul_(to_new)
        of_state = products.view(-1, 3 * size)
        of_weight = of_state.t() @ states[:-1].view(-1, size)
        of_bias = of_state.sum(dim=0)
        products[:, :, 2] = of_candidates
        return products.flatten(2), carried, of_weight, of_bias


def _slopes(
    reset: Tensor, update: Tensor, candidates: Tensor, recurrent: Tensor, before: Tensor
) -> tuple[Tensor, Tensor]:
    """How a state changes, at each of some positions, with what goes into its candidate (T, B, H), and with
    the recurrent product's parts for reset, update and candidate (T, B, 3, H)."""
    to_new = torch.addcmul(1 - update, update - 1, candidates.square())
    slopes = torch.stack(
        [
            to_new * recurrent * torch.addcmul(reset, reset, reset, value=-1),
            (before - candidates) * torch.addcmul(update, update, update, value=-1),
            to_new * reset,
        ],
        dim=2,
    )
    return to_new, slopes
