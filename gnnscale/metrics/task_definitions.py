"""Which metrics each entity task has, what they mean, which way is better and which one is the headline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gnnscale.query import TaskType
from gnnscale.schema import DataError

LENGTHS: Final = (10, 5)
"""Lengths of the class lists that are ranked; the headline's first."""


@dataclass(frozen=True)
class TaskMetric:
    """One metric of a task.

    Args:
        name: in records, such as ``map@10``.
        title: on pages.
        meaning: its definition in a sentence or two.
        higher_is_better: False for errors and losses.
    """

    name: str
    title: str
    meaning: str
    higher_is_better: bool = True


def task_metrics(task: TaskType, width: int = 1) -> tuple[TaskMetric, ...]:
    """The metrics of a task, the headline first.

    Args:
        task: an entity task.
        width: number of frames (forecasting) or of classes (multilabel); the other tasks ignore it.

    Raises:
        DataError: a link task; those are compared by their ranked lists.
    """
    if task is TaskType.FORECASTING:
        frames = (
            TaskMetric(f"mae_frame_{f}", f"MAE, frame {f}", f"The MAE of frame {f} alone.", False)
            for f in range(1, width + 1)
        )
        return (*_FORECASTING, *frames)
    if task is TaskType.MULTILABEL_CLASSIFICATION:
        ranked = (metric for k in list_lengths(width) for metric in _ranked_metrics(k))
        return (*ranked, *_MULTILABEL)
    if task not in _METRICS:
        raise DataError(f"{task} gives no values to entities: its ranked lists are what is compared")
    return _METRICS[task]


def headline_metric(task: TaskType, width: int = 1) -> TaskMetric:
    """The metric that a task is judged by: AUROC, MAE, MAE, accuracy or MAP@K."""
    return task_metrics(task, width)[0]


def list_lengths(classes: int) -> tuple[int, ...]:
    """``LENGTHS``, none longer than there are classes, each once."""
    return tuple(dict.fromkeys(min(k, max(1, classes)) for k in LENGTHS))


def _ranked_metrics(k: int) -> tuple[TaskMetric, ...]:
    return (
        TaskMetric(
            f"map@{k}",
            f"MAP@{k}",
            f"Mean over examples of: at the rank of each hit among the first {k} classes, the share of hits so far; "
            f"summed, divided by min({k}, T), T being the number of classes that came true.",
        ),
        TaskMetric(f"recall@{k}", f"Recall@{k}", f"Share of the T classes that are among the first {k}."),
        TaskMetric(
            f"ndcg@{k}",
            f"NDCG@{k}",
            f"Hits weighted by 1 / log₂(rank + 1), divided by what min({k}, T) hits at the top would get.",
        ),
    )


_RMSE: Final = TaskMetric(
    "rmse", "RMSE", "Root of the mean squared error: large errors weigh more than in the MAE.", False
)

_FORECASTING: Final = (
    TaskMetric("mae", "MAE", "Mean absolute error over examples and frames, in the unit of the target.", False),
    _RMSE,
)

_METRICS: Final = {
    TaskType.BINARY_CLASSIFICATION: (
        TaskMetric("auroc", "AUROC", "Chance that a true example scores higher than a false one."),
        TaskMetric(
            "auprc", "AUPRC", "Average precision: the precision at the score of each true example, averaged over them."
        ),
        TaskMetric("accuracy", "Accuracy", "Share of examples that a threshold of 0.5 puts on the right side."),
        TaskMetric("f1", "F1", "Harmonic mean of precision and recall at a threshold of 0.5."),
        TaskMetric(
            "log_loss",
            "Log loss",
            "Mean of ln(1 / p), p being the probability given to what came true, at least 10⁻⁷.",
            False,
        ),
    ),
    TaskType.REGRESSION: (
        TaskMetric("mae", "MAE", "Mean absolute error, in the unit of the target.", False),
        _RMSE,
        TaskMetric("r2", "R²", "Share of the variance explained; 0 is as good as the mean of the test examples."),
    ),
    TaskType.MULTICLASS_CLASSIFICATION: (
        TaskMetric(
            "accuracy",
            "Accuracy",
            "Share of examples whose most probable class came true. A class that training never saw counts as wrong.",
        ),
        TaskMetric(
            "macro_f1", "Macro F1", "Mean over the classes that came true or were predicted of the F1 of each class."
        ),
        TaskMetric(
            "mrr",
            "MRR",
            "Mean of 1 / rank of the class that came true; 0 for a class that training never saw.",
        ),
        TaskMetric(
            "log_loss",
            "Log loss",
            "Mean of ln(1 / p), p being the probability of the class that came true; over examples of known classes.",
            False,
        ),
    ),
}

_MULTILABEL: Final = (
    TaskMetric("auroc", "AUROC", "Mean over classes of the AUROC of each class that some examples have and some lack."),
    TaskMetric("micro_f1", "Micro F1", "F1 over all pairs of an example and a class, at a threshold of 0.5."),
    TaskMetric(
        "macro_f1", "Macro F1", "Mean over the classes that came true or were predicted of the F1 of each, at 0.5."
    ),
)
