"""The heads that the composer is compared with: the plain residual and the published delta."""

from torch import Tensor, nn
from torch.nn import functional

from engine.models.base import Head, State


class ResidualHead(Head):
    """`y_t = x_t + W_o h_t`, W_o zero at the start: copies the last vector until it has learnt better."""

    def __init__(self, *, hidden: int, dim: int) -> None:
        super().__init__()
        self.correction = nn.Linear(hidden, dim)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, hidden: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict from hidden states (B, T, H) and vectors (B, T, D): (B, T, D)."""
        return x + self.correction(hidden), state


class DeltaHead(Head):
    """`y_t = x_t + normalise(W_o h_t)`: the published head of the first phases, kept to compare with.

    The step from the last vector always has length one, however sure the model is; next to unit vectors that
    is as far as the last vector itself. It cannot start at a baseline.
    """

    def __init__(self, *, hidden: int, dim: int) -> None:
        super().__init__()
        self.delta = nn.Linear(hidden, dim)

    def forward(self, hidden: Tensor, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Predict from hidden states (B, T, H) and vectors (B, T, D): (B, T, D)."""
        return x + functional.normalize(self.delta(hidden), dim=-1), state
