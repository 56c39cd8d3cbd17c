"""Walks keep to edges of their time, visits are counted as the words say, and all is a function of its key."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.nn.conv.importance import ImportanceConv
from gnnscale.sampling import Trails, WalkRule, Walks, WalkSampler, find_backend
from gnnscale.sampling.walks import numba_walks as walks_compiled
from gnnscale.sampling.walks import numpy_walks as walks_reference
from gnnscale.sampling.walks.walk_sampler import follow
from gnnscale.schema import ConfigError, SchemaError
from gnnscale.store import ALWAYS, Adjacency
from gnnscale.store.features import NEVER, NodeFeatures
from tests.sampling.graphs import adjacency_of, features_of, keys_for, with_weights
from tests.valid_until import EndingStore, some_ends

DAY = 86_400
CYCLE = ["purchases.product_id", "purchases.customer_id", "purchases.customer_id", "purchases.product_id"]
BASKETS = ["purchases.customer_id", "purchases.product_id"]


def walker(store, cycle=CYCLE, table="products", **options) -> WalkSampler:
    rest = {name: options.pop(name) for name in ("backend", "threads", "seed") if name in options}
    return WalkSampler(store, cycle, WalkRule(**{"walks": 30, "top": 8, **options}), table=table, **rest)


def seeds_of(store, table="products") -> tuple[np.ndarray, np.ndarray]:
    count = store.node_count(table)
    return np.arange(count), np.linspace(5 * DAY, 60 * DAY, count).astype(np.int32)


stamps = st.one_of(st.just(int(ALWAYS)), st.integers(-5, 20))
square = st.lists(
    st.lists(st.tuples(stamps, st.integers(0, 5)), max_size=8), min_size=6, max_size=6
).map(adjacency_of)  # fmt: skip
ends = st.none() | st.lists(st.integers(-5, 20) | st.just(int(NEVER)), min_size=6, max_size=6)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[Adjacency, NodeFeatures]]:
    """A cycle of edge types between tables of six nodes, some with weights, some with ends."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        adjacency = draw(square)
        if draw(st.booleans()):
            adjacency = with_weights(adjacency, [1 + i * i % 7 for i in range(len(adjacency.neighbors))])
        found.append((adjacency, features_of(draw(ends))))
    return found


@given(steps(), st.sampled_from(["uniform", "weighted"]), st.sampled_from([0.0, 0.4]), st.data())
@settings(max_examples=150, deadline=None)
def test_backends_walk_the_same_and_only_edges_stamped_by_the_anchor(cycle, strategy, restart, data):
    rounds = data.draw(st.integers(1, 3))
    rule = WalkRule(walks=4, strategy=strategy, restart=restart, cap=data.draw(st.none() | st.integers(1, 5)))
    seeds = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    anchors = np.array([data.draw(st.integers(-6, 22)) for _ in seeds], np.int32)
    keys = keys_for(len(seeds), data.draw(st.integers(0, 2**63)))
    backends = [find_backend(name).fill_neighbors for name in ("numba", "numpy")]
    found = [follow(cycle * rounds, len(cycle), seeds, anchors, keys, rule, fill) for fill in backends]
    np.testing.assert_array_equal(found[0], found[1])
    nodes, times = found[0]
    assert nodes.shape == times.shape == (len(seeds), 4, len(cycle) * rounds)
    for b, w, i in np.ndindex(nodes.shape):
        adjacency, features = cycle[i % len(cycle)]
        came_from = {seeds[b] if i == 0 else nodes[b, w, i - 1]}
        if restart and i and i % len(cycle) == 0:
            came_from.add(seeds[b])
        edges = [edges_by(adjacency, n, anchors[b]) for n in came_from if n >= 0]
        leads_on = [edge for some in edges for edge in some]
        if nodes[b, w, i] < 0:
            assert times[b, w, i] == ALWAYS
            # A walk comes to an end only where it may: at no edge, or at a node that has ended.
            assert -1 in came_from or [] in edges or any(has_ended(features, n, anchors[b]) for _, n in leads_on)
        else:
            assert (times[b, w, i], nodes[b, w, i]) in leads_on and times[b, w, i] <= anchors[b]
            assert not has_ended(features, nodes[b, w, i], anchors[b])


def edges_by(adjacency: Adjacency, node: int, anchor: int) -> list[tuple[int, int]]:
    part = slice(adjacency.indptr[node], adjacency.indptr[node + 1])
    pairs = zip(adjacency.times[part].tolist(), adjacency.neighbors[part].tolist(), strict=True)
    return [(time, neighbor) for time, neighbor in pairs if time <= anchor]


def has_ended(features: NodeFeatures, node: int, anchor: int) -> bool:
    return features.valid_until is not None and features.valid_until[node] <= anchor


@given(st.lists(st.lists(st.integers(-1, 6), min_size=9, max_size=9), max_size=4), st.integers(1, 9), st.data())
@settings(max_examples=200, deadline=None)
def test_counts_equal_a_counter_and_ties_go_to_the_lower_id(rows, top, data):
    visited = np.array(rows, np.int32).reshape(-1, 9)
    own = np.array([data.draw(st.integers(-1, 6)) for _ in rows], np.int32)
    for count in (walks_reference.count_visits, walks_compiled.count_visits):
        # What a backend leaves as it was shows.
        nodes, counts = (np.full((len(rows), top), -77, np.int32) for _ in range(2))
        count(visited, own, nodes, counts)
        for b, row in enumerate(rows):
            tally = Counter(n for n in row if n >= 0 and n != own[b])
            ranked = sorted(tally.items(), key=lambda item: (-item[1], item[0]))[:top]
            assert list(zip(nodes[b].tolist(), counts[b].tolist(), strict=True)) == (
                ranked + [(-1, 0)] * (top - len(ranked))
            )


def test_ids_and_counts_up_to_their_bounds_are_kept_apart():
    visited = np.full((1, 100_000), 2**31 - 2, np.int32)
    visited[0, :40_000] = 0
    nodes, counts = np.zeros((1, 3), np.int32), np.zeros((1, 3), np.int32)
    walks_compiled.count_visits(visited, np.array([-1], np.int32), nodes, counts)
    assert nodes.tolist() == [[2**31 - 2, 0, -1]] and counts.tolist() == [[60_000, 40_000, 0]]


@pytest.mark.parametrize("length", [4, 8, 6])
def test_the_sample_counts_what_its_trails_visit(store, length):
    seeds, anchors = seeds_of(store)
    sampler = walker(store, length=length, top=1_000)
    trails, found = sampler.trails(seeds, anchors, epoch=3), sampler.sample(seeds, anchors, epoch=3)
    assert isinstance(trails, Trails) and trails.nodes.shape == (len(seeds), 30, length)
    assert (
        isinstance(found, Walks) and found.table == "products" and found.nodes.dtype == found.counts.dtype == np.int32
    )
    counted = 0
    for b, seed in enumerate(seeds):
        # Products are where steps 4 and 8 end.
        tally = Counter(trails.nodes[b, :, 3::4].ravel().tolist())
        del tally[-1], tally[int(seed)]
        there = found.present[b]
        assert dict(zip(found.nodes[b, there].tolist(), found.counts[b, there].tolist(), strict=True)) == tally
        assert (np.diff(found.counts[b]) <= 0).all()
        counted += sum(tally.values())
    assert counted > 100


def test_no_walk_of_the_shop_takes_an_edge_that_is_later_or_is_not_there(store):
    seeds, anchors = seeds_of(store)
    trails = walker(store, length=8).trails(seeds, anchors)
    walked = 0
    for i, edge_type in enumerate(trails.path):
        adjacency = store.adjacency(edge_type)
        sources = np.repeat(np.arange(len(adjacency.degrees)), adjacency.degrees)
        known = set(zip(sources.tolist(), adjacency.neighbors.tolist(), adjacency.times.tolist(), strict=True))
        for b, w in np.ndindex(trails.nodes.shape[:2]):
            parent = seeds[b] if i == 0 else trails.nodes[b, w, i - 1]
            if trails.nodes[b, w, i] >= 0:
                assert (parent, trails.nodes[b, w, i], trails.times[b, w, i]) in known
                assert trails.times[b, w, i] <= anchors[b]
                walked += 1
    assert walked > 1_000


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_what_has_ended_is_not_visited_and_leads_nowhere(store, backend):
    changes = {"purchases": some_ends(store, "purchases", 10 * DAY, 60 * DAY, seed=1)}
    ending = EndingStore(store, {"products": some_ends(store, "products", 10 * DAY, 50 * DAY), **changes})
    seeds, anchors = seeds_of(store)
    found = walker(ending, backend=backend).sample(seeds, anchors)
    ends = ending.features("products").valid_until
    assert not (ends[found.nodes] <= anchors[:, None])[found.present].any()
    before = walker(store, backend=backend).sample(seeds, anchors)
    assert (ends[before.nodes] <= anchors[:, None])[before.present].any()
    assert found.counts.sum() < before.counts.sum()


@pytest.mark.parametrize("options", [{"threads": 3}, {"threads": 64}, {"backend": "numpy"}])
@pytest.mark.parametrize("restart", [0.0, 0.3])
def test_neither_threads_nor_backend_change_a_sample(store, options, restart):
    seeds, anchors = seeds_of(store)
    one = walker(store, restart=restart, length=8).sample(seeds, anchors, epoch=1)
    other = walker(store, restart=restart, length=8, **options).sample(seeds, anchors, epoch=1)
    np.testing.assert_array_equal(one.nodes, other.nodes)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert walker(store, **options).sample([]).nodes.shape == (0, 8)


def test_a_seeds_walks_do_not_depend_on_its_batch_or_place(store):
    # More seeds than are walked from at once.
    seeds = np.tile(np.arange(40), 10)
    anchors = np.arange(400).astype(np.int32) * DAY // 6
    sampler = walker(store, BASKETS, "customers")
    whole, order = sampler.sample(seeds, anchors), np.random.default_rng(0).permutation(400)
    np.testing.assert_array_equal(whole.nodes[order], sampler.sample(seeds[order], anchors[order]).nodes)
    np.testing.assert_array_equal(whole.counts[[317]], sampler.sample(seeds[[317]], anchors[[317]]).counts)


def test_epoch_seed_and_example_change_the_walks(store):
    seeds, _ = seeds_of(store)

    def nodes(seed: int = 0, epoch: int = 0, example: int = 0) -> list:
        examples = np.arange(len(seeds)) + example
        return walker(store, seed=seed).trails(seeds, epoch=epoch, examples=examples).nodes.tolist()

    assert nodes() == nodes()
    assert nodes() not in (nodes(seed=1), nodes(epoch=1), nodes(example=1_000))


def test_more_and_longer_walks_begin_as_those_there_were(store):
    seeds, anchors = seeds_of(store)
    few = walker(store, restart=0.3, walks=10, length=4).trails(seeds, anchors)
    many = walker(store, restart=0.3, walks=20, length=8).trails(seeds, anchors)
    np.testing.assert_array_equal(many.nodes[:, :10, :4], few.nodes)
    assert not np.array_equal(many.nodes[:, 10:, :4], few.nodes)


def test_weights_are_shares_and_fit_importance_pooling(store):
    seeds, anchors = seeds_of(store)
    found = walker(store).sample(seeds, anchors)
    weights = found.weights()
    assert weights.dtype == np.float32 and weights.shape == found.nodes.shape
    some = found.present.any(axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), some.astype(float), atol=1e-6)
    assert not weights[~found.present].any() and some.sum() > 5
    torch.manual_seed(0)
    convolution = ImportanceConv(3, 5, 4)
    children = torch.randn(*found.nodes.shape, 5)
    present = torch.from_numpy(found.present)
    parents = torch.zeros(len(seeds), 3)
    by_share = convolution(parents, children, present, torch.from_numpy(weights))
    by_count = convolution(parents, children, present, torch.from_numpy(found.counts))
    torch.testing.assert_close(by_share, by_count)
    assert by_share.shape == (len(seeds), 4)


def test_walks_may_end_in_another_table_than_they_start_in(store):
    found = walker(store, BASKETS, "customers", top=40, walks=200).sample(np.arange(40))
    links = {e.table_name: store.adjacency(e) for e in store.edge_types()}
    rows, products = links["edges_rev_purchases_customer_id"], links["edges_purchases_product_id"]
    assert found.table == "products"
    same_id = 0
    for customer in range(40):
        purchases = rows.neighbors[rows.indptr[customer] : rows.indptr[customer + 1]]
        bought = {
            n for p in purchases for n in products.neighbors[products.indptr[p] : products.indptr[p + 1]].tolist()
        }
        assert set(found.nodes[customer][found.present[customer]].tolist()) <= bought
        same_id += customer in found.nodes[customer]
    # A product of the seed's number is not the seed.
    assert same_id > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"strategy": "wieghted"}, "unknown strategy of walks 'wieghted'. Did you mean 'weighted'"),
        ({"walks": 0}, "number of walks is 0; at least 1"),
        ({"length": 0}, "length of walks is 0; at least 1"),
        ({"top": 0}, "top of walks is 0; at least 1"),
        ({"cap": -1}, "cap of walks is -1; at least 1"),
        ({"restart": 1.0}, "restart of walks is 1.0; at least 0 and less than 1"),
        ({"restart": float("nan")}, "restart of walks is nan"),
        ({"backend": "nunba"}, "unknown sampling backend 'nunba'. Did you mean 'numba'"),
        ({"threads": 0}, "threads is 0; at least 1"),
        ({"table": "produts"}, "unknown table 'produts'. Did you mean 'products'"),
        ({"table": None}, "several tables"),
        ({"cycle": []}, "cycle of walks is empty"),
        ({"cycle": ["purchases.product_id", "purchases.custmer_id"]}, "step 2 .*'purchases.custmer_id' leaves 'purch"),
        ({"cycle": CYCLE[:2], "length": 3}, "length 3 .* starts at 'products' and ends at 'customers'"),
        ({"length": 3}, "length 3 don't reach 'products'"),
    ],
)
def test_walks_that_make_no_sense_are_errors_that_say_what_would(store, options, says):
    with pytest.raises(ConfigError, match=says):
        walker(store, **options)


def test_a_seed_that_is_no_node_is_an_error(store):
    with pytest.raises(SchemaError, match=r"seeds of 'products' must be in 0 \.\. "):
        walker(store).sample([10**6])
