"""After the graph was extended, only what the new rows reach is embedded, and the tables are those of a full run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from rich.console import Console

from gnnscale.config import Settings, build_settings
from gnnscale.config.sections.settings import AnchorSettings
from gnnscale.etl.graph.graph_update import update_graph
from gnnscale.etl.spark.session import open_session
from gnnscale.inference import embed
from gnnscale.inference.embed_tables import prepare_inference
from gnnscale.inference.encode import PartitionEncoder
from gnnscale.inference.partition_files import commit_inference, find_finished
from gnnscale.lake import Lake
from gnnscale.pipeline.open_graph import open_graph
from gnnscale.pipeline.stages.embed_stage import EmbedStage
from gnnscale.pipeline.stages.graph_stage import GraphStage
from gnnscale.pipeline.stages.stage import PipelineContext
from gnnscale.retrieval.embeddings import read_pairs, read_vectors
from gnnscale.schema import LakeError
from tests.conftest import SPARK
from tests.embedded_shop import TABLES, put_model, tables_of
from tests.shop import DAY, OPENING, make_shop

ANCHORS = [int(OPENING.timestamp()) + day * DAY for day in (40, 55)]


class Growing:
    """A shop whose purchases are a folder, with a graph, a model and embeddings of the first days."""

    def __init__(self, folder: Path) -> None:
        content: dict[str, Any] = make_shop(folder, customers=60, products=40, purchases=300)
        self.source = folder / "purchases"
        self.source.mkdir()
        purchases = content["tables"]["purchases"]
        shutil.move(purchases["source"], self.source / "day-00.parquet")
        content["tables"]["purchases"] = {**purchases, "source": str(self.source)}
        content |= {
            "graph": {"fit_until": "2024-02-05"},
            "embedding": {"partition_rows": 16, "batch_size": 8, "only_changed": True},
        }
        self.settings = build_settings(content)
        self.lake = Lake(self.settings.lake.uri)
        self.extend()
        put_model(self.settings, self.lake)

    def extend(self) -> int | None:
        return update_graph(open_session(SPARK), self.lake, self.settings).added

    def buy(self, rows: list[tuple[str, str, float]]) -> None:
        """Add purchases: customer, product and days after the opening."""
        old = pd.read_parquet(self.source / "day-00.parquet")
        more = (
            old[old["customer_id"].notna() & old["product_id"].notna() & old["amount"].notna()].head(len(rows)).copy()
        )
        for place, name in enumerate(("customer_id", "product_id")):
            more[name] = [row[place] for row in rows]
        more["bought_at"] = [OPENING + pd.Timedelta(days=row[2]) for row in rows]
        more.to_parquet(self.source / f"more-{len(list(self.source.iterdir()))}.parquet", index=False)

    def embed(self, **changes: Any):
        settings = with_embedding(self.settings, **changes)
        return embed(settings, self.lake, open_graph(settings, self.lake)[0], ANCHORS)


def with_embedding(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"embedding": settings.embedding.model_copy(update=changes)})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Growing:
    return Growing(tmp_path_factory.mktemp("changed"))


def assert_tables_of_a_full_run(shop: Growing, folder: Path) -> None:
    """Up to rounding: the last bits of a row depend on which rows go through the network with it."""
    shutil.copytree(shop.lake.uri, folder / "lake")
    full = with_embedding(shop.settings, only_changed=False)
    full = full.model_copy(update={"lake": full.lake.model_copy(update={"uri": str(folder / "lake")})})
    lake = Lake(full.lake.uri)
    summary = embed(full, lake, open_graph(full, lake)[0], ANCHORS)
    assert summary.encoded == summary.rows
    for anchor in ANCHORS:
        for table in ("customers", "products"):
            found, expected = (read_vectors(one, table, anchor) for one in (shop.lake, lake))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
        found, expected = (read_pairs(one, "next_week", anchor) for one in (shop.lake, lake))
        assert found.targets.tolist() == expected.targets.tolist()
        assert found.indptr.tolist() == expected.indptr.tolist()
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-6)


def test_only_what_new_rows_reach_is_embedded(shop: Growing, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        first = shop.embed()
    assert first.encoded == first.rows == 2 * 100
    assert "no run of query 'next_week' has kept what it read" in caplog.text

    # One after the first anchor, and one that was late.
    shop.buy([("c001", "p030", 45.5), ("c002", "p031", 30.5)])
    assert shop.extend() == 2
    before = tables_of(shop.lake)
    second = shop.embed()
    assert 2 <= second.encoded < second.rows / 2
    assert_tables_of_a_full_run(shop, tmp_path)
    after = tables_of(shop.lake)
    assert all(before[table] != after[table] for table in TABLES)
    assert [shop.lake.version(table) for table in TABLES] == [1, 1, 1]


def test_what_comes_after_all_anchors_changes_nothing(shop: Growing) -> None:
    shop.embed()
    before = tables_of(shop.lake)
    shop.buy([("c003", "p030", 58.5)])
    assert shop.extend() == 1
    assert shop.embed().encoded == 0
    assert tables_of(shop.lake) == before


def test_a_run_on_a_basis_is_taken_up_where_it_was_killed(shop: Growing, tmp_path: Path) -> None:
    shop.embed()
    shop.buy([("c004", "p032", 31.5), ("c005", "p033", 50.5)])
    assert shop.extend() == 2
    store = open_graph(shop.settings, shop.lake)[0]
    prepared = prepare_inference(shop.settings, shop.lake, store, ANCHORS, "cpu")
    encoder = PartitionEncoder(shop.settings, shop.lake, store, torch.device("cpu"))
    for task in prepared.tasks[:9]:
        encoder.run(prepared.inference, task)
    summary = shop.embed()
    assert summary.found == sum(len(task.partition) for task in prepared.tasks[:9])
    assert summary.encoded < summary.rows - summary.found
    assert_tables_of_a_full_run(shop, tmp_path)


def test_a_run_that_was_killed_between_two_commits_is_finished(shop: Growing, tmp_path: Path) -> None:
    shop.embed()
    shop.buy([("c007", "p035", 33.5)])
    assert shop.extend() == 1
    store = open_graph(shop.settings, shop.lake)[0]
    prepared = prepare_inference(shop.settings, shop.lake, store, ANCHORS, "cpu")
    encoder = PartitionEncoder(shop.settings, shop.lake, store, torch.device("cpu"))
    for task in prepared.tasks:
        encoder.run(prepared.inference, task)
    inference = prepared.inference
    targets = tuple(partition for partition in inference.partitions if partition.side == "targets")
    half = replace(inference, partitions=targets, tables={"targets": inference.tables["targets"]})
    commit_inference(shop.lake, half, find_finished(shop.lake, half))
    versions = [shop.lake.version(table) for table in TABLES]
    assert shop.embed().found == 2 * 100
    assert [shop.lake.version(table) for table in TABLES] == [versions[0], versions[1] + 1, versions[2] + 1]
    assert_tables_of_a_full_run(shop, tmp_path)
    shop.buy([("c008", "p036", 58.5)])
    shop.extend()
    assert shop.embed().encoded == 0


def test_another_model_or_writer_means_all(shop: Growing, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        shop.embed()
        shop.lake.write(TABLES[0], shop.lake.read(TABLES[0]))
        again = shop.embed(partition_rows=20)
        assert again.encoded == again.rows
        assert "embeddings_products was written again since the last run" in caplog.text
        put_model(shop.settings, shop.lake, seed=5)
        other = shop.embed()
        assert other.encoded == other.rows
        assert "the model, its sampling or its device is another" in caplog.text


def test_the_stage_takes_the_model_as_it_is_when_the_graph_has_grown(shop: Growing) -> None:
    anchors = {"test": "2024-02-10", "latest": "2024-02-25"}
    settings = shop.settings.model_copy(update={"anchors": AnchorSettings(**anchors)})
    work = PipelineContext(settings, Console(quiet=True))
    GraphStage(work).run()
    EmbedStage(work).run()
    assert EmbedStage(work).is_current()
    shop.buy([("c006", "p034", 32.5)])
    assert "extended by 1 nodes" in GraphStage(work).run().detail
    assert not EmbedStage(work).is_current()
    assert "have not changed" in EmbedStage(work).run().detail
    assert EmbedStage(work).is_current()
    with pytest.raises(LakeError, match="lacks what the train stage makes"):
        EmbedStage(PipelineContext(with_embedding(settings, only_changed=False), Console(quiet=True))).run()


def test_the_stage_embeds_all_again_when_forced(shop: Growing) -> None:
    settings = with_embedding(shop.settings, only_changed=True)
    GraphStage(PipelineContext(settings, Console(quiet=True))).run()
    forced = PipelineContext(settings, Console(quiet=True), force=True)
    detail = EmbedStage(forced).run().detail
    assert detail == "40 products and 60 customers at 2 anchors"
    assert EmbedStage(forced).run().detail == detail
