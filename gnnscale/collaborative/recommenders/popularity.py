"""What needs no model: the most had items for everyone, and items drawn at random."""

from __future__ import annotations

import numpy as np

from gnnscale.arrays import Ids
from gnnscale.collaborative.interactions import Scores
from gnnscale.collaborative.recommender import Recommender
from gnnscale.schema import RECOMMENDERS


@RECOMMENDERS.register("popularity")
class Popularity(Recommender):
    """Items by how many users have had them."""

    title = "Popularity"
    meaning = "What most users have had, for everyone."

    def learn(self) -> None:
        """Count the users of each item."""
        self.counts = np.bincount(self.seen.indices, minlength=self.seen.shape[1]).astype(np.float32)

    def score(self, users: Ids) -> Scores:
        """The counts, for every user."""
        return np.broadcast_to(self.counts, (len(users), len(self.counts))).copy()


@RECOMMENDERS.register("random")
class Random(Recommender):
    """Items in an order of each user's own, drawn by a hash of seed, user and item."""

    title = "Random"
    meaning = "Any item, each as likely."
    draws = True

    def learn(self) -> None:
        """Nothing is learned."""

    def score(self, users: Ids) -> Scores:
        """A number in [0, 1) for each pair, the same whenever it is asked for."""
        key = users.astype(np.uint64)[:, None] * np.uint64(self.seen.shape[1])
        key = key + np.arange(self.seen.shape[1], dtype=np.uint64)[None, :] + np.uint64(self.seed * 0x9E3779B9 + 1)
        # The finalizer of splitmix64 (Steele et al., 2014).
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
        return ((key ^ (key >> np.uint64(31))) >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24)


@RECOMMENDERS.register("own_items")
class OwnItems(Recommender):
    """What a user has dealt with, by weight; for what is foretold among such items too, as purchases after views."""

    title = "Own items"
    meaning = "What the user has dealt with, by weight; then what most users have had."
    for_repeats = True

    def learn(self) -> None:
        """Count the users of each item."""
        counts = np.bincount(self.seen.indices, minlength=self.seen.shape[1])
        self.popular = (1e-3 * self.seen.data.min() * counts / counts.max()).astype(np.float32)

    def score(self, users: Ids) -> Scores:
        """The weights, and less than any weight for what is popular."""
        return np.asarray(self.seen[users].toarray() + self.popular, np.float32)
