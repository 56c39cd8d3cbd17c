"""Linear propagation over the graph of users and items, forward and backward by the same sparse product."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor


class BipartiteGraph:
    """The normalized adjacency of users and items, ``A = D^-1/2 [[0, R], [R', 0]] D^-1/2``, as one CSR matrix.

    Args:
        seen: weights of the pairs, R, CSR ``[n_users, n_items]``.
        device: where products are made.
        degrees: of users and of items, ``[n_users]`` and ``[n_items]``; default: their weights in R.

    Attributes:
        shape: numbers of users and items.
    """

    def __init__(
        self,
        seen: scipy.sparse.csr_matrix,
        device: torch.device | str = "cpu",
        degrees: tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]] | None = None,
    ) -> None:
        self.shape = (int(seen.shape[0]), int(seen.shape[1]))
        if degrees is None:
            degrees = np.asarray(seen.sum(axis=1)).ravel(), np.asarray(seen.sum(axis=0)).ravel()
        users, items = (np.maximum(degree, 1e-12) ** -0.5 for degree in degrees)
        leveled = scipy.sparse.diags(users) @ seen @ scipy.sparse.diags(items)
        whole = scipy.sparse.bmat([[None, leveled], [leveled.T, None]], format="csr", dtype=np.float32)
        indptr, indices, data = (torch.from_numpy(part) for part in (whole.indptr, whole.indices, whole.data))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that CSR is in beta
            self.matrix = torch.sparse_csr_tensor(
                indptr, indices, data, size=whole.shape, device=device, check_invariants=False
            )

    def smooth(self, vectors: Tensor, layers: int) -> Tensor:
        """Mean of the vectors after 0 to ``layers`` products with A: LightGCN (He et al., 2020, eq. 8).

        Args:
            vectors: of users and then items, ``[n_users + n_items, dims]``.
            layers: K.
        """
        smoothed: Tensor = _Smooth.apply(vectors, self.matrix, layers)
        return smoothed


class _Smooth(torch.autograd.Function):
    """``(1 + A + ... + A^K) E / (K + 1)`` by Horner's rule: K products, no layer kept.

    A is symmetric, so the gradient is the same function of the gradient that comes in.
    """

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, matrix: Tensor, layers: int) -> Tensor:
        ctx.matrix, ctx.layers = matrix, layers
        return _horner(vectors, matrix, layers)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _horner(gradients[0].contiguous(), ctx.matrix, ctx.layers), None, None


def _horner(vectors: Tensor, matrix: Tensor, layers: int) -> Tensor:
    total = vectors
    for _ in range(layers):
        total = torch.addmm(vectors, matrix, total)
    return total / (layers + 1)
