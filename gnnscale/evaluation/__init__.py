"""How good predictions are: metrics, intervals, baselines, comparisons and the report."""

from gnnscale.evaluation.baselines import (
    BASELINES,
    History,
    personal_frequency,
    popularity,
    recency_weighted_frequency,
)
from gnnscale.evaluation.comparison import Comparison, MethodLists, MethodResult, compare
from gnnscale.evaluation.intervals import Difference, Interval, bootstrap_interval, paired_difference
from gnnscale.evaluation.ragged import Ragged
from gnnscale.evaluation.ranking import RankingMetrics, evaluate_ranking
from gnnscale.evaluation.report import (
    Curve,
    EdgeFigure,
    EntityExample,
    RelationFigure,
    Report,
    TableFigure,
    render_report,
)

__all__ = [
    "BASELINES",
    "Comparison",
    "Curve",
    "Difference",
    "EdgeFigure",
    "EntityExample",
    "History",
    "Interval",
    "MethodLists",
    "MethodResult",
    "Ragged",
    "RankingMetrics",
    "RelationFigure",
    "Report",
    "TableFigure",
    "bootstrap_interval",
    "compare",
    "evaluate_ranking",
    "paired_difference",
    "personal_frequency",
    "popularity",
    "recency_weighted_frequency",
    "render_report",
]
