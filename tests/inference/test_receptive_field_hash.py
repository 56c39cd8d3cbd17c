"""Equal digests mean that the model reads the same: they change with what it reads, and with nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnscale.config import Settings
from gnnscale.inference.embed_tables import prepare_inference
from gnnscale.inference.encode import PartitionEncoder
from gnnscale.inference.receptive_field_hash import digest_neighbors, digest_rows, receptive_field_hashes
from gnnscale.store import Adjacency, GraphStore
from tests.conftest import Shop
from tests.embedded_shop import copy_shop

CPU = torch.device("cpu")


class ChangedStore(GraphStore):
    """A graph some of whose arrays stand in the place of those of another."""

    def __init__(self, store: GraphStore) -> None:
        super().__init__(store.manifest, store.folder)

    def change_features(self, table: str, **arrays: Any) -> None:
        self._features[table] = replace(self.features(table), **arrays)

    def change_edges(self, name: str, **arrays: Any) -> None:
        edge_type = next(e for e in self.edge_types() if e.table_name == name)
        self._adjacency[name] = replace(self.adjacency(edge_type), **arrays)


def price_of_a_product(store: ChangedStore, anchor: int) -> None:
    numerical = np.array(store.features("products").numerical)
    numerical[7] += 1
    store.change_features("products", numerical=numerical)


def end_of_a_product(store: ChangedStore, anchor: int) -> None:
    ends = np.full(30, anchor + 1, np.int32)
    ends[[3, 4]] = anchor
    store.change_features("products", valid_until=ends)


def customer_region(store: ChangedStore, anchor: int) -> None:
    categorical = np.array(store.features("customers").categorical)
    categorical[5] = np.where(categorical[5] > 0, 0, 1)
    store.change_features("customers", categorical=categorical)


def amount_of_purchases(store: ChangedStore, anchor: int) -> None:
    numerical = np.array(store.features("purchases").numerical)
    numerical[100:103] += 1
    store.change_features("purchases", numerical=numerical)


def time_of_an_edge(store: ChangedStore, anchor: int) -> None:
    for name in ("edges_rev_purchases_customer_id", "edges_rev_purchases_product_id"):
        edges = store.adjacency(next(e for e in store.edge_types() if e.table_name == name))
        times = np.array(edges.times)
        sources = np.repeat(np.arange(len(edges.degrees)), edges.degrees)
        gaps = np.where((sources[1:] == sources[:-1]) & (times[1:] <= anchor), np.diff(times.astype(np.int64)), 0)
        # Edges stay in order of time.
        times[gaps.argmax() + 1] -= gaps.max() - 1
        store.change_edges(name, times=times)


def kind_of_a_campaign(store: ChangedStore, anchor: int) -> None:
    categorical = np.array(store.features("campaigns").categorical)
    categorical[0] = np.where(categorical[0] > 0, 0, 1)
    store.change_features("campaigns", categorical=categorical)


CHANGES = [
    price_of_a_product,
    end_of_a_product,
    customer_region,
    amount_of_purchases,
    time_of_an_edge,
    kind_of_a_campaign,
]


def encode(shop_settings: Settings, shop: Shop, store: GraphStore, lake: Any) -> dict[str, np.ndarray]:
    """Vectors, and for entities the sums of their pairs' scores beside them, at the test anchor."""
    prepared = prepare_inference(shop_settings, lake, store, [shop.plan.test], "cpu")
    encoder = PartitionEncoder(shop_settings, lake, store, CPU)
    found = {}
    for partition in prepared.inference.partitions:
        tables = encoder.encode(prepared.inference, partition, np.arange(partition.start, partition.stop))
        vectors = np.array(next(iter(tables.values()))["vector"].to_pylist())
        if len(tables) > 1:
            pairs = tables["pairs_next_week"].to_pylist()
            scored = [[np.dot(row["targets"], row["scores"]), len(row["targets"])] for row in pairs]
            vectors = np.concatenate([vectors, scored], axis=1)
        found[partition.side] = vectors
    return found


@pytest.mark.parametrize("strategy", ["last", "uniform"])
def test_rows_of_nodes_with_the_same_digest_are_the_same(
    shop: Shop, store: GraphStore, tmp_path: Path, strategy: str
) -> None:
    configured, lake = copy_shop(shop, tmp_path)
    # No edge is left out, so that each change reaches all it can; or some are, by chance.
    sampling = configured.sampling.model_copy(update={"strategy": strategy})
    configured = configured.model_copy(update={"sampling": sampling})
    anchor = shop.plan.test - store.manifest.origin
    before = encode(configured, shop, store, lake)
    digests = receptive_field_hashes(configured, store, shop.query, anchor)
    moved = {"targets": 0, "entities": 0}
    for change in CHANGES:
        changed = ChangedStore(store)
        change(changed, anchor)
        after = encode(configured, shop, changed, lake)
        now = receptive_field_hashes(configured, changed, shop.query, anchor)
        for side in moved:
            differ = ~np.isclose(before[side], after[side], rtol=1e-5, atol=1e-6).all(axis=1)
            stale = differ & (now[side] == digests[side])
            assert not stale.any(), (change.__name__, side, np.flatnonzero(stale))
            moved[side] += int(differ.sum())
            if strategy == "last" and change is price_of_a_product:
                # The digest is no wider than it has to be.
                assert (now[side] != digests[side]).sum() == differ.sum() < len(differ)
    assert moved["targets"] > 3 and moved["entities"] > 20


def test_what_comes_after_the_anchor_changes_no_digest(shop: Shop, store: GraphStore) -> None:
    anchor = shop.plan.test - store.manifest.origin
    digests = receptive_field_hashes(shop.settings, store, shop.query, anchor)
    changed = ChangedStore(store)
    numerical = np.array(store.features("purchases").numerical)
    numerical[store.features("purchases").times > anchor] += 1
    assert (numerical != store.features("purchases").numerical).any()
    changed.change_features("purchases", numerical=numerical)
    now = receptive_field_hashes(shop.settings, changed, shop.query, anchor)
    assert all((now[side] == digests[side]).all() for side in digests)
    later = receptive_field_hashes(shop.settings, changed, shop.query, anchor + 7 * 86_400)
    assert all((later[side] != digests[side]).any() for side in digests)


def edges(draw: st.DrawFn) -> tuple[Adjacency, np.ndarray]:
    degrees = draw(st.lists(st.integers(0, 6), min_size=1, max_size=6))
    count = sum(degrees)
    times = [sorted(draw(st.lists(st.integers(0, 9), min_size=d, max_size=d))) for d in degrees]
    neighbors = draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
    flat = np.array([t for own in times for t in own], np.int32)
    digests = np.array(draw(st.lists(st.integers(0, 3), min_size=5, max_size=5)), np.uint64)
    weights = draw(st.lists(st.integers(1, 3), min_size=count, max_size=count))
    cumulative = np.concatenate([[0], np.cumsum(weights)]).astype(np.uint64)
    return Adjacency(indptr, np.array(neighbors, np.int32), flat, draw(st.sampled_from([None, cumulative]))), digests


@settings(max_examples=200, deadline=None)
@given(st.composite(edges)(), st.integers(0, 9), st.one_of(st.none(), st.integers(1, 4)))
def test_sources_have_the_same_digest_where_the_same_edges_count(
    drawn: tuple[Adjacency, np.ndarray], anchor: int, limit: int | None
) -> None:
    adjacency, digests = drawn
    found = digest_neighbors(adjacency, digests, anchor, limit)
    seen = []
    for source in range(len(found)):
        part = slice(adjacency.indptr[source], adjacency.indptr[source + 1])
        weights = np.zeros(len(adjacency.neighbors)) if adjacency.cumulative is None else np.diff(adjacency.cumulative)
        nodes = digests[adjacency.neighbors[part]]
        own = list(zip(adjacency.times[part].tolist(), nodes.tolist(), weights[part].tolist(), strict=True))
        own = [edge for edge in own if edge[0] <= anchor]
        seen.append(own if limit is None else own[-limit:])
    for one in range(len(found)):
        for other in range(len(found)):
            assert (found[one] == found[other]) == (seen[one] == seen[other])


def test_digests_do_not_depend_on_how_the_arrays_are_cut(store: GraphStore) -> None:
    anchor = 40 * 86_400
    rows = digest_rows(store.features("products"), anchor)
    assert len(set(rows.tolist())) == len(rows)
    assert (digest_rows(store.features("products"), anchor, chunk=7) == rows).all()
    for edge_type in store.edge_types():
        neighbors = digest_rows(store.features(edge_type.target), anchor)
        whole, parts = (
            digest_neighbors(store.adjacency(edge_type), neighbors, anchor, 5, chunk) for chunk in (10_000, 13)
        )
        assert len(whole) == store.node_count(edge_type.source) and (parts == whole).all()
