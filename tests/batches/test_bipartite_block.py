"""Blocks of the graph of entities and targets hold what products with its normalized adjacency read, and no more."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gnnscale.batches import BipartiteBuilder, BipartiteSides, BipartiteSource, Examples
from gnnscale.collaborative.propagation import BipartiteGraph
from gnnscale.nn import LightGCNTowers, NodeVectors
from gnnscale.schema import FeatureManifest, Link
from gnnscale.store import GraphStore
from gnnscale.training.networks.sampled_lightgcn import LightGCNPredictor, WholeGraphPredictor
from tests.array_graph import write_graph

DAY = 86_400
USERS, ITEMS, EVENTS, DIMS = 30, 25, 400, 5
EVERY = 10_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    rng = np.random.default_rng(0)
    # The last two of each are named by nobody; some events have no item.
    users, items = rng.integers(0, USERS - 2, EVENTS), (rng.random(EVENTS) ** 2 * (ITEMS - 2)).astype(np.int64)
    items[rng.random(EVENTS) < 0.05] = -1
    times = np.sort(rng.integers(0, 60 * DAY, EVENTS)).astype(np.int32)
    sizes = {"users": USERS, "items": ITEMS, "events": EVENTS}
    links = {("events", "user", "users"): (users, times), ("events", "item", "items"): (items, times)}
    kinds = FeatureManifest("kind", "categorical", categories=("view", "buy"))
    codes = rng.integers(0, 3, (EVENTS, 1)).astype(np.int32)
    store = write_graph(
        tmp_path_factory.mktemp("graph"), sizes, links, {"events": (kinds,)}, {"events": times}, {}, {"events": codes}
    )
    named = SimpleNamespace(
        entity_link=Link("events", "user", "users"),
        target_link=Link("events", "item", "items"),
        target=SimpleNamespace(name="items"),
    )
    weights = np.array([1, 0, 3], np.float32)[codes[:, 0]]
    return SimpleNamespace(store=store, query=named, users=users, items=items, times=times, weights=weights)


def sides_of(shop: SimpleNamespace, fanout: int = EVERY, weighted: bool = False) -> BipartiteSides:
    return BipartiteSides(shop.store, shop.query, fanout, 0, shop.weights if weighted else None)


def towers_of(temperature: float | None = None) -> LightGCNTowers:
    torch.manual_seed(0)
    return LightGCNTowers(NodeVectors("entity", USERS, DIMS), NodeVectors("target", ITEMS, DIMS), temperature)


def seen_by(shop: SimpleNamespace, anchor: int, weighted: bool) -> np.ndarray:
    seen = np.zeros((USERS, ITEMS), np.float32)
    early = (shop.times <= anchor) & (shop.items >= 0)
    np.add.at(seen, (shop.users[early], shop.items[early]), shop.weights[early] if weighted else 1)
    return seen


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_where_all_is_followed_it_is_the_whole_graph(shop: SimpleNamespace, layers: int, weighted: bool) -> None:
    """An independent count of the pairs, and the products of the recommender that trains the graph as a whole."""
    sides, towers = sides_of(shop, weighted=weighted), towers_of()
    rng = np.random.default_rng(1)
    for anchor in (20 * DAY, 55 * DAY):
        seen = seen_by(shop, anchor, weighted)
        np.testing.assert_allclose(sides.matrix(anchor).toarray(), seen)
        # An event without an item still is one of its user.
        users = np.bincount(
            shop.users[shop.times <= anchor],
            shop.weights[shop.times <= anchor] if weighted else None,
            minlength=USERS,
        )
        items = seen.sum(0)
        level = np.maximum(users, 1e-12)[:, None] ** -0.5 * np.maximum(items, 1e-12)[None, :] ** -0.5
        whole = np.block([[np.zeros((USERS, USERS)), seen * level], [(seen * level).T, np.zeros((ITEMS, ITEMS))]])
        start = torch.cat([towers.entities.own.weight, towers.targets.own.weight]).double()
        total, power = start.clone(), start
        for _ in range(layers):
            power = torch.from_numpy(whole) @ power
            total = total + power
        wanted = total / (layers + 1)
        entities, targets = rng.integers(0, USERS, 9), rng.integers(0, ITEMS, 7)
        found = towers(BipartiteBuilder(sides, layers).build(entities, targets, anchor))
        np.testing.assert_allclose(found.entity.detach()[:, :-1], wanted[entities].detach(), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            found.target.detach()[:, :-1], wanted[USERS + targets].detach(), rtol=1e-4, atol=1e-6
        )
        bias = 0.1 * np.log1p(items[targets])
        np.testing.assert_allclose(found.target.detach()[:, -1], bias, rtol=1e-5)
        assert (found.entity[:, -1] == 1).all()
        got = torch.autograd.grad(found.entity.sum() * 2 + found.target.sum(), towers.targets.own.weight)[0]
        asked = 2 * wanted[entities].sum() + wanted[USERS + targets].sum()
        np.testing.assert_allclose(got, torch.autograd.grad(asked, towers.targets.own.weight)[0], rtol=1e-4, atol=1e-5)


def test_it_is_what_the_whole_graph_recommender_smooths(shop: SimpleNamespace) -> None:
    events = shop.items >= 0
    part = SimpleNamespace(**{**vars(shop), "items": shop.items})
    sides, towers = sides_of(part), towers_of()
    anchor = 55 * DAY
    seen = sides.matrix(anchor)
    # Of users whose events all name an item the degrees are the same in both.
    complete = ~np.isin(np.arange(USERS), shop.users[~events])
    graph = BipartiteGraph(seen)
    start = torch.cat([towers.entities.own.weight, towers.targets.own.weight])
    users, _ = graph.smooth(start, 1).split(graph.shape)
    nodes = np.flatnonzero(complete)
    assert len(nodes) > 3
    found = towers(BipartiteBuilder(sides, 1).build(nodes, np.zeros(0, np.int64), anchor))
    np.testing.assert_allclose(found.entity.detach()[:, :-1], users[nodes].detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_samples_stand_for_what_they_leave_out(shop: SimpleNamespace, weighted: bool) -> None:
    few, all_of_it = sides_of(shop, 3, weighted), sides_of(shop, weighted=weighted)
    anchor, nodes = 55 * DAY, np.arange(ITEMS)
    rows = np.zeros((2, ITEMS, USERS))

    def add(row: np.ndarray, sides: BipartiteSides, epoch: int, times: float) -> int:
        found = sides.of_targets(nodes, anchor, epoch)
        np.add.at(row, (np.repeat(nodes, found.counts), found.others), found.weights * times)
        return int(found.counts.max())

    assert add(rows[0], all_of_it, 0, 1) > 3
    draws = 3000
    assert {add(rows[1], few, epoch, 1 / draws) for epoch in range(draws)} <= {2, 3}
    np.testing.assert_allclose(rows[1].sum(1), rows[0].sum(1), rtol=0.03)
    np.testing.assert_allclose(rows[1], rows[0], atol=0.03)
    one = few.of_targets(nodes, anchor, 0)
    for left, right in zip(one, few.of_targets(nodes, anchor, 0), strict=True):
        np.testing.assert_array_equal(left, right)
    assert one.others.tolist() != few.of_targets(nodes, anchor, 1).others.tolist()


@pytest.mark.parametrize("ended", [False, True])
def test_what_came_after_its_event_is_not_there_before_and_what_has_ended_has_been(tmp_path: Path, ended: bool) -> None:
    """An edge holds from the later of its ends on: the two links of an event may begin at different times."""
    times, users, items = np.array([1, 2, 3, 4], np.int32), np.array([0, 0, 0, 1]), np.array([0, 1, 2, 0])
    later = np.array([1, 20, 3, 4], np.int32)
    sizes = {"users": 2, "items": 3, "events": 4}
    links = {("events", "user", "users"): (users, times), ("events", "item", "items"): (items, later)}
    write_graph(tmp_path, sizes, links, {}, {"events": times}, {}, {})
    if ended:
        np.save(tmp_path / "nodes_events/valid_until.npy", np.array([5, 5, 50, 50], np.int32))
    store = write_graph(tmp_path, sizes, links, {}, {"events": times}, {}, {})
    assert (store.features("events").valid_until is not None) == ended
    query = SimpleNamespace(
        entity_link=Link("events", "user", "users"),
        target_link=Link("events", "item", "items"),
        target=SimpleNamespace(name="items"),
    )
    sides, anchor = BipartiteSides(store, query, EVERY), 10
    found = sides.of_entities(np.arange(2), anchor)
    assert found.counts.tolist() == [2, 1] and sorted(found.others[:2].tolist()) == [0, 2] and found.others[2] == 0
    by_item = dict(zip(found.others[:2].tolist(), found.weights[:2].tolist(), strict=True))
    assert by_item == pytest.approx({0: (3 * 2) ** -0.5, 2: 3**-0.5})
    assert sides.matrix(anchor).toarray().tolist() == [[1, 0, 1], [1, 0, 0]]
    assert sides.of_targets(np.arange(3), anchor).counts.tolist() == [2, 0, 1]
    towers = LightGCNTowers(NodeVectors("entity", 2, DIMS), NodeVectors("target", 3, DIMS)).eval()
    one, two = (
        kind(towers, BipartiteBuilder(sides, 2), True, torch.device("cpu"))
        for kind in (LightGCNPredictor, WholeGraphPredictor)
    )
    for at in (anchor, 30):
        left, right = (p.encode_targets(p.target_batch(np.arange(3), at)) for p in (one, two))
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)
        assert np.abs(left[:, :-1]).max() < 1


def test_a_block_has_every_node_once_and_no_more_than_is_read(shop: SimpleNamespace) -> None:
    builder = BipartiteBuilder(sides_of(shop, 2), 2)
    block = builder.build(np.array([3, 8, 3]), np.array([24, 5]), 40 * DAY)
    shift = len(block.entity_nodes)
    assert block.asked_entities.tolist() == [3, 8, 3] and block.asked_targets.tolist() == [24, 5]
    assert block.degrees[0] == 0 < block.degrees[1] and block.there.all()
    for nodes, after, product in zip(block.nodes[:-1], block.nodes[1:], block.products, strict=True):
        assert len(product.offsets) == len(nodes) + 1 and len(torch.unique(nodes)) == len(nodes)
        assert sorted(set(product.columns.tolist())) == list(range(len(after)))
    assert sorted(set(torch.cat(block.nodes).tolist())) == list(range(shift + len(block.target_nodes)))
    assert block.edges == sum(len(product.weights) for product in block.products) > 0


def test_nothing_after_the_anchor_is_read(shop: SimpleNamespace, tmp_path: Path) -> None:
    anchor = 30 * DAY
    late = shop.times > anchor
    users, items = np.where(late, 0, shop.users), np.where(late, 1, shop.items)
    sizes = {"users": USERS, "items": ITEMS, "events": EVENTS}
    links = {("events", "user", "users"): (users, shop.times), ("events", "item", "items"): (items, shop.times)}
    other: GraphStore = write_graph(tmp_path, sizes, links, {}, {"events": shop.times}, {}, {})
    changed = SimpleNamespace(**{**vars(shop), "store": other})
    every = np.arange(USERS), np.arange(ITEMS)
    one, two = (BipartiteBuilder(sides_of(s, 3), 2).build(*every, anchor) for s in (shop, changed))
    for left, right in zip(one.products, two.products, strict=True):
        assert torch.equal(left.columns, right.columns) and torch.equal(left.weights, right.weights)
    assert torch.equal(one.degrees, two.degrees)


def test_what_training_has_not_met_is_known_by_its_events(shop: SimpleNamespace) -> None:
    towers, anchor = towers_of(0.5).eval(), 55 * DAY
    towers.targets.learned[:] = False
    towers.targets.learned[24] = True
    for kind in (LightGCNPredictor, WholeGraphPredictor):
        for new, wanted in ((True, [True, False, True]), (False, [False, False, True])):
            predictor = kind(towers, BipartiteBuilder(sides_of(shop), 1), new, torch.device("cpu"))
            found = predictor.encode_targets(predictor.target_batch(np.array([0, 23, 24]), anchor))
            assert (found[:, -1] >= 0).tolist() == wanted
            # Cosines over the temperature; of what nothing is known there is no vector.
            np.testing.assert_allclose(np.linalg.norm(found[:, :-1], axis=1), [2**0.5, 0, 2**0.5], rtol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_whole_graph_gives_what_its_blocks_do(shop: SimpleNamespace, weighted: bool) -> None:
    builder = BipartiteBuilder(sides_of(shop, weighted=weighted), 3)
    sampled, whole = (
        kind(towers_of().eval(), builder, True, torch.device("cpu"))
        for kind in (LightGCNPredictor, WholeGraphPredictor)
    )
    for anchor in (20 * DAY, 55 * DAY, 20 * DAY):
        targets, entities = np.array([24, 3, 3, 0]), np.array([29, 1])
        one, two = (p.encode_targets(p.target_batch(targets, anchor)) for p in (sampled, whole))
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
        one, two = (p.score_entities(p.entity_batch(entities, anchor)).vectors for p in (sampled, whole))
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


def test_batches_share_an_anchor(shop: SimpleNamespace) -> None:
    anchors = np.repeat(np.array([20, 40], np.int32) * DAY, 10)
    examples = Examples(np.arange(20) % 7, anchors, np.arange(21), np.arange(20))
    source = BipartiteSource(BipartiteBuilder(sides_of(shop, 2), 2), examples, np.arange(20), 4, 5)
    batches = source.batches(0)
    assert all(len(np.unique(anchors[rows])) == 1 for rows in batches)
    block = source.build(batches[0], 1, np.array([8, 9]))
    assert len(block.entities) == len(batches[0]) and len(block.targets) == 2
    empty = source.build(batches[0][:0])
    assert len(empty.entities) == len(empty.targets) == empty.edges == 0
