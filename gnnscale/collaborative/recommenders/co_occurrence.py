"""Smoothed co-occurrence: how often items were had together, leveled by how much users and items have.

The first order of Turbo-CF (Park et al., 2024, "Turbo-CF: Matrix Decomposition-Free Graph Filtering for Fast
Recommendation", eq. 6 and 7): with R~ = D_U^-a R D_I^-b, scores are R (R~' R~)^s, the power taken of each entry.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.sparse
from pydantic import Field

from gnnscale.collaborative.pair_sums import pair_sums
from gnnscale.collaborative.recommenders.item_weights import ItemWeightRecommender
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS


class CoOccurrenceOptions(Section):
    """Of :class:`CoOccurrence`.

    Args:
        user_power: a user with n items counts ``n^-user_power`` for each pair of them.
        item_power: a pair's sum is divided by the product of both items' numbers of users to this power.
        entry_power: power that each sum is raised to at last.
        most_entries: of the matrix; of more, each item keeps its strongest neighbors, in proportion to how many it has.
    """

    user_power: Annotated[float, Field(ge=0, le=2)] = 0.8
    item_power: Annotated[float, Field(ge=0, le=1)] = 0.5
    entry_power: Annotated[float, Field(gt=0, le=2)] = 0.7
    most_entries: Positive = 150_000_000


@RECOMMENDERS.register("co_occurrence")
class CoOccurrence(ItemWeightRecommender):
    """Smoothed co-occurrence, not pruned to a fixed number: popular items need more neighbors than others."""

    title = "Co-occurrence"
    meaning = "What was had together, leveled by the degrees of users and items (first order of Turbo-CF)."
    Options = CoOccurrenceOptions
    trials = (
        {},
        {"entry_power": 1.0},
        {"item_power": 0.4},
        {"item_power": 0.4, "user_power": 0.5},
        {"item_power": 0.3, "user_power": 0.5, "entry_power": 1.0},
        {"item_power": 0.5, "user_power": 0.5, "entry_power": 0.85},
        {"item_power": 0.6, "user_power": 0.8, "entry_power": 0.6},
    )

    def item_weights(self) -> scipy.sparse.csr_matrix:
        """The smoothed sums, 0 on the diagonal."""
        options = self.options
        matrix = self.seen
        users = np.maximum(np.diff(matrix.indptr), 1.0)
        items = np.maximum(np.bincount(matrix.indices, minlength=matrix.shape[1]), 1.0)
        leveled = matrix.copy()
        leveled.data *= np.repeat(users ** (-options.user_power / 2), np.diff(matrix.indptr)).astype(np.float32)
        leveled.data *= (items**-options.item_power).astype(np.float32)[matrix.indices]
        together = pair_sums(leveled, options.most_entries)
        together.data **= options.entry_power
        return together
