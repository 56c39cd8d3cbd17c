"""What trees of links learn from: candidates that came true, and a fixed number of own and of new ones that did not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gnnscale.arrays import Ragged
from gnnscale.batches import Examples, SplitExamples
from gnnscale.config import TreesSettings
from gnnscale.sampling import default_examples, draw, example_keys, permutation, stream_key
from gnnscale.training.trees.boosters import Hear, TreeRows, grow
from gnnscale.training.trees.link_model import LinkTrees, PairFeatureSource

OBJECTIVES: Final[tuple[dict[str, Any], ...]] = (
    {"objective": "lambdarank", "lambdarank_truncation_level": 60, "metric": "ndcg", "eval_at": [20]},
    {"objective": "binary"},
)
"""LightGBM's, of a ranking."""


def fit_links(
    model: LinkTrees,
    source: PairFeatureSource,
    examples: SplitExamples[Examples],
    options: TreesSettings,
    seed: int,
    hear: Hear,
    validate: Callable[[], None],
) -> int:
    """Grow trees by LambdaRank (Burges, 2010) and by cross-entropy, each stopped by the validation's candidates.

    The one looks at the order alone and the other at each candidate by itself; their mean ranks better than either.

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
    chosen = [grow(objective, train, judge, options, seed, hear=hear) for objective in OBJECTIVES]
    model.boosters = [[own] for own in chosen]
    model.lowest = _lowest(model, train)
    validate()
    if options.refit:
        model.before_refit()
        rows, more = _joined(train, judge), (len(kept) + len(judged)) / len(kept)
        model.boosters = []
        for objective, own in zip(OBJECTIVES, chosen, strict=True):
            both = options.model_copy(update={"rounds": max(1, round(own.current_iteration() * more))})
            seeds = range(seed, seed + options.seeds)
            model.boosters.append([grow(objective, rows, None, both, number) for number in seeds])
        model.lowest = _lowest(model, train)
    return len(kept)


def _lowest(model: LinkTrees, rows: TreeRows) -> float:
    assert rows.groups is not None
    return float(model.score(rows.table, np.repeat(np.arange(len(rows.groups)), rows.groups)).min())


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
        # Who has no candidates is no ranking.
        groups.append(targets.counts[targets.counts > 0])
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
