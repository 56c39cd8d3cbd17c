"""What the report of a run is made from, beside its evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gnnscale.config import Settings
from gnnscale.evaluation.report.figures import Curve
from gnnscale.lake import Lake
from gnnscale.query import AnchorPlan, PredictiveQuery
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore


@dataclass(frozen=True)
class ReportInputs:
    """A run of a query, as its report is told of it.

    Args:
        settings: of the run.
        lake, store, query, plan: as in the stages.
        curves: of the training.
        stages: (name, seconds, detail), in the order run.
        details: further lines of the summary, name to text.
    """

    settings: Settings
    lake: Lake
    store: GraphStore
    query: PredictiveQuery
    plan: AnchorPlan
    curves: Sequence[Curve] = ()
    stages: Sequence[tuple[str, float, str]] = ()
    details: Mapping[str, str] = field(default_factory=dict)

    def draw(self, count: int) -> NDArray[np.int64]:
        """Numbers of the few, of so many examples, that the page shows: a function of the seed."""
        key = stream_key(self.settings.seed, 0, "report/examples")
        return permutation(key, count)[: self.settings.evaluation.examples]
