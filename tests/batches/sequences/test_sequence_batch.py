"""Sequences as tensors: whose actions, in which order, and nothing from after the end."""

import numpy as np
import torch

from tests.batches.sequences.logs import DAY, ITEMS, builder_of, random_log


def tokens_of(batch, row):
    own = batch.tokens[row, : batch.lengths[row]].numpy()
    nodes = np.append(batch.items.nodes.numpy(), -1)
    return nodes[own]


def test_a_sequence_is_the_latest_actions_before_its_end():
    log = random_log()
    rng = np.random.default_rng(2)
    entities = rng.integers(0, log.entities, 12)
    ends = rng.integers(log.indptr[entities], log.indptr[entities + 1] + 1)
    batch = builder_of(log).build(entities, ends, targets=np.array([3, 3, 7]))
    for row, (entity, end) in enumerate(zip(entities, ends, strict=True)):
        places = np.arange(max(log.indptr[entity], end - 8), end)
        assert batch.lengths[row] == len(places)
        assert tokens_of(batch, row).tolist() == log.targets_at(places).tolist()
        assert batch.codes[row, : len(places)].tolist() == log.codes_at(places).tolist()
        assert batch.numbers[row, : len(places)].tolist() == log.numbers_at(places).tolist()
        if len(places):
            times = log.times[places]
            expected = (times[-1] - times) / DAY
            torch.testing.assert_close(batch.ages[row, : len(places)], torch.from_numpy(expected.astype(np.float32)))
            gaps = np.diff(times, prepend=times[0]) / DAY
            torch.testing.assert_close(batch.gaps[row, : len(places)], torch.from_numpy(gaps.astype(np.float32)))
    beyond = torch.arange(batch.tokens.shape[1]) >= batch.lengths.unsqueeze(1)
    assert (batch.tokens[beyond] == len(batch.items.nodes)).all() and not batch.codes[beyond].any()
    assert batch.items.nodes[batch.targets].tolist() == [3, 3, 7]
    assert batch.edges == int(batch.lengths.sum())


def test_all_targets_are_scored_in_their_order():
    log = random_log()
    batch = builder_of(log).build(np.array([0, 1]), log.indptr[1:3], everything=True)
    assert batch.items.nodes.tolist() == batch.targets.tolist() == list(range(ITEMS))
    some = builder_of(log).build(np.array([0, 1]), log.indptr[1:3])
    assert tokens_of(batch, 1).tolist() == tokens_of(some, 1).tolist()


def test_an_entity_without_actions_has_an_empty_sequence():
    log = random_log()
    batch = builder_of(log).build(np.array([0]), log.indptr[:1])
    assert batch.lengths.tolist() == [0] and batch.tokens.shape == (1, 1) and batch.asked.tolist() == [0]
