"""Vectors, pairs and rankings worked out target by target."""

from __future__ import annotations

from dataclasses import dataclass

import faiss
import numpy as np

from gnnscale.retrieval import Neighbors, PairScores
from gnnscale.retrieval.filters.diversity import Diversity
from gnnscale.retrieval.filters.filter import Filter
from gnnscale.retrieval.index.flat_index import FlatIndex
from gnnscale.retrieval.ranking.allowed_search import AllowedSearch
from gnnscale.retrieval.ranking.tower import TargetVectors
from tests.retrieval.filter_cases import allowed_targets, make_filter


class ClusteredIndex:
    """Inverted lists of FAISS, of which a query sees the nearest one alone."""

    def __init__(self, vectors: np.ndarray, lists: int) -> None:
        self.size, self.channels = vectors.shape
        self._quantiser = faiss.IndexFlatIP(self.channels)
        self._index = faiss.IndexIVFFlat(self._quantiser, self.channels, lists, faiss.METRIC_INNER_PRODUCT)
        self._index.train(vectors)
        self._index.add(vectors)

    def search(self, queries: np.ndarray, k: int) -> Neighbors:
        scores, targets = self._index.search(queries, k)
        return Neighbors(targets, np.where(targets < 0, -np.inf, scores).astype(np.float32))


class DistanceIndex:
    """Exact search by minus the squared distance."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.size, self.channels = vectors.shape
        self._index = faiss.IndexFlatL2(self.channels)
        self._index.add(vectors)

    def search(self, queries: np.ndarray, k: int) -> Neighbors:
        distances, targets = self._index.search(queries, k)
        return Neighbors(targets, -distances)


@dataclass
class Inventory:
    """Whole numbers everywhere, so that sums are exact and ties are many."""

    queries: np.ndarray
    vectors: np.ndarray
    keep: Filter
    pairs: PairScores | None
    categories: np.ndarray

    def ranked(self, row: int, k: int, cap: int | None = None, squared: bool = False) -> tuple[list[int], list[float]]:
        """The list of an entity: allowed targets best first, those skipped whose category has its share."""
        scores = self.vectors @ self.queries[row]
        if squared:
            scores = -((self.vectors - self.queries[row]) ** 2).sum(1)
        if self.pairs is not None:
            own = slice(self.pairs.indptr[row], self.pairs.indptr[row + 1])
            scores[self.pairs.targets[own]] = self.pairs.scores[own]
        taken: list[int] = []
        for target in sorted(allowed_targets(self.keep, row), key=lambda t: (-scores[t], t)):
            code = self.categories[target]
            same = sum(self.categories[other] == code for other in taken)
            if len(taken) < k and (cap is None or code < 0 or same < cap):
                taken.append(target)
        return taken, [float(scores[t]) for t in taken]

    def search(self, cap: int | None = None, vectors: bool = True, index=FlatIndex, **options) -> AllowedSearch:
        diversity = Diversity(self.categories, cap) if cap is not None else None
        metric = "l2" if index is DistanceIndex else "inner_product"
        beside = TargetVectors(self.vectors, metric) if vectors else None
        return AllowedSearch(index(self.vectors), self.keep, beside, self.pairs, diversity, **options)


def make_inventory(seed: int, entities: int, targets: int, category: str = "any", paired: bool = True) -> Inventory:
    rng = np.random.default_rng(seed)
    span = int(rng.choice([2, 20]))
    queries, vectors = (rng.integers(-span, span + 1, (n, 3)).astype(np.float32) for n in (entities, targets))
    pairs = None
    if paired:
        lists = [rng.permutation(targets)[: rng.integers(0, targets + 1)] for _ in range(entities)]
        scores = [rng.integers(-5, 20, len(own)) for own in lists]
        pairs = PairScores(
            np.cumsum([0, *map(len, lists)]).astype(np.int64),
            np.concatenate(lists).astype(np.int64),
            np.concatenate(scores).astype(np.float32),
        )
    categories = rng.integers(-1, int(rng.choice([2, 8])), targets)
    return Inventory(queries, vectors, make_filter(seed, entities, targets, category), pairs, categories)


def as_lists(found: Neighbors) -> list[tuple[list[int], list[float]]]:
    """What each row holds; absent places are at its end."""
    rows = []
    for targets, scores in zip(found.targets, found.scores, strict=True):
        present = targets >= 0
        assert not present[np.argmin(present) :].any() or present.all()
        assert np.isneginf(scores[~present]).all()
        rows.append((targets[present].tolist(), scores[present].tolist()))
    return rows
