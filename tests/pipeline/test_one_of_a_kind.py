"""The recipe over a marketplace where each item sells once: all rows that it writes are of live items."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gnnscale.arrays import Ragged
from gnnscale.cli.main import main
from gnnscale.config import bind_query, build_graph_schema, load_settings
from gnnscale.etl import MarketplaceSettings, write_marketplace
from gnnscale.etl.sources.graph_sources import find_growth
from gnnscale.etl.sources.raw_tables import find_sources
from gnnscale.features import PairFeatures
from gnnscale.features.pairs.own_table_pairs import LEAST, LIKE
from gnnscale.lake import Lake, take_snapshot
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore
from tests.shop import SPARK_SECTION

NAME = "bought_along"
pytestmark = pytest.mark.spark
SMALL = (
    *("training.epochs=1", "training.workers=1", "training.warmup_steps=2", "embedding.workers=1"),
    *("evaluation.resamples=20", "model.hidden=16", "model.tower_channels=16", "graph.text.dims=32", "anchors.train=2"),
    *("anchors.test_count=1", "anchors.validation_count=1"),
    *(f"spark.{key}={json.dumps(value)}" for key, value in SPARK_SECTION.items()),
)


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("marketplace")
    files = write_marketplace(folder, MarketplaceSettings(items=900, days=100))
    items, lines = (pd.read_parquet(file) for file in files)
    sources = [f"tables.{file.stem}.source={file}" for file in files]
    uri = str(folder / "lake")
    overrides = [f"lake.uri={uri}", *sources, *SMALL]
    assert main(["run", "one_of_a_kind", *overrides]) == 0
    settings = load_settings("one_of_a_kind", overrides)
    return SimpleNamespace(lake=Lake(uri), settings=settings, items=items.set_index("item_id"), lines=lines)


def test_no_sold_item_is_in_any_row(market: SimpleNamespace) -> None:
    for table in (f"predictions_{NAME}", f"holdout_{NAME}"):
        rows = market.lake.read(table).to_pandas()
        at = rows["anchor_time"].dt.tz_localize(None)
        for column in ("entity", "target"):
            told = market.items.loc[rows[column]]
            gone, listed = told["gone_at"].to_numpy(), told["listed_at"].to_numpy()
            assert ((gone > at.to_numpy()) | np.isnat(gone)).all() and (listed <= at.to_numpy()).all()
        assert (rows["entity"] != rows["target"]).all()
        live = market.items[(market.items["listed_at"] <= at[0]) & ~(market.items["gone_at"] <= at[0])]
        # Every live item has a whole list, and no one else has any.
        assert rows.groupby("entity").size().to_dict() == dict.fromkeys(live.index, 25)
        assert len(live) < len(market.items) / 2


def test_pairs_are_those_of_the_orders(market: SimpleNamespace) -> None:
    rows = market.lake.read("nodes_bought_together", ["raw_at", "fk_item", "fk_other"]).to_pandas()
    keys = market.lake.read("ids_items").to_pandas().set_index("node_id")["key"]
    found = sorted(zip(keys[rows["fk_item"]], keys[rows["fk_other"]], strict=True))
    both = market.lines.merge(market.lines, on="order_id", suffixes=("", "_other"))
    both = both[both["item_id"] != both["item_id_other"]]
    assert found == sorted(zip(both["item_id"], both["item_id_other"], strict=True))


def test_a_graph_with_derived_tables_is_never_extended(market: SimpleNamespace) -> None:
    sources = find_sources(build_graph_schema(market.settings), {})
    now = {name: take_snapshot(source, {}) for name, source in sources.items()}
    assert find_growth(market.lake, market.settings, now).obstacle == (
        "table 'bought_together' is derived from all rows of another"
    )


def test_features_of_pairs_of_one_table_equal_dense_arrays(market: SimpleNamespace) -> None:
    """What later events say is in none of them."""
    store, lake = GraphStore.open(market.lake), market.lake
    manifest = store.manifest
    query = bind_query(market.settings, manifest)
    features = PairFeatures(store, query)
    own = features.own_table
    assert own is not None and features.names[-len(own.names) :] == own.names
    rows = lake.read("nodes_bought_together", ["time", "fk_item", "fk_other"]).to_pandas()
    anchor = int(np.median(rows["time"]))
    known, count = rows[rows["time"] <= anchor], store.node_count("items")
    times = np.zeros((count, count))
    np.add.at(times, (known["fk_item"], known["fk_other"]), 1)
    counts, vectors = np.log1p(times), np.asarray(store.features("items").embedded[0], np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)

    def unit(values: Any) -> Any:
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)

    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    edge = -np.sort(-near, axis=1)[:, LIKE - 1 : LIKE]
    shares = np.where((near >= edge) & (near >= LEAST), near, 0)
    shares /= shares.sum(axis=1, keepdims=True) + 1
    steps, lent = times / np.maximum(times.sum(axis=1, keepdims=True), 1), shares @ counts
    entities = np.unique(known["fk_item"].to_numpy())[:40]
    targets = Ragged.from_lists([range(count)] * len(entities))
    found = own.compute(entities, anchor - manifest.origin, targets).reshape(len(entities), count, -1)
    wanted = [
        (unit(counts) @ unit(counts).T)[entities],
        (steps @ steps)[entities],
        (vectors @ vectors.T)[entities],
        (unit(counts @ vectors) @ vectors.T)[entities],
        np.broadcast_to(shares @ np.log1p(times.sum(axis=0)), (len(entities), count)),
        lent[entities],
        lent.T[entities],
    ]
    for place, values in enumerate(wanted):
        np.testing.assert_allclose(found[:, :, place], values, rtol=1e-3, atol=2e-3, err_msg=own.names[place])
        assert values.std() > 0
    assert (own.nearest(entities, anchor - manifest.origin, 5) != entities[:, None]).all()


def test_warm_and_cold_items_are_told_apart(market: SimpleNamespace) -> None:
    record = market.lake.read_record(f"evaluation_{NAME}")
    parts = {row["among"] for row in record["rows"]}
    assert parts == {"all", "repeat", "explore", "warm", "cold"}
    by = {(row["method"], row["among"]): row for row in record["rows"]}
    # What is live was never sold.
    assert by["model", "warm"]["entities"] == 0
    assert by["model", "cold"]["map@10"] == by["model", "all"]["map@10"]
    assert by["nearest_text", "all"]["recall@5"] >= 0
    page = market.lake.read_bytes(f"_reports/{NAME}.html").decode()
    assert "Nearest text" in page and "of entities that had none" in page


def test_a_marketplace_is_the_same_each_time_and_sells_nothing_twice(tmp_path: Path) -> None:
    settings = MarketplaceSettings(items=300, days=60)
    one, two = (write_marketplace(tmp_path / name, settings) for name in ("one", "two"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]
    items, lines = (pd.read_parquet(file) for file in one)
    assert lines["item_id"].is_unique and lines.groupby("order_id").size().min() >= 2
    sold = items.set_index("item_id").loc[lines["item_id"]]
    assert (sold["gone_at"].to_numpy() == lines["ordered_at"].to_numpy()).all()
    assert (sold["listed_at"].to_numpy() <= lines["ordered_at"].to_numpy()).all()
    with pytest.raises(ConfigError, match="lies must be within 0 and 1: got 2"):
        MarketplaceSettings(lies=2)
