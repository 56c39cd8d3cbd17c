"""Trees that are grown beside a network: in its blend, in its lists, and only where they have something to tell."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.evaluation.blend.blend import Blend, Member
from gnnscale.evaluation.blend.grown_trees import TREES, GrownTrees, grow_trees
from gnnscale.evaluation.blend.link_blend import LinkBlender
from gnnscale.evaluation.blend.link_fit import fit_link_blend
from gnnscale.lake import Lake
from gnnscale.retrieval import read_history
from gnnscale.store import GraphStore
from gnnscale.training import trees_path
from tests.conftest import Shop
from tests.embedded_shop import put_model

SMALL = {"rounds": 20, "min_rows": 5, "columns": 1.0, "beside": True}


def beside(shop: Shop, folder: Path, **model: object) -> Settings:
    content = {**shop.content, "lake": {"uri": str(folder / "lake")}}
    return build_settings({**content, "model": {**content.get("model", {}), "trees": SMALL, **model}})


@pytest.fixture(scope="module")
def grown(shop: Shop, store: GraphStore, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("grown_trees")
    shutil.copytree(shop.lake.uri, folder / "lake")
    settings = beside(shop, folder)
    lake = Lake(settings.lake.uri)
    query = bind_query(settings, store.manifest)
    heard: list[str] = []
    assert grow_trees(settings, lake, store, query, lambda kind, figures: heard.append(kind)) == ""
    assert heard.count("validation") == 1 and heard.count("step") > 5
    return settings, lake, query


def test_candidates_are_best_first_and_of_the_part_that_is_asked_for(shop: Shop, store: GraphStore, grown) -> None:
    settings, lake, query = grown
    trees = GrownTrees(settings, lake, store)
    entities = np.arange(store.node_count("customers"))
    past = read_history(store, query, shop.plan.test).past.take(entities)
    every, scores = trees.candidates(shop.plan.test, entities, 30)
    assert (np.diff(scores, axis=1)[every[:, 1:] >= 0] <= 0).all() and (scores[every < 0] == -np.inf).all()
    for part, had in (("repeat", True), ("explore", False)):
        found, _ = trees.candidates(shop.plan.test, entities, 30, past, part)
        for row in range(len(entities)):
            own = set(past.row(row).tolist())
            wanted = [target for target in every[row].tolist() if target >= 0 and (target in own) == had]
            assert found[row][found[row] >= 0].tolist() == wanted
    assert (every[:, 0] >= 0).sum() > 30


def test_they_have_a_part_in_the_blend_and_in_its_lists(shop: Shop, store: GraphStore, grown) -> None:
    settings, lake, query = grown
    put_model(settings, lake)
    found = fit_link_blend(settings, lake, store, query)
    assert found.figures[TREES] > found.figures["network"], "the network has random weights"
    blend = Blend((Member(TREES, 0.7), Member("popularity", 0.3)), transform="rank", depth=100)
    blender = LinkBlender(settings, lake, store, query, blend)
    lists = blender.candidates(shop.plan.test, np.arange(5))
    trees, _ = GrownTrees(settings, lake, store).candidates(shop.plan.test, np.arange(5), 100)
    np.testing.assert_array_equal(lists[-1][0], trees)
    assert len(lists) == 2 and blender.weights.tolist() == [0.3, 0.7, 0.0]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"trees": {**SMALL, "beside": False}}, "model.trees.beside=true grows them"),
        ({"network": "trees"}, "they are the model"),
    ],
)
def test_where_none_are_grown_those_that_were_are_gone(shop: Shop, store: GraphStore, tmp_path: Path, changed, why):
    settings = beside(shop, tmp_path, **changed)
    lake = Lake(settings.lake.uri)
    lake.write_bytes(trees_path(settings.query.name), b"old")
    query = bind_query(settings, store.manifest)
    assert grow_trees(settings, lake, store, query, lambda kind, figures: None) == why
    assert not GrownTrees(settings, lake, store).there
