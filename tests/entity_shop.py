"""Entity tasks over the shop: their queries, labels that the tests write, and the shop's graph with another future."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gnnscale.config import Settings, build_settings
from gnnscale.lake import Lake
from gnnscale.query import (
    BINARY_CLASSIFICATION,
    FORECASTING,
    MULTICLASS_CLASSIFICATION,
    MULTILABEL_CLASSIFICATION,
    REGRESSION,
    PredictiveQuery,
    TaskSpec,
)
from gnnscale.schema import EdgeType
from gnnscale.store import Adjacency, GraphStore, NodeFeatures

DAY = 86_400
EACH = "FOR EACH customers.customer_id"
QUERIES = {
    BINARY_CLASSIFICATION: f"PREDICT COUNT(purchases.*, 0, 7, days) > 2 {EACH}",
    REGRESSION: f"PREDICT COUNT(purchases.*, 0, 7, days) {EACH}",
    FORECASTING: f"PREDICT COUNT(purchases.*, 0, 7, days) FORECAST 3 TIMEFRAMES {EACH}",
    MULTICLASS_CLASSIFICATION: f"PREDICT FIRST(purchases.channel, 0, 7, days) {EACH}",
    MULTILABEL_CLASSIFICATION: f"PREDICT LIST_DISTINCT(purchases.channel, 0, 7, days) RANK TOP 2 {EACH}",
}
TYPES = {
    BINARY_CLASSIFICATION: pa.float64(),
    REGRESSION: pa.float64(),
    FORECASTING: pa.list_(pa.float64()),
    MULTICLASS_CLASSIFICATION: pa.string(),
    MULTILABEL_CLASSIFICATION: pa.list_(pa.string()),
}
CLASSES = ("web", "store", "app")
PURCHASES = "purchases.customer_id"


def reverse_edge(store: GraphStore, link: str) -> EdgeType:
    """From a parent to the rows that name it along the link."""
    return next(e for e in store.edge_types() if e.link.name == link and e.reverse)


def purchases_before(store: GraphStore, customer: int, anchor: int, days: float) -> NDArray[np.int64]:
    """Node ids of a customer's purchases in ``(anchor - days, anchor]``."""
    edges = store.adjacency(reverse_edge(store, PURCHASES))
    rows = slice(edges.indptr[customer], edges.indptr[customer + 1])
    age = anchor - edges.times[rows].astype(np.int64)
    return edges.neighbors[rows][(age >= 0) & (age < days * DAY)].astype(np.int64)


def entity_settings(content: dict[str, Any], folder: Path, task: TaskSpec, **training: Any) -> Settings:
    """The shop's recipe with an entity task, chosen hops, and a lake of its own under ``folder``."""
    training = {"epochs": 1, "batch_size": 32, "warmup_steps": 2, "workers": 1, "gpu": "no", "patience": 99} | training
    return build_settings(
        {
            **content,
            "lake": {"uri": str(folder / "lake")},
            "query": {"name": "asked", "text": QUERIES[task]},
            "sampling": {},
            "model": {"channels": 8, "hidden": 16, "feature_channels": 4, "latest": 8},
            "training": training,
        }
    )


def write_labels(lake: Lake, shop_lake: Lake, store: GraphStore, query: PredictiveQuery, last: int = 49) -> None:
    """Labels that can be learned: how many purchases lie in the 7 days before the anchor, in every task's form.

    Anchors are a week apart up to ``last`` days after the opening; the last two are for validation and test.
    """
    opening = int(store.features("purchases").times.min()) // DAY * DAY
    anchors = [opening + d * DAY for d in range(7, last + 1, 7)]
    splits = {anchors[-1]: "test", anchors[-2]: "validation"}
    rows: dict[str, list[Any]] = {"entity": [], "anchor_time": [], "split": [], "target": [], "past": []}
    for anchor in anchors:
        for customer in range(store.node_count("customers")):
            count = len(purchases_before(store, customer, anchor, 7))
            rows["entity"].append(customer)
            rows["anchor_time"].append(anchor + store.manifest.origin)
            rows["split"].append(splits.get(anchor, "train"))
            rows["target"].append(_target(query.task_type, count))
            rows["past"].append(None)
    kind = TYPES[query.task_type]
    types = {"entity": pa.int64(), "anchor_time": pa.int64(), "split": pa.string(), "target": kind, "past": kind}
    lake.write("labels_asked", pa.table({name: pa.array(rows[name], types[name]) for name in rows}))
    classed = query.task_type in (MULTICLASS_CLASSIFICATION, MULTILABEL_CLASSIFICATION)
    lake.write_record(
        "task_asked",
        {"task": str(query.task_type), "classes": list(CLASSES) if classed else [], "frames": query.frames},
    )
    lake.write("ids_customers", shop_lake.read("ids_customers"))


def _target(task: TaskSpec, count: int) -> Any:
    if task == BINARY_CLASSIFICATION:
        return float(count > 2)
    if task == FORECASTING:
        return [float(count), 2.0 * count, 3.0]
    if task == MULTICLASS_CLASSIFICATION:
        # "kiosk" is no class of the training split.
        return "kiosk" if count > 5 else CLASSES[min(count, 2)]
    if task == MULTILABEL_CLASSIFICATION:
        return [name for name, has in zip(CLASSES, (count > 0, count > 2, count > 4), strict=True) if has]
    return float(count)


class OtherFuture(GraphStore):
    """The graph with everything after a moment changed: later, of other values, and partly gone.

    Args:
        store: the graph.
        moment: seconds after the origin.
    """

    def __init__(self, store: GraphStore, moment: int) -> None:
        super().__init__(store.manifest, store.folder)
        self.moment = moment

    def adjacency(self, edge_type: EdgeType) -> Adjacency:
        """Edges after the moment come three days later, and every third never."""
        edges = super().adjacency(edge_type)
        times = edges.times.astype(np.int64)
        times = np.where(times > self.moment, times + 3 * DAY, times)
        rows = np.arange(len(times))
        times = np.where((times > self.moment) & (rows % 3 == 0), np.iinfo(np.int32).max, times).astype(np.int32)
        order = np.lexsort((times, np.repeat(np.arange(len(edges.degrees)), edges.degrees)))
        return replace(edges, neighbors=edges.neighbors[order], times=times[order])

    def features(self, table: str) -> NodeFeatures:
        """Rows that came after the moment hold other values."""
        features = super().features(table)
        later = features.times > self.moment
        numerical, categorical = np.array(features.numerical), np.array(features.categorical)
        numerical[later], categorical[later] = 9, 1
        lists = []
        for column in features.multicategorical:
            codes = np.array(column.codes)
            codes[np.repeat(later, np.diff(column.offsets))] = 1
            lists.append(replace(column, codes=codes))
        vectors = [np.where(later[:, None], np.float16(9), column) for column in features.embedded]
        return replace(
            features,
            numerical=numerical,
            categorical=categorical,
            multicategorical=tuple(lists),
            embedded=tuple(vectors),
        )
