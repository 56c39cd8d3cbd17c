"""Predictions of entity tasks in their tables."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from gnnscale.config import bind_query
from gnnscale.inference import predict
from gnnscale.lake import Lake
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    TaskSpec,
)
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, build_task, save_model
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
    predictions, holdout = lake.read("predictions_asked"), lake.read("holdout_asked")
    labels = lake.read("labels_asked")
    test = pc.min(labels.filter(pc.equal(labels["split"], "test"))["anchor_time"]).as_py()
    for table, anchor in ((predictions, latest), (holdout, test)):
        assert set(table.column_names) == {"entity", "anchor_time"} | COLUMNS[task]
        assert len(table) == each * customers
        assert set(table["anchor_time"].to_pylist()) == {datetime.fromtimestamp(anchor, UTC)}
        assert sorted(table["entity"].to_pylist()) == sorted(list(shop.ids("customers")) * each)
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
