"""Node-level tasks in the training loop: they learn, resume exactly, and are read back as they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.batches import EntityExamples, read_answer_shape, read_entity_examples
from gnnscale.batches.examples.order import shuffled_batches
from gnnscale.config import bind_query
from gnnscale.features import EntityFeatures
from gnnscale.lake import Lake
from gnnscale.metrics import validate_task
from gnnscale.query import FORECASTING, MULTICLASS_CLASSIFICATION, REGRESSION, TaskSpec
from gnnscale.query.anchors import Split
from gnnscale.schema import ConfigError, DataError, LakeError
from gnnscale.store import GraphStore
from gnnscale.training import Trainer, TrainResult, build_task, check_task, load_node_model, save_model
from tests.conftest import Shop
from tests.entity_shop import DAY, QUERIES, OtherFuture, entity_settings, write_labels
from tests.recording_callback import RecordingCallback


class Work:
    """One node-level task over the shop, in a lake of its own."""

    def __init__(self, shop: Shop, store: GraphStore, folder: Path, task: TaskSpec, **training: Any) -> None:
        self.store = store
        self.settings = entity_settings(shop.content, folder, task, **training)
        self.lake = Lake(self.settings.lake.uri)
        self.query = bind_query(self.settings, store.manifest)
        assert self.query.task_type == task
        write_labels(self.lake, shop.lake, store, self.query)

    def train(self, resume: Mapping[str, Any] | None = None) -> tuple[Trainer, TrainResult, RecordingCallback]:
        keeper = RecordingCallback()
        task = build_task(self.settings, self.lake, self.store, self.query)
        trainer = Trainer(self.settings, task, callback=keeper)
        return trainer, trainer.run(resume), keeper


@pytest.fixture
def counts(shop: Shop, store: GraphStore, tmp_path: Path) -> Work:
    return Work(shop, store, tmp_path, REGRESSION, epochs=4, learning_rate=3e-3)


def test_counts_of_the_last_week_are_learned(counts: Work) -> None:
    _, outcome, _ = counts.train()
    losses = [loss for _, loss in outcome.losses]
    assert losses[-1] < 0.5 * losses[0]
    values = read_entity_examples(counts.lake, "asked", Split.VALIDATION, 0).values
    constant = float(np.abs(values - np.median(values)).mean())
    assert outcome.kept == "mae"
    assert outcome.best["mae"] == min(figures["mae"] for figures in outcome.history)
    assert outcome.best["mae"] < 0.5 * constant


def test_a_resumed_run_ends_with_the_weights_of_an_unbroken_one(counts: Work) -> None:
    unbroken, outcome, keeper = counts.train()
    resumed, again, _ = counts.train(resume=keeper.checkpoints[1])
    expected = unbroken.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.model.state_dict().items())
    assert [value for _, value in again.losses] == [value for _, value in outcome.losses]
    assert [figures["mae"] for figures in again.history] == [figures["mae"] for figures in outcome.history]


def test_threads_that_share_a_batch_do_not_change_what_is_learned(counts: Work) -> None:
    one, outcome, _ = counts.train()
    sampling = counts.settings.sampling.model_copy(update={"threads": 2})
    counts.settings = counts.settings.model_copy(update={"sampling": sampling})
    two, again, _ = counts.train()
    assert again.losses == outcome.losses
    expected = one.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in two.model.state_dict().items())


def test_another_seed_gives_other_weights(counts: Work) -> None:
    first, _, _ = counts.train()
    counts.settings = counts.settings.model_copy(update={"seed": counts.settings.seed + 1})
    other, _, _ = counts.train()
    assert not torch.equal(*(dict(t.model.named_parameters())["head.weight"] for t in (first, other)))


@pytest.mark.parametrize("task", QUERIES)
def test_every_task_trains_and_is_read_back(shop: Shop, store: GraphStore, tmp_path: Path, task: TaskSpec) -> None:
    work = Work(shop, store, tmp_path, task)
    trainer, outcome, _ = work.train()
    assert outcome.kept in outcome.best and all(np.isfinite(value) for value in outcome.best.values())
    assert all(p.grad is not None for p in trainer.model.parameters()), "data-parallel training wants every parameter"
    save_model(work.lake, "asked", outcome)
    predictor = load_node_model(work.settings, work.lake, store)
    examples = read_entity_examples(work.lake, "asked", Split.VALIDATION, store.manifest.origin)
    scores = predictor.predict(examples)
    shape = read_answer_shape(work.lake, "asked")
    assert predictor.knowledge.shape == shape and scores.shape == (len(examples), shape.scores)
    again = validate_task(shape.task, scores, examples.values, work.query.top)
    assert again[outcome.kept] == pytest.approx(outcome.best[outcome.kept])
    if task not in (REGRESSION, FORECASTING):
        assert (scores >= 0).all() and (scores <= 1).all()
    if task == MULTICLASS_CLASSIFICATION:
        np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)


def test_features_are_inputs_and_know_nothing_of_the_future(counts: Work) -> None:
    trainer, outcome, _ = counts.train()
    with_features = counts.settings
    model = with_features.model.model_copy(update={"features": False})
    counts.settings = with_features.model_copy(update={"model": model})
    plain, _, _ = counts.train()
    counts.settings = with_features
    anchor = int(counts.store.features("purchases").times.min()) + 40 * DAY
    names = EntityFeatures.of_query(counts.lake, "asked", counts.store, counts.query).names
    width = [t.model.get_parameter("first.0.weight").shape[1] for t in (plain, trainer)]
    assert width[1] - width[0] == 3 * len(names)
    save_model(counts.lake, "asked", outcome)
    predictor = load_node_model(counts.settings, counts.lake, counts.store)
    known = read_entity_examples(counts.lake, "asked", Split.VALIDATION, counts.store.manifest.origin)
    figures = validate_task(REGRESSION, predictor.predict(known), known.values, counts.query.top)
    assert figures["mae"] == pytest.approx(outcome.best["mae"])
    nobody = EntityExamples.unlabelled(np.arange(counts.store.node_count("customers")), anchor)
    other = load_node_model(counts.settings, counts.lake, OtherFuture(counts.store, anchor))
    answers = predictor.predict(nobody)
    assert len(np.unique(answers)) > 3 and (answers == other.predict(nobody)).all()


def test_a_long_training_takes_smaller_steps_unless_it_is_told_otherwise(counts: Work) -> None:
    task = build_task(counts.settings, counts.lake, counts.store, counts.query)
    assert [task.peak_rate(steps) for steps in (1, 225, 450, 900, 90_000)] == [2e-3, 2e-3, 1e-3, 5e-4, 5e-4]
    rates = {}
    for given in (None, 1e-2):
        training = counts.settings.training.model_copy(update={"learning_rate": given, "warmup_steps": 0})
        counts.settings = counts.settings.model_copy(update={"training": training})
        trainer, _, _ = counts.train()
        rates[given] = trainer.optimizer.param_groups[0]["lr"]
    assert rates[1e-2] == pytest.approx(5 * rates[None])


def test_a_model_of_another_configuration_is_refused(counts: Work) -> None:
    _, outcome, _ = counts.train()
    save_model(counts.lake, "asked", outcome)
    model = counts.settings.model.model_copy(update={"hidden": 20})
    with pytest.raises(LakeError, match="run the train stage again"):
        load_node_model(counts.settings.model_copy(update={"model": model}), counts.lake, counts.store)


def test_what_does_not_fit_is_an_error_before_training(counts: Work, shop: Shop) -> None:
    training = counts.settings.training.model_copy(update={"loss": "bce"})
    settings = counts.settings.model_copy(update={"training": training})
    with pytest.raises(ConfigError, match="bce does not fit regression"):
        check_task(settings, counts.lake, counts.store, counts.query)
    labels = counts.lake.read("labels_asked")
    counts.lake.write("labels_asked", labels.filter([s != "validation" for s in labels["split"].to_pylist()]))
    with pytest.raises(DataError, match="no validation example"):
        build_task(counts.settings, counts.lake, counts.store, counts.query)


def test_an_epoch_takes_at_most_the_examples_it_may(counts: Work) -> None:
    settings = counts.settings.training.model_copy(update={"max_examples": 50})
    counts.settings = counts.settings.model_copy(update={"training": settings})
    task = build_task(counts.settings, counts.lake, counts.store, counts.query)
    first, second = (np.concatenate(task.batches(epoch)) for epoch in (0, 1))
    assert len(set(first.tolist())) == len(first) == 50
    assert set(first.tolist()) != set(second.tolist())
    assert len(task.batches(0)) == len(task.batches(1))


def test_batches_hold_every_example_once_in_a_keyed_order() -> None:
    batches = shuffled_batches(103, 10, 1_000, seed=1, epoch=2)
    rows = np.concatenate(batches)
    assert sorted(rows.tolist()) == list(range(103))
    assert {len(batch) for batch in batches} <= {10, 11}
    assert rows.tolist() == np.concatenate(shuffled_batches(103, 10, 1_000, seed=1, epoch=2)).tolist()
    assert rows.tolist() != np.concatenate(shuffled_batches(103, 10, 1_000, seed=1, epoch=3)).tolist()
