"""Values and classes by network and baselines: alike in the table, in Python and in the evaluation of two anchors."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from gnnscale.batches import known_past, read_answer_shape, read_entity_examples
from gnnscale.config import Settings, bind_query
from gnnscale.evaluation.blend.blend import Blend, Member, read_blend, save_blend
from gnnscale.evaluation.blend.blended_answers import BlendedAnswerModel, FittedAnswers
from gnnscale.evaluation.blend.node_blend import NodeBlender, read_methods
from gnnscale.evaluation.holdout import match_answers
from gnnscale.evaluation.node_holdout import evaluate_nodes
from gnnscale.inference import predict
from gnnscale.lake import Lake
from gnnscale.query import BINARY_CLASSIFICATION, DAY, PredictiveQuery, Split
from gnnscale.schema import DataError
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, build_task, model_path, save_model
from tests.conftest import Shop
from tests.entity_shop import entity_settings, write_labels


@dataclass(frozen=True)
class Answered:
    settings: Settings
    lake: Lake
    store: GraphStore
    query: PredictiveQuery
    latest: int
    blend: Blend


@pytest.fixture(scope="module")
def answered(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Answered:
    """A condition of the shop that was learned for an epoch, and is tested at two anchors."""
    folder = tmp_path_factory.mktemp("answers")
    shutil.copytree(shop.lake.uri, folder / "lake")
    settings = entity_settings(shop.content, folder, BINARY_CLASSIFICATION)
    lake = Lake(settings.lake.uri)
    store = GraphStore.open(lake)
    query = bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    rows = lake.read("labels_asked")
    anchors = sorted(set(rows["anchor_time"].to_pylist()))
    splits = {anchors[-1]: "test", anchors[-2]: "test", anchors[-3]: "validation"}
    split = pa.array([splits.get(anchor, "train") for anchor in rows["anchor_time"].to_pylist()])
    lake.write("labels_asked", rows.set_column(rows.column_names.index("split"), "split", split))
    save_model(lake, "asked", Trainer(settings, build_task(settings, lake, store, query)).run())
    latest = anchors[-1] + 7 * DAY
    answer = FittedAnswers(settings, lake, store, query, latest)
    # What is learned in a moment is trees alone; with a part of the network the sums can be told apart.
    blend = Blend((Member("network", 0.6, 1.2, -0.1), Member("boosted_trees", 0.4)), "log loss")
    answer.blend = answer._blender.blend = blend
    save_blend(lake, "asked", blend)
    predict(settings, lake, store, latest, answer=answer, query=query)
    return Answered(settings, lake, store, query, latest, blend)


def test_the_holdout_has_rows_of_both_anchors_and_is_judged_as_one(answered: Answered):
    test = read_entity_examples(answered.lake, "asked", Split.TEST, answered.store.manifest.origin)
    assert len(np.unique(test.anchors)) == 2 and len(test) == 2 * len(np.unique(test.entities))
    holdout = evaluate_nodes(answered.settings, answered.lake, answered.store, answered.query)
    assert holdout.comparison.methods == ("model", "network", "base_rate", "boosted_trees")
    assert (holdout.comparison.examples, holdout.comparison.entities) == (len(test), len(test) // 2)
    said = read_methods(answered.lake, "asked", test, answered.store.manifest.origin)
    assert said is not None and set(said) == {"network", "blend", "boosted_trees", "base_rate"}
    np.testing.assert_allclose(holdout.scores, said["blend"], rtol=1e-6)

    def logit(p: np.ndarray) -> np.ndarray:
        p = p.astype(np.float64).clip(1e-5, 1 - 1e-5)
        return np.log(p / (1 - p))

    summed = 0.6 * (1.2 * logit(said["network"]) - 0.1) + 0.4 * logit(said["boosted_trees"])
    np.testing.assert_allclose(logit(holdout.scores), summed, rtol=1e-3, atol=1e-3)


def test_answers_are_found_by_entity_and_anchor(answered: Answered):
    test = read_entity_examples(answered.lake, "asked", Split.TEST, answered.store.manifest.origin)
    anchors = test.anchors.astype(np.int64) + answered.store.manifest.origin
    order = np.random.default_rng(0).permutation(len(test))
    rows, example = match_answers(
        answered.lake.read("holdout_asked"), answered.lake, answered.query, test.entities[order], anchors[order]
    )
    told = pc.cast(rows["anchor_time"], pa.timestamp("s", "UTC"), safe=False).cast(pa.int64()).to_numpy()
    assert sorted(example) == list(range(len(test))) and (told == anchors[order][example]).all()
    with pytest.raises(DataError, match="lack 1 of 1 test examples"):
        match_answers(
            answered.lake.read("holdout_asked"), answered.lake, answered.query, test.entities[:1], anchors[:1] - 1
        )


def test_python_answers_as_the_table_does(answered: Answered):
    weights = answered.lake.read_bytes(model_path("asked"))
    assert weights is not None
    model = BlendedAnswerModel().open(answered.settings, weights, answered.latest, answered.blend.to_dict())
    found = model.answer(model.entities())
    expected = answered.lake.read("predictions_asked").to_pandas()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    alone = BlendedAnswerModel().open(answered.settings, weights, answered.latest)
    assert not np.allclose(alone.answer(alone.entities())["score"], found["score"])


def test_the_past_is_that_of_the_labels_or_of_the_predictions(answered: Answered, tmp_path: Path):
    origin = answered.store.manifest.origin
    shape = read_answer_shape(answered.lake, "asked")
    entities = np.array([3, 1])
    # These labels tell no past: nothing was learned of it, and nothing is missing.
    assert np.isnan(known_past(answered.lake, "asked", shape, entities, 7, 9)).all()
    lake = Lake(tmp_path / "lake")
    rows = {"entity": [1, 3], "anchor_time": [origin, origin], "past": [1.0, 0.0]}
    lake.write("labels_asked", pa.table(rows))
    lake.write("past_asked", pa.table({"entity": [3], "past": [1.0]}))
    np.testing.assert_array_equal(known_past(lake, "asked", shape, entities, origin, origin + 9), [[0], [1]])
    np.testing.assert_array_equal(known_past(lake, "asked", shape, entities, origin + 9, origin + 9), [[1], [np.nan]])
    assert known_past(lake, "asked", shape, entities, origin + 5, origin + 9) is None


def test_the_network_alone_stays_as_it_was_and_the_blend_stands_beside_it(answered: Answered):
    model = answered.settings.model.model_copy(update={"blend": "off"})
    settings = answered.settings.model_copy(update={"model": model})
    blender = NodeBlender(settings, answered.lake, answered.store, answered.query)
    examples = blender.validation_examples()
    assert set(examples.anchors + answered.store.manifest.origin) == {
        row["anchor_time"] for row in answered.lake.read("labels_asked").to_pylist() if row["split"] == "validation"
    }
    before = read_blend(answered.lake, "asked")
    answer = FittedAnswers(settings, answered.lake, answered.store, answered.query, answered.latest)
    scores = np.full((len(examples), 1), 0.25, np.float32)
    np.testing.assert_array_equal(answer(examples, scores, False), scores)
    assert answer.blend == read_blend(answered.lake, "asked") != before
    save_blend(answered.lake, "asked", before)
    holdout = evaluate_nodes(settings, answered.lake, answered.store, answered.query)
    assert holdout.comparison.methods[:2] == ("model", "blend")
