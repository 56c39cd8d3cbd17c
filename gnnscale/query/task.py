"""Kinds of question that the language can ask."""

from __future__ import annotations

from enum import StrEnum


class TaskType(StrEnum):
    """What kind of answer a query asks for."""

    BINARY_CLASSIFICATION = "binary classification"
    REGRESSION = "regression"
    FORECASTING = "forecasting"
    MULTICLASS_CLASSIFICATION = "multiclass classification"
    MULTILABEL_CLASSIFICATION = "multilabel classification"
    TEMPORAL_LINK_PREDICTION = "temporal link prediction"
    STATIC_LINK_PREDICTION = "static link prediction"

    @property
    def is_link_prediction(self) -> bool:
        """Whether rows of another table are ranked; the others give each entity values or classes."""
        return self in (TaskType.TEMPORAL_LINK_PREDICTION, TaskType.STATIC_LINK_PREDICTION)
