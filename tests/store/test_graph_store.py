"""The graph in memory equals the lake's tables, and is built once."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from gnnscale.lake import Lake
from gnnscale.schema import DataError, EdgeType, LakeError
from gnnscale.store import ALWAYS, GraphStore


def test_every_direction_equals_its_edges_table(shop, store):
    assert len(store.edge_types()) == 2 * len(shop.manifest.links)
    for edge_type in store.edge_types():
        edges = shop.lake.read(edge_type.table_name).to_pandas().sort_values(["source", "time", "target"])
        adjacency = store.adjacency(edge_type)
        assert len(adjacency.degrees) == store.node_count(edge_type.source)
        sources = np.repeat(np.arange(len(adjacency.degrees)), adjacency.degrees)
        assert sources.tolist() == edges["source"].tolist()
        assert adjacency.neighbors.tolist() == edges["target"].tolist()
        assert adjacency.times.tolist() == (edges["time"] - shop.manifest.origin).tolist()
        assert (adjacency.times >= 0).all()


def test_one_direction_is_the_other_turned(store):
    for link in {edge_type.link for edge_type in store.edge_types()}:
        pairs = []
        for reverse in (False, True):
            adjacency = store.adjacency(EdgeType(link, reverse))
            sources = np.repeat(np.arange(len(adjacency.degrees)), adjacency.degrees)
            ends = (adjacency.neighbors, sources) if reverse else (sources, adjacency.neighbors)
            pairs.append(sorted(zip(*ends, adjacency.times, strict=True)))
        assert pairs[0] == pairs[1]


def test_features_are_mapped_without_edges_where_none_are_wanted(shop, store, tmp_path):
    bare = GraphStore.open(shop.lake, tmp_path, edges=False)
    assert not list(bare.folder.glob("edges_*"))
    np.testing.assert_array_equal(bare.features("products").numerical, store.features("products").numerical)
    whole = GraphStore.open(shop.lake, tmp_path)
    assert whole.folder == bare.folder
    edge_type = store.edge_types()[0]
    np.testing.assert_array_equal(whole.adjacency(edge_type).neighbors, store.adjacency(edge_type).neighbors)


def test_features_equal_the_nodes_table(shop, store):
    for table in shop.manifest.tables:
        nodes = shop.nodes(table.name)
        features = store.features(table.name)
        assert features.numerical.shape == (table.rows, len(table.numerical))
        assert features.categorical.shape == (table.rows, len(table.categorical))
        for i, feature in enumerate(table.numerical):
            np.testing.assert_array_equal(features.numerical[:, i], nodes[f"num_{feature.column}"])
        for i, feature in enumerate(table.categorical):
            np.testing.assert_array_equal(features.categorical[:, i], nodes[f"cat_{feature.column}"])
        for lists, feature in zip(features.multicategorical, table.multicategorical, strict=True):
            found = [codes.tolist() for codes in np.split(lists.values, lists.indptr[1:-1])]
            assert found == [list(codes) for codes in nodes[f"multi_{feature.column}"]]
        for vectors, feature in zip(features.embedded, table.embedded, strict=True):
            assert vectors.shape == (table.rows, feature.dims) and isinstance(vectors, np.memmap)
            np.testing.assert_array_equal(vectors, np.stack(nodes[f"emb_{feature.column}"]).astype(np.float16))
        times = nodes["time"].to_numpy(float)
        expected = np.where(np.isnan(times), ALWAYS, times - shop.manifest.origin)
        np.testing.assert_array_equal(features.times, expected)


def test_edges_that_leave_a_table_are_those_of_its_links(store):
    names = {edge_type.table_name for edge_type in store.edges_from("customers")}
    assert names == {"edges_rev_purchases_customer_id", "edges_rev_mailings_customer_id"}
    assert {e.table_name for e in store.edges_from("mailings")} == {
        "edges_mailings_customer_id",
        "edges_mailings_campaign_id",
    }


def test_opening_again_reads_what_is_mapped_and_builds_nothing(shop, store):
    stamps = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")}
    again = GraphStore.open(shop.lake)
    assert again.folder == store.folder
    assert {path: path.stat().st_mtime_ns for path in store.folder.rglob("*")} == stamps
    assert not [path for path in store.folder.iterdir() if path.is_dir() and path.name.startswith(".")]
    assert isinstance(again.adjacency(store.edge_types()[0]).neighbors.base, np.memmap)


def test_a_cache_elsewhere_holds_the_same_graph(shop, store, tmp_path):
    other = GraphStore.open(shop.lake, tmp_path)
    assert other.folder.parent == tmp_path
    for edge_type in store.edge_types():
        np.testing.assert_array_equal(other.adjacency(edge_type).neighbors, store.adjacency(edge_type).neighbors)


def test_a_graph_that_was_built_again_is_mapped_anew(shop, store, tmp_path):
    first = GraphStore.open(shop.lake, tmp_path)
    record = shop.lake.read_record("graph")
    shop.lake.write_record("graph", {**record, "fit_until": record["fit_until"] + 1})
    try:
        assert GraphStore.open(shop.lake, tmp_path).folder != first.folder
    finally:
        shop.lake.write_record("graph", record)


def test_a_lake_without_a_graph_is_an_error(tmp_path):
    with pytest.raises(LakeError, match="holds no graph; run the graph stage first"):
        GraphStore.open(Lake(tmp_path))


def test_a_table_that_is_not_sorted_is_refused_and_leaves_no_arrays(shop, tmp_path):
    lake = Lake(tmp_path / "lake")
    record = shop.lake.read_record("graph")
    for name in shop.lake.tables():
        if name.startswith(("nodes_", "edges_")):
            table = shop.lake.read(name)
            if name == "edges_rev_purchases_customer_id":
                table = table.take(np.random.default_rng(0).permutation(table.num_rows))
            lake.write(name, table)
    lake.write_record("graph", record)
    with pytest.raises(DataError, match="edges_rev_purchases_customer_id is not sorted"):
        GraphStore.open(lake)
    built = (tmp_path / "lake" / "_store").rglob("*edges_rev_purchases_customer_id*")
    assert not [path for path in built if path.is_dir()]


def test_a_node_id_that_is_missing_or_twice_is_refused(shop, tmp_path):
    import pyarrow as pa

    from gnnscale.store.features import write_features

    table = shop.manifest.table("campaigns")
    rows = shop.lake.read("nodes_campaigns")
    broken = {
        "lacks 1 of 6": rows.slice(1),
        "twice or out of range": pa.concat_tables([rows, rows.slice(0, 1)]),
    }
    for says, data in broken.items():
        with pytest.raises(DataError, match=says):
            write_features(tmp_path, iter(data.combine_chunks().to_batches(max_chunksize=4)), table, 0)


@pytest.mark.parametrize("kind", ["nodes", "edges"])
def test_a_damaged_file_is_told_and_leaves_no_arrays(shop, tmp_path, kind):
    """Whoever writes the tables of a graph, a bit that a disk turned is found."""
    lake = Lake(shutil.copytree(shop.lake.uri, tmp_path / "lake", ignore=shutil.ignore_patterns("_store")))
    files = [file for file in sorted(Path(lake.uri).glob(f"{kind}_*/*.parquet")) if pq.read_metadata(file).num_rows]
    assert len({file.parent.name for file in files}) > 1
    for file in files:
        content = file.read_bytes()
        column = pq.read_metadata(file).row_group(0).column(0)
        start = column.dictionary_page_offset or column.data_page_offset
        place = start + column.total_compressed_size - 1
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(LakeError, match=f"of table '{file.parent.name}' can't be read, or is damaged"):
            GraphStore.open(lake, tmp_path / file.parent.name)
        file.write_bytes(content)
        GraphStore.open(lake, tmp_path / file.parent.name)
