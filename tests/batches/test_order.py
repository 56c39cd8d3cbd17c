"""An epoch takes every example once, in an order that no number of workers changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.batches import rank_slice
from gnnscale.batches.examples.order import epoch_batches, grouped_batches

anchors = st.lists(st.integers(0, 4), min_size=1, max_size=120).map(lambda a: np.array(a, np.int32) * 604_800)


@given(anchors, st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_every_example_comes_once_and_a_batch_has_one_anchor(anchors, size, seed, epoch):
    batches = epoch_batches(anchors, size, seed, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(anchors)))
    for batch in batches:
        assert batch.dtype == np.int64 and 0 < len(batch) <= max(1.5 * size, 1)
        assert len(set(anchors[batch])) == 1
    for anchor in set(anchors.tolist()):
        sizes = [len(batch) for batch in batches if anchors[batch[0]] == anchor]
        assert max(sizes) - min(sizes) <= 1


@given(anchors, st.integers(1, 40), st.integers(1, 7))
def test_workers_share_the_same_global_batches(anchors, size, workers):
    for batch in epoch_batches(anchors, size, 0, 0):
        parts = [rank_slice(batch, rank, workers) for rank in range(workers)]
        assert sorted(np.concatenate(parts).tolist()) == sorted(batch.tolist())
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        # A worker of one is the batch itself, in its order.
        assert rank_slice(batch, 0, 1).tolist() == batch.tolist()


def sequence(seed: int = 0, epoch: int = 0) -> list[list[int]]:
    return [b.tolist() for b in epoch_batches(np.repeat(np.arange(3, dtype=np.int32), 40), 8, seed, epoch)]


def test_the_order_follows_seed_and_epoch_and_mixes_anchors():
    assert sequence() == sequence()
    assert sequence(seed=1) != sequence() != sequence(epoch=1)
    anchors_in_order = [batch[0] // 40 for batch in sequence()]
    assert anchors_in_order != sorted(anchors_in_order)
    assert [len(b) for b in sequence()] == [8] * 15


def test_a_changed_anchor_leaves_the_batches_of_the_others():
    few = np.repeat(np.array([0, 1], np.int32), 20)
    more = np.repeat(np.array([0, 1, 2], np.int32), 20)
    kept = {tuple(b) for b in epoch_batches(more, 5, 0, 0) if b[0] < 40}
    assert kept == {tuple(b) for b in epoch_batches(few, 5, 0, 0)}


sizes = st.lists(st.integers(0, 30), min_size=1, max_size=20)


def groups_of(sizes: list[int]) -> list[np.ndarray]:
    return np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])


@given(sizes, st.integers(1, 40), st.integers(0, 3))
def test_grouped_batches_hold_every_example_once_and_are_as_many_in_every_epoch(sizes, size, epoch):
    batches = grouped_batches(groups_of(sizes), size, 1, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(sum(sizes)))
    assert len(batches) == len(grouped_batches(groups_of(sizes), size, 1, epoch + 1))
    if sum(sizes):
        assert all(0 < len(batch) <= 2.5 * size for batch in batches)


def test_an_epoch_of_few_examples_takes_others_each_time():
    taken = [grouped_batches(groups_of([10] * 12), 10, 0, epoch, most=30) for epoch in (0, 1)]
    assert [len(batches) for batches in taken] == [3, 3]
    assert set(np.concatenate(taken[0])) != set(np.concatenate(taken[1]))


def test_workers_that_divide_the_lanes_read_groups_of_their_own():
    groups = groups_of([12] * 16)
    batches = grouped_batches(groups, 16, 0, 0, lanes=8)
    assert {len(batch) for batch in batches} == {16}
    for workers in (2, 4, 8):
        opened = [{int(row) // 12 for b in batches for row in rank_slice(b, rank, workers)} for rank in range(workers)]
        assert [len(own) for own in opened] == [16 // workers] * workers
    assert batches[0].tolist() != grouped_batches(groups, 16, 0, 1, lanes=8)[0].tolist()
