"""The manifest survives JSON, and its figures follow from its counts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnscale.schema import (
    ColumnType,
    EdgeType,
    FeatureManifest,
    GraphManifest,
    LakeError,
    LinkManifest,
    RelationManifest,
    TableManifest,
)

names = st.text("abcdef_", min_size=1, max_size=6)
counts = st.integers(0, 10**12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
features = st.builds(
    FeatureManifest,
    names,
    st.sampled_from([str(kind) for kind in ColumnType]),
    st.booleans(),
    numbers,
    numbers,
    st.lists(st.text(max_size=4), max_size=3).map(tuple),
    numbers,
    st.text(max_size=2),
    st.integers(0, 9),
    st.lists(numbers, max_size=3).map(tuple),
    st.lists(numbers, max_size=3).map(tuple),
)
tables = st.builds(
    TableManifest,
    names,
    counts,
    st.none() | st.tuples(counts, counts),
    st.lists(features, max_size=3).map(tuple),
    counts,
)
links = st.builds(LinkManifest, names, names, names, *[counts] * 8)


@given(st.lists(tables, max_size=3), st.lists(links, max_size=3), counts, st.none() | counts)
def test_a_manifest_is_the_same_after_json(tables, links, origin, fit_until):
    manifest = GraphManifest(tuple(tables), tuple(links), origin, fit_until)
    assert GraphManifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest


def test_a_manifest_of_an_older_build_reads_as_one_that_did_not_count():
    relation = RelationManifest("a", "r", "b", 3, 2, 1, 1, 2.5, "events", "f", ("x", "y"), 1, 4)
    link = LinkManifest("f", "x", "a", 6, 1, 2, 9, 3, 4, degree_quantiles={"50": 1, "90": 3, "99": 4})
    table = TableManifest("f", 9, None, (), duplicates=1, out_of_range=2, isolated=3)
    manifest = GraphManifest((table,), (link,), 5, 6, (relation,))
    data = json.loads(json.dumps(manifest.to_dict()))
    assert GraphManifest.from_dict(data) == manifest
    for key in ("duplicates", "out_of_range", "isolated"):
        del data["tables"][0][key]
    del data["links"][0]["degree_quantiles"], data["relations"]
    older = GraphManifest.from_dict(data)
    assert (older.tables[0].duplicates, older.tables[0].isolated, older.links[0].degree_quantiles) == (None, None, None)
    assert older.relations == ()


def test_a_built_manifest_is_the_same_after_json(shop):
    assert GraphManifest.from_dict(json.loads(json.dumps(shop.manifest.to_dict()))) == shop.manifest
    assert GraphManifest.from_dict(shop.lake.read_record("graph")) == shop.manifest


def test_the_match_rate_counts_rows_that_have_a_key():
    link = LinkManifest("a", "b", "c", edges=6, nulls=100, dangling=2, parents=9, parents_matched=3, max_degree=4)
    assert link.match_rate == 0.75
    assert (link.rows, link.null_rate, link.parent_match_rate, link.mean_degree) == (108, 100 / 108, 1 / 3, 6 / 9)
    assert LinkManifest("a", "b", "c", 0, 5, 0, 0, 0, 0).match_rate == 0.0


def test_a_relation_tells_of_the_rows_and_columns_that_it_is_made_of():
    relation = RelationManifest("a", "r", "b", 3, 2, table="f", columns=("x", "y"))
    assert relation.is_made_of({"f"}, ()) and relation.is_made_of((), {("f", "y")})
    assert not relation.is_made_of({"a", "b"}, {("f", "z"), ("a", "x")})


def test_each_direction_has_its_own_version():
    figures = LinkManifest("a", "b", "c", 1, 0, 0, 1, 1, 1, version=4, reverse_version=7)
    assert figures.edge_version(EdgeType(figures.link, reverse=False)) == 4
    assert figures.edge_version(EdgeType(figures.link, reverse=True)) == 7


def test_a_record_of_before_lists_and_vectors_is_read():
    feature = {"column": "a", "type": "categorical", "log": False, "mean": 0.0, "std": 1.0, "categories": ["x"]}
    table = {"name": "t", "rows": 2, "time_range": None, "features": [{**feature, "missing": 0.5}]}
    manifest = GraphManifest.from_dict({"tables": [table], "links": [], "origin": 0, "fit_until": None})
    expected = FeatureManifest("a", "categorical", categories=("x",), missing=0.5)
    assert manifest.table("t") == TableManifest("t", 2, None, (expected,))


def test_every_feature_is_of_one_group_in_order():
    kinds = {
        "a": "numerical",
        "b": "categorical",
        "c": "timestamp",
        "d": "categorical",
        "e": "multicategorical",
        "f": "text",
        "g": "embedding",
    }
    table = TableManifest("t", 1, None, tuple(FeatureManifest(name, kind) for name, kind in kinds.items()))
    assert [f.column for f in table.numerical] == ["a", "c"]
    assert [f.column for f in table.categorical] == ["b", "d"]
    assert [f.column for f in table.multicategorical] == ["e"]
    assert [f.column for f in table.embedded] == ["f", "g"]
    encoded = ["num_a", "cat_b", "num_c", "cat_d", "multi_e", "emb_f", "emb_g"]
    assert [f.encoded for f in table.features] == encoded


@pytest.mark.parametrize("data", [{}, {"tables": [{}], "links": [], "origin": 0, "fit_until": None}, {"tables": 5}])
def test_a_record_that_is_no_graphs_is_told(data):
    with pytest.raises(LakeError, match=r"record 'graph' of the lake is no graph of this version .*remove it"):
        GraphManifest.from_dict(data)
