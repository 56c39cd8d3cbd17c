"""The hash of :mod:`gnnscale.sampling.keys` on tensors: int64 of the same bits, which torch computes with."""

from __future__ import annotations

import torch


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


_M1, _M2 = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def _shift(value: torch.Tensor, bits: int) -> torch.Tensor:
    # Torch shifts the sign in from the left; the reference, zeros.
    return (value >> bits) & (2 ** (64 - bits) - 1)


def mix_tensor(value: torch.Tensor) -> torch.Tensor:
    """SplitMix64's finaliser, elementwise on int64: products wrap as those of uint64 do."""
    value = (value ^ _shift(value, 30)) * _M1
    value = (value ^ _shift(value, 27)) * _M2
    return value ^ _shift(value, 31)
