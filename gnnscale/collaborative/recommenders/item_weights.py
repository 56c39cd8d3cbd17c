"""Recommenders made of a weight for each pair of items: a user's score is the sum over what the user has had."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Final

import numpy as np
import scipy.linalg
import scipy.sparse
from pydantic import Field

from gnnscale.arrays import Ids
from gnnscale.collaborative.interactions import Interactions, Scores
from gnnscale.collaborative.recommender import DENSE_ITEMS, Recommender
from gnnscale.collaborative.sparse_kernels import weighted_scores
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS

BLOCK_SCORES: Final = 1 << 24
"""Scores that are looked at together: 64 MiB."""


class ItemWeightRecommender(Recommender):
    """Scores ``X W`` from what was seen, X, and weights of item pairs, W.

    Attributes:
        weights: float32 ``[n_items, n_items]``, dense or CSR, from what was had (rows) to what is scored (columns).
    """

    weights: scipy.sparse.csr_matrix | Scores

    def learn(self) -> None:
        """Make the weights."""
        self.weights = self.item_weights()

    @abstractmethod
    def item_weights(self) -> scipy.sparse.csr_matrix | Scores:
        """Weights of item pairs, float32 ``[n_items, n_items]``."""

    def score(self, users: Ids) -> Scores:
        """The sums, float32 ``[len(users), n_items]``."""
        rows = self.inputs(users)
        if scipy.sparse.issparse(self.weights):
            return weighted_scores(rows, self.weights)
        return np.asarray(rows @ self.weights, np.float32)

    def inputs(self, users: Ids) -> scipy.sparse.csr_matrix:
        """What the weights are applied to, CSR ``[len(users), n_items]``."""
        return self.seen[users]


def item_knn_weights(seen: Interactions | scipy.sparse.csr_matrix, nearest: int) -> scipy.sparse.csr_matrix:
    """Cosines of the items' columns, of each item's nearest ones (Sarwar et al., 2001); none with itself.

    Args:
        seen: what every entity has had.
        nearest: items that count beside each.

    Returns:
        float32 ``[C, C]``; column ``i`` holds the cosines of what is nearest to item ``i``.
    """
    matrix = seen.weights if isinstance(seen, Interactions) else seen
    count = matrix.shape[1]
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
    unit = matrix @ scipy.sparse.diags(1.0 / np.maximum(lengths, 1e-12))
    unit = unit.tocsc()
    rows, columns, values = [], [], []
    step = max(1, BLOCK_SCORES // max(1, count))
    for start in range(0, count, step):
        block = np.asarray((unit.T @ unit[:, start : start + step]).todense(), np.float32)
        width = block.shape[1]
        block[np.arange(start, start + width), np.arange(width)] = 0.0
        kept = min(nearest, count)
        best = np.argpartition(-block, kept - 1, axis=0)[:kept]
        columns.append(np.tile(np.arange(start, start + width), kept))
        rows.append(best.ravel())
        values.append(np.take_along_axis(block, best, axis=0).ravel())
    if not count:
        return scipy.sparse.csr_matrix((0, 0), dtype=np.float32)
    table = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    weights = scipy.sparse.csr_matrix(table, shape=(count, count), dtype=np.float32)
    weights.eliminate_zeros()
    return weights


def ease_weights(seen: Interactions | scipy.sparse.csr_matrix, l2: float) -> Scores:
    """Weights of a linear model that tells each item from all others: EASE, ``B = I - P / diag(P)`` with
    ``P = (X'X + l2 I)^-1`` (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8).

    Args:
        seen: what every entity has had, ``X``.
        l2: of the ridge.

    Returns:
        float32 ``[C, C]``, 0 on the diagonal.
    """
    matrix = seen.weights if isinstance(seen, Interactions) else seen
    gram = np.asarray((matrix.T @ matrix).todense(), np.float64)
    if not len(gram):
        return gram.astype(np.float32)
    gram[np.diag_indices_from(gram)] += l2
    inverse = scipy.linalg.inv(gram, overwrite_a=True, assume_a="pos")
    weights = inverse / -np.diagonal(inverse)
    weights[np.diag_indices_from(weights)] = 0.0
    found: Scores = weights.astype(np.float32)
    return found


class ItemKNNOptions(Section):
    """Of :class:`ItemKNN`: ``nearest`` items that count beside each."""

    nearest: Positive = 200


@RECOMMENDERS.register("item_knn")
class ItemKNN(ItemWeightRecommender):
    """Cosines of each item's nearest (:func:`item_knn_weights`)."""

    title = "ItemKNN"
    meaning = "What those had who had the same, by the cosine of items."
    Options = ItemKNNOptions
    trials = ({"nearest": 200}, {"nearest": 50}, {"nearest": 20})

    def item_weights(self) -> scipy.sparse.csr_matrix:
        """The cosines."""
        return item_knn_weights(self.seen, self.options.nearest)


class EASEOptions(Section):
    """Of :class:`EASE`: ``l2`` of the ridge."""

    l2: Annotated[float, Field(gt=0)] = 200.0


@RECOMMENDERS.register("ease")
class EASE(ItemWeightRecommender):
    """A ridge of each item on all others (:func:`ease_weights`)."""

    title = "EASE"
    meaning = "A linear model of each item from all others."
    Options = EASEOptions
    trials = tuple({"l2": l2} for l2 in (200.0, 400.0, 800.0, 100.0, 50.0))
    most_items = DENSE_ITEMS

    def item_weights(self) -> Scores:
        """The coefficients."""
        return ease_weights(self.seen, self.options.l2)
