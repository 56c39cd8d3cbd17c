"""Links on blocks from training to predictions: what is embedded and searched is the network that was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gnnscale.batches import TargetRows
from gnnscale.config import build_settings
from gnnscale.inference import embed
from gnnscale.inference.receptive_field_hash import model_receptive_fields
from gnnscale.nn.two_branch import NOT_YET
from gnnscale.retrieval import build_query_indexes
from gnnscale.retrieval.embeddings import read_pairs, read_vectors
from gnnscale.retrieval.retrieve_stage import retrieve
from gnnscale.schema import ConfigError, LakeError
from gnnscale.store import GraphStore
from gnnscale.training import DistributedContext, load_link_model
from gnnscale.training.objectives.ranking import rank_targets
from tests.conftest import Shop
from tests.embedded_shop import anchors_of, train_towers

TO_PRODUCTS = ["purchases.customer_id", "purchases.product_id"]
WALKS = {"strategy": "walk", "walks": {"cycle": TO_PRODUCTS, "number": 20, "top": 5}}


@pytest.mark.parametrize("sampling", [None, WALKS], ids=["fan-outs", "walks"])
def test_vectors_are_those_that_validation_ranked_by(shop: Shop, tmp_path: Path, sampling: Any) -> None:
    settings, lake, trainer = train_towers(shop, tmp_path, sampling)
    store = GraphStore.open(lake)
    summary = embed(settings, lake, store, anchors_of(shop.plan))
    assert summary.rows == summary.encoded == 2 * (40 + 30)
    task, anchor = trainer.task, shop.plan.test
    model = trainer.model.eval()
    vectors, targets = (read_vectors(lake, table, anchor) for table in ("customers", "products"))
    valid = store.features("products").is_valid_at(np.arange(30), anchor - store.manifest.origin)
    assert (vectors[:, -1] == 1).all()
    np.testing.assert_array_equal(targets[:, -1], np.where(valid, 0, NOT_YET))
    with torch.no_grad():
        anchors = np.full(40, anchor - store.manifest.origin, np.int32)
        expected = model.entity(task.source.blocks.around(np.arange(40), anchors))
        products = model.encode_targets(TargetRows.of(store.features("products"), np.arange(30)))
    np.testing.assert_allclose(vectors[:, :-1], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(targets[:, :-1], products, rtol=1e-4, atol=1e-5)
    pairs = read_pairs(lake, "next_week", anchor)
    assert len(pairs.counts) == 40 and not pairs.counts.any()


def test_vectors_start_from_those_of_what_was_had(shop: Shop, tmp_path: Path) -> None:
    """Told event by event, from the raw rows."""
    given = {"entity_start": "targets", "target_hidden": 8, "temperature": 0.1}
    settings, lake, trainer = train_towers(shop, tmp_path, **given)
    store, anchor = GraphStore.open(lake), shop.plan.test
    embed(settings, lake, store, anchors_of(shop.plan))
    model, task = trainer.model.eval(), trainer.task
    raw, ids = shop.raw["purchases"].dropna(subset=["product_id"]), shop.ids("products")
    past = raw[raw["bought_at"] <= pd.Timestamp(anchor, unit="s", tz="UTC")]
    with torch.no_grad():
        anchors = np.full(40, anchor - store.manifest.origin, np.int32)
        wanted = model.share * model.entity(task.source.blocks.around(np.arange(40), anchors))
        products = model.encode_targets(TargetRows.of(store.features("products"), np.arange(30)))
        for customer, node in shop.ids("customers").items():
            own = past.loc[past["customer_id"] == customer, "product_id"].map(ids).dropna().astype(int)
            if len(own):
                wanted[node] += products[own.to_list()].mean(0)
    wanted = torch.nn.functional.normalize(wanted, dim=1) / 0.1**0.5
    np.testing.assert_allclose(read_vectors(lake, "customers", anchor)[:, :-1], wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(read_vectors(lake, "products", anchor)[:, :-1], products, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match=r"embedding\.only_changed does not go with model\.entity_start=targets"):
        model_receptive_fields(settings, store, shop.query)
    content = {**settings.model_dump(mode="json"), "embedding": {"method": "layerwise"}}
    with pytest.raises(ConfigError, match=r"embedding\.method=layerwise does not go with model\.entity_start=targets"):
        build_settings(content)


def test_samples_do_not_depend_on_how_the_sweep_is_cut(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path)
    store, anchors = GraphStore.open(lake), anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    before = [read_vectors(lake, "customers", anchor) for anchor in anchors]
    other = settings.embedding.model_copy(update={"batch_size": 11, "partition_rows": 24})
    assert embed(settings.model_copy(update={"embedding": other}), lake, store, anchors).encoded == 140
    for anchor, vectors in zip(anchors, before, strict=True):
        # Sums of another size of matrix round differently.
        np.testing.assert_allclose(read_vectors(lake, "customers", anchor), vectors, rtol=1e-5, atol=1e-6)


def test_predictions_are_the_best_by_the_two_towers(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path)
    store = GraphStore.open(lake)
    embed(settings, lake, store, anchors_of(shop.plan))
    build_query_indexes(settings, lake, shop.query, anchors_of(shop.plan))
    done = retrieve(settings, lake, shop.query, shop.plan, store)
    assert done.rows == 40 * shop.query.top_k and done.recall.mean == 1
    predictor = load_link_model(settings, lake, store)
    anchor = shop.plan.latest - store.manifest.origin
    entities = predictor.score_entities(predictor.entity_batch(np.arange(40), anchor)).vectors
    scores = entities @ predictor.encode_targets(predictor.target_batch(np.arange(30), anchor)).T
    customers, products = shop.ids("customers"), shop.ids("products")
    for row in lake.read("predictions_next_week").to_pylist():
        own = scores[customers[row["entity"]]]
        assert row["score"] == pytest.approx(own[products[row["target"]]], rel=1e-4, abs=1e-5)
        assert row["score"] == pytest.approx(np.sort(own)[-row["rank"]], rel=1e-4, abs=1e-5)


def test_targets_that_nobody_bought_rank_by_their_columns_or_not_at_all(shop: Shop, tmp_path: Path) -> None:
    settings, lake, trainer = train_towers(shop, tmp_path, new_targets=False)
    model = trainer.model.eval()
    named = np.unique(trainer.task.objective.training.targets)
    model.learned[named[:3]] = False
    store, objective = GraphStore.open(lake), trainer.task.objective
    rows = TargetRows.of(store.features("products"), np.arange(30))
    before = model.encode_targets(rows)
    model.own.weight.data[named[:3]] += 1
    after = model.encode_targets(rows)
    assert torch.equal(before, after), "an embedding that was not learned counts for nothing"
    validation = objective.validation
    given = objective.predictor(model), trainer.task.source.build, objective.examples.anchors[validation], validation
    ranked, _ = rank_targets(*given, 30, 20, DistributedContext())
    assert ranked.max() >= 0 and not np.isin(ranked, named[:3]).any()
    torch.save({"weights": model.state_dict(), "best": {}, "description": {}}, tmp_path / "model.pt")
    predictor = load_link_model(settings, lake, store, content=(tmp_path / "model.pt").read_bytes())
    vectors = predictor.encode_targets(predictor.target_batch(np.arange(30), shop.plan.latest - store.manifest.origin))
    assert (vectors[named[:3], -1] == NOT_YET).all() and (vectors[named[3:], -1] == 0).all()


def test_only_what_changed_is_read_from_what_the_network_reads(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path)
    store = GraphStore.open(lake)
    targets, entities = model_receptive_fields(settings, store, shop.query)
    assert not targets.hops
    source = load_link_model(settings, lake, store).source
    assert set(entities.hops) == {path[0] for path in source.paths} and len(entities.hops) == 2
    changed = settings.model_copy(update={"embedding": settings.embedding.model_copy(update={"only_changed": True})})
    anchors = anchors_of(shop.plan)
    assert embed(changed, lake, store, anchors).encoded == 140
    assert embed(changed, lake, store, [*anchors, anchors[0] + 1]).encoded == 70
    sampling = build_settings({**shop.content, "model": {"network": "blocks"}, "sampling": WALKS}).sampling
    walking = changed.model_copy(update={"sampling": sampling})
    with pytest.raises(ConfigError, match=r"only_changed does not go with sampling.strategy=walk"):
        embed(walking, lake, store, anchors)


def test_a_model_that_does_not_fit_is_told(shop: Shop, tmp_path: Path) -> None:
    settings, lake, _ = train_towers(shop, tmp_path)
    wider = settings.model_copy(update={"model": settings.model.model_copy(update={"hidden": 7})})
    with pytest.raises(LakeError, match="does not fit the graph or the configuration any more"):
        load_link_model(wider, lake, GraphStore.open(lake))
