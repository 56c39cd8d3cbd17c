"""The evaluation of a query and its report, whatever its task type."""

from __future__ import annotations

from gnnscale.config import Settings
from gnnscale.evaluation.holdout import Holdout
from gnnscale.evaluation.link_holdout import LinkHoldout, evaluate_links
from gnnscale.evaluation.node_holdout import NodeHoldout, evaluate_nodes
from gnnscale.evaluation.report.link_report import build_link_report
from gnnscale.evaluation.report.node_report import build_node_report
from gnnscale.evaluation.report.report import Report
from gnnscale.evaluation.report.report_inputs import ReportInputs
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


def build_report(inputs: ReportInputs, holdout: Holdout) -> Report:
    """Gather what the page shows.

    Args:
        inputs: the run.
        holdout: its evaluation.
    """
    if isinstance(holdout, LinkHoldout):
        return build_link_report(inputs, holdout)
    assert isinstance(holdout, NodeHoldout)
    return build_node_report(inputs, holdout)
