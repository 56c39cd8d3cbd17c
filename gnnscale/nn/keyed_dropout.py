"""Drop-out that follows from what a row is of, and not from where it stands in a batch."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor, nn

from gnnscale.sampling import mix_tensor

UNIT = 1 << 24
"""Steps of the random numbers that decide."""
_GOLDEN, _SCATTER = -1640531527, 0x7FEB352D
"""Odd 32-bit factors: 2**32 over the golden ratio, which spreads channels, and one that carries low bits up."""


class KeyedDropout(nn.Module):
    """Sets entries to zero at random, and scales the others so that the mean stays (Srivastava et al., JMLR 2014).

    Whether an entry is dropped is a hash of the step's key, the row's key, the channel and the layer's name. So the
    masks of a global batch are the same however it is cut into parts, and over however many workers.

    Args:
        share: of the entries, from 0 up to, not including, 1.
        name: tells the layer from others of a network.

    Attributes:
        step: key of the training step, int64; see :func:`set_dropout_step`.
    """

    step: Tensor

    def __init__(self, share: float, name: str) -> None:
        super().__init__()
        self.share = share
        self._salt = zlib.crc32(name.encode())
        self.register_buffer("step", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, values: Tensor, rows: Tensor) -> Tensor:
        """In training, some entries dropped; else the values.

        Args:
            values: ``[rows, channels]``.
            rows: what each is of, int64 ``[rows]``; equal keys have equal masks.
        """
        if not self.training or self.share == 0:
            return values
        with torch.no_grad():
            kept = self._draw(rows, values.shape[1]) >= round(self.share * UNIT)
            mask = kept.to(values.dtype).mul_(1 / (1 - self.share))
        return values * mask

    def _draw(self, rows: Tensor, channels: int) -> Tensor:
        """Whole numbers under ``UNIT``, int32 ``[rows, channels]``."""
        key = mix_tensor(rows + mix_tensor(self.step + self._salt))
        # Two halves of 32 bits: where a row's numbers begin, and how far they are apart, which is odd.
        start, stride = key.to(torch.int32).unsqueeze(1), (key >> 32).to(torch.int32).unsqueeze(1) | 1
        steps = torch.arange(channels, dtype=torch.int32, device=rows.device) * _GOLDEN
        # [rows, channels]; 32-bit products wrap.
        found = stride * steps
        found += start
        found ^= (found >> 15) & 0x1FFFF
        found *= _SCATTER
        return (found >> 8) & (UNIT - 1)


def set_dropout_step(model: nn.Module, key: int) -> None:
    """Have all keyed drop-out of a network draw anew, by the key of a training step (any 63 bits)."""
    for module in model.modules():
        if isinstance(module, KeyedDropout):
            module.step.fill_(key)
