"""Spark's features are those of memory, bit for bit, for labelled examples and for who is predicted for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from gnnscale.arrays import Ragged
from gnnscale.config import Settings, bind_query, build_settings, plan_query_anchors
from gnnscale.etl import FEATURES, build_features
from gnnscale.features import EntityFeatures, PairFeatures
from gnnscale.lake import Lake
from gnnscale.query import REGRESSION
from gnnscale.store import GraphStore
from tests.conftest import Shop
from tests.entity_shop import entity_settings, write_labels

DAY = 86_400


@pytest.fixture(scope="module")
def home(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shop's lake, to be written to."""
    folder = tmp_path_factory.mktemp("features") / "lake"
    shutil.copytree(shop.lake.uri, folder, ignore=shutil.ignore_patterns("_store"))
    return folder


def read(lake: Lake, name: str, order: list[str]):
    """The table, and its features as an array, with the names that the record has of their columns."""
    table = lake.read(FEATURES.format(query=name)).sort_by([(column, "ascending") for column in order])
    told = lake.read_record(FEATURES.format(query=name))["columns"]
    columns = [column for column in table.column_names if column in told]
    features = [table[column].to_numpy(zero_copy_only=False) for column in columns]
    return table, np.stack(features, axis=1).astype(np.float32), tuple(told[column] for column in columns)


def at(table, settings: Settings, store: GraphStore):
    entities = table["entity"].to_numpy().astype(np.int64)
    return entities, (table["anchor_time"].to_numpy() - store.manifest.origin).astype(np.int32)


def test_features_of_entities(shop: Shop, store: GraphStore, home: Path, spark) -> None:
    settings = entity_settings(shop.content, home.parent, REGRESSION)
    lake, query = Lake(home), bind_query(settings, store.manifest)
    write_labels(lake, shop.lake, store, query)
    count = build_features(spark, lake, settings, shop.manifest)
    table, found, names = read(lake, "asked", ["anchor_time", "entity"])
    features = EntityFeatures(store, "customers", query.hidden_columns, query.hidden_tables)
    assert names == features.names and count == len(table)
    assert np.array_equal(found, features.compute(*at(table, settings, store)), equal_nan=True)
    splits = table["split"].to_pylist()
    labels = lake.read("labels_asked")
    assert splits.count("predict") == store.node_count("customers")
    assert len(table) == len(labels) + splits.count("predict")
    latest = plan_query_anchors(settings, query, store.manifest.time_ranges).latest
    asked = np.array(splits) == "predict"
    assert set(table["anchor_time"].to_numpy()[asked]) == {latest}


def test_features_of_pairs(shop: Shop, store: GraphStore, home: Path, spark) -> None:
    content = {**shop.content, "lake": {"uri": str(home)}, "model": {"trees": {"own": 5, "new": 6}}}
    settings = build_settings(content)
    lake, query = Lake(home), bind_query(settings, store.manifest)
    build_features(spark, lake, settings, shop.manifest)
    table, found, names = read(lake, settings.query.name, ["anchor_time", "entity", "target"])
    features = PairFeatures(store, query)
    assert names == features.names
    entities, anchors = at(table, settings, store)
    targets = Ragged(np.arange(len(table) + 1), table["target"].to_numpy(), checked=False)
    assert np.array_equal(found, features.compute(entities, anchors, targets), equal_nan=True)
    had = table["had"].to_numpy(zero_copy_only=False)
    place = names.index("own_count(all)")
    assert ((found[:, place] > 0) == had).all() and had.any() and not had.all()
