"""Negatives of which some are positives of the batch."""

import numpy as np
import pytest

from gnnscale.sampling import KnownPositives, NegativeRequest, NegativeRule, build_negatives
from gnnscale.schema import SchemaError
from gnnscale.store import NodeFeatures

TARGETS = 12


def request_of(positives, known, step=0, rows=2):
    return NegativeRequest(
        np.arange(rows), np.zeros(rows, np.int32), known, epoch=1, step=step, batch_positives=positives
    )


@pytest.fixture
def sampler():
    features = NodeFeatures(
        np.zeros((TARGETS, 0), np.float32), np.zeros((TARGETS, 0), np.int32), np.zeros(TARGETS, np.int32)
    )
    counts = np.arange(TARGETS) ** 2
    return build_negatives(NegativeRule("mixed", 40, options={"in_batch": 0.25}), counts, features, seed=3)


def test_a_share_is_positives_of_the_batch_and_the_rest_uniform(sampler):
    known = KnownPositives.of_pairs(np.array([0, 1]), np.array([5, 7]), 2)
    positives = np.array([5, 7, 7])
    drawn = [sampler.sample(request_of(positives, known, step)) for step in range(200)]
    own, others = (np.concatenate([d.nodes[part] for d in drawn]) for part in (slice(10), slice(10, None)))
    assert set(own.tolist()) == {5, 7} and abs((own == 7).mean() - 2 / 3) < 0.05
    np.testing.assert_allclose(np.bincount(others, minlength=TARGETS) / len(others), 1 / TARGETS, atol=0.02)
    assert sampler.in_batch == 0.25
    for found in drawn[:3]:
        assert (found.present[0] == (found.nodes != 5)).all() and (found.present[1] == (found.nodes != 7)).all()
        shares = (np.arange(TARGETS) ** 2 + 0.5) / ((np.arange(TARGETS) ** 2) + 0.5).sum()
        expected = 0.25 * shares[found.nodes] + 0.75 / TARGETS
        np.testing.assert_allclose(np.exp(found.log_share), expected, rtol=1e-4)


def test_a_step_draws_the_same_for_every_part_of_its_batch(sampler):
    known = KnownPositives.of_pairs(np.array([0, 1]), np.array([5, 7]), 2)
    positives = np.array([5, 7, 7])
    whole, part = (sampler.sample(request_of(positives, known, 4, rows)) for rows in (2, 1))
    assert whole.nodes.tolist() == part.nodes.tolist() and (whole.present[:1] == part.present).all()
    assert sampler.sample(request_of(positives, known, 5)).nodes.tolist() != whole.nodes.tolist()
    with pytest.raises(SchemaError, match="made of positives"):
        sampler.sample(request_of(None, known))
