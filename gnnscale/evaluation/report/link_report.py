"""The report of ranked links: what a few entities had, beside what was recommended to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from gnnscale.arrays import key_text, show_key
from gnnscale.evaluation.comparison import Part
from gnnscale.evaluation.link_holdout import LinkHoldout
from gnnscale.evaluation.report.blend_lines import blend_lines
from gnnscale.evaluation.report.report import Report
from gnnscale.evaluation.report.report_inputs import ReportInputs
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import PARTS, AnchorPlan, PredictiveQuery, show_time

HISTORY_SHOWN = 12

HEADLINES: Final[tuple[tuple[str, Part], ...]] = (
    ("map@10", "all"),
    ("recall@20", "all"),
    ("recall@10", "repeat"),
    ("recall@10", "explore"),
)
"""Of lists that reach so far; of shorter ones, as far as they do."""


@dataclass(frozen=True)
class EntityExample:
    """One entity: what it had, and what was recommended to it.

    Args:
        key: of the entity.
        attributes: what is known of it, name to value.
        history: (item, times had, when last as ISO text, empty where that is not told), in the order to show.
        recommendations: (rank, item, score, whether it had it before, whether it came true).
    """

    key: str
    attributes: Mapping[str, object]
    history: Sequence[tuple[str, int, str]]
    recommendations: Sequence[tuple[int, str, float, bool, bool]]


@dataclass(frozen=True)
class LinkReport(Report):
    """Everything that the page of a link task shows.

    Args:
        examples: a few entities.
    """

    template: ClassVar[str] = "link_report.html.j2"

    examples: Sequence[EntityExample] = ()

    def cards(self) -> list[tuple[str, Part]]:
        """MAP and recall of all, recall of repeats and of what is new; by another metric, the headline of each part."""
        first, parts = self.comparison.headline.name, self.comparison.parts
        known = [metric.name for metric in self.comparison.metrics]
        found = [(_as_far(name, known), part) for name, part in HEADLINES]
        shown = list(dict.fromkeys((name, part) for name, part in found if name is not None))
        if first != found[0][0] or len(shown) < len(HEADLINES) - 1:
            return [(first, part) for part in parts]
        further: list[Part] = [part for part in parts if part in ("warm", "cold")]
        return [*shown, *((first, part) for part in further)]


def _as_far(name: str, known: Sequence[str]) -> str | None:
    """The metric of a name, or where it is not known the one of its kind that looks furthest."""
    kind = name.partition("@")[0]
    others = [other for other in known if other.partition("@")[0] == kind]
    return name if name in known else max(others, key=lambda other: int(other.partition("@")[2]), default=None)


def build_link_report(inputs: ReportInputs, holdout: LinkHoldout) -> LinkReport:
    """Gather what the page shows.

    Args:
        inputs: the run.
        holdout: its evaluation.
    """
    store, query, plan = inputs.store, inputs.query, inputs.plan
    summary = {
        "Task": str(query.task_type),
        **_anchors(query, plan),
        **blend_lines(holdout.blend, inputs.settings.model.blend, inputs.query.task_type),
        "Entities evaluated": f"{len(np.unique(holdout.entities)):,} of {store.node_count(query.entity.name):,}",
        "Candidates": f"{store.node_count(query.target.name):,} {query.target.name}",
        "Holdout rows equal to exact search": f"{holdout.index_recall:.2%}",
        **({"Left out": f"{', '.join(holdout.beyond)}: lists have {query.top_k} rows"} if holdout.beyond else {}),
        **inputs.details,
    }
    return LinkReport.of(inputs, holdout.comparison, summary, examples=_examples(inputs, holdout))


def _anchors(query: PredictiveQuery, plan: AnchorPlan) -> dict[str, str]:
    """When the query was asked; without a window, at no time."""
    if query.split_column is not None:
        return {"Split": f"{query.event_table.name} as column {query.split_column} says"}
    if query.pseudo_timed_tables:
        return {"Split": f"{query.event_table.name} by {PARTS} parts at random, each asked for after those before it"}
    return {
        "Training anchors": f"{len(plan.train)}, {show_time(plan.train[0])} to {show_time(plan.train[-1])}",
        "Validation anchor": ", ".join(map(show_time, plan.validations)),
        "Test anchor": ", ".join(map(show_time, plan.tests)),
        "Predictions at": show_time(plan.latest),
    }


def _examples(inputs: ReportInputs, holdout: LinkHoldout) -> list[EntityExample]:
    store, query = inputs.store, inputs.query
    names = _names(inputs.lake, query.target.name)
    entity_keys = read_keys(inputs.lake, query.entity.name)
    told = None if query.pseudo_timed_tables else inputs.plan.test
    # What they had is known of the last anchor.
    last = np.flatnonzero(holdout.anchors == holdout.anchors.max(initial=0))
    return [
        EntityExample(
            key=f"{query.entity.primary_key} {show_key(entity_keys[int(holdout.entities[row])])}",
            attributes=store.categories(query.entity.name, int(holdout.entities[row])),
            history=_history(holdout, int(holdout.entities[row]), names, told),
            recommendations=_recommendations(holdout, int(row), names),
        )
        for row in last[inputs.draw(len(last))]
    ]


def _names(lake: Lake, table: str) -> pa.Array:
    """What people call each node of a table, in order of node id."""
    keys = key_text(read_keys(lake, table))
    rows = lake.read(f"nodes_{table}")
    if "display" not in rows.column_names:
        return keys
    # Nodes whose key the table has no longer have no row.
    shown = dict(zip(rows["node_id"].to_pylist(), rows["display"].to_pylist(), strict=True))
    return pa.array([shown.get(node) or f"{table} {key}" for node, key in enumerate(keys.to_pylist())])


def _history(holdout: LinkHoldout, entity: int, names: pa.Array, anchor: int | None) -> list[tuple[str, int, str]]:
    mine = holdout.history.entity == entity
    items, ages = holdout.history.item[mine], holdout.history.age[mine]
    distinct, inverse, counts = np.unique(items, return_inverse=True, return_counts=True)
    latest = np.full(len(distinct), np.iinfo(np.int64).max)
    np.minimum.at(latest, inverse, ages)
    order = np.lexsort((latest, -counts))[:HISTORY_SHOWN]
    last = ["" if anchor is None else show_time(anchor - int(age))[:10] for age in latest]
    return [(names[int(distinct[i])].as_py(), int(counts[i]), last[i]) for i in order]


def _recommendations(holdout: LinkHoldout, row: int, names: pa.Array) -> list[tuple[int, str, float, bool, bool]]:
    past = holdout.history.past.row(int(holdout.entities[row]))
    truth = holdout.truth.row(row)
    return [
        (place, names[int(item)].as_py(), float(score), bool(np.isin(item, past)), bool(np.isin(item, truth)))
        for place, (item, score) in enumerate(
            zip(holdout.ranked[row][:HISTORY_SHOWN], holdout.scores[row][:HISTORY_SHOWN], strict=True), start=1
        )
        if item >= 0
    ]
