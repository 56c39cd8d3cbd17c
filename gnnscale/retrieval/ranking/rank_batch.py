"""The list of an entity: filtered, ranked, held to the diversity cap, and opened to exploration, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.index.neighbors import Neighbors
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.exploration import Exploration
from gnnscale.schema import ConfigError


class Reranker(Protocol):
    """Orders the candidates of a search anew, with candidates of its own beside them.

    Attributes:
        depth: candidates of each entity that the search is to give.
        stamp: of all that its lists depend on, beside the graph, the model and the search.
    """

    depth: int
    stamp: str

    def rank(
        self,
        anchor: int,
        rows: NDArray[np.int64],
        found: Neighbors,
        keep: Filter,
        diversity: Diversity | None,
        k: int,
    ) -> Neighbors:
        """Lists of some entities.

        Args:
            anchor: epoch seconds.
            rows: node ids of the entities, ``[rows]``.
            found: what the search gave them, ``[rows, depth]``.
            keep: targets that each may be given.
            diversity: most of one category in a list; None for any number.
            k: targets wanted.

        Returns:
            ``[rows, k]``, best first; -1 and -inf where there are fewer. What is in none of its candidates would have
            a score of 0.
        """


@dataclass(frozen=True)
class RankingRule:
    """What is wanted of each list; its diversity cap is a part of the search.

    Args:
        k: targets a list.
        depth: targets that the index is asked for at first.
        exploration: what goes to random targets; None for nothing.

    Raises:
        ConfigError: k or depth is under 1.
    """

    k: int
    depth: int
    exploration: Exploration | None = None

    def __post_init__(self) -> None:
        for name in ("k", "depth"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} of a ranking is {getattr(self, name)}, and must be 1 or more")


@dataclass(frozen=True, eq=False)
class Ranked:
    """Lists of a batch.

    Args:
        targets: int64 ``[rows, k]``, -1 where there are fewer.
        scores: float32 ``[rows, k]``, falling but for explored targets; -inf where there are fewer.
        explored: which targets were drawn at random, bool ``[rows, k]``.
        allowed: number of targets that each entity may be given, int64 ``[rows]``; 0 where it has no list.
    """

    targets: NDArray[np.int64]
    scores: NDArray[np.float32]
    explored: NDArray[np.bool_]
    allowed: NDArray[np.int64]


def rank_batch(
    search: AllowedSearch,
    rule: RankingRule,
    queries: NDArray[np.float32],
    rows: NDArray[np.int64],
    reranker: Reranker | None = None,
    anchor: int = 0,
) -> Ranked:
    """Lists of some entities; those of an entity don't depend on what else is in the batch, but for rounding.

    Args:
        search: of the run.
        rule: what is wanted.
        queries: tower vectors of the entities, ``[len(rows), channels]``.
        rows: which entities these are, int64.
        reranker: orders what is found anew; None leaves it.
        anchor: epoch seconds, for the reranker.

    Returns:
        Lists of ``min(rule.k, targets)`` targets.

    Raises:
        ConfigError: exploration is wanted, and the search has no vectors to score its targets by.
        DataError: there is no such entity, or queries have another number of channels.
    """
    if reranker is None:
        found = search.search(queries, rows, rule.k, rule.depth)
    else:
        depth = max(rule.k, reranker.depth)
        candidates = search.search(queries, rows, depth, max(depth, rule.depth))
        found = reranker.rank(anchor, rows, candidates, search.keep, search.diversity, rule.k)
    allowed = search.keep.count_allowed(rows)
    if rule.exploration is None:
        return Ranked(found.targets, found.scores, np.zeros(found.targets.shape, np.bool_), allowed)
    placed = rule.exploration.place(found, rows, search.keep, search.diversity)
    drawn = np.nonzero(placed.explored)
    if reranker is None:
        placed.scores[drawn] = search.score(queries[drawn[0]], rows[drawn[0]], placed.targets[drawn])
    else:
        placed.scores[drawn] = 0.0
    return Ranked(placed.targets, placed.scores, placed.explored, allowed)
