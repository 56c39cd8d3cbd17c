"""Links by sequences from training to predictions, and what of a changed lake is embedded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnscale.inference import embed
from gnnscale.retrieval import build_query_indexes
from gnnscale.retrieval.embeddings import read_pairs, read_vectors
from gnnscale.retrieval.retrieve_stage import retrieve
from gnnscale.store import GraphStore
from gnnscale.training import load_link_model
from tests.conftest import Shop
from tests.embedded_shop import anchors_of, train_towers

SEQUENCE = {"length": 12, "heads": 2, "action_type": "channel", "numbers": ["amount"]}


def test_predictions_are_the_best_by_an_entity_s_latest_actions(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path, network="sequence", sequence=SEQUENCE)
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    predictor = load_link_model(settings, lake, store)
    nodes = np.arange(40)
    for anchor in anchors:
        found = predictor.score_entities(predictor.entity_batch(nodes, anchor - store.manifest.origin))
        np.testing.assert_allclose(read_vectors(lake, "customers", anchor), found.vectors, rtol=1e-4, atol=1e-5)
        # What customers have bought has a score of its own: most of it is bought again.
        pairs = read_pairs(lake, "next_week", anchor)
        np.testing.assert_array_equal(pairs.counts, found.counts)
        np.testing.assert_array_equal(pairs.targets, found.targets)
        np.testing.assert_allclose(pairs.scores, found.scores, rtol=1e-4, atol=1e-5)
        assert found.counts.max() > 5
    build_query_indexes(settings, lake, shop.query, anchors)
    done = retrieve(settings, lake, shop.query, shop.plan, store)
    assert done.rows == 40 * shop.query.top_k and done.recall.mean == 1
    targets = predictor.encode_targets(predictor.target_batch(np.arange(30), anchors[-1] - store.manifest.origin))
    scores = found.vectors @ targets.T
    scores[np.repeat(nodes, found.counts), found.targets] = found.scores
    customers, products = shop.ids("customers"), shop.ids("products")
    for row in lake.read("predictions_next_week").to_pylist():
        each = scores[customers[row["entity"]]]
        assert row["score"] == pytest.approx(each[products[row["target"]]], rel=1e-4, abs=1e-5)
        assert row["score"] == pytest.approx(np.sort(each)[-row["rank"]], rel=1e-4, abs=1e-5)


def test_what_has_not_changed_keeps_its_vectors(shop: Shop, tmp_path: Path) -> None:
    own = {"only_changed": True}
    settings, lake, _ = train_towers(shop, tmp_path, embedding=own, network="sequence", sequence=SEQUENCE)
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    assert embed(settings, lake, store, anchors).encoded > 0
    before = [read_vectors(lake, "customers", anchor) for anchor in anchors]
    assert embed(settings, lake, store, anchors).encoded == 0
    for anchor, vectors in zip(anchors, before, strict=True):
        np.testing.assert_array_equal(read_vectors(lake, "customers", anchor), vectors)
