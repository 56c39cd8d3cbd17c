"""A batch equals an independent reading of the tables: targets, ages, gaps, visits, groups, positives."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.batches import BatchBuilder, Examples, PairBatch, TargetBatch, read_examples
from gnnscale.batches.neighborhoods.candidates import known_pairs
from gnnscale.config.sections.sampling import SamplingSettings
from gnnscale.query.anchors import Split
from gnnscale.schema import ConfigError
from tests.valid_until import EndingStore, some_ends

DAY = 86_400
FANOUT, TARGET_FANOUT, MAILINGS = 12, 6, 3
GROUP_COLUMNS = ("category", "brand")


@pytest.fixture(scope="module")
def tables(shop) -> dict[str, pd.DataFrame]:
    """Nodes of every table, times counted from the origin."""
    frames = {name: shop.nodes(name) for name in shop.raw}
    return {name: frame.assign(time=frame["time"] - shop.manifest.origin) for name, frame in frames.items()}


@pytest.fixture(scope="module")
def examples(shop) -> Examples:
    """The test examples, at one anchor."""
    return read_examples(shop.lake, "next_week", Split.TEST, shop.manifest.origin)


def latest(events: pd.DataFrame, column: str, node: int, anchor: int, number: int) -> pd.DataFrame:
    """The latest rows that name a node, stamped at or before the anchor, oldest first."""
    own = events[(events[column] == node) & (events["time"] <= anchor)]
    return own.sort_values(["time", "node_id"]).tail(number)


def assert_events(batch: PairBatch, example: int, expected: pd.DataFrame, anchor: int) -> None:
    """Events, candidates, gaps and visits of one example, worked out row by row."""
    at = (batch.event_example == example).nonzero()[:, 0]
    targets = batch.candidate_node[batch.event_candidate[at]].tolist()
    assert targets == expected["fk_product_id"].astype(int).tolist()
    times = expected["time"].tolist()
    np.testing.assert_allclose(batch.event_age[at], [(anchor - time) / DAY for time in times], rtol=1e-6)
    last_time: dict[int, float] = {}
    gaps, opens = [], []
    for i, (target, time) in enumerate(zip(targets, times, strict=True)):
        gaps.append((time - last_time[target]) / DAY if target in last_time else -1.0)
        opens.append(i == 0 or time != times[i - 1])
        last_time[target] = time
    np.testing.assert_allclose(batch.event_gap[at], gaps, rtol=1e-5, atol=1e-6)
    assert batch.event_opens[at].tolist() == opens
    own = (batch.example == example).nonzero()[:, 0]
    assert sorted(batch.candidate_node[own].tolist()) == sorted(set(targets))
    for candidate in own.tolist():
        target = int(batch.candidate_node[candidate])
        assert batch.last_event[candidate] == at[len(targets) - 1 - targets[::-1].index(target)]


def test_candidates_equal_an_independent_reading(tables, examples, builder):
    batch = builder.build(examples)
    anchor = int(examples.anchors[0])
    products = tables["products"]
    assert len(batch) == len(examples)
    repeats = 0
    for i, entity in enumerate(examples.entities.tolist()):
        events = latest(tables["purchases"], "fk_customer_id", entity, anchor, FANOUT).dropna(subset=["fk_product_id"])
        assert_events(batch, i, events, anchor)
        truth = set(examples.targets[examples.indptr[i] : examples.indptr[i + 1]].tolist())
        own = (batch.example == i).nonzero()[:, 0]
        nodes = batch.candidate_node[own].tolist()
        assert batch.is_positive[own].tolist() == [node in truth for node in nodes]
        explored = batch.explore_example == i
        assert sorted(batch.targets.nodes[batch.explore_target[explored]].tolist()) == sorted(truth - set(nodes))
        assert batch.positives[i] == len(truth)
        for c, column in enumerate(GROUP_COLUMNS):
            codes = products[f"cat_{column}"][nodes].tolist()
            groups = batch.groups[c][own].tolist()
            assert len(set(zip(codes, groups, strict=True))) == len(set(codes)) == len(set(groups))
        repeats += int((batch.event_gap[batch.event_example == i] >= 0).sum())
    assert repeats > 20
    for c in range(len(GROUP_COLUMNS)):
        used = batch.groups[c].unique().tolist()
        assert used == list(range(batch.group_counts[c]))
        pairs = set(zip(batch.groups[c].tolist(), batch.example.tolist(), strict=True))
        assert len(pairs) == batch.group_counts[c]
    assert (batch.example.diff() >= 0).all()


def test_a_batch_scores_each_target_once(examples, builder):
    negatives = np.array([5, 5, 0, 29])
    batch = builder.build(examples, negatives=negatives)
    nodes = batch.targets.nodes
    assert nodes.tolist() == sorted(set(nodes.tolist()))
    assert (nodes[batch.candidate_target] == batch.candidate_node).all()
    assert nodes[batch.negative_target].tolist() == batch.negatives.tolist() == negatives.tolist()
    wanted = {*batch.candidate_node.tolist(), *nodes[batch.explore_target].tolist(), *negatives.tolist()}
    assert set(nodes.tolist()) == wanted


def test_events_carry_their_own_features(tables, examples, builder):
    batch = builder.build(examples)
    purchases, anchor = tables["purchases"], int(examples.anchors[0])
    expected = pd.concat(
        [
            latest(purchases, "fk_customer_id", entity, anchor, FANOUT).dropna(subset=["fk_product_id"])
            for entity in examples.entities
        ]
    )
    np.testing.assert_array_equal(batch.event_features.numerical, expected[["num_quantity", "num_amount"]])
    np.testing.assert_array_equal(batch.event_features.categorical, expected[["cat_channel"]])
    customers = tables["customers"].loc[examples.entities]
    np.testing.assert_array_equal(batch.entity_features.numerical, customers[["num_age"]])
    assert batch.entities.tolist() == examples.entities.tolist()


@pytest.mark.parametrize("day", [0, 20, 53])
def test_targets_have_their_latest_events_by_anyone(tables, builder, day):
    anchor = day * DAY
    batch = next(builder.all_targets(anchor))
    assert batch.nodes.tolist() == list(range(30))
    filled = 0
    for node in range(30):
        events = latest(tables["purchases"], "fk_product_id", node, anchor, TARGET_FANOUT).iloc[::-1]
        assert batch.present[node].tolist() == [i < len(events) for i in range(TARGET_FANOUT)]
        own = slice(filled, filled + len(events))
        np.testing.assert_allclose(batch.event_age[own], (anchor - events["time"]) / DAY, rtol=1e-6)
        filled += len(events)
    assert filled == len(batch.event_age)
    columns = tables["products"][["cat_category", "cat_brand"]]
    np.testing.assert_array_equal(batch.features.categorical, columns)


def test_all_targets_come_in_order_whatever_the_size(builder):
    parts = list(builder.all_targets(30 * DAY, size=7))
    assert [len(part.nodes) for part in parts] == [7, 7, 7, 7, 2]
    assert torch.cat([part.nodes for part in parts]).tolist() == list(range(30))


def test_hops_beside_the_events_are_context(tables, examples, builder):
    assert builder.context_tables == {
        ("mailings.customer_id",): "mailings",
        ("mailings.customer_id", "mailings.campaign_id"): "campaigns",
    }
    batch = builder.build(examples)
    anchor = int(examples.anchors[0])
    mailed, campaigns = batch.context
    assert mailed.path == ("mailings.customer_id",)
    for i, entity in enumerate(examples.entities.tolist()):
        rows = latest(tables["mailings"], "fk_customer_id", entity, anchor, MAILINGS).iloc[::-1]
        for hop in (mailed, campaigns):
            assert hop.present[i].tolist() == [j < len(rows) for j in range(MAILINGS)]
            np.testing.assert_allclose(hop.age[i, : len(rows)], (anchor - rows["time"]) / DAY, rtol=1e-6)
            assert (hop.age[i, len(rows) :] == 0).all()
        slots = slice(i * MAILINGS, i * MAILINGS + len(rows))
        np.testing.assert_array_equal(mailed.features.categorical[slots], rows[["cat_medium"]])
        kinds = tables["campaigns"]["cat_kind"].loc[rows["fk_campaign_id"].astype(int)]
        assert campaigns.features.categorical[slots, 0].tolist() == kinds.tolist()
    assert mailed.present.any() and not mailed.present.all()


def test_nothing_later_than_the_anchor_is_in_a_batch(shop, builder):
    entities = np.arange(40)
    for day in (3, 20, 40):
        batch = builder.build(Examples.unlabelled(entities, day * DAY))
        ages = [batch.event_age, batch.targets.event_age, *(hop.age for hop in batch.context)]
        assert all((age >= 0).all() for age in ages)
        assert (batch.event_age <= day).all() and len(batch.event_age) > 0


def test_customers_without_events_have_no_candidates(builder):
    batch = builder.build(Examples.unlabelled(np.arange(40), -1))
    assert len(batch.example) == len(batch.event_age) == 0
    assert batch.group_counts == (0, 0)
    assert not batch.targets.present.any()


def test_building_twice_gives_the_same_batch(examples, builder):
    negatives = np.arange(30)
    one, two = builder.build(examples, 1, negatives), builder.build(examples, 1, negatives)
    for name in ("candidate_node", "event_age", "groups", "known", "last_event", "is_positive"):
        assert torch.equal(getattr(one, name), getattr(two, name))


def with_hops(shop, **changes) -> SamplingSettings:
    return shop.settings.sampling.model_copy(update=changes)


def test_uniformly_sampled_events_are_in_order_of_time_too(shop, store, examples):
    hops = ({"purchases.customer_id": 5}, {"purchases.product_id": 1})
    sampling = with_hops(shop, strategy="uniform", entity_hops=hops)
    batch = BatchBuilder(store, shop.query, sampling, (), 0).build(examples)
    for i in range(len(examples)):
        ages = batch.event_age[batch.event_example == i].tolist()
        assert ages == sorted(ages, reverse=True)
    for candidate, event in enumerate(batch.last_event.tolist()):
        assert batch.event_age[event] == batch.event_age[batch.event_candidate == candidate].min()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"entity_hops": ({"purchases.customer_id": 4},)}, "entity_hops must follow purchases.customer_id in hop 1"),
        ({"entity_hops": ({"mailings.customer_id": 4}, {"mailings.campaign_id": 1})}, "must follow purchases"),
        (
            {"entity_hops": ({"purchases.customer_id": 4}, {"purchases.product_id": 2})},
            "one parent, so hop 2 takes purchases.product_id: 1",
        ),
        ({"target_hops": ({"purchases.customer_id": 2},)}, "target_hops must follow purchases.product_id"),
        ({"cap": 11}, "cap is 11, less than the largest fan-out, 12 of hop 1 along purchases.customer_id"),
        (
            {"cap": 12, "target_hops": ({"purchases.product_id": 13},)},
            "fan-out, 13 of hop 1 along purchases.product_id",
        ),
    ],
)
def test_fanouts_that_do_not_reach_events_and_targets_are_an_error(shop, store, changes, says):
    with pytest.raises(ConfigError, match=says):
        BatchBuilder(store, shop.query, with_hops(shop, **changes), (), 0)


def test_without_fanouts_events_and_targets_are_reached_all_the_same(shop, store, examples):
    hops = SamplingSettings(strategy=shop.settings.sampling.strategy)
    batch = BatchBuilder(store, shop.query, hops, (), 0).build(examples)
    assert batch.is_positive.any() and batch.targets.present.any()


def test_a_group_column_that_is_not_there_is_an_error_that_names_the_nearest(shop, store):
    with pytest.raises(ConfigError, match=r"'categry'.*Did you mean 'category'"):
        BatchBuilder(store, shop.query, shop.settings.sampling, ("categry",), 0)


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=20)


@given(st.lists(st.integers(0, 9), max_size=15), pairs, pairs)
def test_known_pairs_equal_sets(negatives, candidates, explored):
    scratch = np.full(10, -1, np.int64)
    flat = [np.array([pair[i] for pair in part], np.int64) for part in (candidates, explored) for i in (0, 1)]
    known = known_pairs(np.array(negatives, np.int64), 4, *flat, scratch)
    expected = {*candidates, *explored}
    assert known.tolist() == [[(example, node) in expected for node in negatives] for example in range(4)]
    assert (scratch == -1).all()


def test_moving_a_batch_keeps_every_value(examples, builder):
    batch = builder.build(examples, negatives=np.arange(5))
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.targets.present, batch.targets.present)
    assert moved.group_counts == batch.group_counts
    assert [hop.path for hop in moved.context] == [hop.path for hop in batch.context]


@pytest.fixture(scope="module")
def ending(store, examples) -> EndingStore:
    """The shop whose products end around the test anchor; one at it, and one a second later."""
    anchor = int(examples.anchors[0])
    ends = some_ends(store, "products", 0, 2 * anchor)
    ends[:2] = anchor, anchor + 1
    return EndingStore(store, {"products": ends})


def test_a_target_that_has_ended_is_no_candidate_no_negative_and_no_positive(shop, store, ending, examples):
    anchor = int(examples.anchors[0])
    products = np.arange(store.node_count("products"))
    there = torch.from_numpy(ending.valid_until["products"] > anchor)
    assert 5 < there.sum() < len(there) - 5 and not there[0] and there[1]
    sampling = shop.settings.sampling
    whole, found = (
        BatchBuilder(graph, shop.query, sampling, (), 0).build(examples, negatives=products)
        for graph in (store, ending)
    )
    assert there[found.candidate_node].all()
    assert there[found.targets.nodes[found.explore_target]].all()
    assert found.known[:, ~there].all()
    assert found.targets.valid.tolist() == there[found.targets.nodes].tolist()

    def pairs(batch: PairBatch, node: torch.Tensor, example: torch.Tensor) -> set[tuple[int, int]]:
        return set(zip(example.tolist(), node.tolist(), strict=True))

    # Nothing else is missing.
    before = pairs(whole, whole.candidate_node, whole.example)
    assert pairs(found, found.candidate_node, found.example) == {(e, n) for e, n in before if there[n]} != before
    explored = pairs(whole, whole.targets.nodes[whole.explore_target], whole.explore_example)
    left = pairs(found, found.targets.nodes[found.explore_target], found.explore_example)
    assert left == {(e, n) for e, n in explored if there[n]} != explored
    assert torch.equal(found.known[:, there], whole.known[:, there])


def test_which_targets_are_there_is_said_of_each_anchor(shop, ending):
    builder = BatchBuilder(ending, shop.query, shop.settings.sampling, (), 0)
    for day in (0, 20, 53):
        valid = torch.cat([part.valid for part in builder.all_targets(day * DAY, size=7)])
        assert valid.tolist() == (ending.valid_until["products"] > day * DAY).tolist()


@pytest.mark.parametrize("most", [0, 2])
def test_of_a_target_the_latest_events_are_seen_up_to_the_number_that_may_be(shop, store, builder, examples, most):
    anchor, nodes = int(examples.anchors[0]), np.arange(store.node_count("products"))
    limited = BatchBuilder(store, shop.query, shop.settings.sampling, (), 0, max_target_neighbors=most)
    whole, found = (some.build_targets(nodes, anchor) for some in (builder, limited))
    assert (whole.present.sum(1) > 2).any()
    assert found.present.sum(1).tolist() == whole.present.sum(1).clamp(max=most).tolist()

    def ages(batch: TargetBatch) -> list[list[float]]:
        return [sorted(part.tolist()) for part in batch.event_age.split(batch.present.sum(1).tolist())]

    assert ages(found) == [own[:most] for own in ages(whole)]


def test_a_batch_does_not_depend_on_the_batches_before_it(builder: BatchBuilder, examples: Examples) -> None:
    rows = [examples.take(np.arange(start, start + 8)) for start in (0, 8)]
    first, other, again = (builder.build(part) for part in (rows[0], rows[1], rows[0]))
    assert first.candidate_node.tolist() != other.candidate_node.tolist()
    for name in ("candidate_node", "example", "event_candidate", "last_event", "groups", "is_positive"):
        assert torch.equal(getattr(first, name), getattr(again, name))
