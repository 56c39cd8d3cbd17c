"""A task type, a metric and baselines that are registered from outside answer a query as the built-in ones do."""

from __future__ import annotations

import io
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from gnnscale.batches import read_answer_shape, read_entity_examples
from gnnscale.cli.summary import print_comparison
from gnnscale.config import bind_query, build_settings
from gnnscale.etl import build_labels
from gnnscale.evaluation import (
    BaselineInputs,
    NodeBaseline,
    RankBaseline,
    ReportInputs,
    build_report,
    evaluate_holdout,
    render_report,
)
from gnnscale.evaluation.baselines.baseline import link_baselines, node_baselines
from gnnscale.evaluation.baselines.link_baselines import popularity
from gnnscale.evaluation.list_comparison import MethodLists, compare_lists
from gnnscale.inference import TIMESTAMP, read_keys
from gnnscale.lake import Lake
from gnnscale.metrics import (
    ListMetric,
    Metric,
    ScoreMetric,
    draw_metrics,
    evaluate_task,
    selection_metric,
    task_metrics,
    validate_task,
)
from gnnscale.query import REGRESSION, TEMPORAL_LINK_PREDICTION, Question, Split, TaskSpec, find_task
from gnnscale.query.task_spec import task_types
from gnnscale.retrieval import History
from gnnscale.schema import BASELINES, LOSSES, METRICS, TASKS
from gnnscale.store import GraphStore
from gnnscale.training.task_builder import choose_node_loss
from tests.conftest import Shop

NAME = "count regression"


def is_count(question: Question) -> bool:
    return question.function == "COUNT" and question.frames is None


def deviance(scores: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Twice the log-likelihood that a Poisson of the predicted mean lacks to that of the value itself."""
    mean, count = np.maximum(scores[:, 0], 1e-3), values[:, 0]
    log = np.where(count > 0, count * np.log(np.where(count > 0, count, 1) / mean), 0.0)
    return {"poisson_deviance": float(2 * (log - count + mean).mean())}


class RoundedMean:
    """The mean of the training examples as a whole number."""

    def fit(self, inputs: BaselineInputs, values: np.ndarray, validation: Any = None) -> Self:
        self.answer = np.float32(round(float(values.mean())))
        return self

    def predict(self, inputs: BaselineInputs) -> np.ndarray:
        return np.full((len(inputs), 1), self.answer, np.float32)


DEVIANCE = ScoreMetric(
    Metric("poisson_deviance", "Poisson deviance", "Twice what the log-likelihood lacks.", higher_is_better=False),
    deviance,
)
ROUNDED = NodeBaseline("rounded_mean", "Rounded mean", "The mean, rounded.", make=lambda *_: RoundedMean())
COUNTS = TaskSpec(
    name=NAME,
    answer="value",
    fits=is_count,
    label="value",
    losses=("l2", "l1"),
    head="identity",
    metrics=("poisson_deviance", "mae"),
    validation=("poisson_deviance",),
    baselines=("rounded_mean", "own_past"),
    charts=("predicted_and_actual",),
    precedence=1,
)


@pytest.fixture
def registered() -> Iterator[None]:
    """Our names, and none of them afterwards."""
    metric, baseline = {"poisson_deviance": DEVIANCE}, {"rounded_mean": ROUNDED}
    with METRICS.temporarily(metric), BASELINES.temporarily(baseline), TASKS.temporarily({NAME: COUNTS}):
        yield


def write_holdout(lake: Lake, origin: int) -> None:
    """A model that says one more than last time."""
    test = read_entity_examples(lake, "asked", Split.TEST, origin)
    keys = read_keys(lake, "customers").take(pa.array(test.entities))
    times = pa.array(test.anchors.astype(np.int64) + origin).cast(pa.timestamp("s", "UTC")).cast(TIMESTAMP)
    said = {"entity": keys, "value": np.nan_to_num(test.past[:, 0]) + 1, "anchor_time": times}
    lake.write("holdout_asked", pa.table(said))


@pytest.mark.usefixtures("registered")
def test_a_query_of_an_own_task_type_goes_from_labels_to_report(spark: Any, shop: Shop, tmp_path: Path) -> None:
    shutil.copytree(shop.lake.uri, tmp_path / "lake")
    lake = Lake(tmp_path / "lake")
    text = "PREDICT COUNT(purchases.*, 0, 7, days) FOR EACH customers.customer_id"
    settings = build_settings(
        {**shop.content, "query": {"name": "asked", "text": text}, "lake": {"uri": str(lake.uri)}}
    )
    query = bind_query(settings, shop.manifest)
    assert query.task_type == COUNTS and NAME in query.explain()
    build_labels(spark, lake, settings, shop.manifest)
    record = lake.read_record("task_asked")
    assert record is not None and record["task"] == NAME and "mean" in record["splits"]["train"]
    shape = read_answer_shape(lake, "asked")
    assert shape.task is COUNTS and (shape.labels, shape.scores) == (1, 1)
    assert isinstance(choose_node_loss(settings, shape.task), LOSSES.find("l2"))
    assert selection_metric(COUNTS).name == "poisson_deviance" and not selection_metric(COUNTS).higher_is_better

    store = GraphStore.open(lake)
    write_holdout(lake, shop.manifest.origin)
    holdout = evaluate_holdout(settings, lake, store, query, shop.plan)
    comparison = holdout.comparison
    assert comparison.methods == ("model", "rounded_mean", "own_past")
    assert [metric.name for metric in comparison.metrics] == ["poisson_deviance", "mae"]
    test = read_entity_examples(lake, "asked", Split.TEST, shop.manifest.origin)
    said = np.nan_to_num(test.past) + 1
    own = comparison.result("model")
    assert own.metrics["poisson_deviance"] == pytest.approx(deviance(said, test.values)["poisson_deviance"])
    assert own.intervals["poisson_deviance"].low < own.metrics["poisson_deviance"]
    report = build_report(ReportInputs(settings, lake, store, query, shop.plan), holdout)
    page = render_report(report)
    for words in ("Rounded mean", "Poisson deviance ↓", "The mean, rounded.", "Predicted and actual"):
        assert words in page
    console = Console(file=io.StringIO(), width=40)
    print_comparison(comparison.to_dict(), console, "asked")
    assert "Rounded mean" in console.file.getvalue() and "than Model, by Poisson" in console.file.getvalue()


@pytest.mark.usefixtures("registered")
def test_a_task_type_is_one_thing_by_its_name() -> None:
    assert task_types()[0] is COUNTS, "the greater precedence is asked first"
    # It travels whole: who works for this program has not registered it yet.
    sent = pickle.loads(pickle.dumps(COUNTS))
    assert find_task(NAME) is COUNTS and sent == COUNTS and sent.losses == COUNTS.losses
    assert COUNTS != REGRESSION and len({COUNTS, REGRESSION, find_task("regression")}) == 2
    assert f"{COUNTS}" == NAME


@pytest.mark.usefixtures("registered")
def test_a_metric_without_a_formula_over_weights_repeats_the_examples() -> None:
    rng = np.random.default_rng(0)
    scores, values = rng.random((20, 1)) * 3, rng.integers(0, 4, (20, 1)).astype(float)
    counts = rng.integers(0, 3, 20)
    rows = np.repeat(np.arange(20), counts)
    drawn = draw_metrics(COUNTS, scores, values)(np.stack([counts, np.zeros(20)]).astype(float))
    expected = evaluate_task(COUNTS, scores[rows], values[rows])["poisson_deviance"]
    assert drawn["poisson_deviance"][0] == pytest.approx(expected) and np.isnan(drawn["poisson_deviance"][1])
    assert validate_task(COUNTS, scores[rows], values[rows]) == {"poisson_deviance": pytest.approx(expected)}


def test_metrics_and_baselines_join_the_task_types_that_they_name() -> None:
    joined = ScoreMetric(
        Metric("bias", "Bias", "Mean of what is too much."), lambda s, v: {"bias": 0.0}, tasks=("value",)
    )
    precision = ListMetric(
        Metric("precision@{k}", "Precision@{k}", "Share of the first {k} that are hits."),
        lambda hits, size, k: hits.sum(axis=1) / k,
        tasks=("links",),
    )
    backwards = RankBaseline(
        "backwards",
        "Backwards",
        "What is popular, the last first.",
        tasks=("temporal link prediction",),
        rank=lambda history, k, *, among="all": popularity(history, k, among=among)[:, ::-1].copy(),
    )
    rounded = NodeBaseline(
        "rounded", "Rounded", "The mean, rounded.", tasks=("regression",), make=lambda *_: RoundedMean()
    )
    metrics, baselines = {"bias": joined, "precision": precision}, {"backwards": backwards, "rounded": rounded}
    with METRICS.temporarily(metrics), BASELINES.temporarily(baselines):
        assert [metric.name for metric in task_metrics(REGRESSION)][-1] == "bias"
        assert list(node_baselines(REGRESSION))[-1] == "rounded"
        links = link_baselines(TEMPORAL_LINK_PREDICTION)
        assert list(links)[-1] == "backwards"
        rng = np.random.default_rng(0)
        past = History(rng.integers(0, 9, 90), rng.integers(0, 12, 90), rng.integers(0, 99, 90), 9, 12)
        lists = [
            MethodLists(name, *(b.rank(past, 12, among=part) for part in ("all", "repeat", "explore")))
            for name, b in links.items()
            if isinstance(b, RankBaseline)
        ]
        found = compare_lists(TEMPORAL_LINK_PREDICTION, lists, past.past, past.past, 12, resamples=10)
        result = found.result("backwards")
        assert 0 < result.metrics["precision@10"] <= 1 and "precision@10" in result.intervals
