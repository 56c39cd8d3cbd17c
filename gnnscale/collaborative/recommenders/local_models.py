"""EASE and SLIM of catalogues of any size: for each item one small regression on the items nearest to it.

The exact EASE of an item is a ridge on all others (Steck 2019, eq. 4). Here the inputs of item j are its nearest items
N(j), by cosine; its weights solve (G_NN + l2 I) w = G_Nj with G = X'X. No matrix of all pairs is inverted, or formed
dense.
"""

from __future__ import annotations

from typing import Annotated

import scipy.sparse
from pydantic import Field

from gnnscale.collaborative.local_regression import local_weights
from gnnscale.collaborative.recommenders.item_weights import ItemWeightRecommender
from gnnscale.config import Positive, Section
from gnnscale.schema import RECOMMENDERS


class LocalEASEOptions(Section):
    """Of :class:`LocalEASE`.

    Args:
        nearest: items that each one is told from.
        l2: of the ridges.
        most_entries: of the sums of pairs; of more, each item keeps its strongest.
    """

    nearest: Positive = 200
    l2: Annotated[float, Field(gt=0)] = 20.0
    most_entries: Positive = 150_000_000


@RECOMMENDERS.register("local_ease")
class LocalEASE(ItemWeightRecommender):
    """A ridge of each item on its nearest ones."""

    title = "Local EASE"
    meaning = "A linear model of each item from those nearest to it."
    Options = LocalEASEOptions
    trials = ({}, {"l2": 5.0}, {"l2": 80.0}, {"l2": 300.0})

    def item_weights(self) -> scipy.sparse.csr_matrix:
        """The coefficients, 0 on the diagonal."""
        options = self.options
        return local_weights(self.seen, options.nearest, options.l2, options.most_entries)


class SLIMOptions(LocalEASEOptions):
    """Of :class:`SLIM`: besides, ``l1`` makes weights 0, and each is set ``sweeps`` times at most."""

    nearest: Positive = 100
    l1: Annotated[float, Field(ge=0)] = 1.0
    sweeps: Positive = 20


@RECOMMENDERS.register("slim")
class SLIM(ItemWeightRecommender):
    """SLIM (Ning and Karypis, 2011) with the nearest items as inputs (fsSLIM), by coordinate descent."""

    title = "SLIM"
    meaning = "A sparse linear model of each item, without negative weights, from those nearest to it."
    Options = SLIMOptions
    trials = ({}, {"l1": 3.0, "l2": 50.0}, {"l1": 0.3, "l2": 5.0}, {"l1": 5.0, "l2": 200.0})

    def item_weights(self) -> scipy.sparse.csr_matrix:
        """The coefficients, 0 or more."""
        options = self.options
        sizes = options.nearest, options.l2, options.most_entries
        return local_weights(self.seen, *sizes, l1=options.l1, sweeps=options.sweeps)
