"""Losses of node-level tasks against their definitions, and the space that values are predicted in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from gnnscale.batches import AnswerShape
from gnnscale.config.sections.training import TrainingSettings
from gnnscale.nn import TargetTransform
from gnnscale.query import BINARY_CLASSIFICATION, FORECASTING, MULTICLASS_CLASSIFICATION, REGRESSION, TaskSpec
from gnnscale.schema import ConfigError
from gnnscale.training.objectives.node_knowledge import NodeKnowledge
from gnnscale.training.task_builder import choose_node_loss
from tests.node_tasks import NODE_TASKS


class Objective:
    """A task's loss, and how its outputs are read."""

    def __init__(self, task: TaskSpec, space: TargetTransform, loss: Any = "auto") -> None:
        self.space, self.knowledge = space, NodeKnowledge(AnswerShape(task), space)
        self.node_loss = choose_node_loss(SimpleNamespace(training=TrainingSettings(loss=loss)), task)
        self.predict = self.knowledge.predict

    def loss(self, outputs: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return self.node_loss.total(outputs, values, self.space)


SKEWED = np.exp(np.random.default_rng(0).normal(0, 2, (500, 1))).astype(np.float32)


def test_decoding_inverts_encoding() -> None:
    for values in (SKEWED, -SKEWED, np.random.default_rng(1).normal(5, 2, (100, 3)).astype(np.float32)):
        space, tensor = TargetTransform.fit(values), torch.from_numpy(values)
        torch.testing.assert_close(space.decode(space.encode(tensor)), tensor, rtol=1e-3, atol=1e-4)


def test_skewed_values_take_the_logarithm_and_encodings_are_standardised() -> None:
    space = TargetTransform.fit(SKEWED)
    encoded = space.encode(torch.from_numpy(SKEWED))
    assert space.log and not TargetTransform.fit(np.arange(50, dtype=np.float32)).log
    assert float(encoded.mean()) == pytest.approx(0, abs=1e-3) and float(encoded.std()) == pytest.approx(1, abs=0.01)


def test_predictions_stay_in_bounds_and_are_never_negative_where_no_value_was() -> None:
    far = torch.tensor([[-50.0], [50.0]])
    counts = Objective(REGRESSION, TargetTransform.fit(np.arange(9, dtype=np.float32)))
    low, high = counts.predict(far)[:, 0].tolist()
    assert low == 0 and 8 < high < 20
    signed = Objective(REGRESSION, TargetTransform.fit(np.arange(-9, 9, dtype=np.float32)))
    assert signed.predict(far)[0, 0] < -9


def test_values_that_do_not_vary_or_are_not_there_are_no_fault() -> None:
    same = TargetTransform.fit(np.full((4, 1), 3, np.float32))
    assert float(same.decode(torch.zeros(1))) == pytest.approx(3)
    assert TargetTransform.fit(np.full((4, 1), np.nan, np.float32)) == TargetTransform()


@pytest.mark.parametrize(("loss", "best"), [("l1", np.median), ("l2", np.mean)])
def test_the_best_constant_is_the_median_or_the_mean(loss: str, best: object) -> None:
    values = SKEWED[:101]
    space = TargetTransform.fit(values)
    objective = Objective(REGRESSION, space, loss)
    guesses = torch.from_numpy(np.linspace(values.min(), values.max(), 4_000, dtype=np.float32))
    outputs = space.encode(guesses)
    losses = [float(objective.loss(o.expand(101, 1), torch.from_numpy(values))) for o in outputs]
    assert guesses[int(np.argmin(losses))] == pytest.approx(float(best(values)), rel=0.02)  # type: ignore[operator]


def test_huber_is_squared_within_a_spread_and_linear_past_it() -> None:
    objective = Objective(REGRESSION, TargetTransform(scale=2.0), "huber")
    near = objective.loss(torch.tensor([[1.0]]), torch.zeros(1, 1))
    far = objective.loss(torch.tensor([[20.0]]), torch.zeros(1, 1))
    assert (float(near), float(far)) == (pytest.approx(0.5 * 0.5**2), pytest.approx(10 - 0.5))


def test_a_class_that_training_lacks_counts_nothing() -> None:
    objective = Objective(MULTICLASS_CLASSIFICATION, TargetTransform())
    outputs, values = torch.randn(3, 4, requires_grad=True), torch.tensor([[1.0], [-1.0], [3.0]])
    loss = objective.loss(outputs, values)
    expected = functional.cross_entropy(outputs[[0, 2]], torch.tensor([1, 3]), reduction="sum")
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    loss.backward()
    assert outputs.grad is not None and (outputs.grad[1] == 0).all() and (outputs.grad[0] != 0).all()
    torch.testing.assert_close(objective.predict(outputs).sum(1), torch.ones(3))


def test_unknown_labels_count_nothing() -> None:
    objective = Objective(FORECASTING, TargetTransform())
    values = torch.tensor([[1.0, float("nan")], [float("nan"), 4.0]])
    assert float(objective.loss(torch.zeros(2, 2), values)) == pytest.approx((1 + 4) / 2)


def test_focal_looks_away_from_what_is_easy() -> None:
    plain, focal = (Objective(BINARY_CLASSIFICATION, TargetTransform(), n) for n in ("bce", "focal"))
    hard, easy = torch.tensor([[-3.0]]), torch.tensor([[3.0]])
    true = torch.ones(1, 1)
    ratios = [float(focal.loss(o, true) / plain.loss(o, true)) for o in (easy, hard)]
    assert ratios[0] == pytest.approx((1 - 1 / (1 + np.exp(-3))) ** 2, rel=1e-4)
    assert ratios[1] == pytest.approx((1 - 1 / (1 + np.exp(3))) ** 2, rel=1e-4)


@pytest.mark.parametrize("task", NODE_TASKS)
def test_a_loss_that_does_not_fit_is_an_error_that_says_which_do(task: TaskSpec) -> None:
    wrong = "cross_entropy" if task != MULTICLASS_CLASSIFICATION else "l1"
    with pytest.raises(ConfigError, match=f"{wrong} does not fit {task}.*{task.losses[0]}"):
        Objective(task, TargetTransform(), wrong)
