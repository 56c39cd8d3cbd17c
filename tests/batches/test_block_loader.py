"""Blocks with features: each example once an epoch, the same whatever the processes, threads and starts."""

import numpy as np
import pytest
import torch

from gnnscale.arrays import Ragged
from gnnscale.batches import CategoryCodes, ListColumn
from gnnscale.batches.blocks.block_loader import BlockLoader
from gnnscale.batches.blocks.category_codes import category_codes
from gnnscale.batches.blocks.feature_block import FeatureBlock
from gnnscale.batches.blocks.gather import gather, gather_pooled
from gnnscale.batches.rows import HiddenColumns
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import ConfigError, SchemaError

DAY = 86_400
FANOUTS = [{"purchases.customer_id": 5}, {"purchases.product_id": 1}]


def loader_of(store, threads: int = 1, **options) -> BlockLoader:
    tables = ("customers", "purchases", "products")
    features = {t: np.random.default_rng(0).normal(size=(store.node_count(t), 4)).astype(np.float32) for t in tables}
    sampler = NeighborSampler(store, FANOUTS, "uniform", table="customers", threads=threads)
    seeds = np.random.default_rng(1).integers(0, store.node_count("customers"), 50)
    return BlockLoader(sampler, features, seeds, np.full(50, 45 * DAY, np.int32), batch_size=8, **options)


def by_row(blocks: list[FeatureBlock]) -> dict[int, list[np.ndarray]]:
    found = {}
    for block in blocks:
        for i, row in enumerate(block.rows.tolist()):
            assert row not in found
            found[row] = [array[i].numpy() for array in (*block.nodes, *block.features)]
    return found


def assert_same(left: dict[int, list[np.ndarray]], right: dict[int, list[np.ndarray]]) -> None:
    assert left.keys() == right.keys()
    for row in left:
        for a, b in zip(left[row], right[row], strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_example_comes_once_with_its_own_features(store):
    loader = loader_of(store)
    blocks = list(loader.epoch(0))
    assert len(blocks) == loader.steps() == 6
    assert by_row(blocks).keys() == set(range(50))
    for block in blocks:
        assert block.nodes[0].tolist() == loader.seeds[block.rows].tolist()
        tables = ["customers", *(path[-1].target for path in block.hops[1:])]
        for table, nodes, features in zip(tables, block.nodes, block.features, strict=True):
            expected = loader.features[table][nodes.clamp(min=0).numpy()] * (nodes.numpy() >= 0)[..., None]
            np.testing.assert_array_equal(features, expected)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_node_comes_with_the_codes_of_its_categories(store, threads):
    codes = {table: category_codes(store, table) for table in ("purchases", "products")}
    loader = loader_of(store, threads, codes=codes)
    assert loader.categories == {table: columns.categories for table, columns in codes.items()}
    block = loader.build(np.arange(20))
    tables = ["customers", *(path[-1].target for path in block.hops[1:])]
    for table, nodes, found in zip(tables, block.nodes, block.codes, strict=True):
        assert found.dtype == torch.int32
        if table not in codes:
            assert found.shape == (*nodes.shape, 0)
            continue
        values = codes[table].values
        expected = values[nodes.clamp(min=0).numpy()] * (nodes.numpy() >= 0)[..., None]
        # Lists stand behind, of products alone.
        np.testing.assert_array_equal(found[..., : values.shape[1]], expected)
        counts = [count for count in codes[table].categories if isinstance(count, int)]
        assert expected.any() and expected.max() <= max(counts)
        assert (found.shape[-1] > values.shape[1]) == (table == "products")
    assert loader_of(store).build(np.arange(3)).codes == ()


@pytest.mark.parametrize("threads", [1, 3])
def test_lists_come_padded_behind_the_codes(store, threads):
    count, rng = store.node_count("products"), np.random.default_rng(0)
    tags = [Ragged.from_lists([rng.integers(1, 9, rng.integers(0, most)) for _ in range(count)]) for most in (4, 6)]
    widths = [int(lists.counts.max()) for lists in tags]
    plain = category_codes(store, "products")
    single = [count for count in plain.categories if isinstance(count, int)]
    columns = (*single, *(ListColumn(8, width) for width in widths))
    loader = loader_of(store, threads, codes={"products": CategoryCodes(plain.values, columns, tuple(tags))})
    block, seen = loader.build(np.arange(20)), 0
    for path, nodes, found in zip(block.hops, block.nodes, block.codes, strict=True):
        if not path or path[-1].target != "products":
            continue
        assert found.dtype == torch.int32 and found.shape[-1] == plain.values.shape[1] + sum(widths)
        for node, codes in zip(nodes.flatten().tolist(), found.flatten(0, -2).tolist(), strict=True):
            own = [] if node < 0 else plain.values[node].tolist()
            lists = [[] if node < 0 else column.row(node).tolist() for column in tags]
            padded = [code for row, width in zip(lists, widths, strict=True) for code in row + [0] * (width - len(row))]
            assert codes == (own or [0] * plain.values.shape[1]) + padded
            seen += any(lists)
    assert seen


def test_codes_of_hidden_columns_are_zeros(store):
    whole = category_codes(store, "products")
    part = category_codes(store, "products", HiddenColumns(categorical=(0,)))
    assert part.categories == whole.categories and whole.values[:, 0].any()
    assert not part.values[:, 0].any()
    blank = category_codes(store, "products", HiddenColumns(multicategorical=(0,)))
    nodes = np.arange(store.node_count("products"))
    assert blank.categories[:-1] == whole.categories[:-1] and whole.gather(nodes)[:, -1:].any()
    assert not blank.gather(nodes)[:, whole.values.shape[1] :].any()
    np.testing.assert_array_equal(part.values[:, 1:], whole.values[:, 1:])


@pytest.mark.parametrize(("workers", "threads", "prefetch"), [(2, 1, 0), (3, 2, 4), (9, 1, 1)])
def test_processes_and_threads_share_the_same_batches(store, workers, threads, prefetch):
    whole = list(loader_of(store).epoch(3))
    parts = [
        list(loader_of(store, threads, rank=r, workers=workers, prefetch=prefetch).epoch(3)) for r in range(workers)
    ]
    for step, block in enumerate(whole):
        assert_same(by_row([block]), by_row([part[step] for part in parts]))


def test_an_epoch_is_taken_up_where_it_was_left(store):
    loader = loader_of(store)
    blocks = list(loader.epoch(2))
    assert_same(by_row(blocks[4:]), by_row(list(loader.epoch(2, start=4))))
    assert by_row(blocks).keys() == by_row(list(loader.epoch(3))).keys()
    assert blocks[0].rows.tolist() != next(iter(loader.epoch(3))).rows.tolist()


def test_who_stops_early_leaves_no_thread_behind(store):
    import threading

    batches = loader_of(store).epoch(0)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("gnnscale-prefetch")]


def test_a_table_without_features_is_named(store):
    loader = loader_of(store)
    with pytest.raises(ConfigError, match="no features of products, which the sampler reaches"):
        BlockLoader(loader.sampler, {"customers": np.zeros((1, 1)), "purchases": np.zeros((1, 1))}, loader.seeds)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.int32])
def test_gathered_rows_are_those_of_the_nodes_and_zeros_where_there_is_none(dtype):
    features = np.random.default_rng(0).integers(-100, 100, (30, 5)).astype(dtype)
    nodes = np.random.default_rng(1).integers(-1, 30, (4, 3, 7)).astype(np.int32)
    expected = np.where((nodes >= 0)[..., None], features[np.maximum(nodes, 0)], 0).astype(dtype)
    for threads in (1, 3):
        found = gather(features, nodes, threads)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, expected)
    assert gather(features, np.empty((0, 3), np.int32)).shape == (0, 3, 5)
    with pytest.raises(SchemaError, match="node ids reach 30, and there are features of 30 nodes"):
        gather(features, np.array([30]))


@pytest.mark.parametrize("threads", [1, 3])
def test_pooled_features_are_those_of_single_nodes(threads: int) -> None:
    rng = np.random.default_rng(2)
    features, nodes = rng.normal(size=(30, 5)).astype(np.float32), rng.integers(-1, 30, (40, 6)).astype(np.int32)
    nodes[3] = -1
    total = gather(features, nodes).sum(1)
    np.testing.assert_allclose(gather_pooled(features, nodes, False, threads), total, rtol=1e-5, atol=1e-6)
    count = np.maximum((nodes >= 0).sum(1, keepdims=True), 1)
    np.testing.assert_allclose(gather_pooled(features, nodes, True, threads), total / count, rtol=1e-5, atol=1e-6)
    with pytest.raises(SchemaError, match="node ids reach 30, and there are features of 30 nodes"):
        gather_pooled(features, np.array([[30]]), True)


def test_a_block_moves_to_a_device_as_one(store):
    block = loader_of(store).build(np.arange(3))
    moved = block.to(torch.device("cpu"))
    assert all(torch.equal(a, b) for a, b in zip(block.features, moved.features, strict=True))
