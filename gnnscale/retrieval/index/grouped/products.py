"""Products of matrices on one core, in the arithmetic that the processor is fastest at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.retrieval.index.grouped.workers import one_core_each
from gnnscale.schema import ConfigError

STRETCH = 256
"""Rows that one core multiplies together."""


@dataclass(frozen=True)
class Comparison:
    """How vectors are compared with centroids.

    Args:
        kind: arithmetic of the products.
        threads: that share the vectors, on the host.
        device: that multiplies; None for the host's cores.
    """

    kind: torch.dtype
    threads: int
    device: torch.device | None = None


def arithmetic(precision: str) -> torch.dtype:
    """Type of numbers for a precision of :class:`gnnscale.retrieval.IndexSetting`."""
    known = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bf16() else torch.float32
    if precision not in known:
        raise ConfigError(f"precision is '{precision}'; one of auto, {', '.join(known)}")
    return known[precision]


def _multiplies_bf16() -> bool:
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def as_scores(products: Tensor) -> NDArray[Any]:
    """Products for the compiled kernels: float32 as it is, bf16, which NumPy lacks, as the int16 of its bits."""
    scores: NDArray[Any] = (products.view(torch.int16) if products.dtype == torch.bfloat16 else products).numpy()
    return scores


def products_of(left: NDArray[np.float32], right: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
    """``left @ right.T``, the same bits whatever the number of threads: a library that shares out a product to so many
    cores as are free adds up in another order with each number of them.

    Args:
        left, right: ``[rows, channels]``.
        threads: that share the rows of ``left``.
    """
    found = np.empty((len(left), len(right)), np.float32)
    turned = torch.from_numpy(np.ascontiguousarray(right)).T

    def multiply(start: int) -> None:
        part = torch.from_numpy(np.ascontiguousarray(left[start : start + STRETCH]))
        torch.mm(part, turned, out=torch.from_numpy(found[start : start + STRETCH]))

    with one_core_each(threads) as pool:
        list(pool.map(multiply, range(0, len(left), STRETCH)))
    return found


def half_squares(vectors: Tensor) -> Tensor:
    """Half of each vector's squared length: what is taken off a product to compare Euclidean distances."""
    return (vectors * vectors).sum(1) / 2
