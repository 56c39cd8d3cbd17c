"""The evaluation of a query and its report, whatever its task type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gnnscale.config import Settings
from gnnscale.evaluation.holdout import Holdout
from gnnscale.evaluation.link_holdout import LinkHoldout, evaluate_links
from gnnscale.evaluation.node_holdout import NodeHoldout, evaluate_nodes
from gnnscale.evaluation.report.figures import Curve
from gnnscale.evaluation.report.link_report import build_link_report
from gnnscale.evaluation.report.node_report import build_node_report
from gnnscale.evaluation.report.report import Report
from gnnscale.lake import Lake
from gnnscale.query import AnchorPlan, PredictiveQuery
from gnnscale.store import GraphStore


def evaluate_holdout(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, plan: AnchorPlan
) -> LinkHoldout | NodeHoldout:
    """Compare ``holdout_<query>`` with what came true and with the baselines.

    Raises:
        LakeError: a table is missing.
        DataError: the holdout table lacks examples.
    """
    if query.task_type.predicts_links:
        return evaluate_links(settings, lake, store, query, plan)
    return evaluate_nodes(settings, lake, store, query)


def build_report(
    settings: Settings,
    lake: Lake,
    store: GraphStore,
    query: PredictiveQuery,
    plan: AnchorPlan,
    holdout: Holdout,
    curves: Sequence[Curve],
    stages: Sequence[tuple[str, float, str]],
    details: Mapping[str, str],
) -> Report:
    """Gather what the page shows.

    Args:
        settings: of the run.
        lake, store, query, plan: as in the stages.
        holdout: the evaluation.
        curves: of the training.
        stages: (name, seconds, detail).
        details: further lines of the summary.
    """
    if isinstance(holdout, LinkHoldout):
        return build_link_report(settings, lake, store, query, plan, holdout, curves, stages, details)
    assert isinstance(holdout, NodeHoldout)
    return build_node_report(settings, lake, store, query, plan, holdout, curves, stages, details)
