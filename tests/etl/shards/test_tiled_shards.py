"""Shards of a graph in many tiles: the sampler's, and by themselves what sampling promises."""

from __future__ import annotations

import logging
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from gnnscale.batches.blocks.shard_reader import ShardReader
from gnnscale.etl.edges.edge_blocks import EdgeColumns
from gnnscale.etl.subgraph_shards.exchange import Places
from gnnscale.etl.subgraph_shards.sample_shards import ShardPlan, build_shards, plan_hops
from gnnscale.etl.subgraph_shards.tiles import Tiles
from gnnscale.sampling import NeighborSampler
from gnnscale.sampling.paths import plan_paths
from gnnscale.sampling.sampling_rule import Rule
from gnnscale.schema import DataError, EdgeType, LakeError
from gnnscale.store import ALWAYS, GraphStore
from tests.etl.shards.drawn_lake import BUYS, ORIGIN, SPAN, draw_lake, write_edges
from tests.etl.shards.test_shards import assert_equal, read_all

log = logging.getLogger(__name__)

FANOUTS = [3, 2, 2]
EXAMPLES = 300
WHOLE = {"tile_edges": 10**6, "place_entries": 10**6}
"""Settings of a plan that leave the graph in one piece."""


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A lake with weights and ends, and 300 examples of its users."""
    drawn = draw_lake(tmp_path_factory.mktemp("drawn"), weighted=True, ends=True)
    rng = np.random.default_rng(0)
    drawn.label("all", rng.integers(0, 150, EXAMPLES), rng.integers(-10, SPAN + 10, EXAMPLES))
    return drawn


def small_plan(query="all", fanouts=FANOUTS, rule=Rule(), seed=5, **settings):  # noqa: B008
    sizes = {"shard_bytes": 100_000, "tile_edges": 700, "place_entries": 100, **settings}
    return ShardPlan(query, "users", fanouts, rule, seed, **sizes)


@pytest.mark.parametrize("rule", [Rule("uniform"), Rule("last", cap=10), Rule("weighted")], ids=str)
def test_tiles_places_weights_and_ends_change_nothing(spark, drawn, rule):
    plan = small_plan(rule=rule)
    hops = plan_hops(drawn.lake, drawn.manifest, plan, plan_paths(drawn.manifest, "users", FANOUTS), EXAMPLES)
    onward = hops[1]
    assert all(len(hop.tiles.bounds) > 3 for hop in hops)
    hub = int(onward.tiles.tile_of(np.array([40], np.int32))[0])
    assert onward.places.splits[hub] > 2
    assert build_shards(spark, drawn.lake, drawn.manifest, plan) == EXAMPLES
    shards = read_all(drawn.lake, "all")
    assert_equal(shards, NeighborSampler(GraphStore.open(drawn.lake), FANOUTS, rule.strategy, 5, "users", cap=rule.cap))
    check_promises(drawn, shards)


def check_promises(drawn, shards):
    """No edge later than its anchor, none that is not there, none twice, no node that has ended, no lone node."""
    raw = {False: Counter(), True: Counter()}
    for user, item, time in zip(drawn.users.tolist(), drawn.items.tolist(), drawn.times.tolist(), strict=True):
        stamp = int(ALWAYS) if time < 0 else time
        raw[False][user, item, stamp] += 1
        raw[True][item, user, stamp] += 1
    seen = 0
    for shard in shards:
        anchors = shard.block.times
        for path, hop in shard.block.hops.items():
            last = path[-1]
            parents = shard.block.hops[path[:-1]].nodes if len(path) > 1 else shard.block.seeds
            for place in np.ndindex(parents.shape):
                nodes, times = hop.nodes[place], hop.times[place]
                there = nodes >= 0
                assert (times[~there] == ALWAYS).all()
                # What an ended node leads to is not sampled either.
                assert parents[place] >= 0 or not there.any()
                anchor = anchors[place[0]]
                assert (times[there] <= anchor).all()
                if last.target == "items":
                    ends = drawn.ends[nodes[there]]
                    assert ((ends < 0) | (ends > anchor)).all()
                own = Counter((int(parents[place]), *pair) for pair in zip(nodes.tolist(), times.tolist(), strict=True))
                for edge, count in own.items():
                    assert edge[1] < 0 or count <= raw[last.reverse][edge], (path, edge)
                seen += int(there.sum())
    assert seen > 500


def test_shards_are_of_bounded_size_and_read_as_tensors(spark, drawn):
    width = 8 * (3 + 6)
    build_shards(spark, drawn.lake, drawn.manifest, small_plan(fanouts=[3, 2], shard_bytes=100 * width, **WHOLE))
    reader = ShardReader(drawn.lake, "all")
    assert len(reader.files) == 3
    shapes = {1: (3,), 2: (3, 2)}
    total = 0
    for file in reader.files:
        shards = list(reader.read(file))
        rows = sum(len(shard.block.seeds) for shard in shards)
        assert 0 < rows <= 100
        for shard in shards:
            tensors = shard.tensors()
            assert len(tensors) == 2
            for path, pair in tensors.items():
                for tensor in pair:
                    assert tensor.dtype == torch.int32
                    assert tuple(tensor.shape) == (len(shard.block.seeds), *shapes[len(path)])
        total += rows
    assert total == EXAMPLES
    for unknown in ("part-000000.parquet", "../labels_all/part-000000.parquet"):
        with pytest.raises(LakeError, match=r"part-000000\.parquet is no file of shards_all"):
            next(reader.read(unknown))


def test_seeds_without_any_neighbor_have_empty_rows(spark, drawn):
    lonely = np.arange(140, 150)
    drawn.label("lonely", np.concatenate([lonely, lonely]), np.full(20, SPAN))
    assert build_shards(spark, drawn.lake, drawn.manifest, small_plan("lonely", [2, 2], **WHOLE)) == 20
    shards = read_all(drawn.lake, "lonely")
    assert sum(len(shard.block.seeds) for shard in shards) == 20
    for shard in shards:
        for hop in shard.block.hops.values():
            assert (hop.nodes == -1).all()
            assert (hop.times == ALWAYS).all()


def test_neighbors_are_included_as_often_as_chance_would(spark, tmp_path):
    drawn = draw_lake(tmp_path, weighted=True, users=60, items=400, edges=2_000, hub_share=0)
    user = int(np.bincount(drawn.users).argmax())
    own = np.flatnonzero(drawn.users == user)
    # Draws are keyed by seed and anchor; after the last edge an anchor changes nothing else.
    examples = 6_000
    drawn.label("one", np.full(examples, user), SPAN + np.arange(examples))
    candidates = Counter(drawn.items[own].tolist())
    count = len(own)
    for strategy, fanout in (("uniform", 5), ("weighted", 1)):
        build_shards(spark, drawn.lake, drawn.manifest, small_plan("one", [fanout], Rule(strategy), **WHOLE))
        drawn_items = np.concatenate(
            [h.nodes.ravel() for s in read_all(drawn.lake, "one") for h in s.block.hops.values()]
        )
        found = np.bincount(drawn_items, minlength=400)
        assert found.sum() == examples * fanout
        nodes = np.array(sorted(candidates))
        if strategy == "uniform":
            share = np.array([candidates[node] for node in nodes.tolist()]) / count * fanout
            # Inclusions without replacement vary less than counts of independent draws: by (1 - p), and sum to n.
            single = np.array([candidates[node] == 1 for node in nodes.tolist()])
            p = fanout / count
            terms = (found[nodes] - examples * share)[single] ** 2 / (examples * p * (1 - p)) * (count - 1) / count
            value, freedom = terms.sum(), int(single.sum()) - int(single.all())
        else:
            weight = np.bincount(drawn.items[own], drawn.weights[own], 400)[nodes]
            expected = examples * weight / weight.sum()
            value, freedom = ((found[nodes] - expected) ** 2 / expected).sum(), len(nodes) - 1
        chance = stats.chi2.sf(value, freedom)
        log.info(f"{strategy}: chi-square {value:.1f} with {freedom} degrees of freedom, p = {chance:.3f}")
        assert 1e-3 < chance < 1 - 1e-3


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("tile_edges", [1, 100, 10**9])
def test_tiles_laid_end_to_end_are_the_graph(drawn, reverse, tile_edges):
    edge_type = EdgeType(BUYS, reverse)
    whole = GraphStore.open(drawn.lake).adjacency(edge_type)
    tiles = Tiles.of(drawn.lake, drawn.manifest, edge_type, tile_edges)
    assert (np.diff(tiles.bounds) > 0).all()
    assert (len(tiles.bounds) == 1) == (tile_edges == 10**9)
    start = 0
    for tile in range(len(tiles.bounds)):
        part, first = tiles.load(tile)
        rows = len(part.indptr) - 1
        assert first == start
        low, high = whole.indptr[first], whole.indptr[first + rows]
        np.testing.assert_array_equal(part.indptr, whole.indptr[first : first + rows + 1] - low)
        np.testing.assert_array_equal(part.neighbors, whole.neighbors[low:high])
        np.testing.assert_array_equal(part.times, whole.times[low:high])
        np.testing.assert_array_equal(part.cumulative, whole.cumulative[low : high + 1] - whole.cumulative[low])
        start += rows
    assert start == tiles.nodes
    np.testing.assert_array_equal(tiles.tile_of(np.array(tiles.bounds, np.int32)), np.arange(len(tiles.bounds)))


def test_a_hub_is_shared_out_and_an_example_stays_together():
    places = Places.for_entries(np.array([10, 10, 95, 1, 10.0]), 10)
    assert places.splits.tolist() == [1, 1, 10, 1, 1]
    assert [places.tile(place) for place in range(len(places))] == [0, 1, *[2] * 10, 3, 4]
    rows = np.repeat(np.arange(1_000), 2)
    found = places.of(np.full(2_000, 2, np.int32), rows)
    assert (found[::2] == found[1::2]).all()
    assert np.bincount(found).tolist() == [0, 0, *[200] * 10]
    assert Places.for_entries(np.array([10, 10, 95.0]), 1_000).splits.tolist() == [1, 1, 1]


def test_edges_of_times_that_32_bits_do_not_hold_are_refused(tmp_path):
    drawn = draw_lake(tmp_path, edges=50)
    ends, times = np.zeros(2, np.int64), ORIGIN + np.array([0, 2**31 - 1])
    write_edges(drawn.lake, EdgeType(BUYS, False).table_name, EdgeColumns.of(ends, ends, times, None, ORIGIN), 1)
    forward = Tiles.of(drawn.lake, drawn.manifest, EdgeType(BUYS, False)).root
    manifest = drawn.manifest.from_dict(
        {**drawn.manifest.to_dict(), "relations": [{**drawn.manifest.to_dict()["relations"][0], "version": 1}]}
    )
    with pytest.raises(DataError, match="68 years"):
        Tiles.of(drawn.lake, manifest, EdgeType(BUYS, False)).load(0)
    assert forward.endswith(EdgeType(BUYS, False).table_name)
