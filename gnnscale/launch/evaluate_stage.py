"""The evaluate stage: comparison and report, kept in the lake and in the MLflow run of the training."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import version

import gnnscale
from gnnscale.config import Settings
from gnnscale.evaluation import Curve, render_report
from gnnscale.lake import Lake
from gnnscale.launch.train_stage import CURVES
from gnnscale.query import PredictiveQuery
from gnnscale.query.anchors import AnchorPlan
from gnnscale.retrieval.holdout import evaluate_holdout
from gnnscale.retrieval.registered_model import log_ranking_model
from gnnscale.retrieval.story import build_report
from gnnscale.store import GraphStore
from gnnscale.tracking import Run, last_run

EVALUATION = "evaluation_{query}"


def report_path(query: str) -> str:
    """Where a query's report is, under the lake's root."""
    return f"_reports/{query}.html"


def evaluate_and_report(
    settings: Settings, lake: Lake, query: PredictiveQuery, plan: AnchorPlan, stages: Sequence[tuple[str, float, str]]
) -> str:
    """Evaluate the holdout, write the report, and add both and the model to the MLflow run.

    Returns:
        What was found, in a few words.
    """
    store = GraphStore.open(lake, settings.lake.cache)
    holdout = evaluate_holdout(settings, lake, store, query, plan)
    name = settings.query.name
    lake.write_record(EVALUATION.format(query=name), {**holdout.comparison.to_dict(), "audit": holdout.audit})
    run = last_run(settings, lake)
    facts = {
        "Seed": str(settings.seed),
        "MLflow run": run.run_id if run else "none",
        "Versions": ", ".join(
            [f"gnnscale {gnnscale.__version__}", f"Python {platform.python_version()}"]
            + [f"{package} {version(package)}" for package in ("torch", "pyspark", "ray", "deltalake")]
        ),
    }
    report = build_report(settings, lake, store, query, plan, holdout, _curves(lake, name), stages, facts)
    page = render_report(report)
    lake.write_bytes(report_path(name), page.encode())
    if run:
        _track(run, settings, lake, holdout.comparison.rows(), page)
    model = holdout.comparison.result("model").metrics.means
    return f"MAP@10 {model['map@10']:.4f}, Recall@20 {model['recall@20']:.4f} over {len(holdout.entities):,} entities"


def _curves(lake: Lake, query: str) -> list[Curve]:
    record = lake.read_record(CURVES.format(query=query))
    if record is None:
        return []
    validations = record["validations"]
    return [
        Curve("Training loss", "step", [(step, loss) for step, loss in record["losses"]]),
        Curve("Validation MAP@10", "epoch", [(v["epoch"], v["map@10"]) for v in validations]),
        Curve("Validation Recall@20", "epoch", [(v["epoch"], v["recall@20"]) for v in validations]),
    ]


def _track(
    run: Run, settings: Settings, lake: Lake, rows: list[dict[str, str | int | float | None]], page: str
) -> None:
    metrics: dict[str, float] = {}
    for row in rows:
        prefix = f"{row['method']}/{row['among']}/"
        metrics |= {
            prefix + key: float(value)
            for key, value in row.items()
            if isinstance(value, int | float) and not key.endswith(("_low", "_high"))
        }
    run.log_metrics(metrics)
    run.log_text(page, "report.html")
    log_ranking_model(run.run_id, settings, lake)
