"""The evaluate stage of entity tasks: comparison and report, kept in the lake and in the MLflow run of the training."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gnnscale.config import Settings
from gnnscale.evaluation import (
    LabelFigure,
    TaskExample,
    TaskHoldout,
    TaskReport,
    edge_figures,
    evaluate_task_holdout,
    label_rate,
    relation_figures,
    render_task_report,
    table_figures,
    task_charts,
    task_example,
)
from gnnscale.inference import AnswerModel, log_model, read_keys
from gnnscale.lake import Lake
from gnnscale.pipeline.stages.evaluate_stage import EVALUATION, read_curves, report_path, run_details, track
from gnnscale.pipeline.stages.train_stage import trained_settings
from gnnscale.query import AnchorPlan, PredictiveQuery, Split, explain, show_time
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore
from gnnscale.tracking import last_run


def evaluate_task_and_report(
    settings: Settings, lake: Lake, query: PredictiveQuery, plan: AnchorPlan, stages: Sequence[tuple[str, float, str]]
) -> str:
    """Evaluate the holdout, write the report, and add both to the MLflow run.

    Returns:
        What was found, in a few words.
    """
    store = GraphStore.open(lake, settings.lake.cache)
    settings = trained_settings(settings, lake)
    holdout = evaluate_task_holdout(settings, lake, store, query)
    name = settings.query.name
    lake.write_record(EVALUATION.format(query=name), holdout.comparison.to_dict())
    run = last_run(settings, lake)
    test = holdout.examples[Split.TEST]
    report = TaskReport(
        title=f"{name} on {settings.recipe}",
        query_text=query.text,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        comparison=holdout.comparison,
        summary=run_details(settings, run),
        explanation=explain(query, plan),
        labels=_labels(holdout, plan),
        charts=task_charts(holdout.shape.task, holdout.scores, test.values, holdout.shape.classes),
        tables=table_figures(store.manifest),
        edges=edge_figures(store.manifest),
        relations=relation_figures(store.manifest),
        curves=read_curves(lake, name),
        examples=_examples(settings, lake, store, query, holdout),
        stages=stages,
    )
    page = render_task_report(report)
    lake.write_bytes(report_path(name), page.encode())
    if run:
        track(run, holdout.comparison.rows(), page)
        log_model(run.run_id, settings, lake, AnswerModel())
    return _outcome(holdout)


def _outcome(holdout: TaskHoldout) -> str:
    comparison = holdout.comparison
    metric = comparison.headline
    value = comparison.result("model").metrics[metric.name]
    verdicts = [f"{comparison.verdict(name)} {name}" for name in comparison.methods if name != "model"]
    return f"{metric.title} {value:.4g} over {comparison.examples:,} examples: {', '.join(verdicts)}"


def _labels(holdout: TaskHoldout, plan: AnchorPlan) -> list[LabelFigure]:
    shape = holdout.shape
    figures = []
    for split, examples in holdout.examples.items():
        anchors = plan.of(split)
        when = show_time(anchors[0]) + (f" to {show_time(anchors[-1])}, {len(anchors)} anchors" if anchors[1:] else "")
        rate = label_rate(shape.task, examples.values, shape.classes)
        figures.append(LabelFigure(str(split), when, len(examples), rate))
    return figures


def _examples(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, holdout: TaskHoldout
) -> list[TaskExample]:
    test, shape = holdout.examples[Split.TEST], holdout.shape
    rows = permutation(stream_key(settings.seed, 0, "report/examples"), len(test))[: settings.evaluation.examples]
    keys = read_keys(lake, query.entity.name)
    hidden = {column for table, column in query.hidden_columns if table == query.entity.name}
    return [
        task_example(
            shape.task,
            f"{query.entity.primary_key} {keys[int(test.entities[row])].as_py()}",
            holdout.scores[row],
            test.values[row],
            test.past[row],
            shape.classes,
            {
                name: value
                for name, value in store.categories(query.entity.name, int(test.entities[row])).items()
                if name not in hidden
            },
        )
        for row in rows
    ]
