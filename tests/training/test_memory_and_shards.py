"""A network on blocks learns the same from memory and from shards, whatever the threads, and resumes exactly."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.batches import AnswerShape
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.category_codes import category_codes
from gnnscale.batches.blocks.dense_features import dense_features
from gnnscale.batches.blocks.feature_block import BlockSource
from gnnscale.batches.blocks.shard_loader import ShardLoader
from gnnscale.batches.blocks.shard_reader import ShardReader
from gnnscale.batches.examples.entity_examples import label_values
from gnnscale.config import Settings, bind_query
from gnnscale.etl.spark.session import open_session
from gnnscale.etl.subgraph_shards.sample_shards import ShardPlan, build_shards
from gnnscale.lake import Lake
from gnnscale.query import REGRESSION
from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import LakeError
from gnnscale.store import GraphStore
from gnnscale.training import Task, Trainer, TrainResult, build_task
from tests.conftest import SPARK, Shop
from tests.entity_shop import entity_settings, write_labels
from tests.recording_callback import RecordingCallback
from tests.training.block_job import block_task

FANOUTS = [{"purchases.customer_id": 6, "mailings.customer_id": 3}, {"purchases.product_id": 1}]
SEED, TASK = 3, REGRESSION


class Shards:
    """Labels and shards of one query in a lake of its own, with the shop's graph."""

    def __init__(self, settings: Settings, reader: ShardReader, store: GraphStore) -> None:
        self.settings, self.reader, self.store = settings, reader, store
        table = reader.labels()
        self.seeds = table["entity"].to_numpy().astype(np.int64)
        self.anchors = (table["anchor_time"].to_numpy() - store.manifest.origin).astype(np.int32)
        split = np.array(table["split"].to_pylist())
        self.training, self.validation = (np.flatnonzero(split == name) for name in ("train", "validation"))
        self.shape = AnswerShape(TASK)
        self.values = label_values(table["target"], self.shape)

    def on_disk(self, **options: Any) -> ShardLoader:
        return ShardLoader(self.reader, batch_size=16, seed=SEED, chosen=self.training, **options)

    def in_memory(self, threads: int = 1) -> BlockLoader:
        sampler = NeighborSampler(self.store, FANOUTS, "uniform", SEED, table="customers", threads=threads)
        tables = self.store.manifest.tables
        features = {t.name: dense_features(self.store, t.name) for t in tables}
        codes = {t.name: category_codes(self.store, t.name) for t in tables if t.categorical}
        groups = self.on_disk().groups
        given = (self.seeds, self.anchors, 16, SEED)
        return BlockLoader(sampler, features, *given, groups=groups, sample_epoch=5, codes=codes)

    def train(self, source: BlockSource, resume: Any = None) -> tuple[TrainResult, RecordingCallback]:
        keeper = RecordingCallback()
        return Trainer(self.settings, self.task(source), callback=keeper).run(resume), keeper

    def task(self, source: BlockSource) -> Task[BlockSource]:
        return block_task(self.settings, source, self.shape, self.values, self.validation)


@pytest.fixture(scope="module")
def shards(shop: Shop, store: GraphStore, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder: Path = tmp_path_factory.mktemp("blocks")
    training = {"epochs": 3, "learning_rate": 1e-2, "checkpoint_steps": 10, "batch_size": 16}
    settings = entity_settings(shop.content, folder, TASK, **training)
    shutil.copytree(shop.lake.uri, settings.lake.uri)
    lake = Lake(settings.lake.uri)
    write_labels(lake, shop.lake, store, bind_query(settings, store.manifest))
    plan = ShardPlan("asked", "customers", FANOUTS, Rule("uniform"), SEED, 5, 20_000, 64, features=True)
    build_shards(open_session(SPARK, "gnnscale tests"), lake, shop.manifest, plan)
    return Shards(settings, ShardReader(lake, "asked"), store)


def test_memory_and_shards_give_the_same_losses_and_weights_bit_for_bit(shards: Shards) -> None:
    assert len([rows for rows in shards.on_disk().groups if len(rows)]) > 3
    disk, _ = shards.train(shards.on_disk())
    memory, _ = shards.train(shards.in_memory())
    assert disk.losses == memory.losses and len(disk.losses) > 3
    assert disk.losses[-1][1] < 0.95 * disk.losses[0][1]
    assert all(torch.equal(value, memory.weights[name]) for name, value in disk.weights.items())
    assert [f["mae"] for f in disk.history] == [f["mae"] for f in memory.history]
    # Features that a loader is given stand in for those that were copied.
    own = shards.in_memory()
    given = ShardLoader(shards.reader, own.features, 16, SEED, chosen=shards.training, codes=own.codes)
    assert shards.train(given)[0].losses == disk.losses


def test_shards_hold_the_categories_that_memory_has(shards: Shards) -> None:
    disk, memory = shards.on_disk(), shards.in_memory()
    assert disk.categories == {name: memory.categories[name] for name in disk.categories}
    assert {"products", "purchases"} <= disk.categories.keys()
    rows = shards.training[:30]
    found, expected = disk.build(rows), memory.build(rows)
    assert [codes.dtype for codes in found.codes] == [torch.int32] * len(found.hops)
    assert all(torch.equal(a, b) for a, b in zip(found.codes, expected.codes, strict=True))
    # What categories add is learned: the rows that were looked up are no more as they began.
    outcome, _ = shards.train(disk)
    fresh = shards.task(disk).model.state_dict()
    names = [name for name in fresh if name.startswith("categories.")]
    assert names == [f"categories.nodes_{table}.embeddings.weight" for table in disk.categories]
    for name in names:
        assert not torch.equal(outcome.weights[name], fresh[name]) and not outcome.weights[name][0].any()


def test_a_configuration_trains_from_shards_without_edges(shards: Shards, tmp_path: Path) -> None:
    settings = shards.settings.model_copy(
        update={
            "model": shards.settings.model.model_copy(update={"network": "blocks"}),
            "training": shards.settings.training.model_copy(update={"source": "shards"}),
        }
    )
    lake = Lake(settings.lake.uri)
    bare = GraphStore.open(lake, tmp_path, edges=False)
    task = build_task(settings, lake, bare, bind_query(settings, bare.manifest))
    assert isinstance(task.source, ShardLoader)
    outcome = Trainer(settings, task).run()
    assert outcome.losses == shards.train(shards.on_disk())[0].losses


def test_threads_do_not_change_what_is_learned(shards: Shards) -> None:
    one, two = (shards.train(shards.in_memory(threads))[0] for threads in (1, 2))
    assert one.losses == two.losses
    assert all(torch.equal(value, two.weights[name]) for name, value in one.weights.items())


@pytest.mark.parametrize("source", ["on_disk", "in_memory"])
def test_a_run_taken_up_within_an_epoch_ends_as_the_unbroken_one(shards: Shards, source: str) -> None:
    outcome, keeper = shards.train(getattr(shards, source)())
    kept = keeper.within[-1]
    assert kept["epoch"] > 0 and kept["step"] > 0
    again, _ = shards.train(getattr(shards, source)(), resume=kept)
    assert again.losses == outcome.losses and again.seen == outcome.seen == 3 * len(shards.training)
    assert all(torch.equal(value, again.weights[name]) for name, value in outcome.weights.items())


def test_shards_without_features_say_so(shards: Shards, shop: Shop) -> None:
    plan = ShardPlan("plain", "customers", FANOUTS, Rule("uniform"), SEED, 5, 20_000, 64)
    lake = Lake(shards.settings.lake.uri)
    lake.write("labels_plain", lake.read("labels_asked"))
    build_shards(open_session(SPARK, "gnnscale tests"), lake, shop.manifest, plan)
    with pytest.raises(LakeError, match=r"no features were copied.*shards\.features=true"):
        ShardLoader(ShardReader(lake, "plain"))


def test_every_record_tells_how_many_seeds_and_edges_a_second(shards: Shards) -> None:
    outcome, keeper = shards.train(shards.in_memory())
    recorded = [figures for figures in keeper.steps if "edges_per_second" in figures]
    assert [int(f["step"]) - 1 for f in recorded] == [step for step, _ in outcome.losses]
    assert all(f["loss"] == f["loss"] and 0 <= f["loader_wait"] < 1 for f in recorded)
    epoch = outcome.history[0]
    # Edges a seed are those of the blocks.
    loader = shards.in_memory()
    edges = sum(loader.build(rows).edges for rows in loader.batches(0))
    assert edges == sum(int((nodes >= 0).sum()) for rows in loader.batches(0) for nodes in loader.build(rows).nodes[1:])
    found = epoch["edges_per_second"] / epoch["seeds_per_second"]
    assert found == pytest.approx(edges / len(shards.training), rel=0.01)
