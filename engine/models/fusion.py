"""How a second source corrects hidden states."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Fusion(nn.Module):
    """`h + MLP([h; read])`: lets what was read correct the hidden state."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        width = max(8, int(1.8 * hidden) // 8 * 8)
        self.norm = nn.LayerNorm(2 * hidden)
        self.expand = nn.Linear(2 * hidden, width)
        self.contract = nn.Linear(width, hidden)

    def forward(self, hidden: Tensor, read: Tensor) -> Tensor:
        """Hidden states and what they read, each (B, T, H) -> (B, T, H)."""
        both = self.norm(torch.cat([hidden, read], dim=-1))
        correction: Tensor = self.contract(functional.gelu(self.expand(both)))
        return hidden + correction
