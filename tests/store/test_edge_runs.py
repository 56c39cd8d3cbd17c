"""Edge tables become the same CSR whatever sorted runs they lie in; what is not sorted is refused."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnscale.lake import Lake
from gnnscale.sampling import NeighborSampler
from gnnscale.schema import DataError, RelationManifest
from gnnscale.store import ALWAYS, Adjacency, GraphStore
from gnnscale.store.adjacency import quantise
from gnnscale.store.edge_runs import Run, split_runs, write_adjacency

ORIGIN = 1_000
NODES = 5
TYPES = {"source": pa.int64(), "target": pa.int64(), "time": pa.int64(), "weight": pa.float32()}


def table_of(rows: Sequence[tuple], **types: pa.DataType) -> pa.Table:
    """Rows (source, target, time, weight) or without the weight."""
    columns = zip(*rows, strict=True) if rows else [()] * 4
    pairs = zip(TYPES, columns, strict=False)
    return pa.table({name: pa.array(values, types.get(name, TYPES[name])) for name, values in pairs})


def run_of(rows: Sequence[tuple], size: int = 3, **types: pa.DataType) -> Run:
    """A run in batches of so many rows."""
    table = table_of(rows, **types)

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return iter(table.select(columns).to_batches(max_chunksize=size))

    return read


def build(folder: Path, *runs: Run, edges: int, max_weight: float | None = None) -> Adjacency:
    (folder / "cumulative.npy").unlink(missing_ok=True)
    write_adjacency(folder, runs, NODES, edges, ORIGIN, "edges_t", max_weight)
    return Adjacency.open(folder)


def in_order(row: tuple) -> tuple:
    return row[0], row[2] is not None, row[2] or 0, row[1]


def assert_same(left: Adjacency, right: Adjacency) -> None:
    for name in ("indptr", "neighbors", "times", "cumulative"):
        one, two = getattr(left, name), getattr(right, name)
        assert (one is None) == (two is None)
        if one is not None:
            assert one.dtype == two.dtype
            np.testing.assert_array_equal(one, two)


ROWS = [(0, 7, None), (0, 5, 1_000), (0, 6, 1_004), (2, 1, 1_002), (2, 1, 1_002), (4, 0, 990)]

time = st.none() | st.integers(-50, 50).map(lambda t: t + ORIGIN)
edge = st.tuples(st.integers(0, NODES - 1), st.integers(0, 9), time)
weight = st.floats(2**-7, 1000, width=32)
lenient = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(rows=st.lists(edge, max_size=30), size=st.integers(1, 7))
@lenient
def test_the_arrays_hold_every_edge_in_order(tmp_path, rows, size):
    rows = sorted(rows, key=in_order)
    adjacency = build(tmp_path, run_of(rows, size), edges=len(rows))
    assert adjacency.indptr.dtype == np.int64 and adjacency.indptr[0] == 0 and adjacency.cumulative is None
    assert adjacency.neighbors.dtype == adjacency.times.dtype == np.int32
    for node in range(NODES):
        part = slice(adjacency.indptr[node], adjacency.indptr[node + 1])
        own = [row for row in rows if row[0] == node]
        assert adjacency.degrees[node] == len(own)
        assert adjacency.neighbors[part].tolist() == [row[1] for row in own]
        assert adjacency.times[part].tolist() == [ALWAYS if row[2] is None else row[2] - ORIGIN for row in own]


@given(
    rows=st.lists(st.tuples(edge, weight, st.integers(0, 3)), max_size=40),
    size=st.integers(1, 7),
    weighted=st.booleans(),
    narrow=st.booleans(),
)
@lenient
def test_any_division_into_runs_gives_the_arrays_of_one_run(tmp_path, rows, size, weighted, narrow):
    # Rows alike in all but weight come in order of their runs.
    divided = [sorted([(*e, w) for e, w, run in rows if run == number], key=in_order) for number in range(4)]
    whole = sorted([row for run in divided for row in run], key=in_order)
    largest = max((row[3] for row in whole), default=1.0) if weighted else None
    expected = build(tmp_path, run_of(whole, size), edges=len(whole), max_weight=largest)
    loaded = replace(expected, **{n: np.array(a) for n, a in vars(expected).items() if a is not None})
    types = {"source": pa.int32(), "target": pa.int32()} if narrow else {}
    runs = [run_of(run, size, **types) for run in divided]
    assert_same(build(tmp_path, *runs, edges=len(whole), max_weight=largest), loaded)
    if weighted:
        quanta = quantise(np.array([row[3] for row in whole]), largest) if whole else np.zeros(0, np.uint64)
        assert loaded.cumulative.dtype == np.uint64
        assert loaded.cumulative.tolist() == [0, *np.cumsum(quanta).tolist()]


def test_a_table_without_files_has_no_edges(tmp_path):
    adjacency = build(tmp_path, edges=0)
    assert adjacency.indptr.tolist() == [0] * (NODES + 1) and adjacency.neighbors.size == 0


@pytest.mark.parametrize("size", [1, 2, 6])
@pytest.mark.parametrize("others", [0, 2])
def test_a_run_that_is_not_in_order_is_refused(tmp_path, size, others):
    by_target = [(0, 2, 1_000), (0, 1, 1_000)]
    for wrong in (ROWS[::-1], [ROWS[1], ROWS[0], *ROWS[2:]], [*ROWS[:3], ROWS[5], *ROWS[3:5]], by_target):
        runs = [run_of(ROWS, size)] * others + [run_of(wrong, size)]
        with pytest.raises(DataError, match="edges_t is not sorted by source, time and target"):
            build(tmp_path, *runs, edges=others * len(ROWS) + len(wrong))


@pytest.mark.parametrize("edges", [5, 7])
def test_a_number_of_edges_that_is_not_as_promised_is_refused(tmp_path, edges):
    for runs in ([run_of(ROWS)], [run_of(ROWS[:2]), run_of(ROWS[2:])]):
        with pytest.raises(DataError, match=f"edges_t has not the {edges} rows"):
            build(tmp_path, *runs, edges=edges)


@pytest.mark.parametrize("row", [(NODES, 0, 0), (-1, 0, 0), (0, -1, 0), (0, 2**31 - 1, 0), (None, 0, 0), (0, None, 0)])
@pytest.mark.parametrize("runs", [1, 2])
def test_an_end_that_is_no_node_is_refused(tmp_path, row, runs):
    with pytest.raises(DataError, match=r"edges_t has a (source|target) that is not a node in 0 \.\. "):
        build(tmp_path, *[run_of([row])] * runs, edges=runs)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), None, 3.5])
@pytest.mark.parametrize("runs", [1, 2])
def test_a_weight_that_cannot_be_drawn_by_is_refused(tmp_path, wrong, runs):
    rows = [(0, 1, 0, 3.0), (1, 1, 0, wrong)]
    with pytest.raises(
        DataError, match=r"edges_t has an edge of weight .*; weights must be finite, over 0 and at most 3"
    ):
        build(tmp_path, *[run_of(rows)] * runs, edges=2 * runs, max_weight=3.0)


def test_a_node_of_more_edges_than_draws_can_number_is_refused(tmp_path):
    rows = [(1, i % 8, None) for i in range(9)]
    with pytest.raises(DataError, match="edges_t has a node of 9 edges; at most 8"):
        write_adjacency(tmp_path, [run_of(sorted(rows, key=in_order))], NODES, 9, ORIGIN, "edges_t", max_degree=8)


def test_files_are_of_the_run_that_their_names_say():
    later = [f"run-0002-part-{i:06d}-{tail}.parquet" for i, tail in enumerate("ca")]
    first = ["run-0000-part-000007-b.parquet", "run-0000-part-000010-a.parquet"]
    old = ["part-00000-b.parquet", "part-00001-a.parquet"]
    assert split_runs([*later[::-1], *old[::-1], *first[::-1]]) == [old, first, later]
    assert split_runs(old[::-1]) == [old] and split_runs([]) == []


def write_runs(lake: Lake, name: str, *runs: Sequence[tuple]) -> int:
    """An edge table of several runs, two files each; returns its version."""
    folder = Path(lake.table_uri(name))
    folder.mkdir(parents=True)
    actions = []
    for number, rows in enumerate(runs):
        half = len(rows) // 2
        for part, some in enumerate((rows[:half], rows[half:])):
            # The later the file, the earlier its last word: only the numbers order files.
            file = f"run-{number:04d}-part-{part:06d}-{9 - part}.parquet"
            pq.write_table(table_of(some), folder / file)
            actions.append(AddAction(file, (folder / file).stat().st_size, {}, 0, True, "{}"))
    create_table_with_add_actions(str(folder), Schema.from_arrow(table_of(runs[0]).schema), actions)
    return lake.version(name)


def test_a_store_merges_the_runs_of_a_relation_and_samples_by_its_weights(shop, tmp_path):
    rng = np.random.default_rng(0)
    origin = shop.manifest.origin
    products = shop.manifest.table("products").rows
    ends = rng.integers(0, products, (400, 2)).tolist()
    rows = [(s, t, origin + i, float(np.float32(1 + i % 9))) for i, (s, t) in enumerate(ends)]
    directions = {"": rows, "rev_": [(t, s, *rest) for s, t, *rest in rows]}
    versions, stores = {}, []
    for cuts in ((0, 400), (0, 150, 390, 400)):
        lake = Lake(tmp_path / f"lake{len(cuts)}")
        lake.write("nodes_products", shop.lake.read("nodes_products"))
        for prefix, edges in directions.items():
            runs = [sorted(edges[a:b], key=in_order) for a, b in itertools.pairwise(cuts)]
            versions[prefix] = write_runs(lake, f"edges_{prefix}products_together", *runs)
        relation = RelationManifest("products", "together", "products", 400, 40, *versions.values(), max_weight=9.0)
        table = replace(shop.manifest.table("products"), version=0)
        manifest = replace(shop.manifest, tables=(table,), links=(), relations=(relation,))
        lake.write_record("graph", manifest.to_dict())
        stores.append(GraphStore.open(lake))
    for edge_type in manifest.edge_types:
        one, several = (store.adjacency(edge_type) for store in stores)
        assert_same(one, several)
        assert isinstance(several.cumulative.base, np.memmap) and len(several.cumulative) == 401
    seeds = np.arange(products)
    blocks = [
        NeighborSampler(store, [{"products.together": 3}] * 2, strategy, backend=backend).sample(seeds)
        for store, strategy, backend in (
            (stores[0], "weighted", "numpy"),
            (stores[1], "weighted", "numba"),
            (stores[1], "uniform", "numba"),
        )
    ]
    for path, hop in blocks[0].hops.items():
        np.testing.assert_array_equal(hop.nodes, blocks[1].hops[path].nodes)
        assert not np.array_equal(hop.nodes, blocks[2].hops[path].nodes)


@pytest.mark.parametrize(
    ("place", "key", "says"),
    [
        ("tables", "rows", "table 'customers' has .* rows"),
        ("links", "max_degree", "has a node of 2,147,483,648 edges"),
    ],
)
def test_a_graph_past_what_32_bits_number_is_refused(shop, tmp_path, place, key, says):
    lake = Lake(tmp_path)
    figures = list(getattr(shop.manifest, place))
    figures[0] = replace(figures[0], **{key: 2**31})
    lake.write_record("graph", replace(shop.manifest, **{place: tuple(figures)}).to_dict())
    with pytest.raises(DataError, match=f"{says}.*; at most 2,147,483,647"):
        GraphStore.open(lake)
