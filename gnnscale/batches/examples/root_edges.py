"""Pairs of an entity and a target as the examples that links are learned from, and rules for which pairs are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gnnscale.batches.examples.entity_events import EntityEvents
from gnnscale.batches.examples.link_examples import Examples
from gnnscale.batches.examples.split_examples import SplitExamples
from gnnscale.config import RootSettings
from gnnscale.query import Window
from gnnscale.schema import DataError


def root_edges(
    examples: SplitExamples[Examples], rule: RootSettings, events: EntityEvents, window: Window, origin: int
) -> SplitExamples[Examples]:
    """Examples whose training rows are pairs: an entity, its anchor and one target.

    Args:
        examples: as they were labelled.
        rule: which pairs are roots.
        events: of all entities.
        window: of the query.
        origin: of the graph, in epoch seconds.

    Returns:
        Rows of all training pairs, in order of example and target, and after them those of validation as they were;
        ``training`` are the rows of roots, and no target of any training row is a negative of its entity.

    Raises:
        DataError: no pair meets the rule.
    """
    whole = examples.examples
    trained, shown = whole.take(examples.training), whole.take(examples.validation)
    each = np.repeat(np.arange(len(trained)), np.diff(trained.indptr))
    split = pair_examples(trained.entities[each], trained.anchors[each], trained.targets, shown)
    kept = are_roots(trained, rule, events, window, origin)
    if not kept.any():
        bounds = ", ".join(f"{name} {value}" for name, value in rule.model_dump().items() if value is not None)
        raise DataError(f"none of {len(each):,} training pairs is a root by sampling.roots ({bounds})")
    return replace(split, training=np.flatnonzero(kept))


def pair_examples(
    entities: NDArray[np.int64], anchors: NDArray[np.int32], targets: NDArray[np.int64], shown: Examples
) -> SplitExamples[Examples]:
    """Pairs of an entity and a target to train on, and after them examples that choose the weights.

    Args:
        entities, targets: of the pairs, node ids ``[pairs]``; none of these targets is a negative of its entity.
        anchors: of the pairs, seconds after the graph's origin ``[pairs]``.
        shown: examples of the validation split.
    """
    pairs = len(entities)
    split = Examples(
        np.concatenate([entities, shown.entities]),
        np.concatenate([anchors, shown.anchors]),
        np.concatenate([np.arange(pairs), pairs + shown.indptr]),
        np.concatenate([targets, shown.targets]),
    )
    return SplitExamples(split, np.arange(pairs), pairs + np.arange(len(shown)), np.arange(pairs))


def are_roots(
    examples: Examples, rule: RootSettings, events: EntityEvents, window: Window, origin: int
) -> NDArray[np.bool_]:
    """Which pairs of an example and one of its targets are roots, bool ``[pairs]``; see :func:`root_edges`."""
    each = np.repeat(np.arange(len(examples)), np.diff(examples.indptr))
    if rule.demand is None and rule.top is None:
        return np.ones(len(each), np.bool_)
    moments, place = np.unique(examples.anchors, return_inverse=True)
    ends = np.array([window.span(int(anchor) + origin)[1] - origin for anchor in moments], np.int64)[place]
    demand = events.demand(examples.targets, ends[each])
    kept = np.zeros(len(each), np.bool_)
    if rule.demand is not None:
        kept |= demand >= rule.demand
    if rule.top is not None:
        had = events.had(examples.entities, ends, examples.anchors.astype(np.int64))
        keys = had.example * np.int64(events.n_targets) + had.target
        # Every target of an example has an event within its window.
        own = had.events[np.searchsorted(keys, each * np.int64(events.n_targets) + examples.targets)]
        order = np.lexsort((examples.targets, -demand, -own, each))
        rank = np.arange(len(each)) - examples.indptr[each]
        kept[order] |= rank < rule.top
    return kept
