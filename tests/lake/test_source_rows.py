"""One reading of files: types that Spark has not, odd text, folders, names of folders, and what can't be read."""

import gzip
import json
import logging
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from gnnscale.lake import Lake, column_kinds, count_rows, find_source, local_path, open_rows, read_rows, tell_once
from gnnscale.lake.sources.text_files import BLOCK
from gnnscale.schema import LakeError, ValueKind


def rows_of(path: Path | str) -> list[dict]:
    return read_rows(find_source("t", str(path))).to_pylist()


def fault_of(path: Path | str) -> str:
    """The one line that tells why a place can't be read."""
    with pytest.raises(LakeError) as raised:
        rows_of(path)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture
def told(caplog):
    """What was told of a reading."""
    tell_once.cache_clear()
    caplog.set_level(logging.WARNING)
    return caplog


def test_nanoseconds_are_read_as_microseconds_rounded_up(tmp_path):
    exact = pa.array([1_000, 1_001, -1, None], pa.timestamp("ns"))
    pq.write_table(pa.table({"at": exact}), tmp_path / "arrow.parquet", version="2.6")
    assert not open_rows(find_source("t", str(tmp_path / "arrow.parquet"))).plain
    micros = [datetime(1970, 1, 1, 0, 0, 0, n, tzinfo=UTC).replace(tzinfo=None) for n in (1, 2, 0)]
    assert [row["at"] for row in rows_of(tmp_path / "arrow.parquet")] == [*micros, None]
    zoned = (
        pd.Series(pd.to_datetime(["2010-12-01 08:26"]))
        .dt.tz_localize("Europe/London")
        .astype("datetime64[ns, Europe/London]")
    )
    pd.DataFrame({"at": zoned}).to_parquet(tmp_path / "pandas.parquet")
    assert rows_of(tmp_path / "pandas.parquet") == [{"at": datetime(2010, 12, 1, 8, 26, tzinfo=UTC)}]
    times = pl.Series("at", [datetime(2010, 12, 1, 8, 26)]).cast(pl.Datetime("ns"))
    pl.DataFrame([times]).write_parquet(tmp_path / "polars.parquet")
    assert rows_of(tmp_path / "polars.parquet") == [{"at": datetime(2010, 12, 1, 8, 26)}]
    assert column_kinds(find_source("t", str(tmp_path / "polars.parquet"))) == {"at": ValueKind.TIME}


def test_an_instant_of_the_hour_that_clocks_show_twice_is_one(tmp_path):
    stamps = pd.to_datetime(["2022-10-30 00:05:05.384000001", "2022-10-30 01:05:05.0", None], utc=True)
    pd.DataFrame({"at": stamps.tz_convert("Europe/Berlin")}).to_parquet(tmp_path / "t.parquet")
    found = [row["at"] for row in rows_of(tmp_path / "t.parquet")]
    first, second = (datetime(2022, 10, 30, *rest, tzinfo=UTC) for rest in ((0, 5, 5, 384001), (1, 5, 5)))
    assert found == [first, second, None]


def test_times_of_96_bits_are_instants(tmp_path):
    at = [datetime(1500, 1, 1), datetime(2024, 1, 31, 12)]
    table = pa.table({"at": pa.array(at, pa.timestamp("us"))})
    pq.write_table(table, tmp_path / "t.parquet", use_deprecated_int96_timestamps=True)
    assert [row["at"] for row in rows_of(tmp_path / "t.parquet")] == [moment.replace(tzinfo=UTC) for moment in at]
    assert open_rows(find_source("t", str(tmp_path / "t.parquet"))).plain


def test_an_index_of_pandas_is_a_column_where_it_has_a_name(tmp_path):
    """One without tells where a row stood before the sort: of what follows, perhaps."""
    frame = pd.DataFrame({"day": [3, 1, 2], "paid": [1.5, 2.5, 3.5]}).sort_values("day")
    frame.to_parquet(tmp_path / "unnamed.parquet")
    frame.rename_axis("bill").to_parquet(tmp_path / "named.parquet")
    frame.rename(columns={"paid": "__index_level_7__"}).to_parquet(tmp_path / "own.parquet")
    assert "__index_level_0__" in pq.read_schema(tmp_path / "unnamed.parquet").names
    assert rows_of(tmp_path / "unnamed.parquet")[0] == {"day": 1, "paid": 2.5}
    assert rows_of(tmp_path / "named.parquet")[0] == {"day": 1, "paid": 2.5, "bill": 1}
    assert list(rows_of(tmp_path / "own.parquet")[0]) == ["day", "__index_level_7__"]


def test_a_file_with_names_alone_has_columns(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n")
    assert rows_of(tmp_path / "t.csv") == []
    assert column_kinds(find_source("t", str(tmp_path / "t.csv"))) == {"a": ValueKind.TEXT, "b": ValueKind.TEXT}


def test_a_folder_may_hold_units_of_time_and_numbers_of_several_widths_and_columns_that_came_later(tmp_path):
    first = pa.table({"x": pa.array([1], pa.int32()), "at": pa.array([1_000], pa.timestamp("ns"))})
    pq.write_table(first, tmp_path / "a.parquet", version="2.6")
    second = pa.table({"x": [2.5], "at": pa.array([1_000], pa.timestamp("ms")), "new": ["n"]})
    pq.write_table(second, tmp_path / "b.parquet")
    assert [(row["x"], row["at"].microsecond, row["new"]) for row in rows_of(tmp_path)] == [
        (1.0, 1, None),
        (2.5, 0, "n"),
    ]
    pq.write_table(pa.table({"x": ["text"]}), tmp_path / "c.parquet")
    assert "c.parquet: column 'x' holds string, and double in files before it" in fault_of(tmp_path)


def test_types_that_spark_has_not_are_used_or_left_out_and_told(tmp_path, told):
    table = pa.table(
        {
            "at": pa.array([time(10, 15)], pa.time64("us")),
            "half": pa.array([0.5], pa.float16()),
            "none": pa.nulls(1),
            "big": pa.array([Decimal(1)], pa.decimal256(40, 0)),
            "pairs": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
            "count": pa.array([2**64 - 1], pa.uint64()),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    expected = {"at": "10:15:00.000000", "half": 0.5, "none": None, "count": Decimal(2**64 - 1)}
    assert rows_of(tmp_path / "t.parquet") == [expected]
    assert "left out: big (decimal256(40, 0)), pairs (map<string, int64" in told.text


def test_files_of_a_folder_without_an_ending_are_read_and_others_are_told(tmp_path, told):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "000000_0")
    pq.write_table(pa.table({"x": [2]}), tmp_path / "part.parquet")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "aside").mkdir()
    pq.write_table(pa.table({"x": [3]}), tmp_path / "aside" / "part.parquet")
    assert [row["x"] for row in rows_of(tmp_path)] == [1, 2]
    assert "notes.txt" in told.text and "aside/part.parquet" in told.text and "SUCCESS" not in told.text
    (tmp_path / "rows.csv").write_text("x\n1\n")
    with pytest.raises(LakeError, match="holds files of csv and parquet"):
        find_source("t", str(tmp_path))


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_names_of_folders_are_columns(tmp_path, ending):
    for folder in ("day=2024-01-31/shop=%C3%A9/n=01", "day=2024-02-01/shop=__HIVE_DEFAULT_PARTITION__/n=02"):
        (tmp_path / folder).mkdir(parents=True)
        place = tmp_path / folder / f"part.{ending}"
        pq.write_table(pa.table({"x": [1]}), place) if ending == "parquet" else place.write_text("x\n1\n")
    expected = [
        {"x": 1, "day": date(2024, 1, 31), "shop": "é", "n": 1},
        {"x": 1, "day": date(2024, 2, 1), "shop": None, "n": 2},
    ]
    assert rows_of(tmp_path) == expected
    assert list(column_kinds(find_source("t", str(tmp_path)))) == ["x", "day", "shop", "n"]


QUOTED = 'id,said,at,zip,none\n1,"said ""yes"", twice",2024-01-31 12:00:00,01234,\n2,"two\nlines",2024-02-01,00001,NA\n'


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "semicolons.csv"])
def test_quotes_line_breaks_and_codes_of_csv_are_what_they_are(tmp_path, name):
    text = QUOTED.replace(",", "\t") if "tsv" in name else QUOTED
    text = text.replace('"yes"",', '"yes"";') if "semi" in name else text
    if "semi" in name:
        text = QUOTED.replace(",", ";")
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    first, second = rows_of(path)
    sign = "\t" if "tsv" in name else ";" if "semi" in name else ","
    assert (first["id"], first["said"]) == (1, f'said "yes"{sign} twice')
    assert (second["id"], second["said"]) == (2, "two\nlines")
    assert [row["at"] for row in (first, second)] == [datetime(2024, 1, 31, 12), datetime(2024, 2, 1)]
    assert [row["zip"] for row in (first, second)] == ["01234", "00001"]
    assert count_rows(find_source("t", str(path))) == 2


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('id,said\n1,x\n2,"cut in the mid\n3,y\n', 2),
        ('id,said\n1,x\n2,"cut in the mid', 2),
        ('id,said\n1,x\n2,y\n3,"', 3),
        ('said\n"x\ny\n', 1),
    ],
)
def test_a_quote_that_is_not_closed_takes_no_rows_in(tmp_path, text, rows):
    for name, content in (("t.csv", text.encode()), ("t.csv.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        assert f"{name} can't be read as csv: a quote in its row {rows} is not closed" in fault_of(tmp_path / name)


@pytest.mark.parametrize("text", ["id,said", "id,said\n", "id,said\r\n\r\n"])
def test_a_csv_of_names_alone_has_columns_and_no_row(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert rows_of(tmp_path / "t.csv") == []


def test_csv_of_several_blocks_keeps_all_of_its_rows(tmp_path):
    numbers = np.arange(3_000_000)
    pd.DataFrame({"n": numbers, "said": 'an inch, or 1"'}).to_csv(tmp_path / "t.csv", index=False)
    assert (tmp_path / "t.csv").stat().st_size > 4 * BLOCK
    rows = open_rows(find_source("t", str(tmp_path / "t.csv")))
    found = np.concatenate([batch["n"].to_numpy() for batch in rows.batches(rows.parts)])
    assert (found == numbers).all()


WORDS = {
    "whole": (["1", " 2", "NA"], [1, 2, None]),
    "whole over 64 bits": (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
    "real": (["1", "2.5", ""], [1.0, 2.5, None]),
    "a word late": (["1", "2", "x"], ["1", "2", "x"]),
    "truth": (["true", "False"], [True, False]),
    "time of a day": (["10:15:00", "23:59:59"], ["10:15:00", "23:59:59"]),
    "nine digits": (["2024-01-31 00:00:00.000000001"], [datetime(2024, 1, 31, 0, 0, 0, 1)]),
    "zones": (["2024-01-31T12:00:00+01:00"], [datetime(2024, 1, 31, 11, tzinfo=UTC)]),
    "day first": (["31/01/2024"], ["31/01/2024"]),
    "missing": (["", ""], [None, None]),
}


@pytest.mark.parametrize(("words", "values"), WORDS.values(), ids=WORDS)
def test_a_column_of_csv_has_the_narrowest_type_of_all_its_words(tmp_path, words, values):
    (tmp_path / "t.csv").write_text("i,x\n" + "".join(f"{i},{word}\n" for i, word in enumerate(words)))
    assert [row["x"] for row in rows_of(tmp_path / "t.csv")] == values


def test_json_has_times_and_widens_numbers(tmp_path):
    lines = '{"x": 1, "at": "2024-01-31 12:00:00.5", "s": "7"}\n{"x": 2.5, "at": "2024-02-01", "s": null}\n'
    (tmp_path / "t.jsonl").write_text(lines)
    assert [row["x"] for row in rows_of(tmp_path / "t.jsonl")] == [1.0, 2.5]
    assert [row["at"] for row in rows_of(tmp_path / "t.jsonl")] == [
        datetime(2024, 1, 31, 12, 0, 0, 500_000),
        datetime(2024, 2, 1),
    ]
    assert [row["s"] for row in rows_of(tmp_path / "t.jsonl")] == ["7", None]


FAULTS = {
    "zero bytes.parquet": (b"", "as parquet"),
    "cut off.parquet": (b"PAR1\x00\x01", "as parquet"),
    "text.parquet": (b"a,b\n1,2\n", "as parquet"),
    "zero bytes.csv": (b"", "it is empty"),
    "ragged.csv": (b"a,b\n1,2\n1,2,3\n", "Expected 2 columns, got 3"),
    "latin.csv": ("a,b\nä,1\n".encode("latin-1"), "not text in UTF-8"),
    "utf-16.csv": ("a,b\n1,2\n".encode("utf-16"), "not text in UTF-8"),
    "twice.csv": (b"a,a\n1,2\n", "two of its columns are called 'a'"),
    "case.csv": (b"a,A\n1,2\n", "one to Spark"),
    "zero bytes.jsonl": (b"", "it is empty"),
    "array.json": (b'[{"a": 1}]', "one object a line"),
    "mixed.jsonl": (b'{"a": 1}\n{"a": "x"}\n', "changed from number to string"),
    "torn.jsonl": (b'{"a": 1}\n{"a": ', "JSON"),
    "nothing known.bin": (b"\x00\x01", "is not known for what it is"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_that_can_not_be_read_is_named_with_the_reason(tmp_path, name):
    content, reason = FAULTS[name]
    (tmp_path / name).write_bytes(content)
    told = fault_of(tmp_path / name)
    assert reason in told and name in told


def test_a_gap_in_a_delta_table_is_told(tmp_path):
    write_deltalake(str(tmp_path / "t"), pa.table({"x": [1]}))
    file = next((tmp_path / "t").glob("*.parquet"))
    file.rename(tmp_path / "gone")
    assert "there is no such file" in fault_of(tmp_path / "t")
    log = tmp_path / "t" / "_delta_log" / "00000000000000000000.json"
    for content in (b"", b'{"add":'):
        log.write_bytes(content)
        assert "can't be read" in fault_of(tmp_path / "t")
    log.unlink()
    assert "its log (_delta_log) is empty or missing" in fault_of(tmp_path / "t")


@pytest.mark.parametrize(
    ("feature", "reason"),
    [("catalogManaged", "it is managed by a catalog"), ("brandNew", "'brandNew' is not supported")],
)
def test_a_delta_table_of_unknown_features_is_told(tmp_path, feature, reason):
    write_deltalake(str(tmp_path / "t"), pa.table({"x": [1]}))
    log = tmp_path / "t" / "_delta_log" / "00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    features = {"readerFeatures": [feature], "writerFeatures": [feature]}
    for action in actions:
        if "protocol" in action:
            action["protocol"] = {"minReaderVersion": 3, "minWriterVersion": 7, **features}
    log.write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert reason in fault_of(tmp_path / "t")


def test_partitions_of_a_delta_table_are_those_of_its_log(tmp_path):
    uri = tmp_path / "t"
    write_deltalake(str(uri), pa.table({"x": [1, 2, 3], "chan": ["é", "a b", None]}), partition_by=["chan"])
    expected = [{"x": 1, "chan": "é"}, {"x": 2, "chan": "a b"}, {"x": 3, "chan": None}]
    assert sorted(rows_of(uri), key=lambda row: row["x"]) == expected
    # As a shallow clone has them: elsewhere, under names that tell nothing.
    clone = tmp_path / "clone"
    (clone / "_delta_log").mkdir(parents=True)
    log = "_delta_log/00000000000000000000.json"
    actions = [json.loads(line) for line in (uri / log).read_text().splitlines()]
    for action in actions:
        if "add" in action:
            place = uri / unquote(action["add"]["path"])
            action["add"]["path"] = f"file://{place.rename(tmp_path / place.name)}"
    (clone / log).write_text("\n".join(map(json.dumps, actions)) + "\n")
    assert sorted(rows_of(clone), key=lambda row: row["x"]) == expected


@pytest.mark.parametrize("folder", ["path-[1]", "a#b", "a%20b", "with space", "a{b}", "a?b*"])
def test_a_folder_of_any_name_is_read_and_no_neighbor_is(tmp_path, folder):
    for name in ("path-1", "a b", folder):
        (tmp_path / name).mkdir(exist_ok=True)
        pq.write_table(pa.table({"x": [name]}), tmp_path / name / "t.parquet")
        (tmp_path / name / "t.csv").write_text(f"x\n{name}\n")
    for file in ("t.parquet", "t.csv"):
        assert rows_of(tmp_path / folder / file) == [{"x": folder}]
        assert rows_of(f"file://{tmp_path}/{folder}/{file}") == [{"x": folder}]


def test_a_delta_table_in_a_folder_that_delta_would_take_for_another_is_refused(tmp_path):
    for folder in ("a b", "path-[1]", "path-1", "a#b"):
        Lake(tmp_path / folder).write("t", pa.table({"x": [folder]}))
        assert rows_of(f"{tmp_path}/{folder}/t") == [{"x": folder}]
    (tmp_path / "a b").rename(tmp_path / "a%20b")
    write_deltalake(f"{tmp_path}/a b/t", pa.table({"x": ["a neighbor's"]}))
    assert "'%' in its path" in fault_of(tmp_path / "a%20b" / "t")


def test_places_are_resolved_and_odd_schemes_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "t.parquet")
    (tmp_path / "deep").mkdir()
    for place in ("~/t.parquet", f"{tmp_path}/deep/../t.parquet", f"file:{tmp_path}/t.parquet"):
        assert find_source("t", place).uri == str(tmp_path / "t.parquet")
    assert local_path("s3://bucket/key") is None
    for place in ("http://host/t.parquet", "dbfs:/t.parquet"):
        with pytest.raises(LakeError, match=r"table 't': .*(allowed are paths|mounted at /dbfs)"):
            find_source("t", place)


def test_tables_whose_files_alone_tell_nothing_are_refused(tmp_path):
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "v1.metadata.json").write_text("{}")
    with pytest.raises(LakeError, match="Iceberg"):
        find_source("t", str(tmp_path))
