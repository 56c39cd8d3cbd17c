"""Layers hold each node once, with what walks from it reach, and all of it at the batch's anchor."""

import numpy as np
import pytest

from gnnscale.batches import Examples, LayeredBuilder, LayeredSource
from gnnscale.sampling import MostVisited, WalkRule, WalkSampler

DAY = 86_400
CYCLE = ["purchases.product_id", "purchases.customer_id", "purchases.customer_id", "purchases.product_id"]


def visited_of(store, **options) -> MostVisited:
    walker = WalkSampler(store, CYCLE, WalkRule(30, top=4), seed=1, table="products")
    return MostVisited(walker, **options)


def builder_of(store, layers: int = 2, **options) -> LayeredBuilder:
    ids = np.arange(store.node_count("products"), dtype=np.float32)[:, None]
    return LayeredBuilder(visited_of(store, **options), layers, ids)


@pytest.mark.parametrize("kept", [0, 1 << 20])
def test_each_layer_has_every_node_once_and_its_walks(store, kept):
    builder, anchor = builder_of(store, kept_bytes=kept), 30 * DAY
    entities, targets = np.array([3, 5, 3]), np.array([5, 9])
    block = builder.build(entities, targets, anchor)
    walker = builder.visited.walker
    nodes, edges = block.features[:, 0].numpy().astype(int), 0
    for own, near, weights in zip(block.own, block.neighbors, block.weights, strict=True):
        assert len(np.unique(nodes)) == len(nodes)
        held = nodes[own.numpy()]
        walks = walker.sample(held, np.full(len(held), anchor))
        found = np.where(weights.numpy() > 0, nodes[near.numpy()], -1)
        np.testing.assert_array_equal(found, walks.nodes)
        np.testing.assert_array_equal(weights, walks.weights())
        # No more than what the layer above reads.
        assert set(nodes) == set(held) | (set(walks.nodes.ravel()) - {-1})
        nodes, edges = held, edges + walks.present.sum()
    assert nodes[block.entities].tolist() == entities.tolist() and nodes[block.targets].tolist() == targets.tolist()
    assert block.edges == edges > 0
    assert block.there.tolist() == store.features("products").is_valid_at(targets, anchor).tolist()


def test_what_is_kept_is_what_walks_find_again(store):
    kept, anew = visited_of(store), visited_of(store, kept_bytes=0)
    for anchor in (20 * DAY, 50 * DAY, 20 * DAY):
        for nodes in (np.array([4, 1, 4]), np.arange(store.node_count("products"))):
            for mine, theirs in zip(kept.find(nodes, anchor), anew.find(nodes, anchor), strict=True):
                np.testing.assert_array_equal(mine, theirs)
    early, late = (kept.find(np.arange(30), day * DAY)[0] for day in (20, 50))
    assert (early != late).any()


def test_room_bounds_what_is_kept(store):
    rows, top = store.node_count("products"), 4
    visited, walked = visited_of(store, kept_bytes=rows * (8 * top + 1)), []
    sample = visited.walker.sample
    visited.walker.sample = lambda nodes, anchors: walked.append(len(nodes)) or sample(nodes, anchors)
    for anchor in (20 * DAY, 20 * DAY, 50 * DAY, 50 * DAY):
        visited.find(np.arange(5), anchor)
    assert walked == [5, 5, 5], "one anchor has room, and the other is walked again"


def test_batches_have_one_anchor_and_every_chosen_example(store):
    anchors = np.repeat(np.array([10, 20], np.int32) * DAY, 10)
    examples = Examples(np.arange(20) % 7, anchors, np.arange(21), np.arange(20))
    chosen = np.array([1, 2, 3, 12, 13, 19])
    source = LayeredSource(builder_of(store), examples, chosen, 2, 5)
    batches = source.batches(0)
    assert sorted(np.concatenate(batches).tolist()) == chosen.tolist()
    assert all(len(np.unique(examples.anchors[rows])) == 1 for rows in batches)
    block = source.build(batches[0], 0, np.array([8]))
    assert len(block.entities) == len(batches[0]) and len(block.targets) == 1
