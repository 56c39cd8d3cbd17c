"""Row-wise Adagrad: one sum of squares a row, and only the rows that were looked up are touched."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8


class RowAdagrad:
    """``s_r += mean(g_r^2); w_r -= rate g_r / (sqrt(s_r) + eps)`` for each row r that has a gradient.

    Adagrad (Duchi, Hazan and Singer, 2011) with the sum of squares of a row as one, as in DLRM (Naumov et al., 2019):
    a state of 4 bytes a row.

    Args:
        rows: of the table.
        device: of the table.

    Attributes:
        squares: float32 ``[rows]``.
    """

    def __init__(self, rows: int, device: torch.device) -> None:
        self.squares = torch.zeros(rows, device=device)

    def step(self, table: Tensor, rows: Tensor, gradients: Tensor, rate: float) -> None:
        """Change some rows of a table in place.

        Args:
            table: ``[rows of the table, channels]``.
            rows: each once, int64 ``[rows]``.
            gradients: ``[rows, channels]``.
            rate: the learning rate.
        """
        squares = self.squares[rows] + gradients.square().mean(dim=1)
        self.squares[rows] = squares
        table.index_add_(0, rows, gradients / (squares.sqrt() + EPSILON).unsqueeze(1), alpha=-rate)
