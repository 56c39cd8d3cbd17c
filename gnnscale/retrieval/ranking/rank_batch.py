"""The list of an entity: filtered, ranked, held to the diversity cap, and opened to exploration, in this order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.exploration import Exploration
from gnnscale.schema import ConfigError


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
    search: AllowedSearch, rule: RankingRule, queries: NDArray[np.float32], rows: NDArray[np.int64]
) -> Ranked:
    """Lists of some entities; those of an entity don't depend on what else is in the batch, but for rounding.

    Args:
        search: of the run.
        rule: what is wanted.
        queries: tower vectors of the entities, ``[len(rows), channels]``.
        rows: which entities these are, int64.

    Returns:
        Lists of ``min(rule.k, targets)`` targets.

    Raises:
        ConfigError: exploration is wanted, and the search has no vectors to score its targets by.
        DataError: there is no such entity, or queries have another number of channels.
    """
    found = search.search(queries, rows, rule.k, rule.depth)
    allowed = search.keep.count_allowed(rows)
    if rule.exploration is None:
        return Ranked(found.targets, found.scores, np.zeros(found.targets.shape, np.bool_), allowed)
    placed = rule.exploration.place(found, rows, search.keep, search.diversity)
    drawn = np.nonzero(placed.explored)
    placed.scores[drawn] = search.score(queries[drawn[0]], rows[drawn[0]], placed.targets[drawn])
    return Ranked(placed.targets, placed.scores, placed.explored, allowed)
