"""Python of the docs runs as it is written, where what it names is there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from pyspark.sql import SparkSession

import gnnscale as gs
from gnnscale.config import Section, plan_query_anchors
from gnnscale.inference import embed
from gnnscale.nn import BlockNetwork, NodeLoss
from gnnscale.pipeline import open_graph
from gnnscale.publish import Publication, Store, connect, publish_query
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import INDEX_KINDS, KEY_VALUE_STORES, LOSSES
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.docs.pages import Block, blocks
from tests.embedded_shop import copy_shop

DAY = 86_400
SNIPPETS = {str(block): block for block in blocks("python")}


def snippet(page: str, word: str) -> Block:
    """The one block of a page with a word in it."""
    (found,) = [block for block in SNIPPETS.values() if block.page == page and word in block.content]
    return found


def run(block: Block, names: dict[str, Any]) -> dict[str, Any]:
    """The names after a block has run."""
    exec(compile(block.content, str(block), "exec"), names)
    return names


@pytest.fixture
def names(store: GraphStore) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    features = {t.name: rng.normal(size=(t.rows, 4)).astype(np.float32) for t in store.manifest.tables}
    seeds = np.arange(store.node_count("customers"))
    return {"store": store, "features": features, "seeds": seeds, "anchors": np.full(len(seeds), 40 * DAY, np.int32)}


def test_the_sampler_samples(names: dict[str, Any]) -> None:
    sampled = snippet("training.md", "sampler.sample")
    # The shop's links are called otherwise.
    told = Block(sampled.page, sampled.line, sampled.content.replace("orders.customer_id", "purchases.customer_id"))
    block = run(told, names)["block"]
    assert block.seeds.shape == names["seeds"].shape and block.edges() > 0


def test_pyg_loads(names: dict[str, Any]) -> None:
    from torch_geometric.loader import NodeLoader

    nodes = torch.from_numpy(names["seeds"])
    names |= {"NodeLoader": NodeLoader, "nodes": nodes, "anchors": torch.from_numpy(names["anchors"])}
    batch = next(iter(run(snippet("training.md", "NodeLoader"), names)["loader"]))
    assert batch["customers"].batch_size == len(nodes)


def test_a_network_embeds_layer_by_layer(names: dict[str, Any], tmp_path: Path) -> None:
    sampler = NeighborSampler(names["store"], [3, 2], seed=0, table="customers")
    widths = {name: array.shape[1] for name, array in names["features"].items()}
    names |= {"network": BlockNetwork(tuple(sampler.paths), "customers", widths, 6, 5).eval(), "anchor": 40 * DAY}
    vectors = run(snippet("embedding.md", "embed_layerwise"), names | {"folder": tmp_path})["vectors"]
    assert vectors.shape == (len(names["seeds"]), 5)


def test_a_loss_is_registered() -> None:
    class QuantileOptions(Section):
        quantile: float = 0.5

    given = {"__name__": "a_page", "LOSSES": LOSSES, "NodeLoss": NodeLoss, "torch": torch}
    with LOSSES.temporarily():
        run(snippet("training.md", "pinball"), given | {"QuantileOptions": QuantileOptions})
        assert LOSSES.find("pinball").heads == ("identity",)


def test_a_kind_of_index_is_registered() -> None:
    class MineOptions(Section):
        beams: int = 3

    with INDEX_KINDS.temporarily():
        run(snippet("retrieval.md", "INDEX_KINDS"), {"__name__": "a_page", "MineOptions": MineOptions})
        assert INDEX_KINDS.find("mine").width == "beams"


def test_a_store_is_registered() -> None:
    with KEY_VALUE_STORES.temporarily():
        run(snippet("serving.md", "KEY_VALUE_STORES"), {"__name__": "a_page"})
        uri = "memory://here"
        with connect(uri) as values:
            publication = Publication(values, "q", 10)
            publication.switch()
        assert Store.open(uri).state("q").version == 1


def test_a_store_is_read(shop: Shop, tmp_path: Path) -> None:
    """As a search service would, from the store of a shop with vectors."""
    settings, lake = copy_shop(shop, tmp_path)
    store, query = open_graph(settings, lake)
    plan = plan_query_anchors(settings, query, store.manifest.time_ranges)
    embed(settings, lake, store, [plan.test, plan.latest])
    answers = lake.read("ids_customers").to_pandas()["key"]
    rows = pa.table({"entity": answers, "target": ["p001"] * 40, "rank": [1] * 40, "score": [0.5] * 40})
    lake.write("predictions_next_week", rows.append_column("anchor_time", pa.nulls(40, pa.timestamp("us", "UTC"))))
    publish_query(settings, lake, query)
    told = snippet("serving.md", "Store.open")
    content = told.content.replace("lake/shop", lake.uri)
    found = run(Block(told.page, told.line, content), {})
    assert found["rows"][0]["target"] == ["p001"] and {key for key, _ in found["ranked"]} == {"p001", "p002", "p003"}


class TestFromPython:
    """Of the page on the Python interface; that a fit works is tested in ``tests/interface``."""

    frames: ClassVar[dict[str, pd.DataFrame]] = {
        "customers": pd.DataFrame({"customer_id": ["c1", "c2"]}),
        "products": pd.DataFrame({"product_id": [1, 2], "price": [1.0, 2.0]}),
        "orders": pd.DataFrame(
            {
                "customer_id": ["c1", "c2"],
                "product_id": [1, 2],
                "ordered_at": pd.to_datetime(["2024-01-01", "2024-01-02"]),
            }
        ),
    }

    def test_tables_are_described_and_a_query_is_bound(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        self.frames["products"].to_parquet("products.parquet")
        content = snippet("python.md", "from_tables(\n    {").content
        asked, fitted = content.split("model = query.fit", 1)
        content = asked.replace('spark.table("shop.orders")', "orders_df")
        names = {"customers_df": self.frames["customers"], "orders_df": self.frames["orders"]}
        found = run(Block("python.md", 0, content), names)
        assert found["query"].task_type == "temporal link prediction"
        # What follows is of these, all of which are there.
        for name in ("metrics", "report", "predict"):
            assert f"model.{name}" in fitted and hasattr(gs.Model, name)

    def test_the_readme_describes_files_and_binds_a_query(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        self.frames["products"].to_parquet("products.parquet")
        self.frames["orders"].to_csv("orders.csv.gz", index=False)
        asked, fitted = snippet("README.md", "from_tables").content.split("model = query.fit", 1)
        found = run(Block("README.md", 0, asked), {"customers": self.frames["customers"]})
        assert found["query"].task_type == "temporal link prediction" and "model.predict" in fitted

    def test_settings_say_what_names_do_not(self) -> None:
        orders = self.frames["orders"].assign(buyer=["c1", "c2"], note="x", paid_at=self.frames["orders"]["ordered_at"])
        tables = {**self.frames, "orders": orders.drop(columns="customer_id")}
        run(snippet("python.md", "paid_at"), {"gs": gs, "tables": tables})


def test_a_mix_is_fitted_and_judged(capsys: pytest.CaptureFixture[str]) -> None:
    matrix = scipy.sparse.csr_matrix((np.random.default_rng(0).random((40, 30)) < 0.4).astype(np.float32))
    found = run(snippet("collaborative.md", "make_recommender"), {"matrix": matrix})
    assert found["model"].weights.sum() == pytest.approx(1) and "recall@20" in capsys.readouterr().out


def test_stages_run_while_a_ray_is_on_spark(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked: list[tuple[Any, ...]] = []
    # tests/pipeline/test_cluster trains on one.
    question = SimpleNamespace(run=lambda *arguments: asked.append(arguments))
    run(snippet("platform.md", "ray_on_spark"), {"gs": gs, "spark": spark, "question": question, "lake": "lake"})
    assert asked == [("lake", ["train", "embed"])]


def test_every_snippet_is_looked_at() -> None:
    taken = [
        snippet(*place)
        for place in (
            ("collaborative.md", "make_recommender"),
            ("platform.md", "ray_on_spark"),
            ("training.md", "sampler.sample"),
            ("training.md", "NodeLoader"),
            ("training.md", "pinball"),
            ("training.md", "ShardLoader"),
            ("embedding.md", "embed_layerwise"),
            ("retrieval.md", "INDEX_KINDS"),
            ("python.md", "from_tables(\n    {"),
            ("python.md", "paid_at"),
            ("README.md", "from_tables"),
            ("serving.md", "Store.open"),
            ("serving.md", "KEY_VALUE_STORES"),
        )
    ]
    assert sorted(map(str, taken)) == sorted(SNIPPETS)
