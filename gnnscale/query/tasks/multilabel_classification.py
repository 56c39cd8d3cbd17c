"""Several of some classes for each entity."""

from __future__ import annotations

from typing import Final

from gnnscale.query.task_spec import Question, TaskSpec
from gnnscale.schema import TASKS


def _is_category_list(question: Question) -> bool:
    return question.is_category_list


MULTILABEL_CLASSIFICATION: Final = TASKS.register("multilabel classification")(
    TaskSpec(
        name="multilabel classification",
        answer="classes",
        fits=_is_category_list,
        label="classes",
        losses=("bce", "focal"),
        head="sigmoid",
        metrics=(
            *("map@10", "recall@10", "ndcg@10", "map@5", "recall@5", "ndcg@5"),
            *("label_auroc", "label_micro_f1", "label_macro_f1"),
        ),
        validation=("map@10", "label_auroc"),
        baselines=("own_past", "class_popularity", "boosted_trees"),
        charts=("class_recall", "class_f1"),
    )
)
