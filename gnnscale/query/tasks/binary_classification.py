"""Whether a condition will hold of an entity."""

from __future__ import annotations

from typing import Final

from gnnscale.query.bound import Aggregate, Column
from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.schema import TASKS


def _is_condition(question: Question) -> bool:
    return not isinstance(question.target, Column | Aggregate)


BINARY_CLASSIFICATION: Final = TASKS.register("binary classification")(
    TaskSpec(
        name="binary classification",
        answer="truth",
        fits=_is_condition,
        label="truth",
        losses=("bce", "focal"),
        head="sigmoid",
        metrics=("auroc", "auprc", "accuracy", "f1", "log_loss"),
        validation=("auroc", "auprc"),
        baselines=("own_past", "base_rate", "boosted_trees"),
        charts=("calibration", "roc"),
    )
)
