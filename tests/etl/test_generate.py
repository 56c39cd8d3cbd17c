"""A generated graph is a function of its settings alone, and looks as it says it does."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from gnnscale.etl.synthetic.generate import TYPES, GeneratorSettings, generate_tables, table_rows
from gnnscale.etl.synthetic.generated_events import TEXT_WIDTH, power_law, share
from gnnscale.etl.synthetic.generated_nodes import CATEGORIES
from gnnscale.sampling.keys import example_keys, stream_key
from gnnscale.schema import ConfigError, LakeError

ROOT = Path(__file__).resolve().parents[2]
TABLES = {"users": "user_id", "items": "item_id", "events": None}
SMALL = GeneratorSettings(users=300, items=200, events=21_000, interests=4, vector=3, group_rows=800)
START = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)
SPAN = dt.timedelta(days=SMALL.days)
LATE = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def large() -> dict[str, pa.Table]:
    settings = GeneratorSettings(users=50_000, items=20_000, events=400_000, user_skew=0.8, item_skew=0.8)
    return {table: table_rows(settings, table, 0, getattr(settings, table)) for table in TABLES}


def rows_of(files, table: str) -> pa.Table:
    return pa.concat_tables([pq.read_table(file.path) for file in files if file.table == table])


@pytest.mark.parametrize("keys", ["int", "string"])
def test_the_rows_do_not_depend_on_the_files(spark, tmp_path, keys):
    settings = replace(SMALL, keys=keys)
    written = {}
    for count in (1, 3, 7):
        settings = replace(settings, file_rows=settings.events // count, group_rows=350 * count)
        files = generate_tables(spark, settings, tmp_path / str(count))
        assert sum(file.table == "events" for file in files) == count
        assert all(pq.ParquetFile(file.path).metadata.num_rows == file.rows for file in files)
        written[count] = {table: rows_of(files, table) for table in TABLES}
    assert written[1] == written[3] == written[7]
    for table in TABLES:
        assert written[1][table].num_rows == getattr(settings, table)
        assert written[1][table].to_pydict() == table_rows(settings, table, 0, getattr(settings, table)).to_pydict()


def test_a_row_is_the_same_however_many_follow_it():
    for table in ("users", "items"):
        more = replace(SMALL, **{table: 10_000})
        assert table_rows(SMALL, table, 100, 50) == table_rows(more, table, 0, 1_000).slice(100, 50)
    assert table_rows(SMALL, "events", 3_000, 50) == table_rows(SMALL, "events", 0, 9_000).slice(3_000, 50)
    assert table_rows(SMALL, "events", 0, 50) != table_rows(replace(SMALL, seed=1), "events", 0, 50)


def test_the_compiled_draw_is_that_of_the_sampler():
    key, rows = stream_key(5, 0, "events user"), np.array([0, 1, 7, 10**12])
    expected = (example_keys(key, rows) >> np.uint64(11)) * 2.0**-53
    assert [share(key, row) for row in rows] == expected.tolist()


@pytest.mark.parametrize("column", ["user_id", "item_id"])
def test_popularity_falls_as_a_power_of_the_rank(large, column):
    counts = np.sort(np.unique(large["events"][column].to_numpy(), return_counts=True)[1])[::-1]
    ranks = np.unique(np.geomspace(5, 1_000, 40).astype(int))
    slope = np.polyfit(np.log(ranks), np.log(counts[ranks - 1]), 1)[0]
    assert slope == pytest.approx(-0.8, abs=0.06)


@pytest.mark.parametrize("skew", [0.0, 0.5, 1.0, 1.7])
def test_ranks_follow_the_bounded_pareto(skew):
    n, chances = 1_000, (np.arange(200_000) + 0.5) / 200_000
    ranks = np.array([power_law(chance, n, skew) for chance in chances])
    assert ranks.min() == 0 and ranks.max() == n - 1
    assert power_law(1 - 2.0**-53, n, skew) == n - 1
    edges = np.arange(1, n + 2, dtype=float)
    grown = np.log(edges) if skew == 1 else edges ** (1 - skew) / (1 - skew)
    expected = np.diff(grown) / (grown[-1] - grown[0])
    assert np.abs(np.bincount(ranks, minlength=n) / len(chances) - expected).max() < 1e-5


def test_a_hub_takes_its_share_and_none_leaves_the_power_law():
    settings = replace(SMALL, events=100_000, hub_share=0.25, item_skew=0.3)
    hub = table_rows(settings, "items", 0, 1)["item_id"][0]
    items = table_rows(settings, "events", 0, settings.events)["item_id"]
    assert pc.sum(pc.equal(items, hub)).as_py() / len(items) == pytest.approx(0.25, abs=0.006)
    others = np.unique(items.to_numpy(), return_counts=True)[1]
    assert np.sort(others)[-2] / len(items) < 0.05


def test_times_are_in_the_span_and_rise_from_file_to_file(spark, tmp_path):
    files = generate_tables(spark, replace(SMALL, file_rows=3_000), tmp_path)
    spans = [pc.min_max(pq.read_table(file.path)["at"]).as_py() for file in files if file.table == "events"]
    assert len(spans) == 7
    assert spans[0]["min"] >= START and spans[-1]["max"] < START + SPAN
    assert spans[-1]["max"] > START + SPAN - 2 * LATE
    for before, after in itertools.pairwise(spans):
        assert before["max"] < after["min"] + LATE and before["min"] < after["min"]


@pytest.mark.parametrize("keys", ["int", "string"])
def test_keys_are_unique_sparse_and_known_before_their_events(keys):
    settings = replace(SMALL, keys=keys, users=20_000, user_skew=0.1)
    events = table_rows(settings, "events", 0, settings.events)
    for table, column, born in (("users", "user_id", "signed_up_at"), ("items", "item_id", "released_at")):
        nodes = table_rows(settings, table, 0, getattr(settings, table))
        key = nodes[column].to_pylist()
        assert len(set(key)) == len(key)
        if keys == "int":
            assert min(key) >= 0 and max(key) < 2**63
            assert np.ptp(np.array(key, float)) > 2**62
        else:
            assert {len(k) for k in key} == {TEXT_WIDTH} and {k[0] for k in key} == {table[0]}
            assert all(int(k[1:], 36) < 2**63 for k in key)
        joined = events.join(nodes.select([column, born]), column)
        assert joined.num_rows == events.num_rows and joined[born].null_count == 0
        assert pc.all(pc.less_equal(joined[born], joined["at"])).as_py()
        assert pc.min(nodes[born]).as_py() >= START - SPAN and pc.max(nodes[born]).as_py() < START + SPAN
        late = pc.sum(pc.greater(nodes[born], pa.scalar(START))).as_py()
        assert late / len(key) == pytest.approx(0.25, abs=0.01)


def test_text_keys_are_the_numbers_in_base_36():
    numbers = table_rows(SMALL, "items", 0, 50)["item_id"].to_pylist()
    text = table_rows(replace(SMALL, keys="string"), "items", 0, 50)["item_id"].to_pylist()
    assert [int(key[1:], 36) for key in text] == numbers


def test_columns_have_the_values_that_they_say(large):
    users, items = table_rows(SMALL, "users", 0, 300), table_rows(SMALL, "items", 0, 200)
    interests = users["interests"].to_pylist()
    assert {len(row) for row in interests} == {0, 1, 2, 3, 4}
    assert all(len(set(row)) == len(row) and set(row) <= set(CATEGORIES) for row in interests)
    vectors = np.array(items["vector"].to_pylist())
    assert vectors.shape == (200, 3) and -1 <= vectors.min() < -0.9 and 0.9 < vectors.max() < 1
    assert large["users"].column_names == ["user_id", "signed_up_at", "age", "country"]
    assert large["items"].column_names == ["item_id", "released_at", "price", "category", "title"]
    assert large["users"]["age"].null_count / 50_000 == pytest.approx(1 / 16, abs=0.005)
    assert set(large["items"]["category"].unique().to_pylist()) == set(CATEGORIES)
    types = large["events"]["type"].cast("string")
    shares = [pc.sum(pc.equal(types, name)).as_py() / 400_000 for name in TYPES]
    assert shares == pytest.approx([0.8, 0.15, 0.05], abs=0.005)


def test_spark_reads_the_tables(spark, tmp_path):
    settings = replace(SMALL, keys="string", file_rows=5_000)
    generate_tables(spark, settings, tmp_path)
    frames = {table: spark.read.parquet(str(tmp_path / table)) for table in TABLES}
    types = {table: {field.name: field.dataType.simpleString() for field in frames[table].schema} for table in TABLES}
    assert types["users"] == {
        "user_id": "string",
        "signed_up_at": "timestamp",
        "age": "double",
        "country": "string",
        "interests": "array<string>",
    }
    assert types["items"]["vector"] == "array<float>"
    assert types["events"] == {"user_id": "string", "item_id": "string", "at": "timestamp", "type": "string"}
    for table in TABLES:
        assert frames[table].toArrow().num_rows == getattr(settings, table)
    assert frames["events"].join(frames["users"], "user_id").join(frames["items"], "item_id").count() == settings.events


def test_a_folder_that_holds_tables_is_left_alone(spark, tmp_path):
    first = generate_tables(spark, SMALL, tmp_path)
    before = Path(first[0].path).read_bytes()
    with pytest.raises(LakeError, match="users is not empty"):
        generate_tables(spark, replace(SMALL, seed=1), tmp_path)
    assert Path(first[0].path).read_bytes() == before
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        ({"users": 0}, "users must be at least 1"),
        ({"events": -1}, "events must be at least 0"),
        ({"items": 1, "hub_share": 0.1}, "items must be at least 2"),
        ({"hub_share": 1.0}, "hub_share must be"),
        ({"item_skew": -0.1}, "item_skew must be"),
        ({"item_skew": float("nan")}, "item_skew must be"),
        ({"interests": 12}, "interests must be from 0 to 11"),
        ({"group_rows": 0}, "group_rows must be from 1"),
        ({"keys": "uuid"}, "keys must be int or string, not 'uuid'"),
    ],
)
def test_settings_out_of_range_are_named(faulty, message):
    with pytest.raises(ConfigError, match=message):
        replace(SMALL, **faulty)


def test_the_job_says_what_is_wrong(tmp_path):
    command = [sys.executable, "jobs/generate.py", str(tmp_path), "--users", "5", "--items", "0", "--events", "9"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 2
    assert "items must be at least 1, not 0" in done.stderr and "Traceback" not in done.stderr
