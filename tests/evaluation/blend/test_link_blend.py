"""A ranking by network and baselines: the same in the table, in Python and by its definition, at each test anchor."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from gnnscale.arrays import Ragged
from gnnscale.batches import read_examples
from gnnscale.config import Settings, build_settings, plan_query_anchors
from gnnscale.config.sections.retrieval import FilterSettings
from gnnscale.evaluation.blend import link_blend, link_fit
from gnnscale.evaluation.blend.blend import Blend, Member, save_blend
from gnnscale.evaluation.blend.blended_ranking import BlendedRankingModel
from gnnscale.evaluation.blend.candidate_pool import comparable, pool_candidates
from gnnscale.evaluation.blend.link_blend import (
    LinkBlender,
    blend_depth,
    forget_histories,
    kept_history,
    serving_baselines,
)
from gnnscale.evaluation.blend.link_fit import fit_link_blend, fit_pools
from gnnscale.evaluation.blend.repeats import share_of_repeats
from gnnscale.evaluation.link_holdout import LinkHoldout, evaluate_links
from gnnscale.inference import embed
from gnnscale.lake import Lake
from gnnscale.query import TEMPORAL_LINK_PREDICTION, AnchorPlan, Split
from gnnscale.retrieval import (
    History,
    Neighbors,
    build_query_indexes,
    rank_exact,
    read_pairs,
    read_vectors,
    retrieve,
    retrieve_stage,
)
from gnnscale.retrieval.filters.query_filters import holdout_filter, settings_filter
from gnnscale.store import GraphStore
from gnnscale.training import model_path
from tests.conftest import Shop
from tests.embedded_shop import put_model

QUERY = "next_week"
BLEND = Blend((Member("network", 0.6), Member("recency_weighted_frequency", 0.4)), transform="rank", depth=100)


@dataclass(frozen=True)
class Judged:
    settings: Settings
    lake: Lake
    store: GraphStore
    plan: AnchorPlan
    holdout: LinkHoldout


@pytest.fixture(scope="module")
def judged(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """The shop with two test anchors, a network of random weights, and its lists blended with what is bought again."""
    folder = tmp_path_factory.mktemp("blend")
    shutil.copytree(shop.lake.uri, folder / "lake")
    content = {**shop.content, "lake": {"uri": str(folder / "lake")}, "anchors": {"test_count": 2}}
    settings = build_settings({**content, "evaluation": {"resamples": 50}, "embedding": {"batch_size": 8}})
    lake = Lake(settings.lake.uri)
    store = GraphStore.open(lake)
    plan = plan_query_anchors(settings, shop.query, shop.manifest.time_ranges, shop.manifest.rows)
    assert plan.tests == (shop.plan.validation, shop.plan.test) and plan.validation == shop.plan.train[-1]
    relabel(lake, plan)
    put_model(settings, lake)
    embed(settings, lake, store, [*plan.tests, plan.latest])
    build_query_indexes(settings, lake, shop.query, [*plan.tests, plan.latest])
    save_blend(lake, QUERY, BLEND)
    blender = LinkBlender(settings, lake, store, shop.query, BLEND)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieve_stage, "RERANKED", 7)
        retrieve(settings, lake, shop.query, plan, store, reranker=blender)
    return Judged(settings, lake, store, plan, evaluate_links(settings, lake, store, shop.query, plan))


def relabel(lake: Lake, plan: AnchorPlan) -> None:
    """The shop's labels, with the splits of another plan."""
    rows, splits = lake.read(f"labels_{QUERY}"), {at: str(split) for at, split in plan.splits().items()}
    split = pa.array([splits[at] for at in rows["anchor_time"].to_pylist()])
    lake.write(f"labels_{QUERY}", rows.set_column(rows.column_names.index("split"), "split", split))


def table_lists(lake: Lake, shop: Shop, table: str, anchor: int) -> dict[int, tuple[list[int], list[float]]]:
    """Entity -> its targets and their scores, node ids, of one anchor."""
    rows = lake.read(f"{table}_{QUERY}").to_pandas().sort_values(["entity", "rank"])
    rows = rows[rows["anchor_time"] == pd.Timestamp(anchor, unit="s", tz="UTC")]
    customers, products = shop.ids("customers"), shop.ids("products")
    return {
        customers[key]: ([products[k] for k in own["target"]], own["score"].tolist())
        for key, own in rows.groupby("entity")
    }


@pytest.mark.parametrize("transform", ["rank", "z"])
@pytest.mark.parametrize("name", ["personal_frequency", "recency_weighted_frequency"])
def test_a_blend_of_one_baseline_gives_the_lists_of_that_baseline(
    judged: Judged, shop: Shop, transform: str, name: str
) -> None:
    """Counts are level for many, and what nobody has bought has none: their order is the baseline's."""
    blend = Blend((Member(name, 1.0),), transform=transform, depth=100)
    blender = LinkBlender(judged.settings, judged.lake, judged.store, shop.query, blend)
    anchor, entities, top = judged.plan.latest, np.arange(40), 10
    none = Neighbors(np.full((40, top), -1), np.zeros((40, top), np.float32))
    keep = settings_filter(judged.settings, judged.lake, shop.query, anchor, judged.store, False)
    found = blender.rank(anchor, entities, none, keep, None, top)
    own, _ = blender.baselines[name].scored_lists(judged.settings, blender.history(anchor), entities, 100)
    allowed = keep.keep(entities, own) & (own >= 0)
    expected = [row[kept][:top].tolist() for row, kept in zip(own, allowed, strict=True)]
    assert [[target for target in row if target >= 0] for row in found.targets.tolist()] == expected
    assert sum(map(len, expected)) > 200


def defined(judged: Judged, shop: Shop, anchor: int, entity: int) -> dict[int, float]:
    """Target -> score by the definition: the sum of logarithmic ranks, each in its own first hundred."""
    entities = read_vectors(judged.lake, "customers", anchor)
    targets, pairs = read_vectors(judged.lake, "products", anchor), read_pairs(judged.lake, QUERY, anchor)
    network = rank_exact(entities[[entity]], targets, pairs, np.array([entity]), 30)
    blender = LinkBlender(judged.settings, judged.lake, judged.store, shop.query, BLEND)
    baseline = blender.baselines["recency_weighted_frequency"]
    ids, _ = baseline.scored_lists(judged.settings, blender.history(anchor), np.array([entity]), 100)
    scores: dict[int, float] = {}
    there = judged.store.features("products").is_valid_at(np.arange(30), anchor - judged.store.manifest.origin)
    known = [target for target in network.targets[0] if there[target]]
    for weight, ranked in ((0.6, known), (0.4, ids[0][ids[0] >= 0])):
        for place, target in enumerate(ranked):
            scores[int(target)] = scores.get(int(target), 0) + weight * (1 - np.log(place + 1) / np.log(101))
    return scores


@pytest.mark.parametrize("which", [0, 1, 2])
def test_lists_are_those_of_the_definition_at_every_anchor(judged: Judged, shop: Shop, which: int):
    anchor = [*judged.plan.tests, judged.plan.latest][which]
    found = table_lists(judged.lake, shop, "predictions" if which == 2 else "holdout", anchor)
    assert len(found) > 30
    for entity in sorted(found)[::9]:
        scores = defined(judged, shop, anchor, entity)
        expected = sorted(scores, key=lambda target: (-round(scores[target], 5), target))[:10]
        assert found[entity][0] == expected
        assert found[entity][1] == pytest.approx([scores[target] for target in expected], abs=1e-4)


def test_python_answers_as_the_table_does(judged: Judged, shop: Shop):
    weights = judged.lake.read_bytes(model_path(QUERY))
    assert weights is not None
    model = BlendedRankingModel().open(judged.settings, weights, blend=BLEND.to_dict())
    found = model.answer(model.entities())
    expected = judged.lake.read(f"predictions_{QUERY}").to_pandas()
    columns, order = ["entity", "target", "rank"], ["entity", "rank"]
    found, expected = (frame.sort_values(order).reset_index(drop=True)[columns] for frame in (found, expected))
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_examples_of_all_anchors_are_judged_together_and_drawn_by_entity(judged: Judged):
    comparison = judged.holdout.comparison
    examples = read_examples(judged.lake, QUERY, Split.TEST, judged.store.manifest.origin)
    assert len(np.unique(examples.anchors)) == 2 and comparison.examples == len(examples) > comparison.entities
    assert comparison.entities == len(np.unique(examples.entities))
    assert comparison.methods[:3] == ("model", "network", "tower") and "ease" in comparison.methods
    assert judged.holdout.index_recall == 1
    assert comparison.result("model").metrics != comparison.result("network").metrics


def test_the_weights_follow_what_validation_shows(judged: Judged, shop: Shop):
    found = fit_link_blend(judged.settings, judged.lake, judged.store, shop.query)
    # A network of random weights tells nothing that baselines do not.
    assert "network" not in found.names or found.figures["blend"] >= max(found.figures.values())
    assert found.metric == "map@10" and found.depth == blend_depth(10) == 100 and not found.new_only
    assert set(found.figures) == {*serving_baselines(shop.query.task_type, False)[0], "network", "blend"}
    rows = judged.lake.read(f"labels_{QUERY}")
    validating = rows.filter(pc.equal(rows["split"], "validation"))
    assert found.examples == pc.sum(pc.greater(pc.list_value_length(validating["targets"]), 0)).as_py()
    # The same question gets the same weights.
    assert fit_link_blend(judged.settings, judged.lake, judged.store, shop.query) == found


def test_more_events_than_baselines_can_hold_leave_the_network_alone(
    judged: Judged, shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link_fit, "MOST_EVENTS", 100)
    found = fit_link_blend(judged.settings, judged.lake, judged.store, shop.query)
    assert found.is_network and "ease" in found.left_out and "more than the 100" in found.left_out["ease"]


def test_of_two_methods_that_know_different_things_both_are_taken():
    rng = np.random.default_rng(0)
    count, items = 600, 40
    truth = [rng.permutation(items)[:4] for _ in range(count)]

    def lists(known: slice) -> tuple[np.ndarray, np.ndarray]:
        """Half of the truth near the top, among others."""
        scores = rng.random((count, items))
        for row, own in enumerate(truth):
            scores[row, own[known]] += 0.7
        ids = np.argsort(-scores, axis=1)[:, :20]
        return ids, np.take_along_axis(scores, ids, axis=1).astype(np.float32)

    methods = [lists(slice(0, 2)), lists(slice(2, 4)), lists(slice(0, 0))]
    pools = {"rank": pool_candidates(methods, "rank", 20), "z": pool_candidates(methods, "z", 20)}
    right = Ragged.from_lists([own.tolist() for own in truth])
    found = fit_pools(TEMPORAL_LINK_PREDICTION, 10, pools, ["one", "two", "network"], right, np.arange(count))
    assert set(found.names) == {"one", "two"} and min(member.weight for member in found.members) > 0.25
    assert found.figures["blend"] > 1.1 * max(found.figures["one"], found.figures["two"])


def test_where_hardly_anything_repeats_what_was_had_is_left_out():
    rng = np.random.default_rng(0)
    entity, item = np.divmod(rng.permutation(400)[:200], 20)
    once = History(entity, item, rng.integers(0, 1_000, 200), 20, 20)
    assert share_of_repeats(once) == 0
    again = History(np.tile(entity, 2), np.tile(item, 2), np.arange(400), 20, 20)
    assert share_of_repeats(again) == 0.5
    # Rows of one basket are one event.
    assert share_of_repeats(History(np.tile(entity, 2), np.tile(item, 2), np.tile(once.age, 2), 20, 20)) == 0
    kept, left_out = serving_baselines(TEMPORAL_LINK_PREDICTION, new_only=True)
    assert set(left_out) == {"personal_frequency", "recency_weighted_frequency"} and {"ease", "graph_filter"} <= set(
        kept
    )
    kept, left_out = serving_baselines(TEMPORAL_LINK_PREDICTION, new_only=False)
    assert set(left_out) == {"graph_filter"} and {"personal_frequency", "ease"} <= set(kept)


def test_the_histories_of_two_anchors_are_kept_between_stages_where_they_are_few(
    judged: Judged, shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    first, second = judged.plan.tests
    once = kept_history(judged.store, shop.query, first)
    assert kept_history(GraphStore.open(judged.lake), shop.query, first) is once
    other = kept_history(judged.store, shop.query, second)
    assert other.age.size > once.age.size and kept_history(judged.store, shop.query, first) is once
    kept_history(judged.store, shop.query, judged.plan.latest)
    assert kept_history(judged.store, shop.query, first) is not once
    forget_histories()
    monkeypatch.setattr(link_blend, "KEPT_EVENTS", 10)
    assert kept_history(judged.store, shop.query, first) is not kept_history(judged.store, shop.query, first)


def test_a_depth_is_as_wide_as_the_lists_need():
    assert (blend_depth(10), blend_depth(50)) == (100, 200)
    assert comparable(np.zeros((0, 3), np.int64), np.zeros((0, 3), np.float32), "z", 9).shape == (0, 3)


def test_what_was_had_is_left_out_of_the_models_lists_unless_the_filters_say_otherwise(judged: Judged, shop: Shop):
    anchor, rest = judged.plan.test, (shop.query, judged.plan.test, judged.store)
    past = LinkBlender(judged.settings, judged.lake, judged.store, shop.query, BLEND).history(anchor).past
    for build in (settings_filter, holdout_filter):
        assert build(judged.settings, judged.lake, *rest, True).denied == past
        assert build(judged.settings, judged.lake, *rest, False).denied is None
        retrieval = judged.settings.retrieval.model_copy(update={"filters": FilterSettings(bought=True)})
        kept = judged.settings.model_copy(update={"retrieval": retrieval})
        assert build(kept, judged.lake, *rest, True).denied is None
    # Who may be given only what is new is given candidates that are new, of the baselines too.
    new_only = replace(BLEND, members=(Member("ease", 0.5), Member("network", 0.5)), new_only=True)
    blender = LinkBlender(judged.settings, judged.lake, judged.store, shop.query, new_only)
    ((ids, _),) = blender.candidates(anchor, np.arange(20))
    assert (ids >= 0).any() and not past.take(np.arange(20)).contains(ids).any()
