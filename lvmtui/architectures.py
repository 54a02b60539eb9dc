"""The architectures that a recipe can name: what each is, where it comes from, how many parameters it has.

Torch-free, so that the number of parameters is known before a process is started; tests hold every formula
against the built model.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lvmtui.recipe.sections import ModelSection

COMPOSER_LAGS = 128
"""Vectors that a composer attends to at most."""


@dataclass(frozen=True, slots=True)
class ArchitectureFacts:
    """One architecture."""

    name: str
    summary: str
    """In one line."""
    source: str
    """Paper or book."""
    options: tuple[str, ...]
    """Fields of the recipe's model section that it heeds."""
    backbone: Callable[[ModelSection, int], int]
    """Parameters without the head, by section and numbers in a vector."""


def parameters(section: ModelSection, *, dim: int, context: int) -> int:
    """How many numbers the model of a recipe trains.

    Args:
        dim: numbers in a vector.
        context: vectors before a prediction, `data.context`.
    """
    return ARCHITECTURES[section.name].backbone(section, dim) + _HEADS[section.head](section, dim, context)


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _norm(width: int) -> int:
    return 2 * width


def _gated(gates: int, inputs: int, hidden: int, layers: int = 1) -> int:
    """Recurrent layers of torch: two matrices and two biases for each gate."""
    widths = [inputs] + [hidden] * (layers - 1)
    return sum(gates * hidden * (width + hidden + 2) for width in widths)


def _gru(section: ModelSection, dim: int) -> int:
    return _gated(3, dim, section.hidden, section.layers)


def _lstm(section: ModelSection, dim: int) -> int:
    return _gated(4, dim, section.hidden, section.layers)


def _mingru(section: ModelSection, dim: int) -> int:
    hidden = section.hidden
    layer = _norm(hidden) + _linear(hidden, 2 * hidden)
    return _linear(dim, hidden) + section.layers * layer + _norm(hidden)


def _fusion(hidden: int) -> int:
    width = max(8, int(1.8 * hidden) // 8 * 8)
    return _norm(2 * hidden) + _linear(2 * hidden, width) + _linear(width, hidden)


def _hierarchical_gru(section: ModelSection, dim: int) -> int:
    hidden = section.hidden
    return _gru(section, dim) + _gated(3, hidden, hidden) + _fusion(hidden)


def _memory_gru(section: ModelSection, dim: int) -> int:
    hidden, slots = section.hidden, section.slots
    square = _linear(hidden, hidden)
    read = 3 * square + _linear(hidden, hidden, bias=False)
    write = _norm(hidden) + 3 * square + _linear(hidden, 1) + _linear(hidden, slots)
    return _gru(section, dim) + slots * hidden + read + write + _fusion(hidden)


def _transformer(section: ModelSection, dim: int) -> int:
    hidden = section.hidden
    attention = _linear(hidden, 3 * hidden, bias=False) + _linear(hidden, hidden)
    perceptron = _linear(hidden, 4 * hidden) + _linear(4 * hidden, hidden)
    layer = 2 * _norm(hidden) + attention + perceptron
    return _linear(dim, hidden) + section.layers * layer + _norm(hidden)


def _lane_experts(section: ModelSection, dim: int) -> int:
    hidden, experts = section.hidden, section.experts
    router = experts * dim + 1 + _linear(hidden, experts)
    maps = 2 * hidden * experts * section.rank + experts * hidden
    return _gru(section, dim) + router + maps


def _amn(section: ModelSection, dim: int) -> int:
    hidden = section.hidden
    return _linear(dim, hidden) + (section.layers - 1) * (_norm(hidden) + _linear(hidden, hidden))


def _composer(section: ModelSection, dim: int, context: int) -> int:
    hidden = section.hidden
    rank = max(hidden // 2, 8)
    attention = _linear(hidden, rank) + _linear(dim, rank, bias=False) + 2 * dim
    recency = 1 + min(context, COMPOSER_LAGS)
    # That of `amn` keeps the output map that it starts with.
    output = 0 if section.name == "amn" else dim * dim
    return attention + recency + _linear(hidden, dim) + output


def _one_map(section: ModelSection, dim: int, context: int) -> int:  # noqa: ARG001
    return _linear(section.hidden, dim)


_HEADS: dict[str, Callable[[ModelSection, int, int], int]] = {
    "composer": _composer,
    "residual": _one_map,
    "delta": _one_map,
}

_LAYERS = ("hidden", "layers", "dropout", "head", "start")

_ALL = (
    ArchitectureFacts(
        "amn",
        "attention over the context's own vectors, a small MLP on each, no recurrence: the quick default",
        "after Vaswani et al., Attention Is All You Need, 2017; the composer is of this project",
        _LAYERS,
        _amn,
    ),
    ArchitectureFacts(
        "gru",
        "recurrent layers: the plain reference",
        "Cho et al., Learning Phrase Representations using RNN Encoder-Decoder, 2014",
        _LAYERS,
        _gru,
    ),
    ArchitectureFacts(
        "hierarchical_gru",
        "recurrent layers within chunks that run side by side, under a recurrence over finished chunks",
        "after Sordoni et al., A Hierarchical Recurrent Encoder-Decoder, 2015",
        ("chunk", *_LAYERS),
        _hierarchical_gru,
    ),
    ArchitectureFacts(
        "lane_experts",
        "recurrent layers whose output low-rank experts correct, routed by the lanes of the data",
        "Shazeer et al., Outrageously Large Neural Networks, 2017; Fedus et al., Switch Transformers, 2022",
        ("experts", "active", "rank", *_LAYERS),
        _lane_experts,
    ),
    ArchitectureFacts(
        "lstm",
        "recurrent layers with cells of their own beside their outputs",
        "Hochreiter and Schmidhuber, Long Short-Term Memory, 1997",
        _LAYERS,
        _lstm,
    ),
    ArchitectureFacts(
        "memory_gru",
        "recurrent layers with a differentiable memory of slots, written once a chunk: the flagship",
        "after Graves et al., Neural Turing Machines, 2014",
        ("slots", "chunk", *_LAYERS),
        _memory_gru,
    ),
    ArchitectureFacts(
        "mingru",
        "recurrent layers without a matrix in the recurrence: all positions of a sequence at once",
        "Feng et al., Were RNNs All We Needed?, 2024",
        _LAYERS,
        _mingru,
    ),
    ArchitectureFacts(
        "transformer",
        "causal attention over the last data.context vectors, rotary positions",
        "Vaswani et al., Attention Is All You Need, 2017; Su et al., RoFormer, 2021",
        ("heads", *_LAYERS),
        _transformer,
    ),
)

ARCHITECTURES: dict[str, ArchitectureFacts] = {facts.name: facts for facts in _ALL}
"""Architecture by its name in a recipe."""
