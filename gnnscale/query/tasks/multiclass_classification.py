"""One of some classes for each entity."""

from __future__ import annotations

from typing import Final

from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.schema import TASKS


def _is_category(question: Question) -> bool:
    return question.is_category


MULTICLASS_CLASSIFICATION: Final = TASKS.register("multiclass classification")(
    TaskSpec(
        name="multiclass classification",
        answer="class",
        fits=_is_category,
        label="class",
        losses=("cross_entropy",),
        head="softmax",
        metrics=("class_accuracy", "class_macro_f1", "class_mrr", "class_log_loss"),
        validation=("class_accuracy", "class_log_loss"),
        baselines=("own_past", "majority", "boosted_trees"),
        charts=("class_recall", "class_f1"),
    )
)
