"""How good ranked lists are: MAP, recall, NDCG, hit rate, MRR and coverage at k.

Definitions are those of ``torch_geometric.metrics``; the tests compare the two on random data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from gnnscale.arrays import Flags, Ids, Ragged
from gnnscale.metrics.metric import Floats, ListMetric, Metric
from gnnscale.schema import METRICS, DataError


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
    if not ks or min(ks) < 1:
        raise DataError(f"ks must name list lengths of 1 or more: got {list(ks)}")
    k = ks[0]
    names = [f"map@{k}", *(f"recall@{length}" for length in ks)]
    names += [f"{name}@{k}" for name in ("ndcg", "hit_rate", "mrr", "coverage")]
    return evaluate_lists(names, ranked, truth, n_items)


def evaluate_lists(names: Sequence[str], ranked: npt.ArrayLike, truth: Ragged, n_items: int) -> RankingMetrics:
    """Compare ranked items with what came true, by any metrics of lists.

    Args:
        names: of the metrics, such as ``map@10``.
        ranked: item ids, best first, int64 ``[N, K]``; from the first -1 of a row on, nothing counts.
        truth: the right items of each of the N entities; entities without any are left out of the means.
        n_items: size of the catalogue; ids are below it.

    Returns:
        Every metric under its name, those with a value per entity first.

    Raises:
        ConfigError: a metric is not known.
        DataError: shapes differ, a length is below 1, an id is not in the catalogue, or a row names one twice.
    """
    items = _checked(ranked, truth, n_items)
    rows = np.flatnonzero(truth.counts)
    hits = truth.contains(items)[rows]  # [n_evaluated, K]
    size = truth.counts[rows]
    per_entity: dict[str, Floats] = {}
    overall: dict[str, float] = {}
    for name in names:
        metric, k = find_list_metric(name)
        if metric.each is not None:
            per_entity[name] = metric.each(hits[:, :k], size, k)
        elif metric.overall is not None:
            overall[name] = metric.overall(items[:, :k], n_items)
    means = {name: float(values.mean()) if rows.size else 0.0 for name, values in per_entity.items()}
    return RankingMetrics(rows=rows, per_entity=per_entity, means=means | overall)


def find_list_metric(name: str) -> tuple[ListMetric, int]:
    """The metric of lists of a name such as ``map@10``, and the length.

    Raises:
        ConfigError: there is no such metric.
        DataError: the name has no length of 1 or more, or the metric is none of lists.
    """
    kind, _, length = name.partition("@")
    metric = METRICS.find(kind)
    if not isinstance(metric, ListMetric) or not length.isdigit() or int(length) < 1:
        raise DataError(f"{name} is no metric of lists of a length, such as map@10")
    return metric, int(length)


def _checked(ranked: npt.ArrayLike, truth: Ragged, n_items: int) -> Ids:
    """The ranked items, int64 ``[N, K]``, with -1 from the first -1 of each row on."""
    items = np.asarray(ranked, dtype=np.int64)
    if items.ndim != 2 or items.shape[0] != len(truth):
        raise DataError(f"ranked must be [{len(truth)}, K], a row per entity: got {list(items.shape)}")
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
    return np.asarray((hits * discount[: hits.shape[1]]).sum(axis=1) / ideal, dtype=np.float64)


def _recall(hits: Flags, size: Ids, k: int) -> Floats:
    return np.asarray(hits.sum(axis=1) / size, dtype=np.float64)


def _hit_rate(hits: Flags, size: Ids, k: int) -> Floats:
    return np.asarray(hits.any(axis=1), dtype=np.float64)


def _reciprocal_rank(hits: Flags, size: Ids, k: int) -> Floats:
    return (hits / _ranks(hits)).max(axis=1, initial=0.0)


def _coverage(items: Ids, n_items: int) -> float:
    return float((np.unique(items) >= 0).sum() / n_items) if n_items else 0.0


MAP: Final = METRICS.register("map")(
    ListMetric(
        Metric(
            "map@{k}",
            "MAP@{k}",
            "Mean over {rows} of: at the rank of each hit among the first {k} {items}, the share of hits so far; "
            "summed, divided by min({k}, T), T being the number of {items} that came true.",
        ),
        _average_precision,
    )
)

RECALL: Final = METRICS.register("recall")(
    ListMetric(
        Metric("recall@{k}", "Recall@{k}", "Share of the T {items} that are among the first {k}."),
        _recall,
    )
)

NDCG: Final = METRICS.register("ndcg")(
    ListMetric(
        Metric(
            "ndcg@{k}",
            "NDCG@{k}",
            "Hits weighted by 1 / log₂(rank + 1), divided by what min({k}, T) hits at the top would get.",
        ),
        _ndcg,
    )
)

HIT_RATE: Final = METRICS.register("hit_rate")(
    ListMetric(Metric("hit_rate@{k}", "Hit rate@{k}", "Share of {rows} with a hit among the first {k}."), _hit_rate)
)

MRR: Final = METRICS.register("mrr")(
    ListMetric(
        Metric("mrr@{k}", "MRR@{k}", "Mean of 1 / rank of the first hit; 0 without one among the first {k}."),
        _reciprocal_rank,
    )
)

COVERAGE: Final = METRICS.register("coverage")(
    ListMetric(
        Metric("coverage@{k}", "Coverage@{k}", "Share of the catalogue that is among anybody's first {k}."),
        overall=_coverage,
    )
)
