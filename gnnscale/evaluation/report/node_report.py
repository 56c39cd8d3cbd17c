"""The report of a node-level task: what labels and answers are like, and what was said of a few entities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gnnscale.arrays import show_key
from gnnscale.config import split_implementation
from gnnscale.evaluation.blend.blend import read_blend
from gnnscale.evaluation.node_holdout import NodeHoldout
from gnnscale.evaluation.report.answer_charts.chart import AnswerChart, answer_charts
from gnnscale.evaluation.report.blend_lines import blend_lines
from gnnscale.evaluation.report.formatting import TaskExample, label_rate, task_example
from gnnscale.evaluation.report.page import MISSING
from gnnscale.evaluation.report.report import Report
from gnnscale.evaluation.report.report_inputs import ReportInputs
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import AnchorPlan, LeftOut, Split, explain, show_time


@dataclass(frozen=True)
class LabelFigure:
    """The examples of one split: which anchors, how many, and what their values are like."""

    split: str
    anchors: str
    examples: int
    rate: str


@dataclass(frozen=True)
class NodeReport(Report):
    """Everything that the page of a node-level task shows.

    Args:
        explanation: how the query was read, as text in lines; empty for none.
        labels: of the splits.
        charts: of the model's answers.
        examples: a few entities.
    """

    template: ClassVar[str] = "node_report.html.j2"

    explanation: str = ""
    labels: Sequence[LabelFigure] = ()
    charts: Sequence[AnswerChart] = ()
    examples: Sequence[TaskExample] = ()

    @property
    def tells_past(self) -> bool:
        """Whether any example says what was true before it."""
        return any(example.past != MISSING for example in self.examples)


def build_node_report(inputs: ReportInputs, holdout: NodeHoldout) -> NodeReport:
    """Gather what the page shows.

    Args:
        inputs: the run.
        holdout: its evaluation.
    """
    test = holdout.examples[Split.TEST]
    blend = read_blend(inputs.lake, inputs.settings.query.name)
    return NodeReport.of(
        inputs,
        holdout.comparison,
        {
            **blend_lines(blend, inputs.settings.model.blend, inputs.query.task_type),
            **_value_lines(inputs),
            **inputs.details,
        },
        explanation=explain(inputs.query, inputs.plan, _left_out(inputs.lake, inputs.settings.query.name)),
        labels=_labels(holdout, inputs.plan, inputs.store.manifest.origin),
        charts=answer_charts(holdout.shape.task, holdout.scores, test.values, holdout.shape.classes),
        examples=_examples(inputs, holdout),
    )


def _value_lines(inputs: ReportInputs) -> dict[str, str]:
    """What a value stands for, where it is no mean."""
    loss, _ = split_implementation(inputs.settings.training.loss)
    if not inputs.query.task_type.predicts_values or loss not in ("auto", "l1"):
        return {}
    return {
        "Values": "each is the middle of what may come true, for it is the absolute error that is learned: where a few "
        "values are large, values added up come to less than the truth does; training.loss=l2 gives means"
    }


def _left_out(lake: Lake, name: str) -> LeftOut | None:
    """What the label stage left out; None where it did not count."""
    record = lake.read_record(f"task_{name}") or {}
    return LeftOut(**record["left_out"]) if "left_out" in record else None


def _labels(holdout: NodeHoldout, plan: AnchorPlan, origin: int) -> list[LabelFigure]:
    shape = holdout.shape
    figures = []
    for split, examples in holdout.examples.items():
        anchors = plan.of(split)
        when = show_time(anchors[0]) + (f" to {show_time(anchors[-1])}, {len(anchors)} anchors" if anchors[1:] else "")
        if plan.own_times is not None and len(examples):
            first, last = (int(bound(examples.anchors)) + origin for bound in (np.min, np.max))
            when = f"{show_time(first)} to {show_time(last)}, each at its own time"
        rate = label_rate(shape.task, examples.values, shape.classes)
        figures.append(LabelFigure(str(split), when, len(examples), rate))
    return figures


def _examples(inputs: ReportInputs, holdout: NodeHoldout) -> list[TaskExample]:
    store, query = inputs.store, inputs.query
    test, shape = holdout.examples[Split.TEST], holdout.shape
    keys = read_keys(inputs.lake, query.entity.name)
    hidden = {column for table, column in query.hidden_columns if table == query.entity.name}
    return [
        task_example(
            shape.task,
            f"{query.entity.primary_key} {show_key(keys[int(test.entities[row])])}",
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
        for row in inputs.draw(len(test))
    ]
