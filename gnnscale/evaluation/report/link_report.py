"""The run as a report: figures of the graph, curves of the training, and a few entities told by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from gnnscale.config import Settings
from gnnscale.evaluation.link_holdout import Holdout
from gnnscale.evaluation.report.graph_figures import edge_figures, relation_figures, table_figures
from gnnscale.evaluation.report.report import Curve, EntityExample, Report
from gnnscale.inference import read_keys
from gnnscale.lake import Lake
from gnnscale.query import AnchorPlan, PredictiveQuery, show_time
from gnnscale.sampling import permutation, stream_key
from gnnscale.store import GraphStore

HISTORY_SHOWN = 12


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
    manifest = store.manifest
    summary = {
        "Task": str(query.task_type),
        "Training anchors": f"{len(plan.train)}, {show_time(plan.train[0])} to {show_time(plan.train[-1])}",
        "Validation anchor": show_time(plan.validation),
        "Test anchor": show_time(plan.test),
        "Predictions at": show_time(plan.latest),
        "Entities evaluated": f"{len(holdout.entities):,} of {store.node_count(query.entity.name):,}",
        "Candidates": f"{store.node_count(query.target.name):,} {query.target.name}",
        "Holdout rows equal to exact search": f"{holdout.audit:.2%}",
        **details,
    }
    return Report(
        title=f"{settings.query.name} on {settings.recipe}",
        query_text=query.text,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        comparison=holdout.comparison,
        summary=summary,
        tables=table_figures(manifest),
        edges=edge_figures(manifest),
        relations=relation_figures(manifest),
        curves=curves,
        examples=_examples(settings, lake, store, query, plan, holdout),
        stages=stages,
    )


def _examples(
    settings: Settings, lake: Lake, store: GraphStore, query: PredictiveQuery, plan: AnchorPlan, holdout: Holdout
) -> list[EntityExample]:
    key = stream_key(settings.seed, 0, "report/examples")
    rows = permutation(key, len(holdout.entities))[: settings.evaluation.examples]
    names = _names(lake, query.target.name)
    entity_keys = read_keys(lake, query.entity.name)
    return [
        EntityExample(
            key=f"{query.entity.primary_key} {entity_keys[int(holdout.entities[row])].as_py()}",
            attributes=store.categories(query.entity.name, int(holdout.entities[row])),
            history=_history(holdout, int(holdout.entities[row]), names, plan.test),
            recommendations=_recommendations(holdout, int(row), names),
        )
        for row in rows
    ]


def _names(lake: Lake, table: str) -> pa.Array:
    """What people call each node of a table, in order of node id."""
    keys = read_keys(lake, table).cast(pa.string())
    rows = lake.read(f"nodes_{table}")
    if "display" not in rows.column_names:
        return keys
    # Nodes whose key the table has no longer have no row.
    shown = dict(zip(rows["node_id"].to_pylist(), rows["display"].to_pylist(), strict=True))
    return pa.array([shown.get(node) or f"{table} {key}" for node, key in enumerate(keys.to_pylist())])


def _history(holdout: Holdout, entity: int, names: pa.Array, anchor: int) -> list[tuple[str, int, str]]:
    mine = holdout.history.entity == entity
    items, ages = holdout.history.item[mine], holdout.history.age[mine]
    distinct, inverse, counts = np.unique(items, return_inverse=True, return_counts=True)
    latest = np.full(len(distinct), np.iinfo(np.int64).max)
    np.minimum.at(latest, inverse, ages)
    order = np.lexsort((latest, -counts))[:HISTORY_SHOWN]
    return [(names[int(distinct[i])].as_py(), int(counts[i]), show_time(anchor - int(latest[i]))[:10]) for i in order]


def _recommendations(holdout: Holdout, row: int, names: pa.Array) -> list[tuple[int, str, float, bool, bool]]:
    past = holdout.history.past.row(int(holdout.entities[row]))
    truth = holdout.truth.row(row)
    return [
        (place, names[int(item)].as_py(), float(score), bool(np.isin(item, past)), bool(np.isin(item, truth)))
        for place, (item, score) in enumerate(
            zip(holdout.ranked[row][:HISTORY_SHOWN], holdout.scores[row][:HISTORY_SHOWN], strict=True), start=1
        )
        if item >= 0
    ]
