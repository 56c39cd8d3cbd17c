"""The evaluate stage: comparison and report, kept in the lake and in the MLflow run of the training."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import gnnscale
from gnnscale.config import Settings
from gnnscale.evaluation import (
    MODEL,
    BlendedAnswerModel,
    BlendedRankingModel,
    Comparison,
    Curve,
    HoldoutResult,
    ReportInputs,
    build_report,
    evaluate_holdout,
    holdout_digest,
    method_title,
    read_blend,
    render_report,
    rivals_of,
)
from gnnscale.inference import log_model
from gnnscale.lake import Lake
from gnnscale.pipeline.stages.champion_gate import keep_result, result_of
from gnnscale.pipeline.stages.retrieve_stage import RETRIEVAL
from gnnscale.pipeline.stages.train_stage import CURVES, trained_settings
from gnnscale.query import AnchorPlan, PredictiveQuery
from gnnscale.retrieval import IndexSetting, Recall
from gnnscale.schema import GraphManifest
from gnnscale.store import GraphStore, view_for
from gnnscale.tracking import Run, last_run
from gnnscale.training import FIGURES_BESIDE, metric_title

if TYPE_CHECKING:
    from gnnscale.evaluation.comparison import Verdict

EVALUATION = "evaluation_{query}"

VERDICTS: Final[dict[Verdict, str]] = {
    "beats": "better than",
    "ties": "level with",
    "loses": "worse than",
    "undefined": "undefined against",
}
"""Of a sentence, by the verdict."""


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
    store = view_for(GraphStore.open(lake, settings.lake.cache), query, lake)
    settings = trained_settings(settings, lake)
    holdout = evaluate_holdout(settings, lake, store, query, plan)
    name = settings.query.name
    blend = read_blend(lake, name)
    record = holdout.comparison.to_dict() | holdout.figures()
    off = settings.model.blend == "off"
    made_of = "the network alone (model.blend=off)" if off else blend.in_words()
    record |= {"blend": made_of, "against": against_rivals(holdout.comparison)}
    lake.write_record(EVALUATION.format(query=name), record)
    run = last_run(settings, lake)
    details = late_details(store.manifest, query) | search_details(lake, name) | run_details(settings, run)
    inputs = ReportInputs(settings, lake, store, query, plan, read_curves(lake, name), stages, details)
    page = render_report(build_report(inputs, holdout))
    lake.write_bytes(report_path(name), page.encode())
    words = f"{comparison_in_words(holdout.comparison)}; blend: {made_of}"
    if run:
        track(run, holdout.comparison, page)
        model = BlendedRankingModel() if query.task_type.predicts_links else BlendedAnswerModel()
        logged = log_model(run.run_id, settings, lake, model)
        digest = holdout_digest(lake, name)
        result = HoldoutResult.of(holdout.judge(None, query, lake), digest, holdout.since)

        def champion_here(uri: str) -> HoldoutResult | str:
            return result_of(uri, holdout, digest, query, settings)

        judged = keep_result(run, result, settings.tracking.register_as, logged.version, champion_here)
        words += f"; {judged}" if judged else ""
    return words


def against_rivals(comparison: Comparison) -> dict[str, dict[str, float | None]]:
    """Each baseline -> the model less it, by the headline metric, with the ends of its interval; None if undefined."""
    found = {}
    for name in rivals_of(comparison.methods):
        gap = comparison.difference(MODEL, name, comparison.headline.name)
        values = {"difference": gap.mean, "low": gap.interval.low, "high": gap.interval.high}
        found[name] = {key: None if math.isnan(value) else value for key, value in values.items()}
    return found


def comparison_in_words(comparison: Comparison) -> str:
    """The model's headline, and which baselines it is better than, level with or worse than by it."""
    metric = comparison.headline
    value = comparison.result(MODEL).metrics[metric.name]
    found: dict[Verdict, list[str]] = {}
    for name in rivals_of(comparison.methods):
        found.setdefault(comparison.verdict(MODEL, other=name), []).append(method_title(name, comparison.task))
    shown = "undefined" if math.isnan(value) else f"{value:.4g}"
    verdicts = "; ".join(
        f"{words} {', '.join(found[verdict])}" for verdict, words in VERDICTS.items() if verdict in found
    )
    return f"{metric.title} {shown} over {comparison.examples:,} examples: {verdicts}"


def search_details(lake: Lake, query: str) -> dict[str, str]:
    """The index of the predictions, and how near to exact search they are; nothing where no search is on record."""
    record = lake.read_record(RETRIEVAL.format(query=query))
    if record is None:
        return {}
    setting = IndexSetting.from_dict(record["index"]["setting"])
    return {"Index": setting.in_words(), "Predictions against exact search": str(Recall(**record["recall"]))}


def late_details(manifest: GraphManifest, query: PredictiveQuery) -> dict[str, str]:
    """Inputs that seem to be known only after their rows' own time; nothing where none does."""
    late = [
        f"{table.name}.{feature.column}"
        for table in manifest.tables
        for feature in table.features
        if feature.late and (table.name, feature.column) not in query.hidden_columns
    ]
    if not late:
        return {}
    are = "is an input" if len(late) == 1 else "are inputs"
    seem = "seems" if len(late) == 1 else "seem"
    return {
        "Known in time?": f"{', '.join(late)} {are} from the row's own time on, and {seem} to be known later only: set "
        "tables.<table>.columns.<column>=ignore, or a type where it is known in time"
    }


def run_details(settings: Settings, run: Run | None) -> dict[str, str]:
    """Seed, MLflow run and versions."""
    where = ", in mlflow.db" if settings.tracking.uri is None else ""
    return {
        "Seed": str(settings.seed),
        "MLflow run": f"{run.run_id}{where}" if run else "none",
        "Versions": ", ".join(
            [f"gnnscale {gnnscale.__version__}", f"Python {platform.python_version()}"]
            + [f"{package} {version(package)}" for package in ("torch", "pyspark", "ray", "deltalake")]
        ),
    }


def read_curves(lake: Lake, query: str) -> list[Curve]:
    """The training loss, and every metric of the validations."""
    record = lake.read_record(CURVES.format(query=query))
    if record is None:
        return []
    validations = record["validations"]
    metrics = [name for name in (validations[0] if validations else {}) if name not in FIGURES_BESIDE]
    validated = {name: [(v["epoch"], v[name]) for v in validations] for name in metrics[:4]}
    return [
        Curve("Training loss", "step", [(step, loss) for step, loss in record["losses"]]),
        *(Curve(f"Validation {metric_title(name)}", "epoch", points) for name, points in validated.items()),
    ]


def track(run: Run, comparison: Comparison, page: str) -> None:
    """Add the comparison's figures and the report to the run of the training."""
    metrics: dict[str, float] = {}
    keys = ("method", "among") if len(comparison.parts) > 1 else ("method",)
    for row in comparison.rows():
        prefix = "/".join(str(row[key]) for key in keys) + "/"
        metrics |= {
            prefix + key: float(value)
            for key, value in row.items()
            if isinstance(value, int | float) and not key.endswith(("_low", "_high"))
        }
    run.log_metrics(metrics)
    run.log_text(page, "report.html")
