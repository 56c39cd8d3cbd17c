"""Predictions are for rows that are there at their anchor, and of rows that are there."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from gnnscale.config import Settings, bind_query, build_settings
from gnnscale.lake import Lake
from gnnscale.query import PredictiveQuery
from gnnscale.retrieval import build_query_indexes
from gnnscale.retrieval.retrieve_stage import retrieve
from gnnscale.schema import GraphManifest

DAY = 86_400
TIMESTAMP = pa.timestamp("us", tz="UTC")
CHANNELS = 4


def ends_of(shop, table: str, seed: int) -> list[int | None]:
    """Ends in order of node id: before, between and after the two anchors, at them, and none."""
    test, latest = shop.plan.test, shop.plan.latest
    choices = [test - DAY, test, test + 1, latest, latest + 1, latest + DAY, None]
    rows = shop.manifest.table(table).rows
    return [choices[i] for i in np.random.default_rng(seed).integers(0, len(choices), rows)]


@pytest.fixture(scope="module")
def ending(shop, tmp_path_factory) -> tuple[Settings, Lake, PredictiveQuery, dict[str, list[int | None]]]:
    """A lake with ids, nodes whose rows end, embeddings and pairs, as the stages before leave them."""
    lake = Lake(tmp_path_factory.mktemp("ending") / "lake")
    ends = {name: ends_of(shop, name, seed) for seed, name in enumerate(("customers", "products"))}
    rng = np.random.default_rng(9)
    tables: dict[str, Any] = {}
    for name, until in ends.items():
        nodes = shop.lake.read(f"nodes_{name}").sort_by("node_id")
        lake.write(f"nodes_{name}", nodes.append_column("end_time", pa.array(until, pa.int64())))
        lake.write(f"ids_{name}", shop.lake.read(f"ids_{name}"))
        tables[name] = {**shop.content["tables"][name], "end_time": "until"}
        for anchor in (shop.plan.test, shop.plan.latest):
            vectors = rng.normal(size=(len(until), CHANNELS)).astype(np.float32).tolist()
            rows = {"node_id": range(len(until)), "vector": pa.array(vectors, pa.list_(pa.float32()))}
            lake.write(f"embeddings_{name}", stamped(anchor, rows), mode="append")
    customers, products = (len(until) for until in ends.values())
    for anchor in (shop.plan.test, shop.plan.latest):
        targets = [rng.permutation(products)[:4].tolist() for _ in range(customers)]
        scores = pa.array(rng.normal(size=(customers, 4)).astype(np.float32).tolist(), pa.list_(pa.float32()))
        rows = {"entity": range(customers), "targets": targets, "scores": scores}
        lake.write("pairs_next_week", stamped(anchor, rows), mode="append")
    content = {**shop.content, "tables": {**shop.content["tables"], **tables}, "lake": {"uri": lake.uri}}
    settings = build_settings(content)
    manifest = GraphManifest.from_dict({**shop.manifest.to_dict()})
    return settings, lake, bind_query(settings, manifest), ends


def stamped(anchor: int, columns: dict[str, Any]) -> pa.Table:
    rows = len(columns[next(iter(columns))])
    at = pa.array([datetime.fromtimestamp(anchor, UTC)] * rows, TIMESTAMP)
    return pa.table({**{k: v if isinstance(v, pa.Array) else list(v) for k, v in columns.items()}, "anchor_time": at})


def there(shop, ends: dict[str, list[int | None]], table: str, anchor: int) -> set[str]:
    keys = {node: key for key, node in shop.ids(table).items()}
    return {keys[node] for node, end in enumerate(ends[table]) if end is None or end > anchor}


def test_predictions_and_holdout_are_of_rows_that_have_not_ended(shop, ending):
    settings, lake, query, ends = ending
    build_query_indexes(settings, lake, query, [shop.plan.test, shop.plan.latest])
    retrieve(settings, lake, query, shop.plan)
    for name, anchor in (("holdout", shop.plan.test), ("predictions", shop.plan.latest)):
        rows: pd.DataFrame = lake.read(f"{name}_next_week").to_pandas()
        entities, targets = there(shop, ends, "customers", anchor), there(shop, ends, "products", anchor)
        assert 0 < len(entities) < len(ends["customers"]) and 0 < len(targets) < len(ends["products"])
        assert set(rows["entity"]) == entities
        assert set(rows["target"]) <= targets
        # Each list is in order, and no target is there twice.
        for _, own in rows.groupby("entity"):
            assert own["rank"].is_monotonic_increasing and own["rank"].is_unique and own["target"].is_unique
            assert own["score"].is_monotonic_decreasing
    assert there(shop, ends, "customers", shop.plan.test) != there(shop, ends, "customers", shop.plan.latest)


def test_rows_that_do_not_end_are_all_predicted_for(shop, ending, tmp_path):
    _, lake, _, _ = ending
    build_query_indexes(shop.settings, lake, shop.query, [shop.plan.test, shop.plan.latest])
    retrieve(shop.settings, lake, shop.query, shop.plan)
    rows = lake.read("predictions_next_week").to_pandas()
    assert set(rows["entity"]) == set(shop.ids("customers"))
    assert (rows.groupby("entity").size() == 10).all()
    assert rows.groupby("entity")["rank"].apply(list).map(lambda r: r == list(range(1, 11))).all()
