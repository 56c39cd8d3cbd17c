"""Batches of entity tasks: what they hold, and what they must not."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch

from gnnscale.batches import EntityBatch, EntityBatchBuilder, EntityExamples, NeighborhoodSource
from gnnscale.batches.neighborhoods.window_sums import EDGES, WINDOWS, amount_scale, decode
from gnnscale.config.sections.sampling import SamplingSettings
from gnnscale.features import EntityFeatures
from gnnscale.query import REGRESSION, PredictiveQuery
from gnnscale.schema import ConfigError
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.entity_shop import CLASSES, DAY, EACH, QUERIES, OtherFuture, purchases_before

PATH = "rev_purchases_customer_id"
TO_PRODUCT = "rev_purchases_customer_id/purchases_product_id"


def make_builder(shop: Shop, store: GraphStore, text: str = "", latest: int = 8, **sampling: Any) -> EntityBatchBuilder:
    query = PredictiveQuery(shop.query.graph, text or QUERIES[REGRESSION])
    query.hidden_tables = sampling.pop("hidden_tables", query.hidden_tables)
    return EntityBatchBuilder(store, query, SamplingSettings(**sampling), 5, latest, CLASSES)


@pytest.fixture
def examples(store: GraphStore) -> EntityExamples:
    """Every customer, at anchors of its own."""
    customers = np.arange(store.node_count("customers"))
    opening = int(store.features("purchases").times.min()) // DAY * DAY
    anchors = (opening + (10 + customers % 40) * DAY).astype(np.int32)
    nothing = np.zeros((len(customers), 1), np.float32)
    return EntityExamples(customers, anchors, nothing, nothing)


def slots_of(builder: EntityBatchBuilder, batch: EntityBatch, name: str) -> Any:
    return batch.slots[[p.name for p in builder.paths].index(name)]


def flatten(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    if isinstance(value, torch.Tensor | int):
        return {name: torch.as_tensor(value)}
    if is_dataclass(value):
        value = tuple(getattr(value, f.name) for f in fields(value))
    return {key: t for i, item in enumerate(value) for key, t in flatten(item, f"{name}/{i}").items()}


def test_slots_are_the_latest_rows_of_each_example(shop, store, examples):
    builder = make_builder(shop, store)
    batch = builder.build(examples)
    slots = slots_of(builder, batch, PATH)
    for i in range(len(examples)):
        anchor = int(examples.anchors[i])
        expected = purchases_before(store, i, anchor, 10_000)[::-1][:8]
        ages = (anchor - store.features("purchases").times[expected]) / DAY
        mine = slots.parent == i
        torch.testing.assert_close(slots.age[mine], torch.from_numpy(ages.astype(np.float32)))
        found = slots.features.numerical[slots.row[mine]].numpy()
        np.testing.assert_array_equal(found, store.features("purchases").numerical[expected])
        gaps = np.append(np.diff(ages), -1)[: len(ages)]
        np.testing.assert_allclose(slots.gap[mine], gaps, atol=1e-4)
        # The oldest slot that is told need not be the oldest there is.
        assert slots.opens[mine][:-1].tolist() == (np.diff(ages) > 0).tolist()


def test_parents_are_told_once_and_belong_to_their_rows(shop, store, examples):
    builder = make_builder(shop, store)
    batch = builder.build(examples)
    rows, products = slots_of(builder, batch, PATH), slots_of(builder, batch, TO_PRODUCT)
    assert len(products.features.numerical) == len(torch.unique(products.row)) < len(products)
    assert int(products.parent.max()) < len(rows)
    assert (products.parent.diff() > 0).all()


def test_window_sums_equal_sums_worked_by_hand(shop, store, examples):
    builder = make_builder(shop, store)
    sums = builder.build(examples).sums.numpy()
    manifest = store.manifest.table("purchases")
    names = [f.column for f in manifest.numerical]
    feature = manifest.numerical[names.index("quantity")]
    quantity = decode(store.features("purchases").numerical[:, names.index("quantity")], feature)
    # Paths in order of the graph's links; purchases are first where the builder says so.
    assert builder.paths[0].name == PATH
    columns = len(names) + len(store.manifest.table("products").numerical)
    block = WINDOWS * columns
    at = names.index("quantity")
    for i in range(len(examples)):
        for w, days in enumerate((*EDGES, 10_000)):
            rows = purchases_before(store, i, int(examples.anchors[i]), days)
            visits = len(np.unique(store.features("purchases").times[rows]))
            assert sums[i, 2 * w] == pytest.approx(np.log1p(len(rows)), abs=1e-5)
            assert sums[i, 2 * w + 1] == pytest.approx(np.log1p(visits), abs=1e-5)
            amount = quantity[rows].sum() / amount_scale(feature)
            place = 2 * WINDOWS + w * columns + at
            assert sums[i, place] == pytest.approx(np.log1p(amount), abs=1e-4)
            assert sums[i, place + block] == pytest.approx(np.log1p(amount / max(1, len(rows))), abs=1e-4)
            assert sums[i, place + 2 * block] == pytest.approx(np.log1p(amount / max(1, visits)), abs=1e-4)


def test_class_sums_count_the_classes(shop, store, examples):
    builder = make_builder(shop, store)
    found = builder.build(examples).class_sums.numpy()
    manifest = store.manifest.table("purchases")
    column = [f.column for f in manifest.categorical].index("channel")
    channel = store.features("purchases").categorical[:, column]
    for i in range(len(examples)):
        for c, name in enumerate(CLASSES):
            code = manifest.categorical[column].categories.index(name) + 1
            for w, days in enumerate((*EDGES, 10_000)):
                rows = purchases_before(store, i, int(examples.anchors[i]), days)
                assert found[i, c, w] == pytest.approx(np.log1p((channel[rows] == code).sum()), abs=1e-5)


def test_what_comes_after_the_anchor_changes_nothing(shop, store, examples):
    moment = int(examples.anchors.min()) + 15 * DAY
    early = examples.take(np.flatnonzero(examples.anchors <= moment))
    late = examples.take(np.flatnonzero(examples.anchors > moment))
    other = make_builder(shop, OtherFuture(store, moment))
    before, after = flatten(make_builder(shop, store).build(early)), flatten(other.build(early))
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    # The other future did something to those who are asked about later.
    assert not torch.equal(make_builder(shop, store).build(late).sums, other.build(late).sums)


def test_hidden_columns_have_no_effect_wherever_the_table_appears(shop, store, examples):
    text = f"PREDICT customers.age > 30 {EACH}"
    hidden = make_builder(shop, store, text)
    assert hidden.query.hidden_columns == {("customers", "age")}
    figures = store.manifest.table("customers")
    age = [f.column for f in figures.numerical].index("age")
    features = store.features("customers")
    changed = np.array(features.numerical)
    changed[:, age] = np.random.default_rng(0).permutation(len(changed))

    class Changed(GraphStore):
        def features(self, table):
            found = super().features(table)
            return (
                type(found)(changed, found.categorical, found.times, found.valid_until)
                if table == "customers"
                else found
            )

    other = Changed(store.manifest, store.folder)
    one, two = flatten(hidden.build(examples)), flatten(make_builder(shop, other, text).build(examples))
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert not torch.equal(
        make_builder(shop, store).build(examples).features.numerical,
        make_builder(shop, other).build(examples).features.numerical,
    )


def test_features_are_those_of_the_anchor(shop, store, examples):
    builder = make_builder(shop, store)
    assert builder.build(examples).known.shape == (len(examples), 0)
    features = EntityFeatures(store, "customers")
    query = PredictiveQuery(shop.query.graph, QUERIES[REGRESSION])
    builder = EntityBatchBuilder(store, query, SamplingSettings(), 5, 8, CLASSES, features)
    expected = features.compute(examples.entities, examples.anchors)
    np.testing.assert_array_equal(builder.build(examples).known.numpy(), expected)
    # Of examples that come again they are kept.
    source = NeighborhoodSource(builder, examples, np.arange(len(examples)), 8, None, 0)
    for rows in ([3, 1], [1, 7, 3], [1]):
        found = source.build(np.array(rows), epoch=len(rows)).known.numpy()
        np.testing.assert_array_equal(found, expected[rows])
    builder.features = None
    np.testing.assert_array_equal(source.build(np.array([7, 3])).known.numpy(), expected[[7, 3]])


def test_hidden_tables_are_not_sampled_even_where_the_configuration_says_so(shop, store, examples):
    hops = ({"purchases.customer_id": 4, "mailings.customer_id": 2}, {"purchases.product_id": 1})
    builder = make_builder(shop, store, entity_hops=hops, hidden_tables=frozenset({"purchases"}))
    assert [p.name for p in builder.paths] == ["rev_mailings_customer_id"]
    assert len(builder.build(examples).slots) == 1


def test_an_example_does_not_depend_on_its_batch(shop, store, examples):
    builder = make_builder(shop, store, strategy="uniform", entity_hops=({"purchases.customer_id": 4},))
    whole, alone = builder.build(examples), builder.build(examples.take(np.array([3])))
    slots = slots_of(builder, whole, PATH)
    mine = slots.parent == 3
    assert torch.equal(slots.age[mine], slots_of(builder, alone, PATH).age)
    assert torch.equal(whole.sums[3:4], alone.sums)
    ages = slots.age[mine]
    assert (ages.diff() >= 0).all() and len(ages) == 4


def test_a_cap_takes_the_choice_from_the_latest_events(shop, store, examples):
    hops = ({"purchases.customer_id": 4},)
    last, capped = (
        make_builder(shop, store, strategy=strategy, entity_hops=hops, cap=4) for strategy in ("last", "weighted")
    )
    ages = [slots_of(builder, builder.build(examples), PATH).age for builder in (last, capped)]
    assert torch.equal(*ages)
    with pytest.raises(ConfigError, match="cap is 3, less than the largest fan-out, 4"):
        make_builder(shop, store, entity_hops=hops, cap=3)


def test_nobody_has_a_history_before_the_first_event(shop, store):
    batch = make_builder(shop, store).build(EntityExamples.unlabelled(np.arange(5), -DAY))
    assert all(len(s) == 0 for s in batch.slots)
    assert len(batch) == 5
