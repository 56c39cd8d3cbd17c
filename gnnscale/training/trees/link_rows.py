"""What trees of links learn from: candidates that came true, and a fixed number of own and of new ones that did not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import Examples, SplitExamples
from gnnscale.config import TreesSettings
from gnnscale.sampling import default_examples, draw, example_keys, permutation, stream_key
from gnnscale.training.trees.boosters import Hear, TreeRows, grow, mean_scores
from gnnscale.training.trees.link_model import LinkTrees, PairFeatureSource


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
    train = _rows(source, examples.examples, kept, options, seed)
    judge = _rows(source, examples.examples, judged, options, seed)
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
        model.before_refit()
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
    examples: Examples,
    rows: NDArray[np.int64],
    options: TreesSettings,
    seed: int,
) -> TreeRows:
    """Features and labels of the chosen pairs of some examples, a group for each."""
    tables, labels, groups = [], [], []
    for anchor in np.unique(examples.anchors[rows]):
        own = examples.take(rows[examples.anchors[rows] == anchor])
        found, had = source.candidates.find(own.entities, int(anchor))
        limits = options.own_negatives, options.new_negatives
        targets = chosen_targets(found, had, own, limits, seed)
        tables.append(source.features.compute(own.entities, own.anchors, targets))
        labels.append(_named(own, targets).astype(np.float32))
        groups.append(targets.counts)
    return TreeRows(np.concatenate(tables), np.concatenate(labels), np.concatenate(groups))


def chosen_targets(
    found: Ragged, had: NDArray[np.bool_], examples: Examples, limits: tuple[int, int], seed: int
) -> Ragged:
    """Of the candidates of some examples those that came true, and some of each kind that did not.

    What came true and is no candidate is left out: it would never be scored, and trees would learn to tell candidates
    from the rest, by how popular they are.

    Args:
        found: candidates of each example.
        had: whether the entity has had them, bool ``[pairs]``.
        examples: with targets.
        limits: most that did not come true, of those that the entity has had and of the others.
        seed: of the draws, each a function of (seed, entity, anchor, target).

    Returns:
        Targets of each example, ascending.
    """
    row, named = found.row_of_value, _named(examples, found)
    keys = example_keys(stream_key(seed, 0, "trees/candidates"), default_examples(examples.entities, examples.anchors))
    bits = draw(keys[row], found.values.astype(np.uint64))
    # Those that came true stand behind the others of their kind, and are kept whatever their place.
    order = np.lexsort((bits, named, had, row))
    kind = row[order] * 2 + had[order]
    rank = np.arange(len(order)) - np.searchsorted(kind, kind)
    kept = np.sort(order[named[order] | (rank < np.where(had[order], *limits))])
    return Ragged.from_pairs(row[kept], found.values[kept], len(examples))


def _named(examples: Examples, targets: Ragged) -> NDArray[np.bool_]:
    """Which of the targets of each example came true, bool ``[pairs]``."""
    most = int(max(targets.values.max(initial=0), examples.targets.max(initial=0))) + 1
    mine = targets.row_of_value * most + targets.values
    theirs = examples.truth.row_of_value * most + examples.targets
    found: NDArray[np.bool_] = np.isin(mine, theirs, assume_unique=True)
    return found
