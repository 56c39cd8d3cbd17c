"""What trees of links learn from: every positive, and a fixed number of own and of new candidates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import Examples, SplitExamples
from gnnscale.config import TreesSettings
from gnnscale.features import Candidates
from gnnscale.sampling import default_examples, draw, example_keys, permutation, stream_key
from gnnscale.training.trees.boosters import Hear, TreeRows, grow, mean_scores
from gnnscale.training.trees.link_model import LinkTrees, PairFeatureSource

WIDER = 4
"""Candidates that negatives are drawn from, as a multiple of those that are scored: the easy ones teach, too."""


def fit_links(
    model: LinkTrees,
    source: PairFeatureSource,
    examples: SplitExamples[Examples],
    options: TreesSettings,
    seed: int,
    hear: Hear,
    validate: Callable[[], None],
) -> int:
    """Grow trees by LambdaRank (Burges, 2010), judged by the MAP of the validation examples' candidates.

    Args:
        model: gets the trees.
        source: of the examples.
        examples: with targets.
        options: of the trees.
        seed: of what is drawn.
        hear: called after each tree.
        validate: called when the trees are grown that know nothing of the validation examples.

    Returns:
        Examples that were learned from.
    """
    each = (
        options.own_negatives + options.new_negatives + len(examples.examples.targets) // max(1, len(examples.examples))
    )
    most = max(1, options.max_rows // each)
    order = permutation(stream_key(seed, 0, "trees"), len(examples.training))
    kept = np.sort(examples.training[order[:most]])
    judged = examples.validation[np.diff(examples.examples.indptr)[examples.validation] > 0][:most]
    drawn = Candidates(source.features, source.rows, WIDER * options.own, WIDER * options.new)
    train = _rows(source, drawn, examples.examples, kept, options, seed)
    judge = _rows(source, drawn, examples.examples, judged, options, seed)
    objective = {
        "objective": "lambdarank",
        "lambdarank_truncation_level": 30,
        "metric": "map",
        "eval_at": [10],
    }
    model.boosters = [grow(objective, train, judge, options, seed, hear=hear)]
    model.lowest = float(mean_scores(model.boosters, train.table, raw=True).min())
    validate()
    if options.refit:
        trees = model.boosters[0].current_iteration() * (len(kept) + len(judged)) / len(kept)
        both = options.model_copy(update={"rounds": max(1, round(trees))})
        rows = _joined(train, judge)
        model.boosters = [grow(objective, rows, None, both, own) for own in range(seed, seed + options.seeds)]
        model.lowest = float(mean_scores(model.boosters, train.table, raw=True).min())
    return len(kept)


def _joined(one: TreeRows, other: TreeRows) -> TreeRows:
    assert one.groups is not None and other.groups is not None
    return TreeRows(
        np.concatenate([one.table, other.table]),
        np.concatenate([one.values, other.values]),
        np.concatenate([one.groups, other.groups]),
    )


def _rows(
    source: PairFeatureSource,
    candidates: Candidates,
    examples: Examples,
    rows: NDArray[np.int64],
    options: TreesSettings,
    seed: int,
) -> TreeRows:
    """Features and labels of the chosen pairs of some examples, a group for each."""
    tables, labels, groups = [], [], []
    for anchor in np.unique(examples.anchors[rows]):
        own = examples.take(rows[examples.anchors[rows] == anchor])
        found, had = candidates.find(own.entities, int(anchor))
        limits = options.own_negatives, options.new_negatives
        targets = chosen_targets(found, had, own, limits, seed)
        tables.append(source.features.compute(own.entities, own.anchors, targets))
        labels.append(_named(own, targets).astype(np.float32))
        groups.append(targets.counts)
    return TreeRows(np.concatenate(tables), np.concatenate(labels), np.concatenate(groups))


def chosen_targets(
    found: Ragged, had: NDArray[np.bool_], examples: Examples, limits: tuple[int, int], seed: int
) -> Ragged:
    """Every positive of some examples, and some of the candidates of each kind that are none.

    Args:
        found: candidates of each example.
        had: whether the entity has had them, bool ``[pairs]``.
        examples: with targets.
        limits: most negatives that the entity has had, and that it has not.
        seed: of the draws, each a function of (seed, entity, anchor, target).

    Returns:
        Targets of each example, ascending.
    """
    negative = ~_named(examples, found)
    row, target, had = found.row_of_value[negative], found.values[negative], had[negative]
    keys = example_keys(stream_key(seed, 0, "trees/candidates"), default_examples(examples.entities, examples.anchors))
    bits = draw(keys[row], target.astype(np.uint64))
    order = np.lexsort((bits, had, row))
    kind = row[order] * 2 + had[order]
    rank = np.arange(len(order)) - np.searchsorted(kind, kind)
    kept = order[rank < np.where(had[order], *limits)]
    truth = examples.truth
    rows = np.concatenate([row[kept], truth.row_of_value])
    return Ragged.from_pairs(rows, np.concatenate([target[kept], truth.values]), len(examples))


def _named(examples: Examples, targets: Ragged) -> NDArray[np.bool_]:
    """Which of the targets of each example came true, bool ``[pairs]``."""
    most = int(max(targets.values.max(initial=0), examples.targets.max(initial=0))) + 1
    mine = targets.row_of_value * most + targets.values
    theirs = examples.truth.row_of_value * most + examples.targets
    found: NDArray[np.bool_] = np.isin(mine, theirs, assume_unique=True)
    return found
