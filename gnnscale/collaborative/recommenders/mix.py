"""Several recommenders in one: their scores, standardized for each user, summed by learned weights."""

from __future__ import annotations

from typing import Annotated, Final, Self

import numpy as np
import scipy.sparse
from pydantic import Field, field_validator

from gnnscale.arrays import Ids
from gnnscale.collaborative.hold_out import hold_out
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.recommender import DENSE_ITEMS, Recommender, make_recommender
from gnnscale.collaborative.weights import learn_weights, standardized
from gnnscale.config import Implementation, Section, split_implementation
from gnnscale.schema import RECOMMENDERS

SMALL_CATALOG: Final = ("co_occurrence", "low_pass", "ease", "ials")
LARGE_CATALOG: Final = ("co_occurrence", "low_pass", "local_ease")


class MixOptions(Section):
    """Of :class:`Mix`.

    Args:
        parts: recommenders; by default co-occurrence, the low-pass filter and EASE: exact, and with iALS beside it,
            where the catalogue is small, else local.
        weights: of the parts; by default they are learned.
        held_out: share of each user's edges that weights are learned on.
    """

    parts: tuple[Implementation, ...] = ()
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1

    @field_validator("parts")
    @classmethod
    def _no_mix(cls, value: tuple[Implementation, ...]) -> tuple[Implementation, ...]:
        if any(split_implementation(part)[0] == "mix" for part in value):
            raise ValueError("a mix can't be a part of a mix")
        return value


@RECOMMENDERS.register("mix")
class Mix(Recommender):
    """The weighted sum of its parts.

    Attributes:
        parts: fitted to all that was seen.
        weights: of the parts, float64, summing to 1; a part without weight is not fitted to all.
    """

    title = "Mix"
    meaning = "The scores of several recommenders, standardized for each user, summed by learned weights."
    Options = MixOptions
    draws = True

    def learn(self) -> None:
        """Learn the weights from a part of the edges, and fit the parts to all."""
        small = self.seen.shape[1] <= DENSE_ITEMS
        names = self.options.parts or (SMALL_CATALOG if small else LARGE_CATALOG)
        weights = np.asarray(self.options.weights, np.float64)
        if len(weights) != len(names):
            train, held = hold_out(self.seen, self.options.held_out, self.seed)
            weights = learn_weights([make_recommender(name, self.seed).fit(train) for name in names], train, held)
        used = np.flatnonzero(weights)
        self.compose([make_recommender(names[i], self.seed).fit(self.seen) for i in used], weights[used], self.seen)

    def compose(self, parts: list[Recommender], weights: np.ndarray, seen: scipy.sparse.csr_matrix) -> Self:
        """Take recommenders that are fitted to ``seen``, and their weights."""
        self.parts, self.weights, self.seen = parts, weights / weights.sum(), seen
        return self

    def score(self, users: Ids) -> Scores:
        """The weighted sum of standardized scores, float32 ``[len(users), n_items]``."""
        total = np.zeros((len(users), self.seen.shape[1]), np.float32)
        for part, weight in zip(self.parts, self.weights, strict=True):
            total += np.float32(weight) * standardized(part.score(users))
        return total
