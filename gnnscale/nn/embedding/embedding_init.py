"""Initial rows of an embedding table, each a function of (seed, row): no number of workers changes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.sampling import draw, example_keys, stream_key

CHUNK = 1 << 16
"""Rows that are drawn at once."""


@dataclass(frozen=True)
class EmbeddingInit:
    """How initial values are drawn.

    Args:
        seed: of the run.
        table: name of the table, so that two tables of a model differ.
        deviation: of the normal law; 0 makes all values 0.
    """

    seed: int
    table: str
    deviation: float


def start_rows(law: EmbeddingInit, rows: NDArray[np.int64], channels: int) -> Tensor:
    """Values of some rows before training.

    Args:
        law: that they follow.
        rows: their numbers, ``[rows]``.
        channels: values a row.

    Returns:
        float32 ``[rows, channels]``.
    """
    found = torch.zeros(len(rows), channels)
    if law.deviation == 0:
        return found
    keys = example_keys(stream_key(law.seed, 0, f"embedding/{law.table}"), rows)
    for start in range(0, len(rows), CHUNK):
        found[start : start + CHUNK] = torch.from_numpy(_normal(keys[start : start + CHUNK], channels, law.deviation))
    return found


def _normal(keys: NDArray[np.uint64], channels: int, deviation: float) -> NDArray[np.float32]:
    """Box and Muller (1958): two uniform numbers of a slot make a normal one."""
    slots = np.arange(2 * channels, dtype=np.uint64)
    # [rows, 2 * channels], each in (0, 1)
    uniform = ((draw(keys[:, None], slots) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(uniform[:, :channels])), 2 * np.pi * uniform[:, channels:]
    values: NDArray[np.float32] = (deviation * radius * np.cos(angle)).astype(np.float32)
    return values
