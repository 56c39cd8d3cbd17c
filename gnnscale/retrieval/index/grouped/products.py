"""Products of matrices on one core, in the arithmetic that the processor is fastest at."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnscale.schema import ConfigError


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


def half_squares(vectors: Tensor) -> Tensor:
    """Half of each vector's squared length: what is taken off a product to compare Euclidean distances."""
    return (vectors * vectors).sum(1) / 2
