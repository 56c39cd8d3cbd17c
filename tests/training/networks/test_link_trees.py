"""Trees of links: what they learn from, and that they rank what is bought again and again first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnscale.arrays import Ragged
from gnnscale.batches import Examples, read_examples
from gnnscale.config import bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.query import Split
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore
from gnnscale.training import DistributedContext, check_task, fit_at_once, load_link_model, save_model
from gnnscale.training.objectives.ranking import rank_targets
from gnnscale.training.trees.link_rows import chosen_targets
from tests.conftest import Shop

DAY = 86_400


def link_settings(shop: Shop, folder: Path, **trees):
    model = {"network": "trees", "trees": {"rounds": 30, "min_rows": 5, "columns": 1.0, **trees}}
    return build_settings({**shop.content, "lake": {"uri": str(folder / "lake")}, "model": model})


@pytest.fixture(scope="module")
def fitted(shop: Shop, store: GraphStore, tmp_path_factory: pytest.TempPathFactory):
    settings = link_settings(shop, tmp_path_factory.mktemp("link_trees"))
    lake, name = Lake(settings.lake.uri), settings.query.name
    for table in (f"labels_{name}", "ids_customers", "ids_products"):
        lake.write(table, shop.lake.read(table))
    query = bind_query(settings, store.manifest)
    check_task(settings, lake, store, query)
    outcome = fit_at_once(settings, lake, store, query, lambda kind, figures: None)
    save_model(lake, name, outcome)
    return settings, lake, outcome


def test_a_model_that_is_read_back_ranks_candidates_and_then_what_is_popular(
    shop: Shop, store: GraphStore, fitted
) -> None:
    settings, lake, outcome = fitted
    assert outcome.best["map@10"] > 0.1
    examples = read_examples(lake, settings.query.name, Split.TEST, store.manifest.origin)
    model, count = load_link_model(settings, lake, store), store.node_count("products")

    def batch_of(rows):
        return model.entity_batch(examples.entities[rows], int(examples.anchors[0]))

    every = np.arange(len(examples)), count, count, DistributedContext()
    ranked, _ = rank_targets(model, batch_of, examples.anchors, *every)
    batch = batch_of(np.arange(len(examples)))
    there = store.features("products").is_valid_at(np.arange(count), int(examples.anchors[0]))
    popular = model.target_batch(np.arange(count), int(examples.anchors[0])).popularity.numpy()
    for row in range(len(examples)):
        mine = set(batch.target[batch.example == row].tolist())
        listed = [target for target in ranked[row] if target >= 0]
        assert set(listed[: len(mine)]) == mine
        assert set(listed) == set(np.flatnonzero(there))
        rest = popular[listed[len(mine) :]]
        assert (np.diff(rest) <= 1e-6).all()


def test_candidates_that_came_true_are_learned_from_and_a_fixed_number_of_others() -> None:
    found = Ragged.from_lists([range(20), range(10, 30), []])
    had = found.values < 15
    examples = Examples(
        np.array([5, 6, 7]), np.zeros(3, np.int32), np.array([0, 2, 3, 4]), np.array([3, 40, 12, 8], np.int64)
    )
    chosen = chosen_targets(found, had, examples, (4, 2), seed=0)
    # No candidate of theirs: 40 and 8.
    for row, (truth, own, new) in enumerate([({3}, 4, 2), ({12}, 4, 2), (set(), 0, 0)]):
        rest = set(chosen.row(row).tolist()) - truth
        assert truth <= set(chosen.row(row).tolist())
        assert sum(target < 15 for target in rest) == own and sum(target >= 15 for target in rest) == new
        assert rest <= set(found.row(row).tolist())
    alone = chosen_targets(found.take(np.array([1])), had[20:], examples.take(np.array([1])), (4, 2), seed=0)
    assert alone.row(0).tolist() == chosen.row(1).tolist()
    assert chosen_targets(found, had, examples, (4, 2), seed=1).row(0).tolist() != chosen.row(0).tolist()


def test_a_loss_that_is_not_for_trees_is_refused(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    content = link_settings(shop, tmp_path).model_dump(mode="json")
    content["training"]["loss"] = "pair"
    settings = build_settings(content)
    with pytest.raises(ConfigError, match=r"training.loss=pair is not for trees of links; allowed: auto"):
        check_task(settings, Lake(settings.lake.uri), store, bind_query(settings, store.manifest))
