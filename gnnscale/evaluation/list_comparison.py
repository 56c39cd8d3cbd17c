"""Ranked lists of several methods side by side: everything, what entities had before, and what is new to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gnnscale.arrays import Flags, Ids, Ragged
from gnnscale.evaluation.comparison import MODEL, Comparison, MethodResult, Part, check_methods, part_results, rivals_of
from gnnscale.metrics import (
    Floats,
    RankingMetrics,
    bootstrap_means,
    entity_weights,
    evaluate_lists,
    ratio,
    task_metrics,
)
from gnnscale.query import TaskSpec

PARTS: Final[tuple[Part, ...]] = ("all", "repeat", "explore")


@dataclass(frozen=True, eq=False)
class MethodLists:
    """The lists of one method, item ids, best first, -1 after the last.

    Args:
        name: of the method, such as ``model`` or ``popularity``.
        all: drawn from all items, int64 ``[N, K]``.
        repeat: drawn only from items that the entity has had, int64 ``[N, K]``.
        explore: drawn only from items that the entity has not had, int64 ``[N, K]``.
    """

    name: str
    all: Ids
    repeat: Ids
    explore: Ids


def compare_lists(
    task: TaskSpec,
    methods: Sequence[MethodLists],
    truth: Ragged,
    past: Ragged,
    n_items: int,
    reference: str | None = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    entities: Ids | None = None,
    cold: Flags | None = None,
) -> Comparison:
    """Evaluate each method on all of the truth, on its repeats and on what is new.

    Args:
        task: of links.
        methods: their lists, for the same N entities in the same order.
        truth: what came true, N rows.
        past: what each entity had before the anchor, N rows; splits the truth into repeat and explore.
        n_items: size of the catalogue.
        reference: name of the method that the others are held against; default: that of the task, or where it has none,
            the best baseline by the task's first metric.
        level: of the intervals.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        entities: of each of the N lists, int64 ``[N]``; those of one entity are drawn together. Default: each list is
            of an entity of its own.
        cold: which of the N entities have no events before the anchor, whose truth and that of the others are then
            looked at apart; None for no such parts.

    Raises:
        DataError: two methods share a name, the reference isn't among them, or lists don't fit the truth.
    """
    owners = np.arange(len(truth)) if entities is None else entities
    names = [method.name for method in methods]
    base = reference or task.reference or _strongest(task, methods, truth, n_items)
    check_methods(names, base)
    metrics = task_metrics(task)
    wanted = [metric.name for metric in metrics]
    truths: dict[Part, Ragged] = {
        "all": truth,
        "repeat": truth.intersection(past),
        "explore": truth.difference(past),
    }
    if cold is not None:
        of_cold = cold[truth.row_of_value]
        apart: dict[Part, Flags] = {"warm": ~of_cold, "cold": of_cold}
        for part, kept in apart.items():
            truths[part] = Ragged.from_pairs(truth.row_of_value[kept], truth.values[kept], len(truth))
    found: dict[tuple[str, Part], MethodResult] = {}
    for part, right in truths.items():
        each = {m.name: evaluate_lists(wanted, getattr(m, part, m.all), right, n_items) for m in methods}
        values = {name: _values(ranking) for name, ranking in each.items()}
        drawn = _draw(each, resamples, seed, owners[each[names[0]].rows])
        evaluated = each[names[0]].n_evaluated
        for result in part_results(part, evaluated, values, drawn, base, level):
            found[result.method, part] = result
    results = tuple(found[name, part] for name in names for part in truths)
    count = len(np.unique(owners))
    return Comparison(task, base, results, metrics, len(truth), count, level, seed, resamples)


def _strongest(task: TaskSpec, methods: Sequence[MethodLists], truth: Ragged, n_items: int) -> str:
    metric = task.metrics[0]
    rivals = rivals_of([method.name for method in methods]) or [MODEL]
    mean = {m.name: evaluate_lists([metric], m.all, truth, n_items).means[metric] for m in methods if m.name in rivals}
    return max(rivals, key=lambda name: mean[name])


def _values(ranking: RankingMetrics) -> dict[str, float]:
    """The means; those over entities are undefined without any."""
    undefined = {} if ranking.n_evaluated else dict.fromkeys(ranking.per_entity, math.nan)
    return ranking.means | undefined


def _draw(each: dict[str, RankingMetrics], resamples: int, seed: int, owners: Ids) -> dict[str, dict[str, Floats]]:
    """Method to metric to its mean in each draw; the same draws of entities for all methods."""
    keys = [(name, metric) for name, ranking in each.items() for metric in ranking.per_entity]
    columns = np.stack([each[name].per_entity[metric] for name, metric in keys], axis=1)
    if len(np.unique(owners)) == len(owners):
        means = bootstrap_means(columns, resamples, seed)  # [resamples, methods x metrics]
    else:
        draws = entity_weights(owners, resamples, seed)
        means = np.concatenate([ratio(w @ columns, w.sum(axis=1, keepdims=True)) for w in draws])
    drawn: dict[str, dict[str, Floats]] = {name: {} for name in each}
    for column, (name, metric) in enumerate(keys):
        drawn[name][metric] = means[:, column]
    return drawn
