"""A task type registered from outside trains by its own loss and metric, and what is undefined selects no model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from gnnscale.config import bind_query
from gnnscale.lake import Lake
from gnnscale.metrics import Metric, ScoreMetric
from gnnscale.query import BINARY_CLASSIFICATION, REGRESSION, Question, Split, TaskSpec
from gnnscale.schema import METRICS, TASKS
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, build_task
from tests.conftest import Shop
from tests.entity_shop import entity_settings, write_labels

NAME = "count regression"


def is_count(question: Question) -> bool:
    return question.function == "COUNT" and question.frames is None


class Late:
    """Undefined at the first validation; then lower from one to the next."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, scores: np.ndarray, values: np.ndarray) -> dict[str, float]:
        self.calls += 1
        return {"late": math.nan if self.calls == 1 else 1 / self.calls}


@pytest.fixture
def registered() -> Iterator[None]:
    spec = TaskSpec(
        name=NAME,
        answer="value",
        fits=is_count,
        label="value",
        losses=("l2",),
        head="identity",
        metrics=("mae",),
        validation=("late", "mae"),
        precedence=1,
    )
    metric = ScoreMetric(Metric("late", "Late", "Undefined at first."), Late())
    with METRICS.temporarily({"late": metric}), TASKS.temporarily({NAME: spec}):
        yield


def test_a_number_beats_what_is_undefined(
    shop: Shop, store: GraphStore, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = entity_settings(shop.content, tmp_path, REGRESSION, epochs=3)
    lake = Lake(settings.lake.uri)
    write_labels(lake, shop.lake, store, bind_query(settings, store.manifest))
    request.getfixturevalue("registered")
    lake.write_record("task_asked", {"task": NAME, "classes": [], "frames": 1})
    query = bind_query(settings, store.manifest)
    assert str(query.task_type) == NAME
    outcome = Trainer(settings, build_task(settings, lake, store, query)).run()
    assert outcome.kept == "late"
    assert [figures["late"] for figures in outcome.history] == pytest.approx([math.nan, 1 / 2, 1 / 3], nan_ok=True)
    assert outcome.best["epoch"] == 2 and outcome.best["mae"] > 0


def test_validation_examples_of_one_class_are_told_once_and_a_model_is_kept(
    shop: Shop, store: GraphStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = entity_settings(shop.content, tmp_path, BINARY_CLASSIFICATION, epochs=2)
    lake, query = Lake(settings.lake.uri), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    labels = lake.read("labels_asked")
    validated = pc.equal(labels["split"], str(Split.VALIDATION))
    place = labels.schema.get_field_index("target")
    lake.write("labels_asked", labels.set_column(place, "target", pc.if_else(validated, 1.0, labels["target"])))
    outcome = Trainer(settings, build_task(settings, lake, store, query)).run()
    assert len(outcome.history) == 2 and all(math.isnan(figures["auroc"]) for figures in outcome.history)
    assert outcome.best["epoch"] == 1 and outcome.weights
    assert sum("validation auroc is undefined" in line for line in caplog.messages) == 1
