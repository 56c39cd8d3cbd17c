"""Shards hold what the in-memory sampler gives, bit for bit."""

import numpy as np
import pyarrow as pa
import pytest

from gnnscale.batches.blocks.shard_loader import ShardLoader
from gnnscale.batches.blocks.shard_reader import ShardReader
from gnnscale.etl.subgraph_shards.sample_shards import ShardPlan, build_shards
from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import ConfigError, DataError, LakeError

DEEP = [
    {"purchases.customer_id": 6, "mailings.customer_id": 3},
    {"purchases.product_id": 1, "mailings.campaign_id": 1},
    {"purchases.product_id": 5},
]
EVERYWHERE = [3, 2]


def read_all(lake, query):
    reader = ShardReader(lake, query)
    return [shard for file in reader.files for shard in reader.read(file)]


def assert_equal(shards, sampler, epoch=0):
    """Every example is there once, in order, with what the sampler gives."""
    assert shards
    for shard in shards:
        block = sampler.sample(shard.block.seeds, shard.block.times, epoch)
        assert shard.block.hops.keys() == block.hops.keys()
        for path, hop in block.hops.items():
            np.testing.assert_array_equal(shard.block.hops[path].nodes, hop.nodes)
            np.testing.assert_array_equal(shard.block.hops[path].times, hop.times)


@pytest.mark.parametrize("fanouts", [DEEP, EVERYWHERE], ids=["links", "all"])
@pytest.mark.parametrize("rule", [Rule("uniform"), Rule("last"), Rule("uniform", cap=8)], ids=str)
def test_shards_equal_the_sampler(spark, shop, store, fanouts, rule):
    plan = ShardPlan(shop.settings.query.name, "customers", fanouts, rule, 7, 3, 20_000, 64)
    written = build_shards(spark, shop.lake, shop.manifest, plan)
    shards = read_all(shop.lake, plan.query)
    labels = pa.concat_tables([shard.labels for shard in shards])
    assert written == labels.num_rows
    kept = shop.lake.read(f"labels_{plan.query}")
    assert labels.select(kept.column_names).to_pydict() == in_file_order(shop.lake, plan.query)
    assert len(ShardReader(shop.lake, plan.query).files) > 1
    sampler = NeighborSampler(store, fanouts, rule.strategy, 7, table="customers", cap=rule.cap)
    assert_equal(shards, sampler, epoch=3)
    assert any((hop.nodes >= 0).any() for shard in shards for path, hop in shard.block.hops.items() if len(path) > 1)


def in_file_order(lake, query):
    opened = lake.open(f"labels_{query}")
    paths = sorted(pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist())
    from pyarrow import parquet

    return pa.concat_tables(parquet.read_table(f"{lake.table_uri(f'labels_{query}')}/{p}") for p in paths).to_pydict()


def test_another_epoch_is_another_sample(spark, shop):
    samples = []
    for epoch in (0, 1):
        plan = ShardPlan(shop.settings.query.name, "customers", [{"purchases.customer_id": 2}], Rule(), 0, epoch)
        build_shards(spark, shop.lake, shop.manifest, plan)
        samples.append([hop.nodes for shard in read_all(shop.lake, plan.query) for hop in shard.block.hops.values()])
    assert any((a != b).any() for a, b in zip(*samples, strict=True))


def test_fan_outs_that_do_not_fit_are_refused_before_anything_runs(spark, shop):
    plan = ShardPlan(shop.settings.query.name, "customers", [{"purchases.customers": 2}])
    with pytest.raises(ConfigError, match=r"Did you mean 'purchases\.customer_id'"):
        build_shards(spark, shop.lake, shop.manifest, plan)


def test_a_query_without_examples_is_an_error(spark, shop):
    labels = shop.lake.read(f"labels_{shop.settings.query.name}")
    shop.lake.write("labels_nothing", labels.slice(0, 0))
    with pytest.raises(DataError, match="no examples"):
        build_shards(spark, shop.lake, shop.manifest, ShardPlan("nothing", "customers", [2]))


def test_a_lake_without_shards_says_so(shop):
    with pytest.raises(LakeError, match="run the shards stage"):
        ShardReader(shop.lake, "never")


def test_features_are_copied_in_when_asked(spark, shop, store):
    plan = ShardPlan(shop.settings.query.name, "customers", DEEP, Rule("last"), features=True)
    build_shards(spark, shop.lake, shop.manifest, plan)
    for shard in read_all(shop.lake, plan.query):
        assert "seeds__num" not in shard.labels.column_names
        for path, kinds in shard.features.items():
            table = path[-1].target if path else "customers"
            nodes = shard.block.hops[path].nodes if path else shard.block.seeds
            features = store.features(table)
            for kind, array in (("num", features.numerical), ("cat", features.categorical)):
                if array.shape[1]:
                    expected = np.where(nodes[..., None] >= 0, array[np.maximum(nodes, 0)], 0)
                    np.testing.assert_array_equal(kinds[kind], expected)
        assert {len(path) for path in shard.features} == {0, 1, 2, 3}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_loader_of_shards_gives_each_example_once_as_the_sampler_would(spark, shop, store, workers):
    plan = ShardPlan(shop.settings.query.name, "customers", DEEP, Rule("uniform"), 7, 0, 20_000, 64)
    build_shards(spark, shop.lake, shop.manifest, plan)
    reader = ShardReader(shop.lake, plan.query)
    features = {t.name: np.arange(2.0 * t.rows).reshape(-1, 2).astype(np.float32) for t in shop.manifest.tables}
    sampler = NeighborSampler(store, DEEP, "uniform", 7, table="customers")
    labels = pa.concat_tables([shard.labels for file in reader.files for shard in reader.read(file)])
    anchors = (labels["anchor_time"].to_numpy() - shop.manifest.origin).astype(np.int32)
    seen, orders = [], []
    for epoch in (0, 1):
        taken = []
        for rank in range(workers):
            loader = ShardLoader(reader, features, batch_size=9, rank=rank, workers=workers)
            for block in loader.epoch(epoch):
                rows = block.rows.numpy()
                expected = sampler.sample(labels["entity"].to_numpy()[rows], anchors[rows])
                for path, nodes, found in zip(block.hops, block.nodes, block.features, strict=True):
                    wanted = expected.hops[path].nodes if path else expected.seeds
                    np.testing.assert_array_equal(nodes, wanted)
                    table = path[-1].target if path else "customers"
                    there = nodes.numpy() >= 0
                    np.testing.assert_array_equal(found.numpy()[there], features[table][nodes.numpy()[there]])
                taken += rows.tolist()
        seen.append(sorted(taken))
        orders.append(taken)
    assert seen[0] == seen[1] == list(range(labels.num_rows)) and orders[0] != orders[1]
