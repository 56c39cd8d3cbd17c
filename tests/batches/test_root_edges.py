"""Roots of links: which pairs of an entity and a target are learned from, and what entities had, event by event."""

import numpy as np
import pytest

from gnnscale.batches import EntityEvents, Examples, HadTargets, SplitExamples, root_edges
from gnnscale.batches.examples.root_edges import are_roots
from gnnscale.config import RootSettings
from gnnscale.query import Window
from gnnscale.schema import DataError
from gnnscale.store import NodeFeatures

ENTITIES, TARGETS, WEEK = 6, 9, Window(0, 7, "seconds")


def random_events(seed: int) -> tuple[EntityEvents, list[tuple[int, int, int]]]:
    """Events and, row by row, what they are: entity, target, time."""
    rng = np.random.default_rng(seed)
    entity, target, time = rng.integers(0, ENTITIES - 1, 150), rng.integers(0, TARGETS, 150), rng.integers(0, 40, 150)
    order = np.lexsort((time, entity))
    indptr = np.searchsorted(entity[order], np.arange(ENTITIES + 1))
    events = EntityEvents(indptr, target[order], time[order].astype(np.int32), TARGETS)
    return events, list(zip(entity.tolist(), target.tolist(), time.tolist(), strict=True))


def labelled(rows: list[tuple[int, int, int]]) -> Examples:
    """What every entity had within the seven seconds after 10, and after 20."""
    found = [
        (anchor, entity, sorted({p for e, p, t in rows if e == entity and anchor < t <= anchor + 7}))
        for anchor in (10, 20)
        for entity in range(ENTITIES)
    ]
    sizes = np.cumsum([0, *(len(targets) for _, _, targets in found)])
    anchors = np.array([anchor for anchor, _, _ in found], np.int32)
    entities = np.array([entity for _, entity, _ in found])
    return Examples(entities, anchors, sizes, np.array([p for _, _, targets in found for p in targets]))


@pytest.mark.parametrize("seed", range(3))
def test_what_an_entity_had_equals_a_count_of_its_events(seed):
    events, rows = random_events(seed)
    entities, until = np.array([0, 5, 2, 0]), np.array([39, 39, 12, 3])
    had = events.had(entities, until)
    expected = {}
    for i, (entity, end) in enumerate(zip(entities, until, strict=True)):
        for e, p, t in rows:
            if e == entity and t <= end:
                expected[i, p] = expected.get((i, p), 0) + 1
    assert dict(zip(zip(had.example.tolist(), had.target.tolist(), strict=True), had.events, strict=True)) == expected
    past = events.past(entities, until)
    assert [past.row(i).tolist() for i in range(4)] == [sorted(p for j, p in expected if j == i) for i in range(4)]


@pytest.mark.parametrize("rule", [{}, {"demand": 14}, {"top": 2}, {"demand": 15, "top": 1}])
@pytest.mark.parametrize("seed", range(3))
def test_roots_are_in_demand_or_first_of_their_entity(seed, rule):
    events, rows = random_events(seed)
    examples = labelled(rows)
    kept = are_roots(examples, RootSettings(**rule), events, WEEK, origin=0)
    for i, (entity, anchor) in enumerate(zip(examples.entities, examples.anchors, strict=True)):
        own = examples.targets[examples.indptr[i] : examples.indptr[i + 1]]
        demand = {p: sum(q == p and t <= anchor + 7 for _, q, t in rows) for p in own}
        views = {p: sum((e, q) == (entity, p) and anchor < t <= anchor + 7 for e, q, t in rows) for p in own}
        first = sorted(own, key=lambda p: (-views[p], -demand[p], p))[: rule.get("top", 0)]
        wanted = [not rule or demand[p] >= rule.get("demand", 999) or p in first for p in own]
        assert kept[examples.indptr[i] : examples.indptr[i + 1]].tolist() == wanted
    assert bool(rule) == (not kept.all())


def test_pairs_are_examples_of_their_own_and_those_that_are_no_roots_are_no_negatives():
    events, rows = random_events(0)
    examples = labelled(rows)
    training, validation = np.flatnonzero(examples.anchors == 10), np.flatnonzero(examples.anchors == 20)
    split = SplitExamples(examples, training, validation)
    found = root_edges(split, RootSettings(demand=8), events, WEEK, origin=0)
    trained = examples.take(training)
    pairs = list(zip(np.repeat(trained.entities, np.diff(trained.indptr)), trained.targets, strict=True))
    known = found.examples.take(found.known)
    assert list(zip(known.entities, known.targets, strict=True)) == pairs
    assert (np.diff(known.indptr) == 1).all() and set(known.anchors) == {10}
    assert 0 < len(found.training) < len(pairs) and set(found.training) < set(found.known)
    shown, before = found.examples.take(found.validation), examples.take(validation)
    for name in ("entities", "anchors", "indptr", "targets"):
        np.testing.assert_array_equal(getattr(shown, name), getattr(before, name))
    with pytest.raises(DataError, match=r"none of .* training pairs is a root by sampling.roots \(demand 999\)"):
        root_edges(split, RootSettings(demand=999), events, WEEK, origin=0)


def test_shares_are_those_of_the_entitys_events():
    events, rows = random_events(1)
    features = NodeFeatures(
        np.arange(TARGETS, dtype=np.float32)[:, None], np.zeros((TARGETS, 0), np.int32), np.zeros(TARGETS, np.int32)
    )
    entities, anchors = np.array([3, 5, 1]), np.full(3, 25, np.int32)
    had = HadTargets.of(events, features, entities, anchors)
    means = np.zeros(3)
    np.add.at(means, had.entity.numpy(), had.share.numpy() * had.rows.features.numerical[had.target, 0].numpy())
    for i, entity in enumerate(entities):
        own = [p for e, p, t in rows if e == entity and t <= 25]
        # Nobody is entity 5.
        assert means[i] == pytest.approx(np.mean(own) if own else 0, rel=1e-6)
