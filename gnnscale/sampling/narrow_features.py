"""Features in fewer bits, as tables on a GPU and on the host store them; no package for GPUs is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

CHUNK_BYTES = 1 << 26
"""Of an array that are copied at once."""


def chunks(array: NDArray[Any] | torch.Tensor) -> Iterator[slice]:
    """The rows of an array in parts of ``CHUNK_BYTES``."""
    rows = max(1, CHUNK_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        yield slice(start, start + rows)


def column_scale(values: NDArray[np.float32] | torch.Tensor) -> NDArray[np.float32]:
    """Of each column a 127th of its largest magnitude, 1 where that is zero, float32 ``[dims]``; NaN stays NaN."""
    largest = np.zeros(values.shape[1], np.float32)
    for rows in chunks(values):
        np.maximum(largest, np.abs(np.asarray(values[rows])).max(axis=0, initial=0), out=largest)
    return np.where(largest == 0, np.float32(1), largest / np.float32(127)).astype(np.float32)


def narrow(part: torch.Tensor, dtype: torch.dtype, scale: torch.Tensor | None) -> torch.Tensor:
    """Some rows as they are stored.

    Args:
        part: float32 ``[rows, dims]``, or what has the type already.
        dtype: to store them in.
        scale: of int8, float32 ``[dims]``.
    """
    if dtype == torch.int8 and part.dtype != torch.int8:
        assert scale is not None
        part = (part / scale).round_().clamp_(-127, 127)
    return part.to(dtype)
