"""Batch inference in one process: partitions, what a run that was killed leaves, and what is committed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch

from gnnscale.batches import Examples
from gnnscale.config import Settings
from gnnscale.inference import embed
from gnnscale.inference.embed_tables import prepare_inference
from gnnscale.inference.encode import PartitionEncoder
from gnnscale.inference.partition_files import find_finished
from gnnscale.lake import Lake
from gnnscale.retrieval.embeddings import read_pairs, read_vectors
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training import load_link_model
from tests.conftest import Shop
from tests.embedded_shop import TABLES, anchors_of, copy_shop, put_model, sweep_files, tables_of

CPU = torch.device("cpu")


def with_embedding(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"embedding": settings.embedding.model_copy(update=changes)})


def do_some(settings: Settings, lake: Lake, store: GraphStore, anchors: list[int], count: int) -> None:
    """What a run leaves that was killed after so many partitions."""
    prepared = prepare_inference(settings, lake, store, anchors, "cpu")
    encoder = PartitionEncoder(settings, lake, store, CPU)
    for task in prepared.tasks[:count]:
        encoder.run(prepared.inference, task)


def test_rows_are_those_of_the_model(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=16)
    advanced: list[int] = []
    summary = embed(settings, lake, store, anchors_of(shop.plan), advance=advanced.append)
    assert sum(advanced) == summary.rows == summary.encoded == 2 * (40 + 30) and summary.found == 0
    predictor = load_link_model(settings, lake, store)
    model, builder = predictor.model, predictor.source.builder
    for anchor in anchors_of(shop.plan):
        relative = anchor - store.manifest.origin
        with torch.no_grad():
            targets = model.encode_targets(builder.build_targets(np.arange(30), relative)).numpy()
            batch = builder.build(Examples.unlabelled(np.arange(40), relative))
            scores = model(batch)
        np.testing.assert_allclose(read_vectors(lake, "products", anchor), targets, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(read_vectors(lake, "customers", anchor), scores.entity, rtol=1e-4, atol=1e-5)
        pairs = read_pairs(lake, "next_week", anchor)
        assert pairs.targets.tolist() == batch.candidate_node.tolist()
        np.testing.assert_allclose(pairs.scores, scores.local, rtol=1e-4, atol=1e-5)


def test_rows_do_not_depend_on_batches_made_ahead_nor_on_threads(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    anchors = anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    before, threads = tables_of(lake), torch.get_num_threads()
    prefetch = settings.model_copy(update={"training": settings.training.model_copy(update={"prefetch": 3})})
    torch.set_num_threads(3)
    try:
        assert embed(prefetch, lake, store, anchors, run_nonce="x").encoded == 140
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert tables_of(lake) == before


def test_a_table_is_one_commit_of_files_whose_statistics_let_readers_skip(
    shop: Shop, store: GraphStore, tmp_path: Path
) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=16)
    embed(settings, lake, store, anchors_of(shop.plan))
    for table, key, files in zip(TABLES, ("node_id", "node_id", "entity"), (4, 6, 6), strict=True):
        assert lake.version(table) == 0
        actions = pa.table(lake.open(table).get_add_actions(flatten=True)).to_pylist()
        assert len(actions) == files
        for action in actions:
            rows = pa.parquet.read_table(f"{lake.uri}/{table}/{action['path']}")
            assert rows.num_rows == action["num_records"]
            assert rows[key].to_pylist() == list(range(action[f"min.{key}"], action[f"max.{key}"] + 1))
            assert pc.unique(rows["anchor_time"]).to_pylist() == [action["min.anchor_time"]]
            assert action["max.anchor_time"] == action["min.anchor_time"]
    file = next(Path(lake.uri, "embeddings_products").glob("sweep-*"))
    # Delta has no lists of a fixed size; the files tell it to those who read them.
    assert pa.types.is_fixed_size_list(pa.parquet.read_schema(file).field("vector").type)
    assert lake.read("embeddings_products").schema.field("vector").type == pa.list_(pa.field("element", pa.float32()))
    test = datetime.fromtimestamp(shop.plan.test, UTC)
    assert {row["anchor_time"] for row in lake.read(TABLES[0]).to_pylist()} >= {test}


def test_a_run_takes_up_where_one_was_killed(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path / "broken", partition_rows=8)
    anchors = anchors_of(shop.plan)
    do_some(settings, lake, store, anchors, 7)
    assert not any(lake.exists(table) for table in TABLES)
    left = sweep_files(lake)
    # A file that was being written.
    (Path(lake.uri) / TABLES[0] / f".{next(iter(left)).split('/')[1]}.1234abcd").write_bytes(b"PAR1")
    summary = embed(settings, lake, store, anchors)
    assert 0 < summary.found < summary.rows and summary.encoded == summary.rows - summary.found
    after = sweep_files(lake)
    assert left and {name: after[name] for name in left} == left
    assert not list(Path(lake.uri).glob("*/.sweep-*"))

    whole, unbroken = copy_shop(shop, tmp_path / "whole", partition_rows=8)
    embed(whole, unbroken, store, anchors)
    assert tables_of(lake) == tables_of(unbroken)
    # Done is done, though the stage did not come to say so.
    again = embed(settings, lake, store, anchors)
    assert again.encoded == 0 and again.found == again.rows
    assert [lake.version(table) for table in TABLES] == [0, 0, 0] and sweep_files(lake) == after


def test_files_of_a_sweep_that_never_ended_go_and_those_of_one_that_did_stay(
    shop: Shop, store: GraphStore, tmp_path: Path
) -> None:
    settings, lake = copy_shop(shop, tmp_path, partition_rows=16)
    anchors = anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    first, before = set(sweep_files(lake)), tables_of(lake)
    other = with_embedding(settings, partition_rows=10)
    do_some(other, lake, store, anchors, 5)
    never = set(sweep_files(lake)) - first
    # Of another query over one of the tables, which may be at work.
    foreign = Path(lake.uri) / "embeddings_customers" / "sweep-other-0123abcd-entities-0-0-1.parquet"
    foreign.write_bytes(b"PAR1")
    put_model(settings, lake, seed=1)
    embed(settings, lake, store, anchors)
    assert foreign.exists()
    last = set(sweep_files(lake))
    assert never and not never & last and first < last
    assert lake.read(TABLES[0], version=0).num_rows == before[TABLES[0]].num_rows
    assert tables_of(lake)[TABLES[0]] != before[TABLES[0]]


def test_what_is_there_is_made_again_on_request(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    anchors = anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    before = tables_of(lake)
    assert embed(settings, lake, store, anchors, run_nonce="x").found == 0
    assert lake.version(TABLES[0]) == 1 and tables_of(lake) == before


def test_each_input_of_the_rows_is_part_of_their_files_names(shop: Shop, store: GraphStore, tmp_path: Path) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    anchors = anchors_of(shop.plan)

    def name(settings: Settings, anchors: list[int] = anchors, device: str = "cpu") -> str:
        return prepare_inference(settings, lake, store, anchors, device).inference.fingerprint

    base = name(settings)
    sampling = settings.sampling.model_copy(update={"strategy": "uniform"})
    others = {
        name(settings, anchors[:1]),
        name(settings, device="cuda"),
        name(with_embedding(settings, partition_rows=9)),
        name(with_embedding(settings, batch_size=9)),
        name(settings.model_copy(update={"sampling": sampling})),
        name(settings.model_copy(update={"seed": 4})),
    }
    assert len(others | {base}) == 7
    assert name(with_embedding(settings, workers=3, max_failures=0)) == base
    put_model(settings, lake, seed=1)
    assert name(settings) not in others | {base}


def test_a_table_that_another_writer_added_to_is_not_committed_over(
    shop: Shop, store: GraphStore, tmp_path: Path
) -> None:
    settings, lake = copy_shop(shop, tmp_path)
    anchors = anchors_of(shop.plan)
    embed(settings, lake, store, anchors)
    lake.write(TABLES[0], lake.read(TABLES[0]).slice(0, 1), mode="append")
    with pytest.raises(LakeError, match=r"embeddings_products was changed after the run.*--force"):
        embed(settings, lake, store, anchors)
    inference = prepare_inference(settings, lake, store, anchors, "cpu").inference
    assert len(find_finished(lake, inference)) == len(inference.partitions)


def test_a_lake_without_a_model_says_so(shop: Shop, store: GraphStore) -> None:
    with pytest.raises(LakeError, match="no model of query 'next_week'; run the train stage first"):
        embed(shop.settings, shop.lake, store, anchors_of(shop.plan))
