"""A number for each entity."""

from __future__ import annotations

from typing import Final

from gnnscale.query.bound import Column
from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.schema import TASKS


def _is_one_number(question: Question) -> bool:
    return question.is_number and (question.frames is None or isinstance(question.target, Column))


REGRESSION: Final = TASKS.register("regression")(
    TaskSpec(
        name="regression",
        answer="value",
        fits=_is_one_number,
        label="value",
        losses=("l1", "huber", "l2"),
        head="identity",
        metrics=("mae", "rmse", "r2"),
        validation=("mae", "rmse"),
        baselines=("own_past", "global_mean", "global_median", "boosted_trees"),
        charts=("predicted_and_actual", "errors"),
    )
)
