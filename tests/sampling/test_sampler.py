"""A sample is a function of (seed, epoch, example): not of its batch, its order or its backend."""

import numpy as np
import pytest

from gnnscale.arrays.threads import share_rows
from gnnscale.sampling import NeighborSampler, find_backend, neighbor_sampler, plan_paths
from gnnscale.schema import SAMPLERS, ConfigError, EdgeType, SchemaError
from gnnscale.store import ALWAYS
from tests.sampling.graphs import BACKENDS

DAY = 86_400
FANOUTS = [
    {"purchases.customer_id": 5, "mailings.customer_id": 2},
    {"purchases.product_id": 1, "mailings.campaign_id": 1},
]
SEEDS = np.arange(40)


def sampler(store, fanouts=FANOUTS, strategy="uniform", **options) -> NeighborSampler:
    return NeighborSampler(store, fanouts, strategy, table=options.pop("table", "customers"), **options)


def nodes_of(block, *names: str) -> np.ndarray:
    return block.hop(*names).nodes


def all_arrays(block, rows=slice(None)) -> list[np.ndarray]:
    return [array[rows] for hop in block.hops.values() for array in (hop.nodes, hop.times)]


def same(left: list[np.ndarray], right: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
@pytest.mark.parametrize(
    "fanouts", [FANOUTS, [3, 2], [4], [{"purchases.customer_id": 3}, {"purchases.product_id": 1}, 4]]
)
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "numpy"])
def test_every_backend_gives_the_reference_block(store, strategy, fanouts, backend):
    check_blocks(store, strategy, fanouts, backend)


def check_blocks(store, strategy, fanouts, backend):
    """A backend's block is the reference's."""
    anchors = np.linspace(0, 60 * DAY, 40).astype(np.int32)
    blocks = [
        sampler(store, fanouts, strategy, seed=5, backend=name).sample(SEEDS, anchors, epoch=2)
        for name in (backend, "numpy")
    ]
    assert list(blocks[0].hops) == list(blocks[1].hops)
    assert same(all_arrays(blocks[0]), all_arrays(blocks[1]))


def test_a_backend_from_elsewhere_is_found_and_held_to_the_reference(store):
    calls = []

    class Backwards:
        """The reference, which takes the last examples of a batch first."""

        def fill_neighbors(self, adjacency, frontier, anchors, keys, rule, nodes, times):
            calls.append(len(anchors))
            order = np.arange(len(anchors))[::-1]
            found, stamps = nodes[order], times[order]
            reference = find_backend("numpy")
            reference.fill_neighbors(adjacency, frontier[order], anchors[order], keys[order], rule, found, stamps)
            nodes[order], times[order] = found, stamps

    with SAMPLERS.temporarily({"backwards": Backwards}):
        assert "backwards" in SAMPLERS.names()
        check_blocks(store, "uniform", FANOUTS, "backwards")
    assert len(calls) == len(plan_paths(store.manifest, "customers", FANOUTS))


@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_every_sampled_edge_is_in_the_graph_and_not_later_than_its_anchor(store, strategy):
    anchors = np.linspace(0, 60 * DAY, 40).astype(np.int32)
    block = sampler(store, [3, 2, 2], strategy).sample(SEEDS, anchors)
    edges = {}
    for edge_type in store.edge_types():
        adjacency = store.adjacency(edge_type)
        sources = np.repeat(np.arange(len(adjacency.degrees)), adjacency.degrees)
        edges[edge_type] = set(zip(sources, adjacency.neighbors.tolist(), adjacency.times.tolist(), strict=True))
    checked = 0
    for path, hop in block.hops.items():
        parents = block.hops[path[:-1]].nodes if len(path) > 1 else SEEDS
        assert hop.nodes.shape[:-1] == parents.shape and hop.table == path[-1].target
        for at in np.ndindex(hop.nodes.shape):
            node, time, parent = hop.nodes[at], hop.times[at], parents[at[:-1]]
            if node < 0:
                assert node == -1 and time == ALWAYS
            else:
                assert parent >= 0 and time <= anchors[at[0]]
                assert (parent, node, time) in edges[path[-1]]
                checked += 1
        if len(path) > 1:
            assert (hop.nodes[parents < 0] == -1).all()
    assert checked > 1_000


def test_links_have_no_weights_so_that_weighted_is_uniform(store):
    weighted, uniform = (sampler(store, [3, 2], strategy).sample(SEEDS) for strategy in ("weighted", "uniform"))
    assert same(all_arrays(weighted), all_arrays(uniform))


def test_a_cap_leaves_the_latest(store):
    anchors = np.full(40, 50 * DAY, np.int32)
    wide = sampler(store, [{"purchases.customer_id": 9}], "last").sample(SEEDS, anchors)
    latest = nodes_of(wide, "purchases.customer_id")
    block = sampler(store, [{"purchases.customer_id": 6}], "uniform", cap=9).sample(SEEDS, anchors)
    found = nodes_of(block, "purchases.customer_id")
    assert all(set(f) - {-1} <= set(w) for f, w in zip(found, latest, strict=True))
    free = sampler(store, [{"purchases.customer_id": 6}], "uniform").sample(SEEDS, anchors)
    assert not np.array_equal(found, nodes_of(free, "purchases.customer_id"))


def test_paths_need_no_more_than_the_manifest(store):
    assert plan_paths(store.manifest, "customers", FANOUTS) == sampler(store).paths


def test_hops_have_the_shape_of_their_fanouts(store):
    block = sampler(store, [{"purchases.customer_id": 5}, {"purchases.product_id": 1}, 3]).sample(SEEDS)
    assert nodes_of(block, "purchases.customer_id").shape == (40, 5)
    assert nodes_of(block, "purchases.customer_id", "purchases.product_id").shape == (40, 5, 1)
    third = nodes_of(block, "purchases.customer_id", "purchases.product_id", "purchases.product_id")
    assert third.shape == (40, 5, 1, 3)
    with pytest.raises(KeyError):
        block.hop("mailings.customer_id")


def test_customers_without_purchases_reach_nothing(store):
    link = EdgeType(store.manifest.links[0].link, reverse=True).link
    assert link
    block = sampler(store).sample(SEEDS)
    degrees = next(
        store.adjacency(e).degrees for e in store.edge_types() if e.table_name == "edges_rev_purchases_customer_id"
    )
    assert (degrees == 0).sum() == 2
    assert (nodes_of(block, "purchases.customer_id")[degrees == 0] == -1).all()
    assert (nodes_of(block, "purchases.customer_id", "purchases.product_id")[degrees == 0] == -1).all()


def test_all_neighbors_come_where_the_fanout_holds_them(store):
    block = sampler(store, [{"purchases.customer_id": 100}]).sample(SEEDS)
    hop = block.hop("purchases.customer_id")
    adjacency = store.adjacency(hop.path[0])
    for seed in SEEDS:
        found = hop.nodes[seed][hop.nodes[seed] >= 0]
        own = adjacency.neighbors[adjacency.indptr[seed] : adjacency.indptr[seed + 1]]
        assert sorted(found) == sorted(own)
        assert (np.diff(hop.times[seed][: len(found)]) <= 0).all()


@pytest.mark.parametrize("strategy", ["uniform", "last", "weighted"])
def test_a_seeds_sample_does_not_depend_on_its_batch_or_place(store, strategy):
    anchors = (np.arange(40) * DAY).astype(np.int32)
    whole = sampler(store, strategy=strategy).sample(SEEDS, anchors, epoch=1)
    order = np.random.default_rng(0).permutation(40)
    turned = sampler(store, strategy=strategy).sample(SEEDS[order], anchors[order], epoch=1)
    assert same(all_arrays(whole, order), all_arrays(turned))
    alone = sampler(store, strategy=strategy).sample([17], anchors[[17]], epoch=1)
    assert same(all_arrays(whole, [17]), all_arrays(alone))


def test_epoch_seed_and_example_change_a_uniform_sample_and_not_the_latest(store):
    def sample(strategy: str, seed: int = 0, epoch: int = 0, example: int = 0) -> list[np.ndarray]:
        examples = np.arange(40) + example
        return all_arrays(sampler(store, strategy=strategy, seed=seed).sample(SEEDS, epoch=epoch, examples=examples))

    uniform, last = sample("uniform"), sample("last")
    for change in ({"seed": 1}, {"epoch": 1}, {"example": 1000}):
        assert not same(uniform, sample("uniform", **change))
        assert same(last, sample("last", **change))
    assert same(uniform, sample("uniform"))


def test_the_anchor_is_part_of_the_example(store):
    late = [sampler(store).sample(SEEDS, np.full(40, time, np.int32)) for time in (10**8, 10**8 + 1)]
    assert not same(all_arrays(late[0]), all_arrays(late[1]))


def test_without_times_every_edge_counts(store):
    block = sampler(store, [{"purchases.customer_id": 100}]).sample(SEEDS)
    assert (nodes_of(block, "purchases.customer_id") >= 0).sum() == store.adjacency(
        next(iter(block.hops))[0]
    ).neighbors.size


def test_no_seeds_make_an_empty_block(store):
    block = sampler(store).sample(np.zeros(0, np.int64))
    assert nodes_of(block, "purchases.customer_id").shape == (0, 5)
    assert nodes_of(block, "purchases.customer_id", "purchases.product_id").shape == (0, 5, 1)


def test_a_hop_does_not_turn_back_to_the_parent_it_came_from(store):
    paths = sampler(
        store, [{"purchases.customer_id": 2}, {"purchases.customer_id": 2, "purchases.product_id": 2}]
    ).paths
    assert [tuple(e.link.name for e in path) for path in paths] == [
        ("purchases.customer_id",),
        ("purchases.customer_id", "purchases.product_id"),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "unifrm"}, "unknown sampling strategy 'unifrm'. Did you mean 'uniform'"),
        ({"backend": "nunba"}, "there is no sampler 'nunba'. Did you mean 'numba'"),
        ({"table": "custmers"}, "unknown table 'custmers'. Did you mean 'customers'"),
        ({"table": None}, "several tables.*customers, products"),
        (
            {"fanouts": [{"purchases.custmer_id": 2}]},
            "hop 1: unknown link 'purchases.custmer_id'.*'purchases.customer_id'",
        ),
        ({"fanouts": [2, {"x": 2}]}, "hop 2: unknown link 'x'. Known: mailings.campaign_id"),
        ({"fanouts": [{"purchases.customer_id": 0}]}, "hop 1: purchases.customer_id is 0; at least 1"),
        ({"fanouts": [0]}, "at least 1"),
        ({"cap": 0}, "sampling cap is 0; at least 1"),
        ({"cap": 4}, "cap is 4, less than the largest fan-out, 5 of hop 1 along purchases.customer_id; raise the cap"),
        ({"cap": 3, "fanouts": [2, 4]}, "cap is 3, less than the largest fan-out, 4 of hop 2"),
        ({"fanouts": [{"purchases.product_id": 2}]}, "hop 1: no link .* leaves"),
    ],
)
def test_what_cannot_be_sampled_is_an_error_that_names_the_nearest(store, options, says):
    with pytest.raises(ConfigError, match=says):
        sampler(store, **options)


@pytest.mark.parametrize("seeds", [[-1], [40], [0, 99]])
def test_a_seed_that_is_no_node_is_an_error(store, seeds):
    with pytest.raises(SchemaError, match=r"seeds of 'customers' must be in 0 \.\. 39"):
        sampler(store).sample(seeds)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("limits", [{}, {"HANDED_SLOTS": 1}, {"SHARED_SLOTS": 1}, {"HANDED_SLOTS": 200}])
def test_batches_after_each_other_are_sampled_as_each_is(store, threads, limits, monkeypatch):
    for name, slots in limits.items():
        monkeypatch.setattr(neighbor_sampler, name, slots)
    batches = [SEEDS[:7], SEEDS[7:], [], SEEDS[3:4], *np.split(SEEDS, 8)]
    blocks = list(sampler(store, threads=threads).sample_each(iter(batches), epoch=3))
    assert [block.seeds.tolist() for block in blocks] == [list(batch) for batch in batches]
    for block, batch in zip(blocks, batches, strict=True):
        assert same(all_arrays(block), all_arrays(sampler(store).sample(batch, epoch=3)))
    assert not list(sampler(store, threads=threads).sample_each([]))
    with pytest.raises(SchemaError, match=r"must be in 0 \.\. 39, not 40"):
        list(sampler(store, threads=threads).sample_each([SEEDS, [40]]))


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_do_not_change_a_sample(store, threads, monkeypatch):
    monkeypatch.setattr(neighbor_sampler, "LEAST_SLOTS", 1)
    anchors = np.linspace(0, 60 * DAY, 40).astype(np.int32)
    one, many = (sampler(store, [3, 2], threads=t).sample(SEEDS, anchors, epoch=1) for t in (1, threads))
    assert same(all_arrays(one), all_arrays(many))
    assert all(hop.nodes.shape[0] == 0 for hop in sampler(store, threads=threads).sample([]).hops.values())


def test_no_thread_is_woken_for_little():
    def stretches(least: int) -> list[tuple[int, int]]:
        found = []
        share_rows(9, 3, lambda rows: found.append((rows.start, rows.stop)), least)
        return sorted(found)

    assert stretches(1) == stretches(3) == [(0, 3), (3, 6), (6, 9)]
    assert stretches(4) == [(0, 4), (4, 9)]
    assert stretches(5) == stretches(100) == [(0, 9)]


def test_what_fails_in_a_thread_fails_the_call():
    def work(rows: slice) -> None:
        if rows.start == 0:
            raise OverflowError("row 0")

    with pytest.raises(OverflowError, match="row 0"):
        share_rows(9, 3, work)
    done = np.zeros(9, int)
    share_rows(9, 4, lambda rows: done.__setitem__(rows, done[rows] + 1))
    assert done.tolist() == [1] * 9
    with pytest.raises(ConfigError, match="threads is 0; at least 1"):
        NeighborSampler(None, [1], threads=0)
