"""What every recommender is: fitted to a matrix of users and items, it scores all items for a block of users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Self

import scipy.sparse

from gnnscale.arrays import Ids
from gnnscale.collaborative.interactions import Scores, as_matrix
from gnnscale.config import Implementation, NoOptions, Section, read_options, split_implementation
from gnnscale.schema import RECOMMENDERS, DataError

DENSE_ITEMS: Final = 8_000
"""Items up to which a matrix of all their pairs is formed: its inverse takes 8 GB-seconds of two cores then."""


class Recommender(ABC):
    """Scores items for users from what all users have had.

    Args:
        options: of :attr:`Options`; None for its defaults.
        seed: of whatever is drawn.

    Attributes:
        seen: what it was fitted to, float32 CSR ``[n_users, n_items]``.
    """

    title: ClassVar[str]
    """On pages."""

    meaning: ClassVar[str]
    """What it does, in a sentence."""

    Options: ClassVar[type[Section]] = NoOptions
    """What can be set."""

    trials: ClassVar[Sequence[Mapping[str, Any]]] = ({},)
    """Options that tuning tries, the likeliest first."""

    draws: ClassVar[bool] = False
    """Whether another seed gives another answer."""

    for_repeats: ClassVar[bool] = False
    """Whether it has anything to say only where lists may name what was seen."""

    most_items: ClassVar[int | None] = None
    """Items beyond which it can't be fitted; None for no limit."""

    seen: scipy.sparse.csr_matrix

    def __init__(self, options: Section | None = None, seed: int = 0) -> None:
        self.options: Any = options if options is not None else self.Options()
        self.seed = seed

    def fit(self, seen: scipy.sparse.spmatrix) -> Self:
        """Learn from what users have had.

        Args:
            seen: weights above 0 of the pairs, ``[n_users, n_items]``.

        Raises:
            DataError: there is nothing to learn from, or there are more items than it can take.
        """
        self.seen = as_matrix(seen)
        if not self.seen.nnz:
            raise DataError(f"{self.title}: there are no interactions to learn from")
        if self.most_items is not None and self.seen.shape[1] > self.most_items:
            count = self.seen.shape[1]
            raise DataError(f"{self.title} takes no more than {self.most_items:,} items, and there are {count:,}")
        self.learn()
        return self

    @abstractmethod
    def learn(self) -> None:
        """Learn from :attr:`seen`."""

    @abstractmethod
    def score(self, users: Ids) -> Scores:
        """Scores of all items, float32 ``[len(users), n_items]``; what was seen has one too.

        Args:
            users: rows of what was fitted, int64.
        """


def make_recommender(implementation: Implementation, seed: int = 0) -> Recommender:
    """A recommender by its name, or by a mapping with its name and options.

    Raises:
        ConfigError: there is no such recommender or option.
    """
    name, options = split_implementation(implementation)
    found: type[Recommender] = RECOMMENDERS.find(name)
    return found(read_options(RECOMMENDERS.kind, name, found, options), seed)
