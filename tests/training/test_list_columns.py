"""What only a multicategorical column tells is learned by every network of node-level tasks, and not without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.arrays import Ragged
from gnnscale.config import bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.query import BINARY_CLASSIFICATION
from gnnscale.schema import FeatureManifest
from gnnscale.store import GraphStore, NodeFeatures
from gnnscale.training import Trainer, build_task, check_task
from tests.conftest import Shop
from tests.entity_shop import entity_settings

TAGS = ("a", "b", "c", "d", "e")
DECIDES = 3


class TaggedStore(GraphStore):
    """The shop, whose customers have up to four tags each and nothing else: all other columns are blank.

    Args:
        store: the shop.
        shown: whether the tags are a column.
    """

    def __init__(self, store: GraphStore, shown: bool = True) -> None:
        column = (FeatureManifest("tags", "multicategorical", categories=TAGS),) * shown
        tables = [
            replace(table, features=(*table.features, *column)) if table.name == "customers" else table
            for table in store.manifest.tables
        ]
        self.shown = shown
        super().__init__(replace(store.manifest, tables=tuple(tables)), store.folder)
        rng = np.random.default_rng(0)
        count = store.node_count("customers")
        self.tags = [sorted(rng.permutation(len(TAGS))[: rng.integers(0, 5)] + 1) for _ in range(count)]

    def features(self, table: str) -> NodeFeatures:
        """Tags, and zeros."""
        found = super().features(table)
        blank = replace(found, numerical=np.zeros_like(found.numerical), categorical=np.zeros_like(found.categorical))
        if table != "customers" or not self.shown:
            return blank
        return replace(blank, multicategorical=(*found.multicategorical, Ragged.from_lists(self.tags)))


def write_tag_labels(lake: Lake, shop: Shop, tags: list[list[int]]) -> None:
    """Whether a customer has one of the tags, at every anchor alike."""
    origin, day = shop.manifest.origin, 86_400
    rows = [
        (customer, origin + day * (10 + 7 * week), split, float(DECIDES in own))
        for week, split in enumerate(["train"] * 4 + ["validation", "test"])
        for customer, own in enumerate(tags)
    ]
    entity, anchor, split, target = (list(column) for column in zip(*rows, strict=True))
    columns: dict[str, Any] = {"entity": entity, "anchor_time": anchor, "split": split, "target": target}
    past = pa.array([None] * len(rows), pa.float64())
    lake.write("labels_asked", pa.table({**columns, "past": past}))
    lake.write_record("task_asked", {"task": str(BINARY_CLASSIFICATION), "classes": [], "frames": 1})
    lake.write("ids_customers", shop.lake.read("ids_customers"))


@pytest.mark.parametrize("network", ["blocks", "neighborhood"])
def test_a_label_that_a_tag_decides_is_learned(shop: Shop, store: GraphStore, tmp_path: Path, network: str) -> None:
    tagged = TaggedStore(store)
    settings = entity_settings(shop.content, tmp_path, BINARY_CLASSIFICATION, epochs=12, learning_rate=3e-2)
    content = settings.model_dump(mode="json")
    settings = build_settings({**content, "model": content["model"] | {"network": network}})
    lake = Lake(settings.lake.uri)
    write_tag_labels(lake, shop, tagged.tags)

    def train(graph: GraphStore) -> float:
        query = bind_query(settings, graph.manifest)
        check_task(settings, lake, graph, query)
        return float(Trainer(settings, build_task(settings, lake, graph, query)).run().best["auroc"])

    assert train(tagged) > 0.95
    assert train(TaggedStore(store, shown=False)) < 0.8
