"""A number for each entity in each of some windows to come."""

from __future__ import annotations

from typing import Final

from gnnscale.query.bound import Aggregate
from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.schema import TASKS


def _is_number_by_frame(question: Question) -> bool:
    return question.is_number and question.frames is not None and isinstance(question.target, Aggregate)


FORECASTING: Final = TASKS.register("forecasting")(
    TaskSpec(
        name="forecasting",
        answer="values",
        fits=_is_number_by_frame,
        label="values",
        losses=("l1", "huber", "l2"),
        head="identity",
        metrics=("mae", "rmse", "mae_frame"),
        validation=("mae", "rmse"),
        baselines=("own_past", "global_mean", "global_median", "boosted_trees"),
        charts=("frames", "predicted_and_actual"),
    )
)
