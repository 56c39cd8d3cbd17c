"""Predictions of entity tasks in their tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from gnnscale.batches import read_entity_examples
from gnnscale.config import bind_query
from gnnscale.evaluation import evaluate_holdout
from gnnscale.inference import predict
from gnnscale.inference.predict_entities import judged_classes
from gnnscale.inference.registered_model import AnswerModel
from gnnscale.lake import Lake
from gnnscale.metrics import evaluate_task
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    Split,
    TaskSpec,
)
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, build_task, load_node_model, save_model
from tests.conftest import Shop
from tests.entity_shop import CLASSES, DAY, QUERIES, entity_settings, write_labels

COLUMNS = {
    BINARY_CLASSIFICATION: {"score"},
    REGRESSION: {"value"},
    FORECASTING: {"frame", "value"},
    MULTICLASS_CLASSIFICATION: {"target", "rank", "score"},
    MULTILABEL_CLASSIFICATION: {"target", "rank", "score"},
}
ROWS = {FORECASTING: 3, MULTICLASS_CLASSIFICATION: 3, MULTILABEL_CLASSIFICATION: 2}


@pytest.mark.parametrize("task", QUERIES)
def test_tables_have_the_layout_of_their_task(shop: Shop, store: GraphStore, tmp_path: Path, task: TaskSpec) -> None:
    settings = entity_settings(shop.content, tmp_path, task)
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    save_model(lake, "asked", Trainer(settings, build_task(settings, lake, store, query)).run())
    latest = store.manifest.origin + int(store.features("purchases").times.max()) // DAY * DAY + DAY
    advanced: list[int] = []
    predict(settings, lake, store, latest, advance=advanced.append)

    customers, each = store.node_count("customers"), ROWS.get(task, 1)
    # Whoever judges the holdout needs the probability of every class.
    judged = len(CLASSES) if task == MULTILABEL_CLASSIFICATION else each
    predictions, holdout = lake.read("predictions_asked"), lake.read("holdout_asked")
    labels = lake.read("labels_asked")
    test = pc.min(labels.filter(pc.equal(labels["split"], "test"))["anchor_time"]).as_py()
    for table, anchor, width in ((predictions, latest, each), (holdout, test, judged)):
        assert set(table.column_names) == {"entity", "anchor_time"} | COLUMNS[task]
        assert len(table) == width * customers
        assert set(table["anchor_time"].to_pylist()) == {datetime.fromtimestamp(anchor, UTC)}
        assert sorted(table["entity"].to_pylist()) == sorted(list(shop.ids("customers")) * width)
    assert sum(advanced) == 2 * customers
    rows = predictions.to_pandas().groupby("entity")
    if task == FORECASTING:
        assert all(list(part["frame"]) == [1, 2, 3] for _, part in rows)
    if each > 1 and task != FORECASTING:
        assert set(predictions["target"].to_pylist()) <= set(CLASSES)
        for _, part in rows:
            assert list(part["rank"]) == list(range(1, each + 1)) and part["target"].is_unique
            assert part["score"].is_monotonic_decreasing

    # An entity's prediction does not depend on who else is asked about.
    predict(settings, lake, store, latest, nodes=np.array([3, 1]))
    alone, keys = lake.read("predictions_asked").to_pandas(), {node: key for key, node in shop.ids("customers").items()}
    assert list(dict.fromkeys(alone["entity"])) == [keys[3], keys[1]]
    value = "score" if "score" in alone else "value"
    whole = predictions.to_pandas()
    for node in (3, 1):
        mine, theirs = alone[alone["entity"] == keys[node]], whole[whole["entity"] == keys[node]]
        np.testing.assert_allclose(mine[value], theirs[value], rtol=1e-4, atol=1e-6)


def test_a_model_of_fewer_classes_than_there_are_is_judged_by_all_of_its_scores(
    shop: Shop, store: GraphStore, tmp_path: Path
) -> None:
    settings = entity_settings(shop.content, tmp_path, MULTILABEL_CLASSIFICATION)
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    save_model(lake, "asked", Trainer(settings, build_task(settings, lake, store, query)).run())
    predict(settings, lake, store, store.manifest.origin + 60 * DAY)
    test = read_entity_examples(lake, "asked", Split.TEST, store.manifest.origin)
    scores = load_node_model(settings, lake, store).predict(test)
    found = evaluate_holdout(settings, lake, store, query, None)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    (mine,) = (row.metrics for row in found.comparison.results if row.method == "model")
    expected = evaluate_task(MULTILABEL_CLASSIFICATION, scores, test.values, top=2)
    assert dict(mine) == pytest.approx(expected, abs=1e-6)
    assert query.top == 2 and {"map@2", "recall@2", "auroc"} <= set(mine)
    # So is a model of another day that is asked about these examples.
    champion = AnswerModel()
    champion.query = query
    assert champion.judged_answers(len(test)) >= len(CLASSES)
    judged = found.judge(lake.read("holdout_asked"), query, lake)
    assert dict(judged.results[0].metrics) == pytest.approx(expected, abs=1e-6)


def test_holdouts_of_very_many_classes_end_where_memory_would(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged_classes(1000, None) is None
    assert judged_classes(1000, 3) >= 20_000
    monkeypatch.setattr("gnnscale.inference.predict_entities.JUDGED", 10_000)
    assert judged_classes(1000, 3) == 10 and judged_classes(1000, 30) == 30
