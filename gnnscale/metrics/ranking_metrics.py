"""How good ranked lists are: MAP, recall, NDCG, hit rate, MRR and coverage at k.

Definitions are those of ``torch_geometric.metrics``; the tests compare the two on random data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gnnscale.arrays import Flags, Ids, Ragged
from gnnscale.schema import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RankingMetrics:
    """Metrics of ranked lists, for each entity and on average.

    Args:
        rows: the entities that have a truth and so were evaluated, int64 ``[n_evaluated]``.
        per_entity: name such as ``map@10`` to the value of each evaluated entity, float64 ``[n_evaluated]``.
        means: name to the mean over evaluated entities, and ``coverage@k``, which has no value per entity;
            0 where no entity was evaluated.
    """

    rows: Ids
    per_entity: dict[str, Floats]
    means: dict[str, float]

    @property
    def n_evaluated(self) -> int:
        """Number of entities that have a truth."""
        return int(self.rows.size)


def evaluate_ranking(
    ranked: npt.ArrayLike, truth: Ragged, n_items: int, ks: Sequence[int] = (10, 20)
) -> RankingMetrics:
    """Compare ranked items with what came true.

    With hits ``h_i`` in {0, 1} at ranks i = 1 .. k and T = ``|truth|`` of an entity:
    AP@k = sum_i h_i * (hits up to i) / i / min(k, T);  recall@k = sum_i h_i / T;
    NDCG@k = sum_i h_i / log2(i + 1) / sum_{i <= min(k, T)} 1 / log2(i + 1);
    hit rate@k = 1 if any h_i;  MRR@k = 1 / rank of the first hit, else 0.
    Coverage@k is the share of the catalogue in anyone's top k, entities without a truth included.

    Args:
        ranked: item ids, best first, int64 ``[N, K]``; from the first -1 of a row on, nothing counts.
        truth: the right items of each of the N entities; entities without any are left out of the means.
        n_items: size of the catalogue; ids are below it.
        ks: list lengths. Recall is given at each of them, the other metrics at the first.

    Returns:
        ``map@k``, ``ndcg@k``, ``hit_rate@k``, ``mrr@k`` and ``coverage@k`` at ``ks[0]``, ``recall@k`` at all.

    Raises:
        DataError: shapes differ, a k is below 1, an id is not in the catalogue, or a row names one twice.
    """
    items = _checked(ranked, truth, n_items, ks)
    k = ks[0]
    covered = np.unique(items[:, :k])
    means = {f"coverage@{k}": float((covered >= 0).sum() / n_items) if n_items else 0.0}

    rows = np.flatnonzero(truth.counts)
    hits = truth.contains(items)[rows]  # [n_evaluated, K]
    size = truth.counts[rows]
    per_entity = {
        f"map@{k}": _average_precision(hits[:, :k], size, k),
        **{f"recall@{length}": hits[:, :length].sum(axis=1) / size for length in ks},
        f"ndcg@{k}": _ndcg(hits[:, :k], size, k),
        f"hit_rate@{k}": hits[:, :k].any(axis=1).astype(np.float64),
        f"mrr@{k}": (hits[:, :k] / _ranks(hits[:, :k])).max(axis=1, initial=0.0),
    }
    means = {name: float(values.mean()) if rows.size else 0.0 for name, values in per_entity.items()} | means
    return RankingMetrics(rows=rows, per_entity=per_entity, means=means)


def _checked(ranked: npt.ArrayLike, truth: Ragged, n_items: int, ks: Sequence[int]) -> Ids:
    """The ranked items, int64 ``[N, K]``, with -1 from the first -1 of each row on."""
    items = np.asarray(ranked, dtype=np.int64)
    if items.ndim != 2 or items.shape[0] != len(truth):
        raise DataError(f"ranked must be [{len(truth)}, K], a row per entity: got {list(items.shape)}")
    if not ks or min(ks) < 1:
        raise DataError(f"ks must name list lengths of 1 or more: got {list(ks)}")
    for name, ids in (("ranked", items), ("truth", truth.values)):
        if ids.size and not -1 <= ids.min() <= ids.max() < n_items:
            raise DataError(f"{name}: ids must be in 0 .. {n_items - 1}: got {ids.min()} .. {ids.max()}")
    items = np.where(np.logical_or.accumulate(items < 0, axis=1), -1, items)
    ordered = np.sort(items, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        raise DataError(f"ranked row {int(twice.argmax())} names an item twice")
    return items


def _ranks(hits: Flags) -> Ids:
    return np.arange(1, hits.shape[1] + 1, dtype=np.int64)


def _average_precision(hits: Flags, size: Ids, k: int) -> Floats:
    precision = hits.cumsum(axis=1) / _ranks(hits)  # [n, k]
    return (precision * hits).sum(axis=1) / np.minimum(size, k)


def _ndcg(hits: Flags, size: Ids, k: int) -> Floats:
    discount = 1.0 / np.log2(np.arange(2, k + 2))  # [k]
    ideal = np.cumsum(discount)[np.minimum(size, k) - 1]  # [n]
    return (hits * discount[: hits.shape[1]]).sum(axis=1) / ideal
