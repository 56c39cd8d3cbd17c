"""A query and what its labels are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from gnnscale.query import (
    BINARY_CLASSIFICATION,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    STATIC_LINK_PREDICTION,
    TEMPORAL_LINK_PREDICTION,
    TaskSpec,
)
from gnnscale.query import FORECASTING as FORECASTING
from gnnscale.query import REGRESSION as REGRESSION
from tests.query_labels.database import Database
from tests.query_labels.oracle import Value, alive, each

Labels = Callable[[Database, int], pd.Series]
"""Database and anchor (epoch seconds) -> target of each entity key that is an example."""

BINARY = BINARY_CLASSIFICATION
MULTICLASS = MULTICLASS_CLASSIFICATION
MULTILABEL = MULTILABEL_CLASSIFICATION
LINKS = TEMPORAL_LINK_PREDICTION
STATIC_LINKS = STATIC_LINK_PREDICTION


@dataclass(frozen=True)
class Case:
    """One query.

    Args:
        name: of the test.
        text: the query.
        task: that must be inferred.
        labels: the oracle.
        past: the oracle of column ``past``, over at least the examples; None where it is not looked at.
        static: the labels hang on no anchor.
        own_time: each entity is asked about at its own time; the oracle takes no anchor.
        anchors: replaces settings of section ``anchors``.
        values: fewest distinct targets that make the case worth running.
    """

    name: str
    text: str
    task: TaskSpec
    labels: Labels
    past: Labels | None = None
    static: bool = False
    own_time: bool = False
    anchors: dict[str, Any] = field(default_factory=dict)
    values: int = 2


class Cases(list[Case]):
    """Cases on one subject, added by decorating their oracles."""

    def add(self, text: str, task: TaskSpec, **more: Any) -> Callable[[Labels], Labels]:
        """A decorator: the oracle's name is the case's."""

        def register(labels: Labels) -> Labels:
            self.append(Case(getattr(labels, "__name__", "?"), text, task, labels, **more))
            return labels

        return register


def per_user(db: Database, anchor: int, facts: pd.DataFrame, value: Value) -> pd.Series:
    """``value`` of the facts of every user alive at the anchor."""
    return each(alive(db.users, anchor), facts, "user_id", value)


def per_item(db: Database, facts: pd.DataFrame, value: Value) -> pd.Series:
    """``value`` of the facts of every item."""
    return each(db.items, facts, "item_id", value)
