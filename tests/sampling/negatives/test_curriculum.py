"""Shared negatives at first, and from epoch to epoch one hard one more, of a band that follows the catalogue."""

import numpy as np
import pytest

from gnnscale.sampling import NegativeRule, WalkRule, WalkSampler, build_negatives
from gnnscale.sampling.negatives.curriculum import CurriculumNegatives, scaled_band
from gnnscale.sampling.negatives.hard import HardNegatives
from gnnscale.schema import ConfigError
from tests.sampling.negatives.test_hard import CYCLE, request_for


def strategy(store, walks: int = 200, **options) -> CurriculumNegatives:
    walker = WalkSampler(store, CYCLE, WalkRule(walks, top=3), seed=2, table="products")
    counts = np.arange(store.node_count("products"))
    rule = NegativeRule("curriculum", 12, options={"band": (2, 12), "most_hard": 3, **options})
    found = build_negatives(rule, counts, store.features("products"), 4, walker)
    assert isinstance(found, CurriculumNegatives)
    return found


def test_an_epoch_has_one_hard_one_more_for_its_own_example_alone(store):
    negatives, batch = strategy(store), 8
    shared = build_negatives(
        NegativeRule("shared", 12), np.arange(store.node_count("products")), store.features("products"), 4
    )
    hard = HardNegatives(negatives.hard.walker, (2, 12), 3, "positive", 4)
    for epoch, each in ((0, 0), (1, 1), (2, 2), (3, 3), (7, 3)):
        request = request_for(store, batch, epoch=epoch)
        found, easy, own = negatives.sample(request), shared.sample(request), hard.sample(request)
        assert found.nodes.shape == found.log_share.shape == (12 + batch * each,)
        np.testing.assert_array_equal(found.nodes[:12], easy.nodes)
        np.testing.assert_array_equal(found.present[:, :12], easy.present)
        np.testing.assert_array_equal(found.nodes[12:].reshape(batch, each), own.nodes[:, :each])
        for b, row in enumerate(found.present[:, 12:].reshape(batch, batch, each)):
            np.testing.assert_array_equal(row[b], own.present[b, :each])
            assert not np.delete(row, b, axis=0).any()
    assert found.present[:, 12:].any()


def test_the_band_is_the_papers_where_there_is_room_and_a_share_of_small_catalogues():
    assert scaled_band(10_000_000) == scaled_band(200_000) == (2000, 5000)
    assert scaled_band(4_000) == (40, 100)
    assert [scaled_band(n) for n in (1, 30, 300)] == [(1, 2), (1, 2), (3, 7)]


def test_walks_keep_as_many_nodes_as_the_band_reaches(store):
    assert strategy(store).hard.walker.rule.top == 12
    assert strategy(store, band=None).hard.ranks == scaled_band(store.node_count("products"))
    with pytest.raises(ConfigError, match="walk ranks 2 to 12, and walks have 11 visits in all"):
        strategy(store, walks=11)
